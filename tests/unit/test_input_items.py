"""wire/input_items.py: the items of a history for a provider (conformance 34; pains P13, P14)."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.codec import ACCOUNT_KEY, Loss
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.input_items import CALL_ID_LIMIT, ItemRules, fitted_items

CHATGPT = ItemRules(is_chatgpt=True, keeps_ids=False, account="mine")
PUBLIC = ItemRules(is_chatgpt=False, keeps_ids=True, account="mine")
MESSAGE = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}


def fitted(items: list[Any], rules: ItemRules = CHATGPT) -> tuple[list[Any], list[Loss]]:
    losses: list[Loss] = []
    return fitted_items(items, rules, "input", losses), losses


def thought(**more: Any) -> dict[str, Any]:
    return {"type": "reasoning", "summary": [], "encrypted_content": "gAAA", **more}


def test_fitting_items_are_not_touched() -> None:
    """conformance 76, pains P4: the very same list, arguments as the model wrote them."""
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{ "b":1 ,"a":2}'}
    items = [MESSAGE, thought(), call, {"type": "function_call_output", "call_id": "c", "output": "x"}]
    assert fitted(items)[0] is items and fitted(items, PUBLIC)[0] is items and fitted(items)[1] == []


def test_ids_and_references_are_stripped_where_nothing_is_stored() -> None:
    """conformance 34, pains P13: call_id stays; where responses are stored ids stay too."""
    items = [{**MESSAGE, "id": "msg_1"}, {"id": "rs_1", "type": "item_reference"}, {"id": "rs_2"}, thought(id="rs_3")]
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c", "output": "x"}
    items += [{**call, "id": "fc_1"}, {**result, "id": "fco_1"}]
    found, losses = fitted(items)
    assert found == [MESSAGE, thought(), call, result]
    assert [(loss.path, loss.what, loss.is_hint) for loss in losses] == [
        ("input[1]", "dropped", False),
        ("input[2]", "dropped", False),
        ("input[*].id", "dropped", True),
    ]
    assert fitted(items, PUBLIC) == (items, [])


def test_an_image_that_was_drawn_keeps_its_id() -> None:
    """It is the item's own name, not that of something stored."""
    items = [{"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AA=="}]
    assert fitted(items)[0] is items


@pytest.mark.parametrize("rules", [CHATGPT, PUBLIC])
def test_reasoning_goes_to_its_account_alone(rules: ItemRules) -> None:
    """pains P14, P15: another account's and another provider's is dropped as a hint; our own key never leaves."""
    wrapped = thought(encrypted_content="mcx-gemini.e30")
    items = [thought(**{ACCOUNT_KEY: "mine"}), thought(**{ACCOUNT_KEY: "other"}), wrapped]
    found, losses = fitted(items, rules)
    assert found == [thought()]
    assert [(loss.path, loss.what, loss.is_hint) for loss in losses] == [
        ("input[1]", "dropped", True),
        ("input[2]", "dropped", True),
    ]


def test_reasoning_without_content_names_something_stored() -> None:
    """conformance 34: where nothing is, it is dropped."""
    items = [{"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "t"}]}]
    assert fitted(items)[0] == [] and fitted(items)[1][0].path == "input[0]"
    assert fitted(items, PUBLIC)[0] is items


def test_messages_take_the_form_that_codex_writes() -> None:
    """A type, and a list of parts by the role; cache marks within them are a loss."""
    items = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "a"},
        {**MESSAGE, "content": [{"type": "input_text", "text": "m", "prompt_cache_breakpoint": {}}]},
    ]
    found, losses = fitted(items)
    assert found[0] == {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "q"}]}
    assert found[1]["content"] == [{"type": "output_text", "text": "a"}]
    assert found[2]["content"] == [{"type": "input_text", "text": "m"}]
    assert [(loss.path, loss.is_hint) for loss in losses] == [("input[*].prompt_cache_breakpoint", True)]
    assert fitted(items, PUBLIC)[0] is items


def test_long_call_ids_are_clamped_alike() -> None:
    """conformance 52: a call and its output keep one id, the same in every turn, different for different ones."""
    long = "toolu_" + "x" * 100
    call = {"type": "custom_tool_call", "call_id": long, "name": "f", "input": ""}
    items = [call, {"type": "custom_tool_call_output", "call_id": long, "output": ""}, {**call, "call_id": f"{long}y"}]
    found, losses = fitted(items)
    ids = [item["call_id"] for item in found]
    assert ids[0] == ids[1] != ids[2] and all(len(one) <= CALL_ID_LIMIT for one in ids)
    assert fitted([MESSAGE, *items])[0][1]["call_id"] == ids[0]
    assert [loss.what for loss in losses] == ["mapped"]


@pytest.mark.parametrize("arguments", [None, "", "  "])
def test_a_call_without_arguments_has_an_empty_object(arguments: Any) -> None:
    """The API wants JSON there."""
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": arguments}
    assert fitted([call])[0][0]["arguments"] == "{}"


def test_items_that_the_backend_has_not_are_dropped() -> None:
    """A service of the public API gets them."""
    items = [{"type": "mcp_list_tools", "id": "m"}, {"type": "file_search_call", "id": "f"}]
    found, losses = fitted(items)
    assert found == [] and [loss.what for loss in losses] == ["dropped", "dropped"]
    assert fitted(items, PUBLIC)[0] is items


@pytest.mark.parametrize(
    ("item", "path"),
    [
        (1, "input[0]"),
        ({"type": ["x"]}, "input[0].type"),
        ({"type": "message", "role": "tool", "content": ""}, "input[0].role"),
        ({"type": "message", "role": "user"}, "input[0].content"),
        ({"type": "function_call", "call_id": "c", "name": ["f"]}, "input[0].name"),
        ({"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}, "input[0].arguments"),
    ],
)
def test_what_is_no_item_is_refused(item: Any, path: str) -> None:
    """Status 400 with its place."""
    with pytest.raises(WireError) as caught:
        fitted([item])
    assert caught.value.kind == "invalid_request" and caught.value.param == path
