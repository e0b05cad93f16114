"""The installation id of a Codex client wherever one of its requests tells it: in a header, in its turn metadata, and
in the ``client_metadata`` of the body, which repeats both (protocol.md 1.1 and 2.1; conformance 79)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mitmcodex.wire.shapes import Fields

HEADER = "x-codex-installation-id"
TURN_METADATA = "x-codex-turn-metadata"
BODY_KEY = "client_metadata"
_KEY = "installation_id"
"""In turn metadata."""

Pairs = Sequence[tuple[str, str]]


def installation_of(headers: Pairs, fields: Fields) -> str:
    """The id that a request tells, "" when it tells none."""
    held = fields.get(BODY_KEY)
    places = [*headers, *(held.items() if isinstance(held, dict) else ())]
    return next((told for name, value in places if (told := _told(name, value))), "")


def headers_with(headers: Pairs, installation: str) -> list[tuple[str, str]]:
    """The headers with this id in each place that tells one."""
    return [(name, _put(name, value, installation)) for name, value in headers]


def changes_with(fields: Fields, installation: str) -> Fields:
    """What must be set in the body for it to tell this id and no other; {} when it tells none."""
    held = fields.get(BODY_KEY)
    if not isinstance(held, dict):
        return {}
    changed = {name: _put(name, value, installation) for name, value in held.items()}
    return {} if changed == held else {BODY_KEY: changed}


def _told(name: str, value: Any) -> str:
    if name.lower() == HEADER:
        return value if isinstance(value, str) else ""
    told = _metadata(value).get(_KEY) if name.lower() == TURN_METADATA else ""
    return told if isinstance(told, str) else ""


def _put(name: str, value: Any, installation: str) -> Any:
    if not _told(name, value):
        return value
    if name.lower() == HEADER:
        return installation
    return json.dumps({**_metadata(value), _KEY: installation}, separators=(",", ":"))


def _metadata(value: Any) -> Fields:
    """Turn metadata, which is JSON in a text; {} for anything else."""
    try:
        found = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
