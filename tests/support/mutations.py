"""A valid JSON value with each of its places replaced by each of some wrong ones."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

WRONG: tuple[Any, ...] = (None, 1, -1.5, True, "x", "", [], {}, [1], {"a": 1})


def mutations(value: Any) -> Iterator[Any]:
    for path in _paths(value):
        for wrong in WRONG:
            yield _with(value, path, wrong)


def _paths(value: Any) -> Iterator[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield (key,)
        yield from ((key, *rest) for rest in _paths(one))


def _with(value: Any, path: tuple[Any, ...], wrong: Any) -> Any:
    whole = copy.deepcopy(value)
    place = whole
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = wrong
    return whole
