"""The vocabulary of errors, and the one place where an error takes the form of a protocol."""

from __future__ import annotations

import json

import pytest

from mitmcodex.wire.error_replies import reply_for
from mitmcodex.wire.errors import CODES, STATUSES, TYPES, WireError

CHEAP = {"unreachable", "overloaded", "upstream_failed", "stream_incomplete", "not_supported"}
"""Kinds whose 5xx Codex may see: nothing was generated, or a new attempt may succeed (protocol.md 5.6)."""


@pytest.mark.parametrize("kind", STATUSES)
def test_codex_sees_a_5xx_only_where_a_new_attempt_is_cheap(kind: str) -> None:
    """It posts again up to 30 times after a 5xx, and five times after a 401."""
    status = WireError(kind, "x").status_for(is_codex=True)
    assert status != 401 and (status < 500 or kind in CHEAP)


def test_a_status_of_its_own_holds_for_every_caller() -> None:
    """What the upstream said goes before our table."""
    error = WireError("upstream_failed", "x", status=418)
    assert (error.status_for(is_codex=True), error.status_for(is_codex=False)) == (418, 418)
    assert (WireError("credential", "x").status_for(True), WireError("credential", "x").status_for(False)) == (400, 401)


def test_a_kind_that_is_not_in_the_table_is_a_defect() -> None:
    """It is noticed where the error is made, and the tables speak of known kinds alone."""
    with pytest.raises(ValueError, match="odd"):
        WireError("odd", "x")
    assert {*TYPES, *CODES} <= {*STATUSES}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WireError("usage_limit", "x", code="own"), "own"),
        (WireError("overloaded", "x"), "server_is_overloaded"),
        (WireError("not_found", "x"), "not_found"),
    ],
)
def test_the_code_is_its_own_or_the_tables_or_the_kind(error: WireError, code: str) -> None:
    """Clients branch on it, so there is always one."""
    assert error.as_object()["code"] == code


def test_the_object_has_all_that_clients_read() -> None:
    """conformance 38: message, type, param, code, and the detail beside them."""
    error = WireError("usage_limit", "x", param="input", detail={"plan_type": "plus"})
    expected = {"message": "x", "type": "usage_limit_reached", "param": "input", "code": "usage_limit_reached"}
    assert error.as_object() == {**expected, "plan_type": "plus"}
    assert str(error) == "x"


@pytest.mark.parametrize("protocol", ["responses", "one that is not known"])
def test_a_reply_is_whole(protocol: str) -> None:
    """Status, type, the error's own headers, and JSON."""
    reply = reply_for(WireError("busy", "später", headers=[("retry-after", "1")]), protocol, is_codex=False)
    assert (reply.status, reply.headers) == (429, [("content-type", "application/json"), ("retry-after", "1")])
    assert json.loads(reply.body)["error"]["message"] == "später"


def test_an_upstreams_odd_text_breaks_no_reply() -> None:
    """JSON can carry a lone surrogate, UTF-8 can't: it goes out as the escape it came as."""
    reply = reply_for(WireError("upstream_failed", "a\ud800"), "responses", is_codex=True)
    assert json.loads(reply.body)["error"]["message"] == "a\ud800"


@pytest.mark.parametrize("code", ["insufficient_quota", "organization_spend_limit_exceeded", "usage_not_included"])
def test_a_429_that_no_wait_mends_is_not_to_be_repeated(code):
    """The SDKs would send it three times; Codex reads its own codes."""
    error = WireError("usage_limit", "m", code=code)
    assert ("x-should-retry", "false") in reply_for(error, "chat", is_codex=False).headers
    assert ("x-should-retry", "false") not in reply_for(error, "responses", is_codex=True).headers
    assert ("x-should-retry", "false") not in reply_for(WireError("busy", "m"), "chat", is_codex=False).headers


@pytest.mark.parametrize("protocol", ["chat", "responses"])
@pytest.mark.parametrize(("kind", "status"), [("invalid_request", 400), ("credential", 401), ("unreachable", 502)])
def test_openais_clients_get_a_status_and_one_object(protocol: str, kind: str, status: int) -> None:
    """conformance 12, 38: before a stream the failure is the HTTP status, and JSON with message, type, code, param."""
    reply = reply_for(WireError(kind, "x", param="input"), protocol, is_codex=False)
    told = json.loads(reply.body)
    assert reply.status == status and ("content-type", "application/json") in reply.headers
    assert told.keys() == {"error"} and told["error"].keys() == {"message", "type", "code", "param"}
    assert (told["error"]["message"], told["error"]["param"]) == ("x", "input")
