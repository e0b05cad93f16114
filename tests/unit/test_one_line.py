"""JSON for readers that split lines as Python does."""

from __future__ import annotations

import json

import pytest

from mitmcodex.wire.one_line import one_line, printable


@pytest.mark.parametrize(
    "text", ["plain", "é🎉", "a\u2028b\u2029c\u0085d", "\x0b\x0c\x1c\x1d\x1e\r\n", "\ud800", "\\\ud800"]
)
def test_one_line_comes_back(text):
    """Python's splitlines finds one line, and the JSON says what it said."""
    line = one_line({"a": text})
    assert len(line.decode().splitlines()) == 1
    assert json.loads(line) == {"a": text}


def test_other_characters_stay():
    """Only what breaks lines is escaped: other scripts would double in size."""
    assert one_line("é你") == '"é你"'.encode()


@pytest.mark.parametrize("text", ["a\nb", "\r\u2028", "\x1b[2J", "\ud800"])
def test_nobody_forges_a_line(text):
    """What a client wrote is in the log as one printable line in UTF-8."""
    assert printable(text).isprintable() and len(printable(text).encode().splitlines()) == 1
    assert printable("é 你") == "é 你"
