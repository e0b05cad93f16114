"""Towards a Chat Completions service: canonical ``instructions`` and ``input`` → ``messages``.

System and developer texts become system messages in place. An assistant's text and calls become one message, the
results of its calls follow it. Content that is text alone goes as one string: DeepSeek and others take no lists.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mitmcodex.wire.chat_upstream_content import CanonicalReading, decoded_parts
from mitmcodex.wire.codec import ACCOUNT_KEY, Loss
from mitmcodex.wire.reading import Reading, wrong
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.signatures import unwrap
from mitmcodex.wire.toolbox import Tool, Toolbox, wrapped

KIND = "chat"
THOUGHT_FIELDS = ("reasoning_content", "reasoning")
"""Where services put their reasoning. DeepSeek and Kimi want that of a turn with calls back under the same name, while
services without reasoning refuse the field: so it goes to the client signed with ``{field, text}`` (signatures.py)."""

_ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_JOINT = "\n\n"


def encode_messages(asked: Reading, toolbox: Toolbox) -> list[Fields]:
    """Takes ``instructions`` and ``input``; raises WireError (invalid_request) for what is none, and for nothing."""
    conversation = _Conversation(toolbox, asked.losses)
    instructions, given = asked.take("instructions", str), asked.raw("input")
    if instructions:
        conversation.hear("system", [{"type": "text", "text": instructions}])
    if isinstance(given, str):
        conversation.hear("user", [{"type": "text", "text": given}])
    elif isinstance(given, list):
        for index, item in enumerate(given):
            conversation.add(item, f"input[{index}]")
    elif given is not None:
        raise wrong("input", "must be a text or a list")
    messages = conversation.messages()
    if not messages:
        raise wrong("input", "is empty. Send at least one message")
    return messages


@dataclass
class _Turn:
    """One assistant message with what belongs behind it."""

    said: Fields
    results: list[Fields] = field(default_factory=list)
    shown: list[Fields] = field(default_factory=list)
    """Images and files of the results, which only a user message can hold; after all results."""

    @property
    def calls(self) -> list[Fields]:
        calls: list[Fields] = self.said.setdefault("tool_calls", [])
        return calls

    def messages(self) -> list[Fields]:
        said = {key: value for key, value in self.said.items() if key != "tool_calls" or value}
        shown = [{"role": "user", "content": self.shown}] if self.shown else []
        return [said, *self.results, *shown]


class _Thought(NamedTuple):
    path: str
    field: str
    text: str


class _Conversation:
    def __init__(self, toolbox: Toolbox, losses: list[Loss]) -> None:
        self._toolbox = toolbox
        self._losses = losses
        self._hints: set[Loss] = set()
        self._done: list[Fields | _Turn] = []
        self._turn: _Turn | None = None
        """The assistant's, while it may still get text and calls."""
        self._unanswered: dict[str, _Turn] = {}
        self._thought: _Thought | None = None
        """Waits for the call that it led to."""

    def messages(self) -> list[Fields]:
        self._forget()
        parts = [one.messages() if isinstance(one, _Turn) else [one] for one in self._done]
        return [message for part in parts for message in part]

    def add(self, value: Any, path: str) -> None:
        with CanonicalReading(value, path, self._losses) as item:
            for key in ("id", "status", ACCOUNT_KEY):  # of storage at the Responses API, and ours
                item.raw(key)
            kind = item.take("type", str) or "message"
            read = _READERS.get(kind)
            if read is None:
                item.drop(f"a Chat Completions service knows no item {kind!r}")
            else:
                read(self, item)

    def hear(self, role: str, parts: list[Fields]) -> None:
        """A message of anyone but the assistant."""
        self._forget()
        self._turn = None
        self._done.append({"role": role, "content": self._content(parts)})

    # -- items ------------------------------------------------------------------------------------

    def _message(self, item: Reading) -> None:
        role = item.need("role", str)
        if role not in _ROLES:
            raise wrong(item.at("role"), f"{role!r} is none of {', '.join(_ROLES)}")
        if role == "developer":
            self._hint("input[].role", "mapped", "developer messages go as system messages")
        parts = decoded_parts(item, "content", _ROLES[role])
        if role == "assistant":
            self._say(item, parts)
        else:
            self.hear(_ROLES[role], parts)

    def _say(self, item: Reading, parts: list[Fields]) -> None:
        text = self._content([part for part in parts if part["type"] == "text"])
        refusal = _JOINT.join(part["refusal"] for part in parts if part["type"] == "refusal")
        if not text and not refusal:
            return
        if self._turn is None or not self._turn.calls:
            self._begin()
        elif text:
            self._hint(item.path, "changed", "text behind a call goes before it, in the same message")
        assert self._turn is not None
        self._append(self._turn, "content", text)
        self._append(self._turn, "refusal", refusal)

    def _append(self, turn: _Turn, key: str, text: str) -> None:
        if text:
            before = turn.said.get(key)
            turn.said[key] = f"{before}{_JOINT}{text}" if before else text

    def _begin(self) -> _Turn:
        self._turn = _Turn({"role": "assistant", "content": None})
        self._done.append(self._turn)
        return self._turn

    def _function_call(self, item: Reading) -> None:
        arguments = item.take("arguments", str) or "{}"
        if not _is_json(arguments):  # the model broke it off; a service that parses it would refuse all that follows
            why = "is no JSON: it goes as an object with that text"
            self._losses.append(Loss(item.at("arguments"), "changed", why))
            arguments = wrapped(arguments)
        self._call(item, "function", arguments)

    def _custom_call(self, item: Reading) -> None:
        self._call(item, "custom", wrapped(item.take("input", str) or ""))

    def _search_call(self, item: Reading) -> None:
        if item.take("execution", str) != "client":
            item.drop("the provider can't search tools")
            return
        self._named_call(item, Tool("tool_search", "tool_search"), json.dumps(item.take("arguments", dict) or {}))

    def _shell_call(self, item: Reading) -> None:
        action = {key: value for key, value in item.need("action", dict).items() if value is not None}
        action.pop("type", None)
        self._named_call(item, Tool("local_shell", "local_shell"), json.dumps(action, ensure_ascii=False))

    def _call(self, item: Reading, kind: str, arguments: str) -> None:
        namespace, name = item.take("namespace", str) or "", item.need("name", str)
        self._named_call(item, Tool(kind, name, namespace), arguments)

    def _named_call(self, item: Reading, tool: Tool, arguments: str) -> None:
        call_id, turn = item.need("call_id", str), self._turn or self._begin()
        if self._thought:
            self._append(turn, self._thought.field, self._thought.text)
            self._thought = None
        function = {"name": self._toolbox.name(tool), "arguments": arguments}
        turn.calls.append({"id": call_id, "type": "function", "function": function})
        self._unanswered[call_id] = turn

    def _result(self, item: Reading) -> None:
        item.raw("name")
        if item.raw("output") is None:
            raise wrong(item.at("output"), "is missing, must be a text or a list")
        self._answer(item, decoded_parts(item, "output", "user"))

    def _search_result(self, item: Reading) -> None:
        item.raw("execution")
        found = item.raw("tools")  # the toolbox has read them
        told = "The tools that were found can be called." if found else "No tool was found."
        self._answer(item, [{"type": "text", "text": told}])

    def _answer(self, item: Reading, parts: list[Fields]) -> None:
        self._forget()
        self._turn = None
        call_id = item.need("call_id", str)
        turn = self._unanswered.pop(call_id, None)
        if turn is None:
            item.drop(f"no call before it without a result has the id {call_id!r}")
            return
        texts = [part for part in parts if part["type"] == "text"]
        shown = [part for part in parts if part["type"] != "text"]
        if shown:
            self._losses.append(Loss(item.at("output"), "changed", "images and files go in a user message behind it"))
            texts = texts or [{"type": "text", "text": "The result stands in the next user message."}]
            turn.shown += [{"type": "text", "text": f"The result of call {call_id}:"}, *shown]
        turn.results.append({"role": "tool", "tool_call_id": call_id, "content": self._content(texts)})

    def _reasoning(self, item: Reading) -> None:
        self._forget()
        thought = unwrap(KIND, item.raw("encrypted_content")) or {}
        field, text = thought.get("field"), thought.get("text")
        if field in THOUGHT_FIELDS and isinstance(text, str):
            self._thought = _Thought(item.path, field, text)
            for key in ("summary", "content"):  # the same for people
                item.raw(key)
        else:
            item.drop("this provider takes back its own reasoning alone", is_hint=True)

    def _forget(self) -> None:
        if self._thought:
            self._hint(self._thought.path, "dropped", "reasoning goes back only with the call that it led to")
        self._thought = None

    def _tools(self, item: Reading) -> None:
        for key in ("tools", "role"):  # the toolbox has read them
            item.raw(key)

    def _search_trace(self, item: Reading) -> None:
        item.drop("what a search found stands in the answer after it", is_hint=True)

    def _compaction(self, item: Reading) -> None:
        raise wrong(item.path, "this provider can't compact a conversation. Ask for a summary in a user message")

    def _content(self, parts: list[Fields]) -> Any:
        """A string when all of it is text, else the list."""
        if any(part["type"] != "text" for part in parts):
            return parts
        if len(parts) > 1:
            self._hint("input[].content", "changed", "texts of one message are joined by a blank line")
        return _JOINT.join(part["text"] for part in parts)

    def _hint(self, path: str, what: str, why: str) -> None:
        """Told once, however many items it is true of."""
        loss = Loss(path, what, why, True)
        if loss not in self._hints:
            self._hints.add(loss)
            self._losses.append(loss)


_READERS: dict[str, Callable[[_Conversation, Reading], None]] = {
    "message": _Conversation._message,
    "reasoning": _Conversation._reasoning,
    "function_call": _Conversation._function_call,
    "custom_tool_call": _Conversation._custom_call,
    "tool_search_call": _Conversation._search_call,
    "local_shell_call": _Conversation._shell_call,
    "function_call_output": _Conversation._result,
    "custom_tool_call_output": _Conversation._result,
    "local_shell_call_output": _Conversation._result,
    "tool_search_output": _Conversation._search_result,
    "additional_tools": _Conversation._tools,
    "web_search_call": _Conversation._search_trace,
    "compaction_trigger": _Conversation._compaction,
}


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
