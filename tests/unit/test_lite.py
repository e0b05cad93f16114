"""wire/lite.py: the classic and the Lite form (protocol.md 2.3; conformance 16)."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire import lite
from mitmcodex.wire.backend import Adapted, Target, adapted
from mitmcodex.wire.codec import Decoded
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.lite import Wish

PLAIN = {"type": "function", "name": "f", "parameters": {}}
CUSTOM = {"type": "custom", "name": "c"}
SPACE = {"type": "namespace", "name": "clock", "description": "", "tools": [PLAIN]}


def says(role: str, *texts: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text} for text in texts]}


def call(**more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}", **more}


@pytest.mark.parametrize(
    ("is_lite_model", "setting", "expected"),
    [(True, "auto", True), (False, "auto", False), (True, "off", False), (False, "on", True), (True, "on", True)],
)
def test_the_setting_and_the_model_choose(is_lite_model: bool, setting: str, expected: bool) -> None:
    """auto = for models whose catalog entry asks for it."""
    assert lite.choose({"tools": [PLAIN, CUSTOM, SPACE]}, Wish(is_lite_model, setting)).is_lite is expected


@pytest.mark.parametrize("kind", ["web_search", "image_generation", "local_shell"])
def test_a_hosted_tool_makes_it_classic(kind: str) -> None:
    """The Lite form has none; with ``on`` it is a 400 that names a model which can."""
    fields = {"tools": [PLAIN, {"type": kind}]}
    choice = lite.choose(fields, Wish(True, "auto"))
    assert not choice.is_lite and choice.path == "tools[1]" and kind in choice.why
    with pytest.raises(WireError, match="gpt-5.5"):
        lite.choose(fields, Wish(True, "on"))
    assert not lite.choose(fields, Wish(False, "on")).is_lite


def test_classic_instructions() -> None:
    """conformance 16: the client's own, then leading texts, joined by a blank line; later ones stay in their place."""
    later = [says("user", "q"), says("system", "later"), says("user", "r")]
    items = [says("system", "a", "b"), says("developer", "c"), *later]
    found = lite.classic({"instructions": "own", "input": items}, "extra")
    assert found["instructions"] == "own\n\na\n\nb\n\nc\n\nextra"
    assert found["input"] == [items[2], says("developer", "later"), items[4]]


def test_classic_instructions_are_never_missing() -> None:
    """protocol.md 2.2: "Instructions are required"."""
    for items in ([], [says("user", "q")], [says("system")]):
        assert lite.classic({"input": items}, "")["instructions"] == lite.DEFAULT_INSTRUCTIONS


def test_a_system_message_with_an_image_stays_a_message() -> None:
    """Instructions are a text alone."""
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
    items = [says("system", "a"), {"type": "message", "role": "system", "content": [image]}, says("system", "b")]
    found = lite.classic({"input": items}, "")
    assert found["instructions"] == "a" and [item["role"] for item in found["input"]] == ["developer", "developer"]


def test_the_word_json_stays_in_the_input() -> None:
    """conformance 20: with json_object the API looks for it there, so nothing is moved out."""
    items = [says("system", "Answer in JSON."), says("user", "q")]
    found = lite.classic({"input": items, "text": {"format": {"type": "json_object"}}}, "extra")
    assert found["input"] == [says("developer", "extra"), says("developer", "Answer in JSON."), items[1]]
    assert found["instructions"] == lite.DEFAULT_INSTRUCTIONS


def test_the_lite_form() -> None:
    """Tools first, flat ones in a namespace, each system text a developer item; calls as the model made them."""
    calls = [call(), call(name="other"), call(namespace="clock")]
    items = [says("system", "a"), says("user", "q"), *calls, says("system", "z")]
    fields = {"instructions": "own", "input": items, "tools": [PLAIN, SPACE, CUSTOM], "reasoning": {"effort": "low"}}
    found = lite.lite({**fields, "parallel_tool_calls": True}, "extra")
    functions = {"type": "namespace", "name": "functions", "description": "", "tools": [PLAIN, CUSTOM]}
    assert found == {
        "input": [
            {"type": "additional_tools", "role": "developer", "tools": [functions, SPACE]},
            says("developer", "own"),
            says("developer", "a"),
            says("developer", "extra"),
            items[1],
            call(namespace="functions"),
            items[3],
            items[4],
            says("developer", "z"),
        ],
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low", "context": "all_turns"},
    }


def test_the_lite_form_without_tools() -> None:
    """No empty list is told (conformance 32)."""
    found = lite.lite({"input": [says("user", "q")], "tools": []}, "")
    assert found["input"] == [says("user", "q")] and "tools" not in found


def test_a_clients_own_namespace_is_kept() -> None:
    """Its tools and the flat ones are together, and calls of it come back as the client knows them."""
    own = {"type": "namespace", "name": "functions", "description": "d", "tools": [CUSTOM]}
    assert lite.has_own_functions([PLAIN, own]) and not lite.has_own_functions([PLAIN, SPACE])
    found = lite.lite({"input": [], "tools": [PLAIN, own]}, "")
    assert found["input"][0]["tools"] == [{**own, "tools": [CUSTOM, PLAIN]}]


def test_from_lite_to_classic() -> None:
    """A client that writes the Lite form reaches a model that takes the other; pains P13: no namespace is left."""
    functions = {"type": "namespace", "name": "functions", "tools": [PLAIN, CUSTOM]}
    brought = {"type": "additional_tools", "role": "developer", "tools": [functions, SPACE]}
    found = lite.classic({"input": [brought, says("developer", "a"), call(namespace="functions")]}, "")
    assert found == {"tools": [PLAIN, CUSTOM, SPACE], "instructions": "a", "input": [call()]}


# -- the whole request, in either form ----------------------------------------------------------------


def fit(fields: dict[str, Any], *, is_lite: bool) -> Adapted:
    return adapted(Decoded(fields), Target("chatgpt", is_lite=is_lite), {})


def test_the_keys_stand_in_codexs_order() -> None:
    """protocol.md 2.1: whatever protocol the request was written in."""
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    last = {"tools": [tool], "service_tier": "priority", "input": "q", "model": "m"}
    fields = {"text": {"verbosity": "low"}, "prompt_cache_key": "k", **last}
    classic = "model stream service_tier instructions input tools reasoning store include prompt_cache_key text"
    assert [*fit(fields, is_lite=False).fields] == classic.split()
    lite_form = "model stream service_tier input parallel_tool_calls reasoning store include prompt_cache_key text"
    assert [*fit(fields, is_lite=True).fields] == lite_form.split()


def test_another_context_of_reasoning_is_a_loss_in_lite() -> None:
    """protocol.md 2.3: the form has one value for it."""
    wish = {"model": "m", "input": "q", "reasoning": {"context": "current_turn"}}
    found = fit(wish, is_lite=True)
    assert found.fields["reasoning"]["context"] == "all_turns"
    assert [(loss.path, loss.what) for loss in found.losses] == [("reasoning", "changed")]
    assert fit(wish, is_lite=False).losses == []
    assert fit({**wish, "reasoning": {"context": "all_turns"}}, is_lite=True).losses == []
