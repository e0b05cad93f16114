"""A provider's proof of its own thoughts, carried by a canonical reasoning item through a client's history and back.

Messages signs a thinking block, Gemini a part; both want it back as it was. Canonical form has one place for such a
thing, ``encrypted_content``: there it stands as ``mcx-<kind>.`` and base64url of JSON.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from mitmcodex.wire.shapes import Fields


def wrap(kind: str, payload: Fields) -> str:
    """``kind``: that of the provider, so that no other gets it."""
    data = json.dumps(payload, ensure_ascii=True, separators=(",", ":")).encode()
    return f"mcx-{kind}.{base64.urlsafe_b64encode(data).decode()}"


def unwrap(kind: str, encrypted: Any) -> Fields | None:
    """None for what ``wrap`` did not make for this kind."""
    prefix = f"mcx-{kind}."
    if not isinstance(encrypted, str) or not encrypted.startswith(prefix):
        return None
    try:
        payload = json.loads(base64.urlsafe_b64decode(encrypted[len(prefix) :]))
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None
