"""local.py: answers that need no upstream."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from mitmproxy import http
from mitmproxy.test import tflow

import mitmcodex
from mitmcodex.exchange import Admission
from mitmcodex.local import Local


@pytest.fixture
def flow() -> http.HTTPFlow:
    flow: http.HTTPFlow = tflow.tflow()
    return flow


def test_health_says_ok_version_and_time(flow: http.HTTPFlow) -> None:
    """The health answer is JSON with status, our version and the present time with its zone."""
    Local({flow: Admission(call="local")}).request(flow)
    assert flow.response is not None
    body = json.loads(flow.response.content or b"")
    assert (flow.response.status_code, flow.response.headers["content-type"]) == (200, "application/json")
    assert (body["status"], body["version"]) == ("ok", mitmcodex.__version__)
    assert abs(datetime.now(UTC) - datetime.fromisoformat(body["timestamp"])) < timedelta(minutes=1)


def test_the_root_is_an_empty_answer(flow: http.HTTPFlow) -> None:
    """``HEAD /``: who asks wants to know whether anybody is there."""
    Local({flow: Admission(call="local", action="root")}).request(flow)
    assert flow.response is not None and (flow.response.status_code, flow.response.content) == (200, b"")


@pytest.mark.parametrize("call", ["", "responses", "models", "side"])
def test_other_calls_are_left_alone(flow: http.HTTPFlow, call: str) -> None:
    """Only admitted local calls are answered here."""
    Local({flow: Admission(call=call)}).request(flow)
    assert flow.response is None


def test_a_flow_that_has_an_answer_keeps_it(flow: http.HTTPFlow) -> None:
    """A refusal of the gate is not replaced."""
    flow.response = refusal = http.Response.make(403)
    Local({flow: Admission(call="local")}).request(flow)
    assert flow.response is refusal


def test_a_flow_without_admission_is_left_alone(flow: http.HTTPFlow) -> None:
    """What the gate has not seen gets no answer."""
    Local({}).request(flow)
    assert flow.response is None
