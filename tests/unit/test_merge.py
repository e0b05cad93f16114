"""Parallel answers as one: streams as they come, whole answers added up (conformance 23)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mitmcodex.wire import CODECS
from mitmcodex.wire.codec import Asked, Decoded, ReplyContext
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.merge import FORMS, StreamMerge, error_of
from support.events import ev_completed, ev_created, ev_message_done, ev_text_delta, sse

USER = {"role": "user", "content": "hi"}
CHAT = {"model": "m", "messages": [USER], "n": 2, "stream": True, "stream_options": {"include_usage": True}}
GEMINI = {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"candidateCount": 2}}
IMAGES = {"prompt": "a cat", "n": 2, "stream": True}


def decoded(protocol: str, query: str = "alt=sse") -> Decoded:
    fields, action = {
        "chat": (CHAT, ""),
        "gemini": (GEMINI, "streamGenerateContent"),
        "images": (IMAGES, "generations"),
    }[protocol]
    return CODECS[protocol].decode_request(json.loads(json.dumps(fields)), Asked("m", action, query))


def context(choice: int) -> ReplyContext:
    return ReplyContext(model="m", choice=choice, now_ns=lambda: choice * 10**9, new_id=lambda: f"{choice}" * 32)


def encoders(protocol: str, query: str = "alt=sse") -> list[Any]:
    """Two parts with one head, as the stage leaves them."""
    head: dict[str, Any] = {}
    made: list[Any] = [CODECS[protocol].encoder(decoded(protocol, query), context(choice)) for choice in (0, 1)]
    for encoder in made:
        if FORMS[protocol].has_head:
            encoder.head = head
    return made


def streamed(protocol: str, query: str = "alt=sse") -> bytes:
    """Both parts say two words each, by turns; the second ends first."""
    parts, merge = encoders(protocol, query), StreamMerge(FORMS[protocol], 2)
    told = []
    for event in (ev_created("r"), ev_text_delta("a"), ev_text_delta("b")):
        told += [merge.piece(part.feed(sse([event]))) for part in parts]
    for choice in (1, 0):
        told.append(merge.piece(parts[choice].feed(sse([ev_completed("r")]))))
        told.append(merge.piece(parts[choice].finish()))
        assert not merge.is_over
        told.append(merge.end(choice, parts[choice]))
    assert merge.is_over
    return b"".join(told)


def data_of(body: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]


def texts(chunks: list[Any], key: str) -> dict[int, str]:
    found: dict[int, str] = {}
    for entry in (entry for chunk in chunks for entry in chunk.get(key, ())):
        delta = entry.get("delta", {}).get("content") or ""
        parts = "".join(part.get("text", "") for part in entry.get("content", {}).get("parts", ()))
        found[entry["index"]] = found.get(entry["index"], "") + delta + parts
    return found


def test_chat_choices_interleave_in_one_stream() -> None:
    """One id and time in all chunks, one usage chunk with the sum, one [DONE] (conformance 1, 8, 23)."""
    body = streamed("chat")
    chunks = data_of(body)
    assert texts(chunks, "choices") == {0: "ab", 1: "ab"}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    assert [chunk["usage"]["total_tokens"] for chunk in chunks if chunk["usage"]] == [22]
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]
    assert body.endswith(b"data: [DONE]\n\n") and body.count(b"[DONE]") == 1


@pytest.mark.parametrize("query", ["alt=sse", ""], ids=["events", "array"])
def test_gemini_candidates_interleave_in_one_stream(query: str) -> None:
    """One response id, the usage of all in the last chunk alone, which has a part; an array is one array."""
    body = streamed("gemini", query)
    chunks = data_of(body) if query else json.loads(body)
    assert texts(chunks, "candidates") == {0: "ab", 1: "ab"}
    assert len({chunk["responseId"] for chunk in chunks}) == 1
    assert [chunk.get("usageMetadata", {}).get("totalTokenCount") for chunk in chunks][-2:] == [None, 22]
    assert chunks[-1]["candidates"][0]["content"]["parts"] == [{"text": ""}]
    ends = [entry["finishReason"] for chunk in chunks for entry in chunk["candidates"] if "finishReason" in entry]
    assert ends == ["STOP", "STOP"]


def test_a_keepalive_is_not_the_first_chunk() -> None:
    """Of an array the bracket comes with the first chunk, whatever white space was before."""
    part, merge = encoders("gemini", "")[1], StreamMerge(FORMS["gemini"], 2)
    body = merge.piece(part.idle()) + merge.piece(part.feed(sse([ev_created(), ev_text_delta("a")])))
    assert body.startswith(b' [{"candidates"')


@pytest.mark.parametrize(("protocol", "query"), [("chat", ""), ("gemini", "alt=sse"), ("gemini", ""), ("images", "")])
@pytest.mark.parametrize("is_told", [True, False])
def test_a_failure_ends_the_stream(protocol: str, query: str, is_told: bool) -> None:
    """In the protocol's own way, whether the part's encoder has told it already or it was answered with an error."""
    parts, merge = encoders(protocol, query), StreamMerge(FORMS[protocol], 2)
    body = merge.piece(parts[0].feed(sse([ev_created(), ev_text_delta("a")])))
    error = error_of(429, {"error": {"message": "slow down", "type": "rate_limit_error", "code": "busy"}})
    if is_told:
        body += merge.piece(parts[1].fail(error)) + merge.end(1, parts[1])
    else:
        body += merge.fail(parts[1], error)
    assert merge.is_over
    last = json.loads(body)[-1] if (protocol, query) == ("gemini", "") else data_of(body)[-1]
    assert last["error"]["message"] == "slow down"
    assert body.endswith(b"data: [DONE]\n\n") == (protocol == "chat")
    if protocol == "chat":
        assert last["error"]["type"] == "rate_limit_error" and last["error"]["code"] == "busy"


def whole(protocol: str, choice: int) -> Any:
    response = {**ev_completed("r")["response"], "output": [ev_message_done(f"say {choice}")["item"]]}
    if protocol == "images":
        response["output"] = [{"type": "image_generation_call", "result": f"say {choice}"}]
    return CODECS[protocol].encode_response(response, decoded(protocol), context(choice))


@pytest.mark.parametrize(
    ("protocol", "key", "usage", "total"),
    [
        ("chat", "choices", "usage", "total_tokens"),
        ("gemini", "candidates", "usageMetadata", "totalTokenCount"),
        ("images", "data", "usage", "total_tokens"),
    ],
)
def test_whole_answers_become_one(protocol: str, key: str, usage: str, total: str) -> None:
    """All entries in their order, with the usage of all."""
    joined = FORMS[protocol].whole([whole(protocol, 0), whole(protocol, 1)])
    assert [f"say {place}" in json.dumps(entry) for place, entry in enumerate(joined[key])] == [True, True]
    assert [entry.get("index") for entry in joined[key]] == ([0, 1] if key != "data" else [None, None])
    assert joined[usage][total] == 22


@pytest.mark.parametrize("body", [None, [], {}, {"error": "x"}, {"error": {"message": 1}}])
def test_an_answer_without_a_message_is_told_by_its_status(body: Any) -> None:
    """Whatever a part was answered with."""
    error = error_of(418, body)
    assert isinstance(error, WireError) and "418" in error.message and error.status == 418
