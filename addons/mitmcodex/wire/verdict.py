"""What an upstream's answer means: the tables of protocol.md 5.1 to 5.6 as pure functions."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from mitmcodex.wire.errors import WireError
from mitmcodex.wire.lenient import text_of

_MESSAGE_LIMIT = 2000

_NOT_MEANINGFUL = frozenset(
    (
        "",
        "response.created",
        "response.in_progress",
        "response.queued",
        "response.metadata",
        "keepalive",
        "codex.rate_limits",
        "codex.response.metadata",
    )
)

_USAGE_CODES = frozenset(("usage_limit_reached", "usage_limit_exceeded", "usage_not_included"))
_QUOTA_CODES = frozenset(("insufficient_quota", "organization_spend_limit_exceeded"))
_OVERLOAD_CODES = frozenset(
    ("server_is_overloaded", "service_unavailable_error", "overloaded_error", "overloaded", "slow_down", "unavailable")
)
OVERFLOW = "context_length_exceeded"
POLICY_CODES = frozenset(("cyber_policy", "bio_policy", "misalignment_policy_violation", "content_policy_violation"))
"""The provider's policy forbids the answer, or the rest of it."""
_REFUSAL_CODES = POLICY_CODES | frozenset(
    (
        OVERFLOW,
        "invalid_prompt",
        "budget_reached",
        "previous_response_not_found",
        "invalid_request_error",
    )
)
_AT_CAPACITY = re.compile(r"(?i)selected model is at capacity")
_USAGE_TEXT = re.compile(r"(?i)\busage limit (?:has been )?reached|hit your usage limit")
_TRY_AGAIN = re.compile(r"(?i)try again in\s*(\d+(?:\.\d+)?)\s*(ms|s)")
_TOO_LONG = (
    re.compile(r"(?i)prompt is too long(?:: (?P<tokens>\d+) tokens > (?P<limit>\d+) maximum)?"),
    re.compile(r"(?:\((?P<tokens>\d+)\) )?exceeds the maximum number of tokens(?: allowed \((?P<limit>\d+)\))?"),
    re.compile(r"maximum context length is (?P<limit>\d+) tokens(?:.*?resulted in (?P<tokens>\d+) tokens)?"),
)
"""How services that have no code for it word an overflow of the context: Anthropic, Gemini, vLLM."""
_CHALLENGE = re.compile(rb"Just a moment|_?cf_chl|Attention Required|Sorry, you have been blocked|cf-error-details")

# 4xx with a status of their own in our vocabulary; any other 4xx is an invalid request with the upstream's status.
_CLIENT_KINDS = {402: "forbidden", 403: "forbidden", 404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}

# Python's JSON reads Infinity, NaN and numbers of any length; beyond this one nobody counts exactly.
_LARGEST = 2**53

Pairs = Sequence[tuple[str, str]]


@dataclass(slots=True, frozen=True)
class Verdict:
    """What to do with an answer that is not a plain success."""

    kind: str
    """overloaded | usage_limit | quota | rate_limited | blocked | unauthorized | forbidden | not_found | refused |
    failed"""
    error: WireError
    """The answer in our vocabulary, for a client that does not get it as it came."""
    retryable: bool = False
    """One more attempt may succeed, as long as nothing meaningful was sent."""
    delay_s: float = 0.0
    """What the upstream asks to wait; 0 = it did not say."""
    pass_through: bool = False
    """A Codex client gets it as it came (protocol.md 5.6), all others get ``error``."""


@dataclass(slots=True, frozen=True)
class _Report:
    """An error as the upstream words it, whatever the envelope."""

    status: int
    message: str
    code: str
    type: str
    param: str | None
    detail: dict[str, object]
    delay_s: float

    def has(self, codes: frozenset[str]) -> bool:
        return self.code in codes or self.type in codes


def is_meaningful(event_type: str) -> bool:
    """Whether this event is the commit point: after it the client must not get a second attempt (conformance 81)."""
    return event_type not in _NOT_MEANINGFUL


def of_head(status: int, headers: Pairs, body_prefix: bytes = b"", now: float | None = None) -> Verdict | None:
    """Judge a response head and the beginning of its body (the whole, if it is an error); None = a success.

    ``now`` is Unix seconds, for ``resets_at`` and a ``retry-after`` date.
    """
    if status < 300:
        return None
    if _is_cloudflare(status, headers, body_prefix):
        return Verdict("blocked", WireError("blocked", _blocked_text(body_prefix)))
    moment = time.time() if now is None else now
    delay_s = retry_after_s(headers, moment)
    report = _report(status, _parsed(body_prefix), delay_s, moment)
    return _of_limits(report) or _of_status(report)


def of_event(event: dict[str, Any], now: float | None = None) -> Verdict | None:
    """Judge an event of a stream; None unless it is ``response.failed`` or a top-level ``error``."""
    kind = event.get("type")
    moment = time.time() if now is None else now
    if kind == "response.failed":
        response = event.get("response")
        body: Any = response if isinstance(response, dict) else event
    elif kind == "error":
        body = event if isinstance(event.get("error"), dict) else {"error": event}
    else:
        return None
    status = event.get("status", event.get("status_code", 0))
    report = _report(status if isinstance(status, int) else 0, body, 0.0, moment)
    return _of_limits(report) or _of_code(report)


def retry_after_s(headers: Pairs, now: float) -> float:
    """``retry-after-ms``, or ``retry-after`` in seconds or as a date; 0 when absent or unreadable."""
    values = {name.lower(): value.strip() for name, value in reversed(headers)}
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return _wait_s(float(values.get(name, "")) * unit)
        except ValueError:
            continue
    try:
        return _wait_s(parsedate_to_datetime(values.get("retry-after", "")).timestamp() - now)
    except (ValueError, OverflowError):
        return 0.0


def _wait_s(seconds: float) -> float:
    """0 for what nobody can wait."""
    return seconds if 0 < seconds <= _LARGEST else 0.0


def _of_limits(report: _Report) -> Verdict | None:
    """What counts whatever the status is: overload, usage limit, quota."""
    wait = [("retry-after", str(math.ceil(report.delay_s)))] if report.delay_s else []
    if report.has(_OVERLOAD_CODES) or report.status == 529 or _AT_CAPACITY.search(report.message):
        text = report.message or "The upstream is overloaded. Try again later."
        error = WireError("overloaded", text, headers=wait)
        return Verdict("overloaded", error, retryable=True, delay_s=report.delay_s)
    if report.has(_USAGE_CODES) or _USAGE_TEXT.search(report.message):
        code = "usage_not_included" if report.has(frozenset(("usage_not_included",))) else "usage_limit_reached"
        detail = {**report.detail, "type": code}
        text = report.message or "The usage limit has been reached."
        error = WireError("usage_limit", text, code=code, detail=detail, headers=wait)
        return Verdict("usage_limit", error, delay_s=report.delay_s, pass_through=report.status == 429)
    if report.has(_QUOTA_CODES):
        code = report.code or report.type
        text = report.message or "The quota of this account is used up."
        error = WireError("usage_limit", text, code=code, detail={**report.detail, "type": code}, headers=wait)
        return Verdict("quota", error, delay_s=report.delay_s, pass_through=True)
    if report.status == 429 or report.has(frozenset(("rate_limit_exceeded",))):
        text = report.message or "The upstream limits the rate of requests. Try again later."
        error = WireError("busy", text, code=report.code or "rate_limit_exceeded", headers=wait)
        return Verdict("rate_limited", error, delay_s=report.delay_s, pass_through=True)
    return None


def _of_status(report: _Report) -> Verdict:
    status, text = report.status, report.message
    if status == 401:
        # Not the upstream's own words: they may quote a part of the key.
        reason = f" ({report.code})" if report.code else ""
        return Verdict("unauthorized", WireError("credential", f"The upstream refused the credential{reason}."))
    if status >= 500:
        text = text or f"The upstream answered {status}. Try again later."
        error = WireError("upstream_failed", text, status=503 if status == 503 else 502, code=report.code)
        return Verdict("failed", error, retryable=status != 501, delay_s=report.delay_s, pass_through=True)
    if status < 400:
        text = f"The upstream answered with a redirect ({status}). Check the provider's base_url."
        return Verdict("failed", WireError("misdirected", text))
    if overflow := _overflow(report):
        return overflow
    kind = _CLIENT_KINDS.get(status, "invalid_request")
    text = text or f"The upstream answered {status}."
    error = WireError(kind, text, status=status, code=report.code, param=report.param, detail=report.detail)
    return Verdict(kind if kind in ("forbidden", "not_found") else "refused", error, pass_through=True)


def _of_code(report: _Report) -> Verdict:
    """A failure inside a stream: its status is ours to choose (protocol.md 5.6)."""
    text = report.message or "The upstream could not finish the response."
    if overflow := _overflow(report):
        return overflow
    if report.has(_REFUSAL_CODES) or report.code.startswith("invalid_audio"):
        error = WireError("invalid_request", text, code=report.code, param=report.param)
        return Verdict("refused", error, pass_through=True)
    kind = "stream_incomplete" if report.code == "stream_incomplete" else "upstream_failed"
    return Verdict("failed", WireError(kind, text, code=report.code), pass_through=True)


def _overflow(report: _Report) -> Verdict | None:
    """Too much for the model's context, by the code or by the words: each client protocol has a form of its own for it,
    which some clients answer by compacting (pains.md P31)."""
    found = next((match for pattern in _TOO_LONG if (match := pattern.search(report.message))), None)
    if not found and report.code != OVERFLOW:
        return None
    counts = {key: int(digits) for key, digits in found.groupdict().items() if digits} if found else {}
    detail = {**report.detail, **counts}
    text = report.message or "The input does not fit into the model's context."
    error = WireError("invalid_request", text, code=OVERFLOW, param=report.param, detail=detail)
    return Verdict("refused", error, pass_through=True)


def _is_cloudflare(status: int, headers: Pairs, body_prefix: bytes) -> bool:
    """A challenge or a block in place of the backend's answer (protocol.md 5.5)."""
    values = {name.lower(): value.lower() for name, value in headers}
    if values.get("cf-mitigated") == "challenge":
        return True
    if status not in (403, 503) or "text/html" not in values.get("content-type", ""):
        return False
    # A 503 page of Cloudflare without a challenge only says that the backend is down.
    return bool(_CHALLENGE.search(body_prefix)) or (status == 403 and values.get("server") == "cloudflare")


def _blocked_text(body_prefix: bytes) -> str:
    what = "blocks this address" if b"blocked" in body_prefix else "asks for a browser challenge"
    return (
        f"Cloudflare {what} in front of the upstream. Wait some minutes; if it stays, use another network or egress "
        "proxy, and check that the fingerprint profile is a current one."
    )


def _report(status: int, body: Any, delay_s: float, now: float) -> _Report:
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        detail = body.get("detail") if isinstance(body, dict) else None
        error = detail if isinstance(detail, dict) else {"message": error or detail}
    message = text_of(error.get("message"))[:_MESSAGE_LIMIT]
    told = {key: error.get(key) for key in ("plan_type", "resets_at", "resets_in_seconds")}
    kept = {key: value for key, value in told.items() if isinstance(value, str) or _is_number(value)}
    param = error.get("param")
    return _Report(
        status,
        message,
        text_of(error.get("code")),
        text_of(error.get("type")) or text_of(error.get("status")).lower(),  # Google's name of it
        param if isinstance(param, str) else None,
        kept,
        delay_s or _delay_s(kept, message, now),
    )


def _is_number(value: object) -> bool:
    """One that can be counted with, and that every reader of JSON knows."""
    return isinstance(value, int | float) and abs(value) <= _LARGEST


def _delay_s(detail: dict[str, object], message: str, now: float) -> float:
    seconds, moment = detail.get("resets_in_seconds"), detail.get("resets_at")
    if isinstance(seconds, int | float):
        return _wait_s(float(seconds))
    if isinstance(moment, int | float):
        return _wait_s(moment - now)
    match = _TRY_AGAIN.search(message)
    if not match:
        return 0.0
    return _wait_s(float(match[1]) * (0.001 if match[2].lower() == "ms" else 1.0))


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
