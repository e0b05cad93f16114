"""Answers that need no upstream: JSON, or an error in the form of the caller's protocol."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from mitmproxy import http
from mitmproxy.test import tflow

from mitmcodex.answering import answer
from mitmcodex.exchange import Admission
from mitmcodex.wire.errors import WireError


def answered(result: Any, protocol: str = "responses") -> http.Response | None:
    flow: http.HTTPFlow = tflow.tflow()

    async def answering() -> Any:
        if isinstance(result, WireError):
            raise result
        return result

    asyncio.run(answer(flow, Admission(protocol=protocol), answering()))
    return flow.response


def test_what_is_found_goes_out_as_json() -> None:
    """With its type; a lone surrogate does not break it, and no cache keeps it."""
    response = answered({"a": "é\ud800"})
    assert response is not None and response.status_code == 200
    assert json.loads(response.content or b"") == {"a": "é\ud800"}
    assert response.headers["content-type"] == "application/json" and response.headers["cache-control"] == "no-store"


def test_an_error_has_the_form_of_the_protocol() -> None:
    """Status and body of that protocol's own errors (conformance 38)."""
    error = WireError("invalid_request", "no", param="limit")
    openai, anthropic = answered(error), answered(error, "messages")
    assert openai is not None and anthropic is not None
    assert openai.status_code == anthropic.status_code == 400
    assert json.loads(openai.content or b"")["error"]["param"] == "limit"
    assert json.loads(anthropic.content or b"")["type"] == "error"


def test_nothing_found_leaves_it_to_the_provider() -> None:
    """The flow goes on without a response."""
    assert answered(None) is None
