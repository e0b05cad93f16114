"""Errors in the form of Anthropic Messages: status and type (conformance 49)."""

from __future__ import annotations

from mitmcodex.wire.errors import WireError
from mitmcodex.wire.shapes import Fields

OVERFLOW = "context_length_exceeded"
NO_THREADS = "thread_unsupported_request"
"""The SDKs' tool runners let the service keep the conversation; told this in ``details``, they send it whole (measured:
anthropic-python 2.12, anthropic-node 1.12)."""

_STATUSES = {"blocked": 403, "overloaded": 529}
"""Where it differs from what other clients get; 502 and 503 are 500 here."""

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Any other status: invalid_request_error."""


def error_status(error: WireError) -> int:
    if error.code == OVERFLOW:
        return 413  # with this status and its message Claude Code compacts and goes on (pains.md P31)
    told = _STATUSES.get(error.kind) or error.status_for(is_codex=False)
    return 500 if told in (502, 503) else told


def error_body(error: WireError) -> Fields:
    """Before a stream the whole body, inside one the data of ``event: error``."""
    kind = _TYPES.get(error_status(error), "invalid_request_error")
    told: Fields = {"type": kind, "message": _message(error)}
    if error.code == NO_THREADS:
        told["details"] = {"error_code": NO_THREADS, "unsupported": ["thread"]}
    body: Fields = {"type": "error", "error": told}
    request_id = next((value for name, value in error.headers if name.lower() == "x-request-id"), "")
    return {**body, "request_id": request_id} if request_id else body


def _message(error: WireError) -> str:
    """Claude Code looks for ``prompt is too long`` and reads the two numbers when they are there (clients.md)."""
    if error.code != OVERFLOW:
        return error.message
    tokens, limit = error.detail.get("tokens"), error.detail.get("limit")
    if tokens and limit:
        return f"prompt is too long: {tokens} tokens > {limit} maximum"
    said = "prompt is too long" in error.message.lower()
    return error.message if said else f"prompt is too long: {error.message}"
