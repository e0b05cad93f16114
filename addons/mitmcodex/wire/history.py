"""A canonical conversation as turns of alternating roles, for providers that know nothing else (Messages, Gemini).

HistoryEncoder reads the items of ``input`` once for both: what opens as system or developer text is kept apart, texts
of one side are joined to one turn, each call has one result (repair.py), which stands in the turn right after it. A
protocol's own encoder overrides the hooks that write the parts of a turn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from mitmcodex.wire.codec import ACCOUNT_KEY, Loss
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.reading import Reading, wrong
from mitmcodex.wire.repair import repaired
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.toolbox import Tool, Toolbox, wrapped

USER, ASSISTANT = "user", "assistant"

_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^;,]*)*?;base64,", re.IGNORECASE)
_SILENT = ("id", "status", ACCOUNT_KEY)
"""Keys of items that belong to the service that made them."""


class Media(NamedTuple):
    """An image, a file or audio: its content (``data``, base64) or where it is (``url``)."""

    mime: str
    """ "" when nobody said."""
    data: str
    url: str
    name: str
    is_image: bool
    path: str

    def refused(self, why: str) -> WireError:
        return wrong(self.path, f"type {self.mime or 'unknown'}: {why}")


Piece = str | Media
"""Of a message or of a tool's output."""


class Call(NamedTuple):
    call_id: str
    name: str
    """For the provider."""
    arguments: Fields


@dataclass(slots=True)
class Turn:
    role: str
    """user | assistant"""
    results: list[Fields] = field(default_factory=list)
    """Of tools that the turn before called: they come first."""
    parts: list[Fields] = field(default_factory=list)


class _Item(Reading):
    hints = dict.fromkeys(("phase", "internal_chat_message_metadata_passthrough"), "a note for the ChatGPT backend") | {
        "prompt_cache_breakpoint": "the provider finds cached prompts by itself",
    }


class HistoryEncoder:
    """See the module's text. ``encode`` raises WireError for what it can't read."""

    def __init__(self, toolbox: Toolbox, losses: list[Loss]) -> None:
        self.system: list[str] = []
        self.turns: list[Turn] = []
        self._toolbox = toolbox
        self._losses = losses
        self._calls: dict[str, tuple[int, str]] = {}
        """Call without a result → the turn it was made in, the provider's name of the tool."""

    # -- hooks ------------------------------------------------------------------------------------

    def text(self, text: str) -> Fields:
        raise NotImplementedError

    def media(self, media: Media) -> Fields:
        """Raises WireError for what the provider can't see."""
        raise NotImplementedError

    def call(self, call: Call) -> Fields:
        raise NotImplementedError

    def result(self, turn: Turn, call_id: str, name: str, pieces: list[Piece]) -> None:
        """Writes a tool's output into the turn after the call."""
        raise NotImplementedError

    def thoughts(self, encrypted: Any) -> list[Fields] | None:
        """The parts that a reasoning item stands for; None when it is not of this provider."""
        raise NotImplementedError

    # -- the conversation -------------------------------------------------------------------------

    def encode(self, asked: Reading) -> None:
        """Takes ``instructions`` and ``input``."""
        instructions, items = asked.take("instructions", str), asked.raw("input")
        if instructions:
            self.system.append(instructions)
        if isinstance(items, str):
            items = [{"role": USER, "content": items}]
        if items is not None and not isinstance(items, list):
            raise wrong("input", "must be a text or a list")
        matched, losses = repaired(items or [])
        self._losses += losses
        for index, value in enumerate(matched):
            self._add(value, f"input[{index}]")
        self._open_with_user()

    def _add(self, value: Any, path: str) -> None:
        with _Item(value, path, self._losses) as item:
            for key in _SILENT:
                item.raw(key)
            kind = item.take("type", str) or "message"
            read = self._READERS.get(kind)
            if read is None:
                item.drop(f"this provider knows no item {kind!r}")
            else:
                read(self, item)

    def _open_with_user(self) -> None:
        """Both services want the user to begin."""
        if self.turns and self.turns[0].role == USER:
            return
        if self.turns:
            opening, why = "(The conversation goes on.)", "the provider wants a user's turn first: one stands before it"
            self.turns.insert(0, Turn(USER, parts=[self.text(opening)]))
        elif self.system:
            self.turns.append(Turn(USER, parts=[self.text(self.system.pop())]))
            why = "the provider wants a user's turn: the last system text goes as one"
        else:
            raise wrong("input", "is empty. Send at least one message")
        self._losses.append(Loss("input", "changed", why))

    def _turn(self, role: str) -> Turn:
        if not self.turns or self.turns[-1].role != role:
            self.turns.append(Turn(role))
        return self.turns[-1]

    # -- items ------------------------------------------------------------------------------------

    def _message(self, item: Reading) -> None:
        role, pieces = item.need("role", str), self._pieces(item, "content")
        if role in ("system", "developer"):
            self._instruct(pieces, item.path, role)
        elif role not in (USER, ASSISTANT):
            raise wrong(item.at("role"), f"{role!r} is none of user, assistant, system, developer")
        elif pieces:
            self._turn(role).parts += map(self._part, pieces)

    def _instruct(self, pieces: list[Piece], path: str, role: str) -> None:
        texts = [piece for piece in pieces if isinstance(piece, str)]
        for piece in pieces:
            if not isinstance(piece, str):
                self._losses.append(Loss(piece.path, "dropped", "the provider's system prompt is text alone"))
        if not self.turns:
            self.system += texts
        elif texts:
            told = "\n\n".join(texts)
            self._turn(USER).parts.append(self.text(f"<{role}>\n{told}\n</{role}>"))
            why = f"the provider takes no {role} message within a conversation: it goes as the user's"
            self._losses.append(Loss(path, "changed", why))

    def _function_call(self, item: Reading) -> None:
        raw = item.take("arguments", str) or "{}"
        arguments = _object_of(raw)
        if arguments is None:  # the model broke it off
            arguments = {"arguments": raw}
            self._losses.append(Loss(item.at("arguments"), "changed", "no JSON object: goes as a text within one"))
        self._declared_call(item, "function", arguments)

    def _custom_call(self, item: Reading) -> None:
        arguments = _object_of(wrapped(item.take("input", str) or ""))
        self._declared_call(item, "custom", arguments or {})

    def _declared_call(self, item: Reading, kind: str, arguments: Fields) -> None:
        tool = Tool(kind, item.need("name", str), item.take("namespace", str) or "")
        self._call(item, tool, arguments)

    def _search_call(self, item: Reading) -> None:
        if item.take("execution", str) != "client":
            item.drop("the provider can't search tools")
            return
        self._call(item, Tool("tool_search", "tool_search"), item.take("arguments", dict) or {})

    def _shell_call(self, item: Reading) -> None:
        action = {key: value for key, value in item.need("action", dict).items() if value is not None and key != "type"}
        self._call(item, Tool("local_shell", "local_shell"), action)

    def _call(self, item: Reading, tool: Tool, arguments: Fields) -> None:
        call_id, name = item.need("call_id", str), self._toolbox.name(tool)
        self._turn(ASSISTANT).parts.append(self.call(Call(call_id, name, arguments)))
        self._calls[call_id] = len(self.turns) - 1, name

    def _output(self, item: Reading) -> None:
        item.raw("name")  # that of the call
        self._answer(item, self._pieces(item, "output"))

    def _search_output(self, item: Reading) -> None:
        for key in ("execution", "tools"):  # the toolbox has read them
            item.raw(key)
        self._answer(item, ["The tools that were found can be called."])

    def _answer(self, item: Reading, pieces: list[Piece]) -> None:
        call_id = item.need("call_id", str)
        index, name = self._calls.pop(call_id, (-1, ""))
        if not name:
            item.drop(f"no call before it without a result has the id {call_id!r}")
            return
        if index + 1 == len(self.turns):
            self.turns.append(Turn(USER))
        self.result(self.turns[index + 1], call_id, name, pieces)

    def _reasoning(self, item: Reading) -> None:
        for key in ("summary", "content"):  # the provider reads what it has signed, not what it has shown
            item.raw(key)
        parts = self.thoughts(item.raw("encrypted_content"))
        if parts is None:
            item.drop("this provider takes back its own reasoning alone", is_hint=True)
        elif parts:
            self._turn(ASSISTANT).parts += parts

    def _web_search(self, item: Reading) -> None:
        item.drop("what a search found is not kept, and the provider wants no search without it", is_hint=True)

    def _tools(self, item: Reading) -> None:
        for key in ("tools", "role"):  # the toolbox has read them
            item.raw(key)

    def _compaction(self, item: Reading) -> None:
        raise wrong(item.path, "this provider can't compact a conversation. Ask for a summary in a user message")

    # -- parts ------------------------------------------------------------------------------------

    def _part(self, piece: Piece) -> Fields:
        return self.text(piece) if isinstance(piece, str) else self.media(piece)

    def _pieces(self, item: Reading, key: str) -> list[Piece]:
        """Texts that say something, images and files in their order."""
        content = item.raw(key)
        if isinstance(content, str):
            return [content] if content.strip() else []
        if content is not None and not isinstance(content, list):
            raise wrong(item.at(key), "must be a text or a list")
        pieces: list[Piece] = []
        for index, value in enumerate(content or []):
            with _Item(value, f"{item.at(key)}[{index}]", self._losses) as part:
                kind = part.need("type", str)
                read_part = _PARTS.get(kind)
                if read_part is None:
                    part.drop(f"this provider takes no {kind}")
                else:
                    pieces.append(read_part(part))
        # White space alone is no content to Messages, which refuses it.
        return [piece for piece in pieces if not isinstance(piece, str) or piece.strip()]

    _READERS: ClassVar[dict[str, Callable[[Any, Reading], None]]] = {
        "message": _message,
        "reasoning": _reasoning,
        "function_call": _function_call,
        "custom_tool_call": _custom_call,
        "tool_search_call": _search_call,
        "local_shell_call": _shell_call,
        "function_call_output": _output,
        "custom_tool_call_output": _output,
        "local_shell_call_output": _output,
        "tool_search_output": _search_output,
        "web_search_call": _web_search,
        "additional_tools": _tools,
        "compaction_trigger": _compaction,
    }


def _text(part: Reading) -> Piece:
    for key in ("annotations", "logprobs"):
        if part.raw(key):  # an empty list says nothing
            part.lose(key, "the provider takes none back", is_hint=True)
    return part.need("text", str)


def _refusal(part: Reading) -> Piece:
    part.losses.append(Loss(part.path, "mapped", "a refusal goes as text", True))
    return part.need("refusal", str)


def _image(part: Reading) -> Piece:
    if part.raw("detail") != "auto":
        part.lose("detail", "the provider chooses the resolution", is_hint=True)
    return _source(part, part.take("image_url", str), "image_url")


def _file(part: Reading) -> Piece:
    data, url = part.take("file_data", str), part.take("file_url", str)
    if data and not data.startswith("data:"):
        data = f"data:;base64,{data}"
    media = _source(part, data or url, "file_data" if data else "file_url")
    return media._replace(is_image=False, name=part.take("filename", str) or "")


def _audio(part: Reading) -> Piece:
    with Reading(part.need("input_audio", dict), part.at("input_audio"), part.losses) as audio:
        mime = f"audio/{audio.need('format', str)}"
        return Media(mime, audio.need("data", str), "", "", False, part.path)


_PARTS: dict[str, Callable[[Reading], Piece]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}


def _source(part: Reading, given: str | None, key: str) -> Media:
    """Raises WireError when there is neither content nor an address that the provider could follow."""
    if not given and part.raw("file_id") is not None:
        raise wrong(part.at("file_id"), "names a file kept at OpenAI, which this provider can't read. Send its content")
    if match := _DATA_URL.match(given or ""):
        return Media(match[1].lower(), (given or "")[match.end() :], "", "", True, part.path)
    if given and given.startswith(("https://", "http://")):
        return Media("", "", given, "", True, part.path)
    raise wrong(part.at(key), "must be a data URL (data:<type>;base64,…) or an http(s) address")


def _object_of(text: str) -> Fields | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
