"""Providers of kind messages and gemini: what becomes of each stream and each request, and the laws of a decoder.

golden/upstream_KIND/CASE.stream.txt is the service's answer to request.json, CASE.canonical.txt the canonical stream.
requests/CASE: a canonical request, the service's, the losses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mitmcodex.wire import REVERSES
from mitmcodex.wire.codec import Decoded, Extra
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.fold import Folder
from mitmcodex.wire.gemini_upstream_reply import GeminiDecoder
from mitmcodex.wire.messages_upstream_reply import MessagesDecoder
from mitmcodex.wire.shapes import TERMINAL
from mitmcodex.wire.sse import FrameSplitter, event_of, event_type
from support.records import Connection, Request
from support.strictness_gemini import gemini_problems
from support.strictness_messages import messages_problems

FOLDER = Path(__file__).parent
KINDS = {"messages": MessagesDecoder, "gemini": GeminiDecoder}
POST = Request("POST", "/v1/messages", [("anthropic-version", "2023-06-01")], b"", "HTTP/1.1", Connection(1, 0.0))
PROBLEMS = {"messages": messages_problems, "gemini": gemini_problems}


class Case(NamedTuple):
    kind: str
    name: str

    @property
    def data(self) -> bytes:
        return (FOLDER / f"upstream_{self.kind}" / f"{self.name}.stream.txt").read_bytes()

    @property
    def is_cut(self) -> bool:
        return self.name.startswith("cut-")


def found(pattern: str, suffix: str) -> list[Case]:
    return [
        Case(kind, path.name.removesuffix(suffix))
        for kind in KINDS
        for path in sorted((FOLDER / f"upstream_{kind}").glob(pattern))
    ]


STREAMS = found("*.stream.txt", ".stream.txt")
REQUESTS = found("requests/*", "")
each_stream = pytest.mark.parametrize("case", STREAMS, ids="-".join)


def request_of(kind: str) -> Decoded:
    return Decoded(json.loads((FOLDER / f"upstream_{kind}" / "request.json").read_bytes()))


def decoded(case: Case, chunks: list[bytes]) -> bytes:
    ids = count(1)
    decoder = KINDS[case.kind](request_of(case.kind), lambda: f"{next(ids):08x}")
    return b"".join([*map(decoder.feed, chunks), decoder.finish()])


def folded(data: bytes) -> dict[str, Any]:
    folder = Folder()
    folder.feed(data)
    return folder.result()


@each_stream
def test_canonical_stream(case, golden):
    """Byte for byte the canonical stream."""
    golden(FOLDER / f"upstream_{case.kind}" / f"{case.name}.canonical.txt", decoded(case, [case.data]))


@each_stream
def test_law_cuts_do_not_matter(case):
    """The service's bytes cut at any place, or into single bytes, give the same canonical stream."""
    expected = decoded(case, [case.data])
    assert decoded(case, [case.data[at : at + 1] for at in range(len(case.data))]) == expected
    for cut in range(1, len(case.data)):
        assert decoded(case, [case.data[:cut], case.data[cut:]]) == expected, cut


@each_stream
def test_law_one_terminal_event_unless_cut(case):
    """A stream with its proper end has exactly one terminal event, the last; one that was cut has none."""
    events = [event_type(frame) for frame in FrameSplitter().feed(decoded(case, [case.data]))]
    ends = [name for name in events if name in TERMINAL]
    assert ends == ([] if case.is_cut else events[-1:])


@pytest.mark.parametrize("case", [case for case in STREAMS if not case.is_cut], ids="-".join)
def test_law_the_whole_answer_says_the_same(case):
    """The answer without stream, made of the same pieces, is the folded stream but for its ids; so is a failure."""
    whole = WHOLE[case.kind](events(case.data))
    try:
        expected = without_ids(folded(decoded(case, [case.data])))
    except WireError as error:
        with pytest.raises(WireError) as caught:
            REVERSES[case.kind].decode_response(whole, request_of(case.kind))
        assert caught.value.as_object() == error.as_object()
    else:
        assert without_ids(REVERSES[case.kind].decode_response(whole, request_of(case.kind))) == expected


@pytest.mark.parametrize("case", REQUESTS, ids="-".join)
def test_request(case, golden):
    """A canonical request as the service gets it, which has nothing to complain of, and each loss."""
    folder = FOLDER / f"upstream_{case.kind}" / "requests" / case.name
    asked = json.loads((folder / "request.json").read_bytes())
    extras = {name: Extra(*value) for name, value in asked.get("extras", {}).items()}
    stop, paths = tuple(asked.get("stop", ())), asked.get("paths", {})
    try:
        encoded = REVERSES[case.kind].encode_request(Decoded(asked["fields"], stop=stop, extras=extras, paths=paths))
    except WireError as error:
        golden(folder / "error.json", shown(error.as_object()))
        return
    fields = {key: value for key, value in encoded.fields.items() if key != "stream"}
    assert [*PROBLEMS[case.kind](POST, fields)] == []
    golden(folder / "encoded.json", shown(encoded.fields))
    golden(folder / "losses.json", shown([loss._asdict() for loss in encoded.losses]))


def shown(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def events(data: bytes) -> Iterator[dict[str, Any]]:
    return (event_of(frame) or {} for frame in FrameSplitter().feed(data + b"\n\n"))


def whole_message(stream: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """What the service would have answered without stream, as anthropic's SDK accumulates it."""
    message: dict[str, Any] = {}
    raw: dict[int, str] = {}
    for event in stream:
        match event:
            case {"type": "error"}:
                return event
            case {"type": "message_start"}:
                message = {"usage": {}, **event["message"]}
            case {"type": "content_block_start"}:
                message["content"].append({**event["content_block"]})
            case {"type": "content_block_delta", "delta": delta}:
                add_delta(message["content"][-1], delta, raw, event["index"])
            case {"type": "message_delta", "delta": delta}:
                message |= delta
                message["usage"] |= event.get("usage", {})
    for place, text in raw.items():
        message["content"][place]["input"] = as_input(text)
    return message


def add_delta(block: dict[str, Any], delta: dict[str, Any], raw: dict[int, str], place: int) -> None:
    match delta:
        case {"type": "input_json_delta", "partial_json": piece}:
            raw[place] = raw.get(place, "") + piece
        case {"type": "citations_delta"}:
            block["citations"] = [*block.get("citations", []), delta["citation"]]
        case _:
            for key in ("text", "thinking", "signature"):
                if key in delta:
                    block[key] = block.get(key, "") + delta[key]


def as_input(text: str) -> Any:
    """A service can only send whole what is JSON; what is none stays a text, to be compared all the same."""
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


def whole_content(stream: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """All parts of the first candidate in one answer."""
    answer: dict[str, Any] = {}
    first: dict[str, Any] = {}
    parts: list[Any] = []
    for chunk in stream:
        answer |= chunk
        candidate = (chunk.get("candidates") or [{}])[0]
        parts += (candidate.get("content") or {}).get("parts", [])
        first |= candidate
    if "candidates" in answer:
        answer["candidates"] = [{**first, "content": {"parts": parts}}]
    return answer


WHOLE = {"messages": whole_message, "gemini": whole_content}


def without_ids(response: dict[str, Any]) -> Any:
    """And with arguments as what they say: a stream has them as the service spaced them."""
    kept = {key: value for key, value in response.items() if key != "id"}
    output = [{**item, "id": "", "call_id": ""} for item in response["output"]]
    return kept | {"output": [{**item, "arguments": said_in(item.get("arguments"))} for item in output]}


def said_in(arguments: Any) -> Any:
    return json.loads(arguments) if isinstance(arguments, str) else arguments
