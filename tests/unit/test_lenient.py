"""wire/lenient.py: JSON in which anything may stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mitmcodex.wire.lenient import list_of, number_at, number_of, object_of, objects_of, text_of

VALUES: list[Any] = [None, True, 3, 1.5, "t", [1, {"a": 1}, None], {"k": 2}]


@pytest.mark.parametrize(
    ("read", "found"),
    [
        (object_of, [{}, {}, {}, {}, {}, {}, {"k": 2}]),
        (list_of, [[], [], [], [], [], [1, {"a": 1}, None], []]),
        (objects_of, [[], [], [], [], [], [{"a": 1}], []]),
        (text_of, ["", "", "", "", "t", "", ""]),
        (number_of, [0, 1, 3, 0, 0, 0, 0]),
        (lambda value: number_at(value, "k"), [0, 0, 0, 0, 0, 0, 2]),
    ],
)
def test_a_value_of_another_type_is_none(read: Callable[[Any], Any], found: list[Any]) -> None:
    """Whatever JSON holds, nothing is raised."""
    assert [read(value) for value in VALUES] == found
