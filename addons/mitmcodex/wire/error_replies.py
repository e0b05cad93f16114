"""Errors in the form of each client protocol: status, headers and body (the table of protocol.md 5.6)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import NamedTuple

from mitmcodex.wire import gemini_errors, messages_errors, ollama_errors
from mitmcodex.wire.errors import ErrorReply, WireError
from mitmcodex.wire.shapes import Fields


class ErrorForm(NamedTuple):
    """How one protocol tells an error."""

    body: Callable[[WireError], Fields]
    status: Callable[[WireError], int] = lambda error: error.status_for(is_codex=False)
    tells_retry: bool = False
    """Its SDKs obey ``x-should-retry``."""


LONG_WAIT_S = 60
"""An SDK that is told to wait longer sleeps on with its caller waiting (measured: an hour on retry-after: 3600)."""

_LASTING = ("insufficient_quota", "organization_spend_limit_exceeded", "usage_not_included")
"""Codes of a 429 that no wait mends."""


def _openai(error: WireError) -> Fields:
    return {"error": error.as_object()}


FORMS: dict[str, ErrorForm] = {
    "responses": ErrorForm(_openai, tells_retry=True),
    "chat": ErrorForm(_openai, tells_retry=True),
    "images": ErrorForm(_openai, tells_retry=True),
    "messages": ErrorForm(messages_errors.error_body, messages_errors.error_status, tells_retry=True),
    "gemini": ErrorForm(gemini_errors.error_body, gemini_errors.error_status),
    "ollama": ErrorForm(ollama_errors.error_body),
}


def reply_for(error: WireError, protocol: str, is_codex: bool) -> ErrorReply:
    """The one place where an error takes the form of the client's protocol."""
    form = FORMS.get(protocol, FORMS["responses"])
    status = error.status_for(is_codex=True) if is_codex else form.status(error)
    headers = [("content-type", "application/json"), *error.headers]
    if form.tells_retry and not is_codex and _is_final(status, error):
        headers.append(("x-should-retry", "false"))
    # An upstream's text may hold a lone surrogate: JSON can carry it, UTF-8 can't.
    body = json.dumps(form.body(error), ensure_ascii=False).encode("utf-8", "backslashreplace")
    return ErrorReply(status, headers, body)


def _is_final(status: int, error: WireError) -> bool:
    """Whether sending the same again can't help: the SDKs would, up to three times, also after a 501 (measured)."""
    if status == 429:
        return error.code in _LASTING or _wait_s(error) > LONG_WAIT_S
    return 400 <= status < 500 or status == 501


def _wait_s(error: WireError) -> float:
    told = next((value for name, value in error.headers if name.lower() == "retry-after"), "0")
    try:
        seconds = float(told)
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) else 0.0
