"""What is told of kept responses, and what a later one goes on from."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.codec import ACCOUNT_KEY
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.stored_items import continued, items_of, page

ITEMS = [{"role": "user", "content": str(number)} for number in range(30)]


def texts(listed: dict[str, Any]) -> list[str]:
    return [item["content"][0]["text"] for item in listed["data"]]


def test_input_is_items() -> None:
    """A text is what the user said, a list stays, anything else is nothing."""
    assert items_of("hi") == [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}]
    assert items_of(ITEMS) == ITEMS and items_of(None) == []


def test_a_conversation_goes_on_behind_the_output() -> None:
    """conformance 33: what led to the response, then what it said; encrypted reasoning tells whose it is."""
    output = [{"type": "reasoning", "encrypted_content": "e"}, {"type": "message", "role": "assistant"}, "odd"]
    assert continued(ITEMS[:1], {"output": output}, "tag") == [ITEMS[0], {**output[0], ACCOUNT_KEY: "tag"}, output[1]]  # type: ignore[dict-item]
    assert continued([], {}, "tag") == []


def test_a_page_in_each_order() -> None:
    """The newest first unless asked otherwise, twenty unless asked otherwise."""
    newest, oldest = page("resp_1", ITEMS, ""), page("resp_1", ITEMS, "order=asc&limit=3")
    assert texts(newest) == [str(number) for number in range(29, 9, -1)] and newest["has_more"] is True
    assert texts(oldest) == ["0", "1", "2"]
    assert (oldest["object"], oldest["first_id"], oldest["last_id"]) == ("list", "item_1_0", "item_1_2")
    none = {"data": [], "first_id": None, "last_id": None, "has_more": False}
    assert page("resp_1", [], "") == {"object": "list", **none}


def test_pages_follow_each_other() -> None:
    """``after`` the last of one page comes the rest."""
    first = page("resp_1", ITEMS, "order=asc&limit=20")
    rest = page("resp_1", ITEMS, f"order=asc&limit=20&after={first['last_id']}")
    assert texts(first) + texts(rest) == [str(number) for number in range(30)] and rest["has_more"] is False


def test_items_are_shown_as_the_public_api_lists_them() -> None:
    """With type, id and parts; an id of their own stays, and what is private does not show."""
    said = {"role": "assistant", "content": "x", "id": "msg_1"}
    thought = {"type": "reasoning", "summary": [], ACCOUNT_KEY: "tag"}
    shown = page("resp_1", [said, thought], "order=asc")["data"]
    assert shown[0] == {**said, "type": "message", "content": [{"type": "output_text", "text": "x"}]}
    assert shown[1] == {"type": "reasoning", "summary": [], "id": "item_1_1"}


@pytest.mark.parametrize(
    ("query", "param"),
    [("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("order=up", "order"), ("after=no", "after")],
)
def test_a_wrong_query_is_refused(query: str, param: str) -> None:
    """400 that names the parameter."""
    with pytest.raises(WireError) as caught:
        page("resp_1", ITEMS, query)
    assert (caught.value.kind, caught.value.param) == ("invalid_request", param)
