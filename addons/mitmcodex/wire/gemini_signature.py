"""``thoughtSignature``: a field of bytes, so base64 of what other protocols get as it is (conformance 67)."""

from __future__ import annotations

import base64

from mitmcodex.wire.media import standard_base64
from mitmcodex.wire.sealing import seal, unseal


def signed(account: str, encrypted: str) -> str:
    return base64.b64encode(seal(account, encrypted).encode()).decode()


def unsigned(signature: str) -> tuple[str, str] | None:
    """Account tag and encrypted content, whichever alphabet it came back in (google-genai writes the one for URLs);
    None for a signature that ``signed`` did not make."""
    try:
        return unseal(base64.b64decode(standard_base64(signature), validate=True).decode())
    except ValueError:
        return None
