"""``pytest tests/golden --rewrite-golden`` writes the golden files anew, and fails once so that a person reads the
difference before it is committed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

OPTION = "--rewrite-golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, action="store_true", help="write the golden files anew; each that changed fails once")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, bytes], None]:
    """``golden(path, content)``: the file holds exactly this."""
    # Without this folder on the command line pytest loads this file too late to know the option.
    rewrites = request.config.getoption(OPTION, default=False)

    def compare(path: Path, content: bytes) -> None:
        held = path.read_bytes() if path.exists() else b""
        if rewrites and held != content:
            path.write_bytes(content)
            pytest.fail(f"rewrote {path.parent.name}/{path.name}: read the difference, then run again")
        assert content.decode() == held.decode()

    return compare
