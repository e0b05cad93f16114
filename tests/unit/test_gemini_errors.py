"""Errors in Gemini's form (conformance 70; seeds S84)."""

from __future__ import annotations

import json

import pytest

from mitmcodex.wire.error_replies import reply_for
from mitmcodex.wire.errors import STATUSES, WireError
from mitmcodex.wire.gemini_errors import error_body, error_status

NAMES = {
    "invalid_request": (400, "INVALID_ARGUMENT"),
    "body_too_large": (413, "INVALID_ARGUMENT"),
    "client_key": (401, "UNAUTHENTICATED"),
    "credential": (401, "UNAUTHENTICATED"),
    "forbidden": (403, "PERMISSION_DENIED"),
    "not_found": (404, "NOT_FOUND"),
    "busy": (429, "RESOURCE_EXHAUSTED"),
    "usage_limit": (429, "RESOURCE_EXHAUSTED"),
    "internal": (500, "INTERNAL"),
    "not_supported": (501, "UNIMPLEMENTED"),
    "unreachable": (503, "UNAVAILABLE"),
    "upstream_failed": (503, "UNAVAILABLE"),
    "stream_incomplete": (503, "UNAVAILABLE"),
    "blocked": (503, "UNAVAILABLE"),
    "overloaded": (503, "UNAVAILABLE"),
    "first_byte_timeout": (504, "DEADLINE_EXCEEDED"),
}


@pytest.mark.parametrize("kind", NAMES)
def test_status_and_name(kind):
    """conformance 70: Google's names for each status; code is an integer and the status of the answer."""
    reply = reply_for(WireError(kind, "why"), "gemini", is_codex=False)
    status, name = NAMES[kind]
    assert reply.status == status
    assert json.loads(reply.body) == {"error": {"code": status, "message": "why", "status": name}}


@pytest.mark.parametrize("kind", STATUSES)
def test_every_kind_of_error_has_a_form(kind):
    """conformance 70: no kind is without a status of Google's."""
    body = error_body(WireError(kind, "x"))["error"]
    assert body["code"] == error_status(WireError(kind, "x"))
    assert body["status"] != "UNKNOWN"


def test_malformed_json():
    """seeds S84: 400 INVALID_ARGUMENT."""
    error = WireError("invalid_request", "not JSON", code="invalid_json")
    assert error_body(error)["error"]["status"] == "INVALID_ARGUMENT"


def test_context_overflow():
    """protocol.md 5.6: 400 INVALID_ARGUMENT."""
    error = WireError("invalid_request", "too long", code="context_length_exceeded")
    assert (error_status(error), error_body(error)["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_how_long_to_wait():
    """Google's clients read RetryInfo; the header stays for all others."""
    error = WireError("usage_limit", "x", headers=[("retry-after", "12")])
    assert error_body(error)["error"]["details"][0]["retryDelay"] == "12s"
    assert ("retry-after", "12") in reply_for(error, "gemini", is_codex=False).headers
