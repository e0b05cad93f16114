"""wire/json_word.py: the word without which JSON mode is refused."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.json_word import HINT, said

ASKED: dict[str, Any] = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "q"}]}
HINTED = {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": HINT}]}
MODE = {"text": {"format": {"type": "json_object"}}}


def test_the_word_is_added_before_the_messages() -> None:
    """conformance 20: behind the Lite form's tools, which must be first."""
    tools = {"type": "additional_tools", "tools": []}
    assert said({"input": [ASKED], **MODE})["input"] == [HINTED, ASKED]
    assert said({"input": [tools, ASKED], **MODE})["input"] == [tools, HINTED, ASKED]
    assert said({"input": [], **MODE})["input"] == [HINTED]
    assert said({"input": "q", **MODE})["input"] == [HINTED, ASKED]


@pytest.mark.parametrize("content", ["a jSoN", [{"type": "input_text", "text": "JSON please"}]])
def test_the_word_is_found_in_any_message(content: Any) -> None:
    """conformance 20: whoever says it, in whatever case."""
    fields = {"input": [ASKED, {"role": "user", "content": content}], **MODE}
    assert said(fields) is fields


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_what_is_said_later_changes_nothing(role: str) -> None:
    """pains P1: the beginning of a conversation is the same in each of its turns, or no cache holds."""
    answer = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "{}"}]}
    later = [ASKED, answer, {"role": role, "content": "that was no JSON"}]
    assert said({"input": later, **MODE})["input"] == [HINTED, *later]


@pytest.mark.parametrize("text", [None, "x", {}, {"format": None}, {"format": {"type": "json_schema"}}])
def test_other_formats_need_no_word(text: Any) -> None:
    """conformance 20: also where ``text`` is no object at all."""
    fields = {"input": [ASKED], "text": text}
    assert said(fields) is fields


@pytest.mark.parametrize("items", ["json", None, 3, [1, None, {"content": 4}, {"content": [5, {"text": 6}]}]])
def test_any_input_is_survived(items: Any) -> None:
    """Who reads the input later refuses what is none."""
    assert said({"input": items, **MODE}).get("text") == MODE["text"]
