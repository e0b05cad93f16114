"""What is promised here has tests that would miss it: each row of a table names them (``*.yaml`` beside this file)."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

TESTS = Path(__file__).parent.parent


def table(name: str) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load((TESTS / "house" / name).read_text(encoding="utf-8"))
    return found


SEEDS = {"spine": table("spine_rows.yaml"), "protocols": table("protocol_rows.yaml")}
SPINE = (
    *(*range(1, 5), 6, *range(8, 11), *range(13, 18), *range(23, 29), 30, 31, *range(39, 63), *range(74, 77)),
    *(83, 85, 88, 94, 95, 158, 165, 215, 216, 217, 224, 226, 228, 289, 314, 322, 328, 329, 330, 337, 338),
)
PROTOCOLS = (
    *(7, 14, 24, 26, 33, 38, *range(63, 75), *range(77, 88), 89, 90, 92, 93, *range(96, 120), *range(123, 146), 147),
    *(*range(201, 204), *range(212, 215), *range(244, 256), 298, *range(331, 337), *range(339, 354)),
)
RULES = table("conformance_rules.yaml")
NOT_APPLICABLE = RULES.pop("not_applicable")
LAST_RULE = 84
ROWS = {f"{part} {name}": row for part, rows in SEEDS.items() for name, row in rows.items()}
ROWS |= {f"rule {number}": row for number, row in RULES.items()}

NUMBERS = re.compile(r"conformance(?:\.md)?((?:[ ,\n]|and|to|\d)+)")


@cache
def functions_in(file: str) -> dict[str, str]:
    """Name → docstring of the functions of a file."""
    path = TESTS / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    functions = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return {node.name: ast.get_docstring(node) or "" for node in functions}


def numbers_in(docstring: str) -> set[int]:
    """``conformance 1, 8 and 26 to 30``: each number, those between two with ``to`` between them too."""
    found: set[int] = set()
    for match in NUMBERS.finditer(docstring):
        for first, last in re.findall(r"(\d+)(?:\s+to\s+(\d+))?", match[1]):
            found |= {*range(int(first), int(last or first) + 1)}
    return found


@pytest.mark.parametrize(("part", "promised"), [("spine", SPINE), ("protocols", PROTOCOLS)])
def test_every_promised_row_is_listed(part: str, promised: tuple[int, ...]) -> None:
    """No row is left out, and none is invented."""
    assert list(SEEDS[part]) == [f"S{number}" for number in promised]


def test_every_conformance_rule_is_listed() -> None:
    """Each number once, under its tests or with the reason why it does not apply."""
    assert sorted([*RULES, *NOT_APPLICABLE]) == [*range(1, LAST_RULE + 1)]
    assert all(NOT_APPLICABLE.values())


@pytest.mark.parametrize("row", ROWS)
def test_a_row_has_tests_that_exist(row: str) -> None:
    """Each named test is a test of the suite, so that renaming or deleting one is noticed."""
    named = [test.partition("::") for test in ROWS[row]["tests"]]
    assert named
    assert [test for test in named if not test[2].startswith("test_") or test[2] not in functions_in(test[0])] == []


@pytest.mark.parametrize("number", RULES)
def test_the_tests_of_a_rule_name_its_number(number: int) -> None:
    """Who reads a test finds the rule that it holds."""
    named = [test.partition("::") for test in RULES[number]["tests"]]
    assert [name for file, _, name in named if number not in numbers_in(functions_in(file)[name])] == []


def test_numbers_are_read() -> None:
    """In the ways in which docstrings write them, and no other numbers."""
    told = "seeds S7, conformance 1, 8 and 26\n to 28: 99 of them (conformance.md 3)."
    assert numbers_in(told) == {1, 3, 8, 26, 27, 28}
