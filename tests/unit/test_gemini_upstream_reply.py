"""wire/gemini_upstream_reply.py. Each stream in golden/upstream_gemini is checked byte for byte, at each cut."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from mitmcodex.wire import gemini_upstream_reply, verdict
from mitmcodex.wire.codec import Decoded
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.fold import Folder
from mitmcodex.wire.gemini_upstream_reply import GeminiDecoder, decode_response
from mitmcodex.wire.sse import FrameSplitter, event_of
from support import gemini_answers as gemini
from support.answer_parts import PAIR, Usage
from support.answers import Answer, Data

REQUEST = Decoded({"model": "gemini-3-pro", "tools": [{"type": "function", "name": "weather"}]})


def decoded(answer: Answer) -> bytes:
    decoder = GeminiDecoder(REQUEST)
    steps = [decoder.feed(step.data) for step in answer if isinstance(step, Data)]
    return b"".join([*steps, decoder.finish()])


def folded(answer: Answer) -> dict[str, Any]:
    folder = Folder()
    folder.feed(decoded(answer))
    return folder.result()


def events(data: bytes) -> list[dict[str, Any]]:
    return [event_of(frame) or {} for frame in FrameSplitter().feed(data)]


def test_text_comes_as_it_is_written():
    """One delta for each chunk, nothing held back."""
    decoder = GeminiDecoder(REQUEST)
    steps = [step.data for step in gemini.stream(gemini.text("Hello world")) if isinstance(step, Data)]
    kinds = [[event["type"] for event in events(decoder.feed(step))] for step in steps]
    assert all("response.output_text.delta" in each for each in kinds[:-1]) and len(kinds) > 2


def test_thoughts_are_reasoning():
    """conformance 67: shown thoughts never mix into the text."""
    reasoning, message, signature = folded(gemini.stream(gemini.thinking("Let me see.", "Yes it is.")))["output"]
    assert reasoning["summary"][0]["text"] == "Let me see."
    assert message["content"][0]["text"] == "Yes it is."
    assert signature["encrypted_content"].startswith("mcx-gemini.")


@pytest.mark.parametrize("has_ids", [True, False])
def test_parallel_calls(has_ids):
    """conformance 65: in their order, each with an id, the service's own or one made here."""
    output = folded(gemini.stream(gemini.calls(*PAIR, has_ids=has_ids)))["output"]
    calls = [item for item in output if item["type"] == "function_call"]
    assert [(call["name"], json.loads(call["arguments"])) for call in calls] == [
        (call.name, call.arguments) for call in PAIR
    ]
    ids = [call["call_id"] for call in calls]
    assert ids == [call.call_id for call in PAIR] if has_ids else len({*ids}) == 2 and all(ids)


def test_usage():
    """conformance 68 read backwards: thoughts are a part of the output."""
    usage = folded(gemini.stream(gemini.text("Hi"), Usage(input=17, cached=4, output=9, reasoning=2)))["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (17, 9, 26)
    assert usage["input_tokens_details"]["cached_tokens"] == 4
    assert usage["output_tokens_details"]["reasoning_tokens"] == 2


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        ("STOP", "completed", None),
        ("MAX_TOKENS", "incomplete", "max_output_tokens"),
        *((one, "incomplete", "content_filter") for one in ("SAFETY", "RECITATION", "BLOCKLIST", "SPII")),
    ],
)
def test_finish_reasons(finish, status, reason):
    """conformance 68."""
    response = folded(gemini.stream(gemini.text("It is", finish)))
    assert (response["status"], (response["incomplete_details"] or {}).get("reason")) == (status, reason)


@pytest.mark.parametrize("finish", ["MALFORMED_FUNCTION_CALL", "MISSING_THOUGHT_SIGNATURE", "OTHER", "NOVEL"])
def test_an_answer_that_went_wrong_is_a_failure(finish):
    """And says which: an answer without its call would pass for a complete one."""
    sent = events(decoded(gemini.stream(gemini.text("It is", finish))))
    assert sent[-1]["type"] == "response.failed" and finish in sent[-1]["response"]["error"]["message"]


def test_a_prompt_that_was_blocked_is_refused():
    """There is no candidate then, and no finishReason."""
    response = folded(gemini.stream(gemini.blocked("PROHIBITED_CONTENT")))
    assert response["incomplete_details"] == {"reason": "content_filter"}
    assert "PROHIBITED_CONTENT" in response["output"][0]["content"][0]["refusal"]


@pytest.mark.parametrize(
    ("status", "message", "wanted"),
    [
        (503, "The model is overloaded.", "overloaded"),
        (429, "Quota exceeded.", "rate_limited"),
        (400, "Bad.", "refused"),
        (500, "Internal.", "failed"),
        (403, "", "failed"),
    ],
)
def test_errors_are_understood(status, message, wanted):
    """An error in the stream is one that verdict.py knows, so that what may be tried again is."""
    judged = verdict.of_event(events(decoded(gemini.break_off(gemini.text("It")[:1], message, status)))[-1])
    assert judged is not None and judged.kind == wanted
    assert judged.error.message


def test_too_long_a_prompt_has_its_own_code():
    """Clients compact a conversation when they read it."""
    message = "The input token count (2) exceeds the maximum number of tokens allowed (1)."
    sent = events(decoded(gemini.break_off([], message, 400)))
    assert sent[-1]["response"]["error"]["code"] == "context_length_exceeded"


def test_citations_count_characters():
    """conformance 15: Google counts bytes."""
    support = {"segment": {"startIndex": 4, "endIndex": 8}, "groundingChunkIndices": [0]}
    page = {"web": {"uri": "https://example.test", "title": "A"}}
    grounding = {"groundingChunks": [page], "groundingSupports": [support]}
    chunk = gemini.chunk([{"text": "In Zürich"}], "STOP")
    chunk["candidates"][0]["groundingMetadata"] = grounding
    (message,) = decode_response(chunk, REQUEST)["output"]
    (annotation,) = message["content"][0]["annotations"]
    assert (annotation["start_index"], annotation["end_index"]) == (4, 7)


def test_an_event_without_end_is_refused(monkeypatch):
    """Memory stays bounded."""
    monkeypatch.setattr(gemini_upstream_reply, "FRAME_LIMIT", 100)
    decoder = GeminiDecoder(REQUEST)
    with pytest.raises(WireError) as caught:
        decoder.feed(b"data: " + b"x" * 200)
    assert caught.value.kind == "upstream_failed"


@pytest.mark.parametrize("fields", [{}, {"candidates": []}, {"candidates": [{}]}, {"choices": [1]}])
def test_what_is_no_answer_is_a_failure(fields):
    """With the remedy; never an empty answer."""
    with pytest.raises(WireError) as caught:
        decode_response(fields, REQUEST)
    assert caught.value.kind == "upstream_failed" and "base_url" in caught.value.message


def test_a_whole_error_is_raised():
    """The service's error object in place of an answer."""
    with pytest.raises(WireError) as caught:
        decode_response({"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}}, REQUEST)
    assert caught.value.kind == "overloaded"


CALL = {"functionCall": {"id": "i", "name": "weather", "args": {"a": 1}}, "thoughtSignature": "s"}
SAMPLE: list[Any] = [
    {"candidates": [{"content": {"parts": [{"text": "a", "thought": True}, {"text": "b", "thoughtSignature": "s"}]}}]},
    {"candidates": [{"content": {"parts": [CALL, {"inlineData": {"mimeType": "image/png", "data": "aGk="}}]}}]},
    {
        "candidates": [
            {
                "content": {"parts": [{"text": "ü"}]},
                "finishReason": "STOP",
                "finishMessage": "m",
                "groundingMetadata": {
                    "webSearchQueries": ["q"],
                    "groundingChunks": [{"web": {"uri": "u", "title": "t"}}],
                    "groundingSupports": [{"segment": {"endIndex": 1}, "groundingChunkIndices": [0]}],
                },
            }
        ],
        "usageMetadata": {"promptTokenCount": 1},
        "promptFeedback": {"blockReason": ""},
    },
    {"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}},
]


@pytest.mark.parametrize("wrong", [None, 1, -1.5, True, "x", "", [], {}, [1], {"a": 1}], ids=repr)
def test_any_stream_is_survived(wrong):
    """Each value of each chunk replaced by one of a wrong kind: no exception."""
    for number in range(len(SAMPLE)):
        for path in paths(SAMPLE[number]):
            stream = copy.deepcopy(SAMPLE)
            holder: Any = stream[number]
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = wrong
            decoder = GeminiDecoder(REQUEST)
            for chunk in stream:
                decoder.feed(f"data: {json.dumps(chunk)}\n\n".encode())
            assert isinstance(decoder.finish(), bytes)


def paths(value: Any) -> list[list[Any]]:
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [[key] for key in keys] + [[key, *rest] for key in keys for rest in paths(value[key])]
