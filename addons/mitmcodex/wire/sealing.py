"""Signatures that carry encrypted reasoning through a client and back, bound to the account that can read it.

Messages clients return ``thinking.signature`` unchanged in the tool loop, Gemini clients ``thoughtSignature``
(clients.md); the Responses API wants ``encrypted_content`` back, and only from the account that it was made for.
"""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode

_PREFIX = "mcx1."


def seal(account: str, encrypted: str) -> str:
    """``mcx1.`` + the account's tag + ``.`` + base64url of the encrypted content."""
    return f"{_PREFIX}{account}.{urlsafe_b64encode(encrypted.encode('utf-8', 'surrogatepass')).decode()}"


def unseal(text: str) -> tuple[str, str] | None:
    """Account tag and encrypted content; None for a signature that ``seal`` did not make."""
    if not text.startswith(_PREFIX):
        return None
    account, dot, content = text.removeprefix(_PREFIX).rpartition(".")
    if not dot:
        return None
    try:
        return account, b64decode(content, altchars=b"-_", validate=True).decode("utf-8", "surrogatepass")
    except ValueError:
        return None
