"""A model that edits a file: the upstream's side of a coding client's tool loop, for kinds chatgpt, chat and messages.

    editing = Editing("chatgpt", workdir / "notes.txt")
    backend.script(editing)
    …
    assert editing.results(backend.requests[-1])["call_read"]

Its turns: a thought, then the file read and a command run side by side; the file changed; ``DONE``. Who offers no tools
(opencode asks for a title so) gets a title, whoever says ``ONCE_MORE`` a word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import chat_answers, chatgpt_answers, messages_answers
from support.answer_parts import ToolCall
from support.answers import Answer
from support.records import Request

JSON = dict[str, Any]
BEFORE, AFTER = "colour: red", "colour: blue"
MARKER = "marker-of-the-command"
THOUGHT = "I look first."
DONE = "It is blue."
ONCE_MORE = "tell me once more"
STILL = "Still blue."


@dataclass(frozen=True, slots=True)
class Editing:
    kind: str
    """chatgpt | chat | messages"""
    path: Path
    """Of the file, which must hold BEFORE; it ends with AFTER."""

    def __call__(self, request: Request) -> Answer:
        tools = self.tools(request)
        if not tools:
            return self._say("A title")
        if ONCE_MORE.encode() in request.body:
            return self._say(STILL)
        results = self.results(request)
        if "call_edit" in results:
            return self._say(DONE)
        if "call_read" in results:
            return self._call("", self._edit(tools))
        return self._call(THOUGHT, *self._look(tools))

    # --- what came

    def tools(self, request: Request) -> dict[str, set[str]]:
        """Names of the arguments of each tool that is offered."""
        found = {}
        for tool in _flat(request.json):
            function = tool.get("function", tool)
            schema = function.get("parameters") or function.get("input_schema") or {}
            found[function.get("name", tool.get("type"))] = {*schema.get("properties", {})}
        return found

    def results(self, request: Request) -> dict[str, str]:
        """What came back of the calls, as text, by id of the call."""
        return {call_id: json.dumps(result) for call_id, result in _RESULTS[self.kind](request.json)}

    # --- what goes out

    def _look(self, tools: dict[str, set[str]]) -> tuple[ToolCall, ToolCall]:
        name = _name(tools, "read")
        # What models like to say, and Claude Code refuses (conformance 53).
        pages = {"pages": ""} if "pages" in tools[name] else {}
        place = "filePath" if "filePath" in tools[name] else "file_path"
        command = {"command": f"echo {MARKER}", "description": "says a word"}
        read = ToolCall("call_read", name, {place: str(self.path), **pages})
        return read, ToolCall("call_bash", _name(tools, "bash"), command)

    def _edit(self, tools: dict[str, set[str]]) -> ToolCall:
        if "apply_patch" in tools:
            lines = ["*** Begin Patch", f"*** Update File: {self.path.name}", "@@", f"-{BEFORE}", f"+{AFTER}"]
            return ToolCall("call_edit", "apply_patch", {"patchText": "\n".join([*lines, "*** End Patch"])})
        name = _name(tools, "edit")
        is_camel = "filePath" in tools[name]
        keys = ("filePath", "oldString", "newString") if is_camel else ("file_path", "old_string", "new_string")
        return ToolCall("call_edit", name, dict(zip(keys, (str(self.path), BEFORE, AFTER), strict=True)))

    def _say(self, text: str) -> Answer:
        match self.kind:
            case "chat":
                return chat_answers.stream(chat_answers.text(text))
            case "messages":
                return messages_answers.stream(messages_answers.text(text))
        return chatgpt_answers.stream(chatgpt_answers.text(text))

    def _call(self, thought: str, *calls: ToolCall) -> Answer:
        match self.kind:
            case "chat":
                return chat_answers.stream(chat_answers.calls(*calls))
            case "messages":
                return messages_answers.stream(messages_answers.calls(*calls, thought=thought))
        if not thought:
            return chatgpt_answers.stream(chatgpt_answers.calls(*calls))
        return chatgpt_answers.stream(chatgpt_answers.thinking(thought, chatgpt_answers.calls(*calls, first=1)))


def _name(tools: dict[str, set[str]], wanted: str) -> str:
    """As the client writes it: opencode in small letters, Claude Code with a capital."""
    return next(name for name in tools if name.lower() == wanted)


def _flat(body: JSON) -> Iterator[JSON]:
    """All tools, out of the namespaces of a Lite request too."""
    added = [item for item in body.get("input", []) if item.get("type") == "additional_tools"]
    for tool in [tool for holder in [body, *added] for tool in holder.get("tools", [])]:
        yield from tool["tools"] if tool.get("type") == "namespace" else [tool]


def _responses_results(body: JSON) -> Iterator[tuple[str, Any]]:
    for item in body["input"]:
        if item.get("type") in ("function_call_output", "custom_tool_call_output"):
            yield item["call_id"], item["output"]


def _chat_results(body: JSON) -> Iterator[tuple[str, Any]]:
    for message in body["messages"]:
        if message["role"] == "tool":
            yield message["tool_call_id"], message["content"]


def _messages_results(body: JSON) -> Iterator[tuple[str, Any]]:
    for message in body["messages"]:
        for block in message["content"]:
            if isinstance(block, dict) and block["type"] == "tool_result":
                yield block["tool_use_id"], block["content"]


_RESULTS = {"chatgpt": _responses_results, "chat": _chat_results, "messages": _messages_results}
