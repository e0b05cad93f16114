"""wire/messages_errors.py: errors in the form of Anthropic Messages."""

from __future__ import annotations

import json

import pytest

from mitmcodex.wire import verdict
from mitmcodex.wire.error_replies import reply_for
from mitmcodex.wire.errors import STATUSES, WireError
from mitmcodex.wire.messages_errors import NO_THREADS, error_body, error_status

TABLE = {
    "invalid_request": (400, "invalid_request_error"),
    "body_too_large": (413, "request_too_large"),
    "client_key": (401, "authentication_error"),
    "forbidden": (403, "permission_error"),
    "not_found": (404, "not_found_error"),
    "method_not_allowed": (405, "invalid_request_error"),
    "not_supported": (501, "invalid_request_error"),
    "upgrade_required": (426, "invalid_request_error"),
    "busy": (429, "rate_limit_error"),
    "internal": (500, "api_error"),
    "credential": (401, "authentication_error"),
    "unreachable": (500, "api_error"),
    "first_byte_timeout": (504, "timeout_error"),
    "request_timeout": (504, "timeout_error"),
    "usage_limit": (429, "rate_limit_error"),
    "blocked": (403, "permission_error"),
    "overloaded": (529, "overloaded_error"),
    "upstream_failed": (500, "api_error"),
    "misdirected": (500, "api_error"),
    "stream_incomplete": (500, "api_error"),
}


@pytest.mark.parametrize("kind", STATUSES)
def test_each_kind_has_status_and_type(kind):
    """conformance 49, seeds S77, S84 to S86: the whole table."""
    error = WireError(kind, "Text.")
    assert (error_status(error), error_body(error)["error"]["type"]) == TABLE[kind]
    assert error_body(error) == {"type": "error", "error": {"type": TABLE[kind][1], "message": "Text."}}


@pytest.mark.parametrize(
    ("kind", "status", "told"),
    [
        ("forbidden", 402, (402, "billing_error")),
        ("invalid_request", 422, (422, "invalid_request_error")),
        ("upstream_failed", 503, (500, "api_error")),
        ("upstream_failed", 502, (500, "api_error")),
    ],
)
def test_the_upstreams_status(kind, status, told):
    """conformance 49: 402 is billing_error; 502 and 503 are 500, which the SDKs repeat alike."""
    error = WireError(kind, "Text.", status=status)
    assert (error_status(error), error_body(error)["error"]["type"]) == told


@pytest.mark.parametrize(
    ("detail", "message"),
    [
        ({"tokens": 300000, "limit": 272000}, "prompt is too long: 300000 tokens > 272000 maximum"),
        ({"tokens": 300000}, "prompt is too long: Too much."),
        ({}, "prompt is too long: Too much."),
    ],
)
def test_context_overflow_makes_claude_code_compact(detail, message):
    """conformance 49, pains P31: 413, request_too_large and the words that it looks for."""
    error = WireError("invalid_request", "Too much.", code="context_length_exceeded", detail=detail)
    reply = reply_for(error, "messages", is_codex=False)
    assert reply.status == 413
    assert json.loads(reply.body)["error"] == {"type": "request_too_large", "message": message}


def test_words_of_overflow_are_not_said_twice():
    """pains P31: the real service's own message goes on as it is."""
    error = WireError("invalid_request", "Prompt is too long", code="context_length_exceeded")
    assert error_body(error)["error"]["message"] == "Prompt is too long"


def test_overflow_inside_a_stream_is_the_same_error():
    """pains P31: as the backend tells it, by response.failed."""
    event = {"type": "response.failed", "response": {"error": {"code": "context_length_exceeded", "message": "Long."}}}
    judged = verdict.of_event(event)
    assert judged is not None
    assert error_body(judged.error)["error"]["type"] == "request_too_large"


def test_a_rate_limit_says_how_long():
    """conformance 49: retry-after goes out; a wait of an hour is not to be repeated."""
    error = WireError("usage_limit", "Used up.", headers=[("retry-after", "3600")])
    headers = dict(reply_for(error, "messages", is_codex=False).headers)
    assert (headers["retry-after"], headers["x-should-retry"]) == ("3600", "false")


def test_the_request_id_of_the_upstream():
    """conformance 49: told when it is known."""
    error = WireError("internal", "Text.", headers=[("X-Request-Id", "req_1")])
    assert error_body(error)["request_id"] == "req_1"


def test_sdks_hear_in_their_words_that_no_thread_is_kept():
    """The SDKs' tool runners read the code in ``details`` and then send the whole conversation."""
    error = WireError("invalid_request", "Text.", code=NO_THREADS)
    details = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
    told = {"type": "invalid_request_error", "message": "Text.", "details": details}
    assert error_body(error)["error"] == told
