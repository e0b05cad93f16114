"""Each stream of a Chat Completions service in golden/upstream_chat: what becomes of it, and the laws of a decoder.

CASE.stream.txt is the service's answer, CASE.canonical.txt the canonical stream. Each answers golden/upstream_chat/
request.json, a canonical request with every kind of tool. requests/CASE holds a canonical request, what the service
gets of it, and the losses.
"""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from mitmcodex.wire.chat_upstream import encode_request
from mitmcodex.wire.chat_upstream_reply import ChatDecoder, decode_response
from mitmcodex.wire.codec import Decoded, Extra
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.fold import Folder
from mitmcodex.wire.shapes import TERMINAL
from mitmcodex.wire.sse import FrameSplitter, event_of, event_type
from support.records import Connection, Request
from support.strictness_chat import chat_problems

FOLDER = Path(__file__).parent / "upstream_chat"
CASES = sorted(path.name.removesuffix(".stream.txt") for path in FOLDER.glob("*.stream.txt"))
CUT = {"cut-in-text", "cut-in-call", "cut-in-reasoning", "cut-before-anything"}


POST = Request("POST", "/v1/chat/completions", [], b"", "HTTP/1.1", Connection(1, 0.0))
REQUESTS = sorted(path.name for path in (FOLDER / "requests").iterdir())


def request() -> Decoded:
    return Decoded(json.loads((FOLDER / "request.json").read_bytes()))


def decoded(chunks: list[bytes]) -> bytes:
    ids = count(1)
    decoder = ChatDecoder(request(), lambda: f"{next(ids):08x}")
    return b"".join([*map(decoder.feed, chunks), decoder.finish()])


def provider(case: str) -> bytes:
    return (FOLDER / f"{case}.stream.txt").read_bytes()


def folded(data: bytes) -> dict[str, Any]:
    folder = Folder()
    folder.feed(data)
    return folder.result()


@pytest.mark.parametrize("case", CASES)
def test_canonical_stream(case, golden):
    """Byte for byte the canonical stream."""
    golden(FOLDER / f"{case}.canonical.txt", decoded([provider(case)]))


@pytest.mark.parametrize("case", CASES)
def test_law_cuts_do_not_matter(case):
    """The service's bytes cut at any place, or into single bytes, give the same canonical stream."""
    data = provider(case)
    expected = decoded([data])
    assert decoded([data[at : at + 1] for at in range(len(data))]) == expected
    for cut in range(1, len(data)):
        assert decoded([data[:cut], data[cut:]]) == expected, cut


@pytest.mark.parametrize("case", CASES)
def test_law_one_terminal_event_unless_cut(case):
    """A stream with its proper end has exactly one terminal event, the last; one that was cut has none."""
    events = [event_type(frame) for frame in FrameSplitter().feed(decoded([provider(case)]))]
    ends = [name for name in events if name in TERMINAL]
    assert ends == ([] if case in CUT else events[-1:])


@pytest.mark.parametrize("case", [case for case in CASES if case not in CUT])
def test_law_the_whole_answer_says_the_same(case):
    """The answer without stream, made of the same chunks, is the folded stream but for its ids; so is a failure."""
    whole = _whole(provider(case))
    try:
        expected = _without_ids(folded(decoded([provider(case)])))
    except WireError as error:
        with pytest.raises(WireError) as caught:
            decode_response(whole, request())
        assert caught.value.as_object() == error.as_object()
    else:
        assert _without_ids(decode_response(whole, request())) == expected


@pytest.mark.parametrize("case", REQUESTS)
def test_request(case, golden):
    """A canonical request as a Chat Completions service gets it, which has nothing to complain of, and each loss."""
    folder = FOLDER / "requests" / case
    asked = json.loads((folder / "request.json").read_bytes())
    extras = {name: Extra(*value) for name, value in asked.get("extras", {}).items()}
    stop, paths = tuple(asked.get("stop", ())), asked.get("paths", {})
    try:
        encoded = encode_request(Decoded(asked["fields"], stop=stop, extras=extras, paths=paths))
    except WireError as error:
        golden(folder / "error.json", _shown(error.as_object()))
        return
    assert [*chat_problems(POST, encoded.fields)] == []
    golden(folder / "encoded.json", _shown(encoded.fields))
    golden(folder / "losses.json", _shown([loss._asdict() for loss in encoded.losses]))


def _shown(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _whole(data: bytes) -> dict[str, Any]:
    """What the service would have answered without stream, as an SDK accumulates it."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    answer: dict[str, Any] = {"object": "chat.completion", "choices": [{"index": 0, "message": message}]}
    for frame in FrameSplitter().feed(data + b"\n\n"):
        chunk = event_of(frame) or {}
        answer |= {key: chunk[key] for key in ("created", "usage", "error") if chunk.get(key)}
        for choice in chunk.get("choices") or []:
            if choice.get("index"):
                continue
            _add(message, choice.get("delta") or {})
            answer["choices"][0] |= {key: choice[key] for key in ("finish_reason", "error") if choice.get(key)}
    return answer


def _add(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for key, value in delta.items():
        if key == "tool_calls":
            for piece in value or []:
                _add_call(message.setdefault(key, []), piece)
        elif isinstance(value, str) and key != "role":
            message[key] = (message.get(key) or "") + value
        elif isinstance(value, list):
            message[key] = (message.get(key) or []) + value
        elif isinstance(value, dict):
            _add(message.setdefault(key, {}), value)


def _add_call(calls: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    """A new id or a second name begins a call; else the index says which call the piece belongs to."""
    call_id, function = piece.get("id") or "", piece["function"]
    place = next((call for call in calls if call_id and call["id"] == call_id), None)
    if place is None and (call_id or not calls or (function.get("name") and calls[-1]["function"]["name"])):
        place = {"id": call_id, "type": "function", "function": {"name": "", "arguments": ""}}
        calls.append(place)
    told = (place or calls[piece.get("index", -1)])["function"]
    told["name"] = told["name"] or function.get("name") or ""
    told["arguments"] += function.get("arguments") or ""


def _without_ids(response: dict[str, Any]) -> Any:
    kept = {key: value for key, value in response.items() if key != "id"}
    return kept | {"output": [{**item, "id": "", "call_id": ""} for item in response["output"]]}
