"""wire/chat_reading.py: what says nothing is no loss, what is without effect is a hint."""

from __future__ import annotations

import pytest

from mitmcodex.wire.chat_reading import ChatReading, one_of
from mitmcodex.wire.codec import Loss
from mitmcodex.wire.errors import WireError


def test_what_an_sdk_adds_to_an_answer_that_it_sends_back_is_no_loss():
    """conformance 17: ``annotations: []`` and nulls say nothing; reasoning text and marks for a cache are hints."""
    losses: list[Loss] = []
    echoed = {"annotations": [], "refusal": None, "note": "", "reasoning_content": "Hm.", "cache_control": {"a": 1}}
    with ChatReading(echoed, "messages[1]", losses):
        pass
    assert [(loss.path, loss.what, loss.is_hint) for loss in losses] == [
        ("messages[1].reasoning_content", "dropped", True),
        ("messages[1].cache_control", "dropped", True),
    ]


def test_objects_of_a_list_know_their_path():
    """Each element reports what nobody took of it, at its own place."""
    losses: list[Loss] = []
    with ChatReading({"tools": [{"a": 1}, {"b": 2}]}, "", losses) as body:
        assert [tool.path for tool in body.objects("tools")] == ["tools[0]", "tools[1]"]
    assert [loss.path for loss in losses] == ["tools[0].a", "tools[1].b"]


def test_a_whole_object_is_carried_over():
    """Nothing of it is a loss."""
    losses: list[Loss] = []
    with ChatReading({"type": "web_search", "further": 1}, "tools[0]", losses) as tool:
        assert tool.whole() == {"type": "web_search", "further": 1}
    assert losses == []


def test_an_unknown_word_is_answered_with_the_known_ones():
    """The remedy stands in the message."""
    assert one_of("auto", ("none", "auto"), "tool_choice") == "auto"
    with pytest.raises(WireError, match="tool_choice: 'any' is not supported; use one of none, auto") as raised:
        one_of("any", ("none", "auto"), "tool_choice")
    assert raised.value.param == "tool_choice"


def test_an_inner_object_must_be_there():
    """A missing one is named with its path."""
    with pytest.raises(WireError, match=r"tools\[0\]\.function: is missing"):
        ChatReading({}, "tools[0]", []).inner("function")
