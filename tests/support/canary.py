"""Secrets that are planted where a credential may stand, and the search for them in what the proxy left behind."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path


def secret(place: str) -> str:
    """A secret that is told by its place alone: nothing in its form gives it away."""
    return "c4nary" + hashlib.sha256(place.encode()).hexdigest()[:16]


def leaks(artefacts: Mapping[str, bytes], places: Iterable[str]) -> dict[str, list[str]]:
    """Place → artefacts that hold its secret; empty when nothing leaked."""
    return found(artefacts, {place: secret(place) for place in places})


def found(artefacts: Mapping[str, bytes], secrets: Mapping[str, str]) -> dict[str, list[str]]:
    holders = {
        place: [name for name, content in artefacts.items() if any(form in content for form in _forms(value.encode()))]
        for place, value in secrets.items()
    }
    return {place: names for place, names in holders.items() if names}


def files(*roots: Path) -> dict[str, bytes]:
    """The content of these files, and of all files below these folders; each of them must be there."""
    paths = [path for root in roots for path in ([root] if root.is_file() else sorted(root.rglob("*")))]
    assert all(root.exists() for root in roots), roots
    return {str(path): path.read_bytes() for path in paths if path.is_file()}


def _forms(value: bytes) -> set[bytes]:
    """As it is, and inside base64 at each of the three alignments (dumps hold binary bodies so)."""
    encoded = {base64.b64encode(b"\0" * shift + value)[4 * (shift > 0) : -4].rstrip(b"=") for shift in range(3)}
    return {value, *encoded}
