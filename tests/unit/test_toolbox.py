"""wire/toolbox.py: every kind of tool as a function, and the way back."""

from __future__ import annotations

import pytest

from mitmcodex.wire.codec import Loss
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.toolbox import NAME_LIMIT, Tool, Toolbox, unwrapped, wrapped

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}
READ = {"type": "function", "name": "read_file", "description": "Reads.", "parameters": SCHEMA, "strict": True}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: LINE"}
PATCH = {"type": "custom", "name": "apply_patch", "description": "Edits.", "format": GRAMMAR}
DISK = {"type": "namespace", "name": "disk", "description": "Files.", "tools": [READ, PATCH]}
FIND = {"type": "tool_search", "execution": "client", "description": "Finds.", "parameters": SCHEMA}


def box(*tools: Fields) -> tuple[Toolbox, list[Loss]]:
    losses: list[Loss] = []
    return Toolbox({"tools": [*tools]}, losses), losses


def test_a_function_goes_as_it_is():
    """Name, description, parameters and strict stay; no loss."""
    toolbox, losses = box(READ)
    tool, function = next(iter(toolbox.functions.items()))
    assert tool == Tool("function", "read_file") == toolbox.tool("read_file")
    assert function == ("read_file", "Reads.", SCHEMA, True, "tools[0]") and losses == []


def test_a_function_without_parameters_takes_none():
    """Providers demand a schema."""
    toolbox, _ = box({"type": "function", "name": "now", "parameters": None})
    assert next(iter(toolbox.functions.values())).parameters == {"type": "object", "properties": {}}


def test_a_custom_tool_takes_one_text():
    """Wrapped in the argument ``input``; the grammar is told to the model."""
    toolbox, losses = box(PATCH)
    function = toolbox.functions[Tool("custom", "apply_patch")]
    told = function.parameters["properties"]["input"]["description"]
    assert "lark" in told and "start: LINE" in told
    assert function.parameters["required"] == ["input"]
    assert [(loss.path, loss.what) for loss in losses] == [("tools[0]", "mapped")]
    assert toolbox.tool("apply_patch").kind == "custom"


def test_the_wrapping_comes_off():
    """unwrapped(wrapped(x)) is x; a model that left the wrapping out meant the text."""
    for text in ("", "*** Begin\n", '{"input": 1}', "ü\ud83d"):
        assert unwrapped(wrapped(text)) == text
    for text in ("*** Begin", "[1]", '{"patch": "x"}', '{"input": 3}', "[" * 100_000):
        assert unwrapped(text) == text


def test_a_namespace_becomes_a_prefix():
    """The names are flattened, and found again with their namespace."""
    toolbox, losses = box(DISK)
    names = [function.name for function in toolbox.functions.values()]
    assert names == ["disk__read_file", "disk__apply_patch"]
    assert toolbox.tool("disk__read_file") == Tool("function", "read_file", "disk")
    assert toolbox.name(Tool("custom", "apply_patch", "disk")) == "disk__apply_patch"
    assert {loss.path for loss in losses} == {"tools[0]", "tools[0].tools[1]"}


def test_tools_that_the_client_runs_become_functions():
    """tool_search and local_shell are run by the client: the model can call them like any function."""
    toolbox, losses = box(FIND, {"type": "local_shell"})
    assert toolbox.tool("tool_search").kind == "tool_search" and toolbox.tool("local_shell").kind == "local_shell"
    assert [loss.what for loss in losses] == ["mapped", "mapped"]


@pytest.mark.parametrize("kind", ["web_search", "image_generation", "file_search", "mcp", "from the future"])
def test_a_hosted_tool_is_a_loss(kind):
    """Nothing that only OpenAI can run is kept, nor forgotten; its own keys are no further losses."""
    toolbox, losses = box({"type": kind, "server_url": "x"}, READ)
    assert list(toolbox.functions) == [Tool("function", "read_file")]
    assert [(loss.path, loss.what, loss.is_hint) for loss in losses] == [("tools[0]", "dropped", False)]


def test_a_search_at_the_provider_is_a_loss():
    """tool_search without ``execution: client`` would be run by OpenAI."""
    toolbox, losses = box({"type": "tool_search"})
    assert not toolbox.functions and losses[0].what == "dropped"


def test_the_lite_form_and_loaded_tools_count():
    """Tools in additional_tools and in the output of a tool search are declared too; twice the same is one."""
    lite = {"type": "additional_tools", "tools": [DISK]}
    loaded = {"type": "tool_search_output", "call_id": "c", "tools": [READ, READ]}
    toolbox = Toolbox({"input": [lite, loaded]}, [])
    assert [tool.namespace for tool in toolbox.functions] == ["disk", "disk", ""]


def test_long_and_foreign_names_are_shortened_reversibly():
    """At most 64 of letters, digits, _ and -; two long names that begin alike stay two; unknown ones too."""
    first, second = "a" * 80 + "1", "a" * 80 + "2"
    toolbox, _ = box(*({**READ, "name": name} for name in (first, second, "größe.lesen", "\ud800")))
    names = [function.name for function in toolbox.functions.values()]
    assert len(set(names)) == 4 and all(len(name) <= NAME_LIMIT and name.isascii() for name in names)
    assert [toolbox.tool(name).name for name in names] == [first, second, "größe.lesen", "\ud800"]
    assert toolbox.name(Tool("function", "never declared")) == toolbox.name(Tool("function", "never declared"))


def test_names_that_collide_stay_apart():
    """A tool called like a flattened one gets another name."""
    toolbox, _ = box(DISK, {**READ, "name": "disk__read_file"})
    plain = Tool("function", "disk__read_file")
    assert toolbox.name(plain) != "disk__read_file" and toolbox.tool(toolbox.name(plain)) == plain


def test_unknown_keys_are_losses():
    """A key of a tool that no provider takes is told; hints are told as hints."""
    _, losses = box({**READ, "defer_loading": True, "colour": "red"})
    assert [(loss.path, loss.is_hint) for loss in losses] == [
        ("tools[0].defer_loading", True),
        ("tools[0].colour", False),
    ]


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ("x", "tools"),
        ([1], "tools[0]"),
        ([{}], "tools[0].type"),
        ([{"type": "function"}], "tools[0].name"),
        ([{"type": "function", "name": ""}], "tools[0].name"),
        ([{"type": "function", "name": "x", "parameters": []}], "tools[0].parameters"),
        ([{"type": "custom", "name": "x", "format": {"type": "grammar"}}], "tools[0].format.syntax"),
        ([{"type": "namespace", "name": "x"}], "tools[0].tools"),
        ([{"type": "namespace", "name": "x", "tools": [DISK]}], "tools[0].tools[0]"),
    ],
)
def test_what_is_no_tool_is_refused(tools, param):
    """400 that names the place."""
    with pytest.raises(WireError) as caught:
        Toolbox({"tools": tools}, [])
    assert caught.value.kind == "invalid_request" and caught.value.param == param


def test_a_hosted_tool_is_left_to_the_caller():
    """What the provider runs itself is no function and no loss: it stands in ``hosted`` as it came."""
    losses: list[Loss] = []
    search = {"type": "web_search_preview", "search_context_size": "low"}
    toolbox = Toolbox({"tools": [READ, search]}, losses, "web_search")
    assert toolbox.hosted == [("tools[1]", search)]
    assert [function.name for function in toolbox.functions.values()] == ["read_file"] and losses == []


def test_a_name_begins_with_a_letter():
    """Gemini takes no other beginning; the name still finds its tool."""
    toolbox, _ = box({"type": "function", "name": "7zip"})
    (function,) = toolbox.functions.values()
    assert function.name[0] == "_"
    assert toolbox.tool(function.name) == Tool("function", "7zip")
