"""From a Chat Completions service: the pieces of its tool calls → calls of a canonical stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from mitmcodex.wire.lenient import text_of
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.toolbox import Tool, Toolbox, unwrapped
from mitmcodex.wire.writer import ResponseWriter


class _Call:
    def __init__(self, number: int) -> None:
        self.number = number
        self.id = ""
        """As the service gave it, perhaps never."""
        self.name = ""
        self.tool: Tool | None = None
        """Known once its name is; before that the call has not begun."""
        self.pieces: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def is_another(self, given_id: str, name: str, arguments: str) -> bool:
        """Whether this piece at the same index begins a new call: Ollama and Gemini's compatible service give each
        whole call index 0, some with empty ids. vLLM repeats the id in each piece, and that is the same call."""
        if given_id and self.id:
            return given_id != self.id and bool(name)
        is_closed = bool(self.pieces) and self.pieces[-1].rstrip().endswith("}")  # parsing each time would be square
        return bool(name and arguments and self.name) and is_closed and _is_object(self.text)


class CallReader:
    """Feeds the calls of one answer to the writer."""

    def __init__(self, toolbox: Toolbox, writer: ResponseWriter, new_id: Callable[[], str]) -> None:
        self._toolbox = toolbox
        self._writer = writer
        self._new_id = new_id
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._has_ended = False

    def read(self, piece: Fields) -> bytes:
        """One entry of ``tool_calls``, or a legacy ``function_call`` as one."""
        if self._has_ended:
            return b""
        function = piece.get("function")
        if not isinstance(function, dict):
            return b""
        given_id, name = text_of(piece.get("id")), text_of(function.get("name"))
        arguments = _arguments(function.get("arguments"))
        call = self._call(piece.get("index"), given_id, name, arguments)
        call.id = call.id or given_id
        sent = b""
        if call.tool is None and name:
            sent = self._begin(call, name)
            arguments = call.text + arguments
            call.pieces.clear()
        if not arguments:
            return sent
        call.pieces.append(arguments)
        if call.tool is not None and call.tool.kind == "function":
            sent += self._writer.call_delta(call.number, arguments)
        return sent

    def end(self, *, is_cut: bool) -> bytes:
        """``is_cut``: the answer ended at a limit; a call whose arguments are not whole then stays unfinished."""
        if self._has_ended:
            return b""
        self._has_ended = True
        return b"".join([self._end(call, is_cut) for call in self._calls if call.tool is not None])

    def _call(self, index: Any, given_id: str, name: str, arguments: str) -> _Call:
        if isinstance(index, int):
            held = self._by_index.get(index)
            if held is None or held.is_another(given_id, name, arguments):
                held = self._by_index[index] = self._new()
            return held
        if given_id:
            known = [call for call in self._calls if call.id == given_id]
            return known[0] if known else self._new()
        return self._new() if name or not self._calls else self._calls[-1]

    def _new(self) -> _Call:
        self._calls.append(_Call(len(self._calls)))
        return self._calls[-1]

    def _begin(self, call: _Call, name: str) -> bytes:
        call.name, call.tool = name, self._toolbox.tool(name)
        call.id = call.id or f"call_{self._new_id()}"
        if call.tool.kind not in ("function", "custom"):
            return b""
        is_custom, namespace = call.tool.kind == "custom", call.tool.namespace
        return self._writer.call_begin(call.number, call.id, call.tool.name, is_custom=is_custom, namespace=namespace)

    def _end(self, call: _Call, is_cut: bool) -> bytes:
        assert call.tool is not None
        if is_cut and not _is_object(call.text):
            return b""
        if call.tool.kind == "function":
            empty = b"" if call.text.strip() else self._writer.call_delta(call.number, "{}")
            return empty + self._writer.call_end(call.number)
        if call.tool.kind == "custom":
            given = self._writer.call_delta(call.number, unwrapped(call.text))
            return given + self._writer.call_end(call.number)
        return self._writer.item(_client_call(call.tool.kind, call.id, call.text))


def _client_call(kind: str, call_id: str, text: str) -> Fields:
    """A call of a tool that is the client's own item type (protocol.md 2.4)."""
    try:
        arguments = json.loads(text or "{}")
    except (ValueError, RecursionError):
        arguments = {}
    if kind == "local_shell":
        return {"type": "local_shell_call", "call_id": call_id, "status": "completed", "action": _action(arguments)}
    known = {"type": "tool_search_call", "call_id": call_id, "execution": "client", "status": "completed"}
    return {**known, "arguments": arguments}


def _action(arguments: Any) -> Fields:
    given = arguments if isinstance(arguments, dict) else {}
    return {"env": {}, "command": [], **given, "type": "exec"}


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _arguments(value: Any) -> str:
    """JSON text; some services send the object itself."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else text_of(value)
