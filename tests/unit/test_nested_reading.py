"""Objects, lists and numbers inside an object of a request."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.codec import Loss
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.gemini_reading import GeminiReading, camel
from mitmcodex.wire.nested_reading import NestedReading, nested_safely, put
from mitmcodex.wire.ollama_reading import OllamaReading


def read(fields: Any, losses: list[Loss] | None = None) -> NestedReading:
    return NestedReading(fields, "at", [] if losses is None else losses)


@pytest.mark.parametrize("value", [None, False, "", [], {}])
def test_what_says_nothing_is_no_loss(value):
    """False and what is empty ask for nothing."""
    losses: list[Loss] = []
    with read({"a": value}, losses):
        pass
    assert losses == []


@pytest.mark.parametrize("value", [0, True, "x", [0], {"a": None}])
def test_what_says_something_is_a_loss(value):
    """0 may ask for something."""
    losses: list[Loss] = []
    with read({"a": value}, losses):
        pass
    assert [loss.path for loss in losses] == ["at.a"]


def test_objects_report_what_is_left_in_them():
    """Each element is left before the next, with its index in the path."""
    losses: list[Loss] = []
    for element in read({"a": [{"x": 1, "y": 1}, {"y": 2}]}, losses).objects("a"):
        element.take("x", int)
    assert [loss.path for loss in losses] == ["at.a[0].y", "at.a[1].y"]


@pytest.mark.parametrize("value", [1, {"a": 1}, [1], ["x"], [None]])
def test_lists_of_objects_are_checked(value):
    """The error names the place."""
    with pytest.raises(WireError, match="at.a"):
        [*read({"a": value}).objects("a")]


@pytest.mark.parametrize("value, expected", [(5, 5), (5.0, 5), ("5", 5), ("-5", -5), (None, None)])
def test_whole_numbers(value, expected):
    """google-genai writes 5.0, protobuf's JSON "5"."""
    assert read({"a": value}).whole_number("a") == expected


@pytest.mark.parametrize("value", [True, 5.5, "x", "", "٥" * 30, [], float("inf")])
def test_what_is_no_whole_number(value):
    """The error names the place."""
    with pytest.raises(WireError, match="at.a"):
        read({"a": value}).whole_number("a")


def test_texts_are_checked():
    """Each element must be one."""
    assert read({"a": ["x"]}).texts("a") == ["x"]
    with pytest.raises(WireError, match=r"at.a\[1\]"):
        read({"a": ["x", 1]}).texts("a")


def test_put_leaves_out_what_is_absent():
    """conformance 32: None is no value."""
    target: dict[str, Any] = {}
    put(target, "a", None)
    put(target, "b", 0)
    assert target == {"b": 0}


def test_deep_nesting_is_an_error():
    """What nests deeper than Python can follow is the client's fault."""

    def deep() -> Any:
        raise RecursionError

    with pytest.raises(WireError, match="nested"):
        nested_safely(deep)


@pytest.mark.parametrize(
    "key, name", [("top_p", "topP"), ("topP", "topP"), ("$ref", "$ref"), ("", ""), ("a__b_", "aB")]
)
def test_camel(key, name):
    """Both spellings of a key have one name."""
    assert camel(key) == name


def test_one_object_counts_as_a_list_for_gemini():
    """protobuf's JSON reader lets it pass."""
    assert [one.path for one in GeminiReading({"a": {}}, "", []).objects("a")] == ["a"]


def test_hints_hold_for_each_spelling():
    """A loss without effect stays a hint in snake_case."""
    losses: list[Loss] = []
    with GeminiReading({"safety_settings": [1]}, "", losses):
        pass
    assert losses[0].is_hint


def test_what_sets_up_a_runner_is_a_hint():
    """Ollama's options of that kind have no effect on the answer."""
    losses: list[Loss] = []
    with OllamaReading({"num_ctx": 1, "mirostat": 1}, "", losses):
        pass
    assert [loss.is_hint for loss in losses] == [True, False]
