"""``thoughtSignature``: a field of bytes, so base64 of what other protocols get as it is (conformance 67)."""

from __future__ import annotations

import base64
from typing import NamedTuple

from mitmcodex.wire.media import standard_base64
from mitmcodex.wire.sealing import seal, unseal

_BEFORE_TEXT = "<"


class Signature(NamedTuple):
    """A reasoning item, and where it stood in its turn."""

    account: str
    """The tag of the account that can read it."""
    encrypted: str
    is_before_text: bool = False
    """Before the text that leads up to the signed part; else right before a signed call, behind a signed text."""


def signed(signature: Signature) -> str:
    mark = _BEFORE_TEXT if signature.is_before_text else ""
    return base64.b64encode((mark + seal(signature.account, signature.encrypted)).encode()).decode()


def unsigned(text: str) -> Signature | None:
    """In whichever alphabet it came back (google-genai writes the one for URLs); None for a signature that ``signed``
    did not make."""
    try:
        told = base64.b64decode(standard_base64(text), validate=True).decode()
    except ValueError:
        return None
    sealed = unseal(told.removeprefix(_BEFORE_TEXT))
    return Signature(*sealed, told.startswith(_BEFORE_TEXT)) if sealed else None
