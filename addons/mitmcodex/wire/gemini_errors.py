"""Errors in Gemini's form: Google's status names (conformance 70)."""

from __future__ import annotations

from mitmcodex.wire.errors import WireError
from mitmcodex.wire.shapes import Fields

_NAMES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""Any other status below 500: INVALID_ARGUMENT."""


def error_status(error: WireError) -> int:
    """Google's services have no 502 of their own: what its clients try again is 503."""
    status = error.status_for(is_codex=False)
    return 503 if status == 502 else status


def error_body(error: WireError) -> Fields:
    """Before a stream the whole body, inside one a chunk. ``code`` is a number: a text kills google-genai (clients.md);
    how long to wait stands as RetryInfo, which Google's clients read instead of ``retry-after``."""
    status = error_status(error)
    name = _NAMES.get(status, "INVALID_ARGUMENT" if status < 500 else "UNKNOWN")
    told: Fields = {"code": status, "message": error.message, "status": name}
    wait = next((value for key, value in error.headers if key.lower() == "retry-after"), "")
    if wait.isdecimal():
        told["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait}s"}]
    return {"error": told}
