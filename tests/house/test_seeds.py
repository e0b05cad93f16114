"""Every feature of the older systems that is promised here has tests that would miss it (spine_rows.yaml)."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

TESTS = Path(__file__).parent.parent
ROWS: dict[str, dict[str, Any]] = yaml.safe_load((TESTS / "house" / "spine_rows.yaml").read_text(encoding="utf-8"))
PROMISED = (
    *(*range(1, 5), 6, *range(8, 11), *range(13, 18), *range(23, 29), 30, 31, *range(39, 63), *range(74, 77)),
    *(83, 85, 88, 94, 95, 158, 165, 215, 216, 217, 224, 226, 228, 289, 314, 322, 328, 329, 330, 337, 338),
)


@cache
def functions_in(file: str) -> frozenset[str]:
    path = TESTS / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    return frozenset(node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def test_every_promised_row_is_listed() -> None:
    """No row is left out, and none is invented."""
    assert list(ROWS) == [f"S{number}" for number in PROMISED]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_has_tests_that_exist(row: str) -> None:
    """Each named test is a test of the suite, so that renaming or deleting one is noticed."""
    named = [test.partition("::") for test in ROWS[row]["tests"]]
    assert named
    assert [test for test in named if not test[2].startswith("test_") or test[2] not in functions_in(test[0])] == []
