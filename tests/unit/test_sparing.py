"""wire/sparing.py: copies only what differs."""

from __future__ import annotations

from mitmcodex.wire.sparing import each, put, unless_same, within, without


def test_what_stays_equal_stays_the_same_object() -> None:
    """So that ``is`` tells what changed."""
    fields = {"a": [1, 2], "b": "x"}
    assert put(fields, "b", fields["b"]) is fields
    assert without(fields, "c") is fields
    assert within(fields, "a", lambda values: each(values, lambda value: value)) is fields
    assert within(fields, "b", lambda values: values * 2) is fields, "no list there"


def test_what_changes_is_a_copy() -> None:
    """The argument is never changed, and the order of keys stays."""
    fields = {"a": [1, 2], "b": "x"}
    assert [*put(fields, "a", 3)] == ["a", "b"]
    assert without(fields, "a", "c") == {"b": "x"}
    assert within(fields, "a", lambda values: each(values, lambda value: value + 1000)) == {"a": [1001, 1002], "b": "x"}
    assert fields == {"a": [1, 2], "b": "x"}


def test_a_list_of_other_length_is_another() -> None:
    """Also when it begins with the very same values."""
    values = ["a", "b"]
    assert unless_same(["a"], values) == ["a"]
    assert unless_same([*values], values) is values
