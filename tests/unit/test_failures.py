"""Which failure becomes which error, and what its text may hold."""

from __future__ import annotations

import pytest

from mitmcodex.failures import as_wire_error, describe
from mitmcodex.state.credentials import CredentialError
from mitmcodex.upstream.transport import Blocked, Closed, ConnectFailed, TimedOut, TransportError
from mitmcodex.wire.errors import WireError

SECRET = "sk-proj-abcdefghijklmnopqrstuvwx"
WHAT = "exchange 7"


def raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectFailed("x"), "unreachable"),
        (TimedOut("x"), "first_byte_timeout"),
        (Blocked("x"), "blocked"),
        (Closed("x"), "stream_incomplete"),
        (TransportError("x"), "upstream_failed"),
        (CredentialError("x"), "credential"),
        (KeyError("x"), "internal"),
    ],
)
def test_each_failure_has_its_kind(error: Exception, kind: str) -> None:
    """The table of house.md 7; whatever is not in it is a defect of ours."""
    assert as_wire_error(raised(error), None, WHAT).kind == kind


def test_our_own_error_is_kept() -> None:
    """A stage has said already what the client is to be told."""
    error = WireError("busy", "later")
    assert as_wire_error(error, None, WHAT) is error


def test_a_timeout_counts_as_ours_only_where_a_limit_is_set() -> None:
    """Without request_timeout_s a TimeoutError is a defect like any other."""
    limited = as_wire_error(TimeoutError(), 1.5, WHAT)
    assert limited.kind == "request_timeout" and "1.5 s" in limited.message
    assert as_wire_error(TimeoutError(), None, WHAT).kind == "internal"


def test_a_defect_shows_type_and_place_and_never_its_text() -> None:
    """An exception's text may quote a header or a body."""
    error = raised(ValueError(f"bad {SECRET}"))
    for text in (as_wire_error(error, None, WHAT).message, describe(error)):
        assert "ValueError at test_failures.py:" in text
        assert SECRET not in text and "bad" not in text


@pytest.mark.parametrize("error", [Closed(f"got {SECRET}"), CredentialError(f"got {SECRET}")])
def test_a_secret_in_a_text_is_hidden(error: Exception) -> None:
    """What a transport or a store says reaches the client: without what looks like a key."""
    message = as_wire_error(error, None, WHAT).message
    assert "got" in message and SECRET not in message
    assert SECRET not in describe(WireError("busy", f"got {SECRET}"))
