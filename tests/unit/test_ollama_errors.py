"""Errors in Ollama's form (conformance 74; seeds S84, S251)."""

from __future__ import annotations

import json

import pytest

from mitmcodex.wire.error_replies import reply_for
from mitmcodex.wire.errors import STATUSES, WireError
from mitmcodex.wire.ollama_errors import error_body


@pytest.mark.parametrize("kind", STATUSES)
def test_an_error_is_a_text(kind):
    """conformance 74: ``{"error": "text"}`` with the status of its kind."""
    reply = reply_for(WireError(kind, "why"), "ollama", is_codex=False)
    assert reply.status == STATUSES[kind][1]
    assert json.loads(reply.body) == {"error": "why"}


def test_malformed_json():
    """seeds S84, S251: a 400 with the parser's words."""
    error = WireError("invalid_request", "The request body is not JSON.", code="invalid_json")
    assert reply_for(error, "ollama", is_codex=False).status == 400
    assert error_body(error) == {"error": "The request body is not JSON."}
