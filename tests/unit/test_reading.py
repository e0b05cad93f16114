"""wire/reading.py: no key of a request can be forgotten."""

from typing import ClassVar

import pytest

from mitmcodex.wire.codec import Loss
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.reading import Reading


class Hinting(Reading):
    hints: ClassVar = {"cache": "it has no effect"}


def test_each_key_that_nobody_took_is_a_loss_in_its_order():
    """The object's own order; a hint is told as one; null says nothing."""
    losses: list[Loss] = []
    with Hinting({"b": 1, "cache": {}, "a": 2, "none": None, "taken": 3}, "tools[0]", losses) as tool:
        assert tool.take("taken", int) == 3
    assert losses == [
        Loss("tools[0].b", "dropped", "it has no counterpart"),
        Loss("tools[0].cache", "dropped", "it has no effect", is_hint=True),
        Loss("tools[0].a", "dropped", "it has no counterpart"),
    ]


def test_an_error_inside_is_not_hidden_by_losses():
    """What is refused is not reported besides."""
    losses: list[Loss] = []
    with pytest.raises(WireError), Reading({"a": 1, "b": 2}, "", losses) as body:
        body.take("a", str)
    assert losses == []


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (1, str, "a: must be a text."),
        (True, int, "a: must be a whole number."),
        (1, bool, "a: must be true or false."),
        ({}, list, "a: must be a list."),
        ([], dict, "a: must be an object."),
    ],
)
def test_a_wrong_type_names_the_place(value, kind, text):
    """400 with the path in text and param."""
    with pytest.raises(WireError) as caught:
        Reading({"a": value}, "", []).take("a", kind)
    assert (caught.value.kind, caught.value.message, caught.value.param) == ("invalid_request", text, "a")


def test_what_must_be_there():
    """Missing and null are the same."""
    for held in ({}, {"a": None}):
        with pytest.raises(WireError, match=r"x\.a: is missing, must be a text"):
            Reading(held, "x", []).need("a", str)
    with pytest.raises(WireError, match="body: must be an object"):
        Reading([], "", [])


def test_numbers():
    """Whole or not, but not true."""
    assert [Reading({"a": one}, "", []).number("a") for one in (1, 0.5, None)] == [1, 0.5, None]
    with pytest.raises(WireError, match="a: must be a number"):
        Reading({"a": True}, "", []).number("a")


def test_a_dropped_object_is_one_loss():
    """Not one for each of its keys."""
    losses: list[Loss] = []
    with Reading({"type": "x", "y": 1}, "m[0]", losses) as block:
        block.drop("it has no counterpart")
        block.lose("gone", "absent keys say nothing")
    assert losses == [Loss("m[0]", "dropped", "it has no counterpart")]
