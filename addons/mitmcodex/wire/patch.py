"""Change single top-level keys of a JSON text and leave every other byte alone (conformance.md 76)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from mitmcodex.wire.shapes import JSON


class _Remove:
    def __repr__(self) -> str:
        return "REMOVE"


REMOVE: Final = _Remove()
"""As a value of ``changes``: take the key away."""

type Changes = Mapping[str, JSON | _Remove]

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class _Member(NamedTuple):
    """One ``"key": value`` with the white space around it, up to the comma or brace on either side."""

    key: str
    before_value: str
    value: str
    after_value: str

    def with_value(self, value: JSON) -> _Member:
        return self._replace(value=_dump(value))

    def __str__(self) -> str:
        return self.before_value + self.value + self.after_value


def set_top_level(body: bytes, changes: Changes) -> bytes:
    """``body`` with these top-level keys set or removed, new ones appended at the end.

    A key that occurs more than once is changed at each place. Raises ValueError when the body is not one JSON object
    in UTF-8 without a byte order mark.
    """
    text = body.decode()
    try:
        members, begin, end = _members(text)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    present = {member.key for member in members}
    kept: list[str] = []
    for member in members:
        change = changes.get(member.key, member)
        if isinstance(change, _Remove):
            continue
        kept.append(str(change if isinstance(change, _Member) else member.with_value(change)))
    for key, value in changes.items():
        if key not in present and not isinstance(value, _Remove):
            kept.append(f"{_dump(key)}:{_dump(value)}")
    return (text[:begin] + ",".join(kept) + text[end:]).encode()


def _members(text: str) -> tuple[list[_Member], int, int]:
    """The members, and where the text between the braces begins and ends."""
    position = _after_space(text, 0)
    if text[position : position + 1] != "{":
        raise ValueError("not a JSON object")
    begin = position + 1
    members: list[_Member] = []
    position = _after_space(text, begin)
    if text[position : position + 1] == "}":
        end = position
    else:
        position = begin
        while True:
            member, end = _member(text, position)
            members.append(member)
            if text[end : end + 1] == "}":
                break
            if text[end : end + 1] != ",":
                raise ValueError(f"no comma or brace at character {end}")
            position = end + 1
    if _after_space(text, end + 1) != len(text):
        raise ValueError(f"text after the JSON object, at character {end + 1}")
    return members, begin, end


def _member(text: str, start: int) -> tuple[_Member, int]:
    position = _after_space(text, start)
    if text[position : position + 1] != '"':
        raise ValueError(f"no key at character {position}")
    key, position = _DECODER.raw_decode(text, position)
    position = _after_space(text, position)
    if text[position : position + 1] != ":":
        raise ValueError(f"no colon at character {position}")
    value_start = _after_space(text, position + 1)
    _, value_end = _DECODER.raw_decode(text, value_start)
    end = _after_space(text, value_end)
    return _Member(key, text[start:value_start], text[value_start:value_end], text[value_end:end]), end


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _dump(value: JSON) -> str:
    # ASCII, as a lone surrogate has no UTF-8 form
    return json.dumps(value, separators=(",", ":"))
