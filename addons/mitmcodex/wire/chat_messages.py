"""Chat Completions, decode: ``messages`` → canonical ``input`` items, in their order (conformance 16 to 19)."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NamedTuple

from mitmcodex.wire.chat_content import decode_heard, decode_spoken
from mitmcodex.wire.chat_reading import ChatReading, one_of
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.shapes import Fields


def decode_messages(body: ChatReading) -> list[Fields]:
    """Raises WireError for what is no list of messages."""
    if not body.need("messages", list):
        raise wrong("messages", "is empty; send at least one message")
    conversation = _Conversation()
    for message in body.objects("messages"):
        conversation.add(message)
    return conversation.items


class _Call(NamedTuple):
    """A call of the last assistant turn that has no result yet."""

    call_id: str
    name: str


class _Conversation:
    def __init__(self) -> None:
        self.items: list[Fields] = []
        self._open: list[_Call] = []
        self._custom: set[str] = set()
        """Ids of custom calls: a result is of the family of its call (conformance 6)."""

    def add(self, message: ChatReading) -> None:
        role = one_of(message.need("role", str), self._ROLES, message.at("role"))
        self._ROLES[role](self, message)

    # -- roles ------------------------------------------------------------------------------------

    def _told(self, message: ChatReading) -> None:
        parts = decode_heard(message)
        message.lose("name", "canonical messages don't name who speaks")
        if parts:
            self._say(message.need("role", str), parts)
        else:
            message.drop("it has no content", is_hint=True)

    def _assistant(self, message: ChatReading) -> None:
        """Text and refusal first, then the calls, as the model said them. Empty content is common (pains.md P25)."""
        parts = decode_spoken(message)
        if refusal := message.take("refusal", str):
            parts.append({"type": "refusal", "refusal": refusal})
        if parts:
            self._say("assistant", parts)
        message.lose("name", "canonical messages don't name who speaks")
        message.lose("images", "the assistant's are not replayed; send them as image_url parts of a user message")
        if message.take("tool_calls", list):
            self._open = []
        for call in message.objects("tool_calls"):
            self._tool_call(call)
        if message.raw("function_call") is not None:
            self._open = []
            self._function_call(message)

    def _tool(self, message: ChatReading) -> None:
        message.raw("name")  # the call's id tells it too
        self._result(message, message.take("tool_call_id", str) or self._waiting(message))

    def _function(self, message: ChatReading) -> None:
        self._result(message, self._waiting(message, message.need("name", str)))

    _ROLES: ClassVar[dict[str, Callable[[_Conversation, ChatReading], None]]] = {
        "system": _told,
        "developer": _told,
        "user": _told,
        "assistant": _assistant,
        "tool": _tool,
        "function": _function,
    }

    def _say(self, role: str, parts: list[Fields]) -> None:
        self.items.append({"type": "message", "role": role, "content": parts})

    # -- calls and their results ------------------------------------------------------------------

    def _tool_call(self, call: ChatReading) -> None:
        call.raw("index")  # left by clients that fold streams
        is_custom = one_of(call.take("type", str) or "function", ("function", "custom"), call.at("type")) == "custom"
        call_id = call.take("id", str) or _made_id(call)
        if any(call_id == other.call_id for other in self._open):
            call.drop(f"a second call of its message has the id {call_id!r}: no result could be told to be its own")
            return
        with call.inner("custom" if is_custom else "function") as body:
            name = body.need("name", str)
            if is_custom:
                self._custom.add(call_id)
                text = body.take("input", str) or ""
                self._call({"type": "custom_tool_call", "call_id": call_id, "name": name, "input": text})
            else:
                self._custom.discard(call_id)  # an id may come again in a later round
                text = body.take("arguments", str) or ""
                self._call({"type": "function_call", "call_id": call_id, "name": name, "arguments": text})

    def _function_call(self, message: ChatReading) -> None:
        with message.inner("function_call") as body:
            name, arguments = body.need("name", str), body.take("arguments", str) or ""
            self._call({"type": "function_call", "call_id": _made_id(body), "name": name, "arguments": arguments})

    def _call(self, item: Fields) -> None:
        self.items.append(item)
        self._open.append(_Call(item["call_id"], item["name"]))

    def _waiting(self, message: ChatReading, name: str = "") -> str:
        """The call that a result without id answers: the first open one, of that name if it is told. A result without
        any call keeps an id of its own: what becomes of an orphan depends on the provider."""
        found = next((call for call in self._open if not name or call.name == name), None)
        return found.call_id if found else _made_id(message)

    def _result(self, message: ChatReading, call_id: str) -> None:
        content = message.raw("content")
        output = content if isinstance(content, str) else decode_heard(message) or ""
        kind = "custom_tool_call_output" if call_id in self._custom else "function_call_output"
        self.items.append({"type": kind, "call_id": call_id, "output": output})
        self._open = [call for call in self._open if call.call_id != call_id]


def _made_id(value: ChatReading) -> str:
    """The id of a call that has none: unique in its request, and the same in the conversation's next one, so that the
    provider's cache holds (conformance 19). ``messages[2].tool_calls[0]`` → ``call_2_0``."""
    numbers = "".join(char if char.isdigit() else " " for char in value.path).split()
    return "_".join(["call", *numbers])
