"""wire/chat_upstream_calls.py: the pieces of calls as services send them."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from mitmcodex.wire.chat_upstream_calls import CallReader
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.toolbox import Toolbox
from mitmcodex.wire.writer import ResponseWriter

SCHEMA = {"type": "object"}
TOOLS: list[Fields] = [
    {"type": "function", "name": "read", "parameters": SCHEMA},
    {"type": "custom", "name": "patch"},
    {"type": "namespace", "name": "clock", "tools": [{"type": "function", "name": "sleep"}]},
    {"type": "tool_search", "execution": "client", "parameters": SCHEMA},
    {"type": "local_shell"},
]


def piece(index: int | None = 0, call_id: str | None = None, name: str | None = None, arguments: Any = None) -> Fields:
    found = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    return {key: value for key, value in found.items() if value is not None}


def items(*pieces: Any, is_cut: bool = False) -> list[Fields]:
    ids = count(1)
    new_id = lambda: f"{next(ids):x}"  # noqa: E731
    writer = ResponseWriter("m", new_id=new_id)
    reader = CallReader(Toolbox({"tools": TOOLS}, []), writer, new_id)
    for one in pieces:
        reader.read(one)
    reader.end(is_cut=is_cut)
    if is_cut:
        writer.incomplete("max_output_tokens", None)
    else:
        writer.completed(None)
    output: list[Fields] = writer.response["output"]
    return output


def calls(*pieces: Any, is_cut: bool = False) -> list[tuple[str, str, str]]:
    found = items(*pieces, is_cut=is_cut)
    return [(item["call_id"], item["name"], item.get("arguments", item.get("input"))) for item in found]


def test_pieces_join_by_index():
    """The first piece of a call has id and name, the others the index alone; calls interleave."""
    begun = piece(0, "a", "read", ""), piece(1, "b", "read", "{")
    got = calls(*begun, piece(0, None, None, "{}"), piece(1, None, None, "}"))
    assert got == [("a", "read", "{}"), ("b", "read", "{}")]


def test_whole_calls_at_one_index_stay_apart():
    """Ollama gives each call index 0 and its own id; Gemini's compatible service empty ids."""
    assert calls(piece(0, "a", "read", "{}"), piece(0, "b", "read", "{}")) == [("a", "read", "{}"), ("b", "read", "{}")]
    assert [call[1:] for call in calls(piece(0, "", "read", '{"a":1}'), piece(0, "", "read", '{"a":2}'))] == [
        ("read", '{"a":1}'),
        ("read", '{"a":2}'),
    ]


def test_an_id_or_a_name_that_is_repeated_begins_nothing():
    """vLLM sends the id in each piece, other services the name; a late id changes nothing."""
    assert calls(piece(0, "a", "read", '{"p"'), piece(0, "a", "read", ":1}")) == [("a", "read", '{"p":1}')]
    assert calls(piece(0, "a", "read", ""), piece(0, None, "read", "{}")) == [("a", "read", "{}")]
    assert len(calls(piece(0, None, "read", '{"p"'), piece(0, "late", None, ":1}"))) == 1
    assert calls(piece(0, "a", "read", "{}"), piece(0, None, "read", "")) == [("a", "read", "{}")]


def test_without_index_the_id_or_the_last_call_counts():
    """Pieces without index and id belong to the call before."""
    got = calls(piece(None, "a", "read", '{"p"'), piece(None, None, None, ":1}"), piece(None, "b", "read", "{}"))
    assert got == [("a", "read", '{"p":1}'), ("b", "read", "{}")]
    begun = piece(None, "a", "read", "{"), piece(None, "b", "read", "{}")
    assert calls(*begun, piece(None, "a", None, "}"))[0] == ("a", "read", "{}")
    assert len(calls(piece(None, None, "read", "{}"), piece(None, None, "read", "{}"))) == 2


def test_a_name_that_comes_late_is_waited_for():
    """What came before it is not lost; a call that never gets one is none."""
    assert calls(piece(0, "a", None, '{"p"'), piece(0, None, "read", ":1"), piece(0, None, None, "}")) == [
        ("a", "read", '{"p":1}')
    ]
    assert calls(piece(0, "a", None, "{}")) == []


def test_an_id_that_never_comes_is_made():
    """Clients answer by it."""
    assert calls(piece(0, None, "read", "{}"))[0][0].startswith("call_")


@pytest.mark.parametrize("arguments", [None, "", " "])
def test_no_arguments_are_an_empty_object(arguments):
    """Clients parse them."""
    assert calls(piece(0, "a", "read", arguments))[0][2].strip() == "{}"


def test_arguments_may_be_an_object():
    """As Ollama's own protocol has them."""
    assert calls(piece(0, "a", "read", {"p": "ü"})) == [("a", "read", '{"p": "ü"}')]


def test_each_kind_comes_back_as_it_was_declared():
    """Custom input unwrapped, namespaces split, the client's own tools as their items."""
    wrapped = piece(0, "a", "patch", '{"input":"*** Be'), piece(0, None, None, 'gin"}')
    assert calls(*wrapped) == [("a", "patch", "*** Begin")]
    assert items(piece(0, "a", "clock__sleep", "{}"))[0] | {"id": ""} == {
        **{"id": "", "type": "function_call", "status": "completed", "call_id": "a", "namespace": "clock"},
        **{"name": "sleep", "arguments": "{}"},
    }
    search = items(piece(0, "a", "tool_search", '{"query":"x"}'))[0]
    assert (search["type"], search["execution"], search["arguments"]) == ("tool_search_call", "client", {"query": "x"})
    shell = items(piece(0, "a", "local_shell", '{"command":["ls"]}'))[0]
    assert shell["type"] == "local_shell_call" and shell["action"] == {"type": "exec", "command": ["ls"], "env": {}}
    assert items(piece(0, "a", "local_shell", "no json"))[0]["action"]["command"] == []


def test_a_tool_that_nobody_declared_is_a_function():
    """The client says that it has none of that name."""
    assert items(piece(0, "a", "invented", "{}"))[0]["type"] == "function_call"


def test_a_call_that_a_limit_cut_stays_unfinished():
    """conformance 47: whole calls before it are finished; Codex would run what it gets as finished."""
    pieces = (piece(0, "a", "read", "{}"), piece(1, "b", "read", '{"p'), piece(2, "c", "patch", '{"input":"x'))
    assert calls(*pieces, is_cut=True) == [("a", "read", "{}")]
    assert len(calls(*pieces)) == 3


@pytest.mark.parametrize("odd", [{}, {"function": None}, {"function": 3}, {"index": "x", "function": {"name": 3}}])
def test_what_is_no_piece_is_nothing(odd):
    """Unknown forms are left out, what follows is read."""
    assert calls(odd, piece(0, "a", "read", "{}")) == [("a", "read", "{}")]


def test_nothing_comes_after_the_end():
    """Pieces behind finish_reason are left out."""
    writer = ResponseWriter("m")
    reader = CallReader(Toolbox({}, []), writer, lambda: "1")
    reader.end(is_cut=False)
    assert reader.read(piece(0, "a", "read", "{}")) == reader.end(is_cut=False) == b""
