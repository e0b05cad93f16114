"""wire/messages_upstream_reply.py. Each stream in golden/upstream_messages is checked byte for byte, at each cut."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from mitmcodex.wire import messages_upstream_reply, verdict
from mitmcodex.wire.codec import Decoded
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.fold import Folder
from mitmcodex.wire.messages_upstream_reply import MessagesDecoder, decode_response
from mitmcodex.wire.sse import FrameSplitter, event_of
from support import messages_answers as messages
from support.answer_parts import PAIR, Usage
from support.answers import Answer, Data

TOOLS = [{"type": "function", "name": name} for name in ("weather", "clock")]
REQUEST = Decoded({"model": "claude-opus-4-6", "tools": TOOLS})


def decoded(answer: Answer) -> bytes:
    decoder = MessagesDecoder(REQUEST)
    steps = [decoder.feed(step.data) for step in answer if isinstance(step, Data)]
    return b"".join([*steps, decoder.finish()])


def folded(answer: Answer) -> dict[str, Any]:
    folder = Folder()
    folder.feed(decoded(answer))
    return folder.result()


def events(data: bytes) -> list[dict[str, Any]]:
    return [event_of(frame) or {} for frame in FrameSplitter().feed(data)]


def test_text_comes_as_it_is_written():
    """One delta for each delta, nothing held back."""
    decoder = MessagesDecoder(REQUEST)
    kinds = []
    for step in messages.stream(messages.text("Hello world")):
        if isinstance(step, Data):
            kinds.append([event["type"] for event in events(decoder.feed(step.data))])
    assert ["response.output_text.delta"] in kinds and kinds.count(["response.output_text.delta"]) == 2


def test_parallel_calls():
    """Each with its id, name and arguments."""
    calls = folded(messages.stream(messages.calls(*PAIR)))["output"]
    assert [(call["call_id"], call["name"]) for call in calls] == [(call.call_id, call.name) for call in PAIR]
    assert [json.loads(call["arguments"]) for call in calls] == [call.arguments for call in PAIR]


def test_usage_counts_what_was_cached():
    """conformance 50: input is fresh, cached and newly cached tokens together; output those of thoughts too."""
    usage = folded(messages.stream(messages.text("Hi"), Usage(input=17, cached=4, output=9)))["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (17, 9, 26)
    assert usage["input_tokens_details"]["cached_tokens"] == 4


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (messages.length("It is"), "max_output_tokens"),
        (messages.refusal("It is"), "content_filter"),
        (messages.stopped("It is", "END"), None),
        (messages.Content(messages.text("It is").blocks, "pause_turn"), None),
        (messages.Content(messages.text("It is").blocks, "model_context_window_exceeded"), "max_output_tokens"),
        (messages.Content(messages.text("It is").blocks, "novel_reason"), None),
    ],
    ids=["length", "refusal", "stop sequence", "pause", "context window", "unknown"],
)
def test_stop_reasons(content, reason):
    """conformance 47: what ended at a limit or by a policy is incomplete, all else is complete."""
    response = folded(messages.stream(content))
    assert (response["incomplete_details"] or {}).get("reason") == reason
    assert response["status"] == ("incomplete" if reason else "completed")


def test_a_call_that_was_cut_by_a_limit_is_no_finished_item():
    """Codex runs what it gets as finished; a call before it that is whole stays."""
    whole = {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Bern"}}
    cut = {"type": "tool_use", "id": "b", "name": "clock", "input": '{"zone": "C'}
    response = decode_response({"content": [whole, cut], "stop_reason": "max_tokens"}, REQUEST)
    assert [item["call_id"] for item in response["output"]] == ["a"]


@pytest.mark.parametrize(
    ("kind", "message", "wanted"),
    [
        ("overloaded_error", "Overloaded", "overloaded"),
        ("rate_limit_error", "Slow down", "rate_limited"),
        ("billing_error", "No credit", "quota"),
        ("invalid_request_error", "prompt is too long: 2 tokens > 1 maximum", "refused"),
        ("invalid_request_error", "messages: bad", "refused"),
        ("api_error", "Internal", "failed"),
        ("novel_error", "", "failed"),
    ],
)
def test_errors_are_understood(kind, message, wanted):
    """An error in the stream is one that verdict.py knows, so that what may be tried again is."""
    sent = events(decoded(messages.break_off(messages.text("It"), message, kind)))
    judged = verdict.of_event(sent[-1])
    assert judged is not None and judged.kind == wanted
    assert judged.error.message


def test_too_long_a_prompt_has_its_own_code():
    """Clients compact a conversation when they read it."""
    sent = events(decoded(messages.break_off(messages.text(""), "prompt is too long: 2 > 1", "invalid_request_error")))
    assert sent[-1]["response"]["error"]["code"] == "context_length_exceeded"


def test_what_comes_after_the_end_is_not_read():
    """One terminal event, whatever follows."""
    answer = messages.stream(messages.text("Hi"))
    again = decoded([*answer, *answer])
    assert [event["type"] for event in events(again)].count("response.completed") == 1


def test_an_event_without_end_is_refused(monkeypatch):
    """Memory stays bounded."""
    monkeypatch.setattr(messages_upstream_reply, "FRAME_LIMIT", 100)
    decoder = MessagesDecoder(REQUEST)
    with pytest.raises(WireError) as caught:
        decoder.feed(b"data: " + b"x" * 200)
    assert caught.value.kind == "upstream_failed"


@pytest.mark.parametrize(
    "fields", [{}, {"choices": []}, {"content": "x", "stop_reason": "end_turn"}, {"content": [], "stop_reason": None}]
)
def test_what_is_no_message_is_a_failure(fields):
    """With the remedy; never an empty answer."""
    with pytest.raises(WireError) as caught:
        decode_response(fields, REQUEST)
    assert caught.value.kind == "upstream_failed" and "base_url" in caught.value.message


def test_a_whole_error_is_raised():
    """The service's error object in place of a message."""
    with pytest.raises(WireError) as caught:
        decode_response({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, REQUEST)
    assert caught.value.kind == "overloaded"


SAMPLE = [
    {"type": "message_start", "message": {"usage": {"input_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "a"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": "a", "citations": [{}]}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "citations_delta", "citation": {"url": "u"}}},
    {"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "i", "name": "weather"}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "content_block_start", "content_block": {"type": "server_tool_use", "id": "s", "name": "web_search"}},
    {"type": "content_block_start", "content_block": {"type": "web_search_tool_result", "content": [{"url": "u"}]}},
    {"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": {}}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
    {"type": "error", "error": {"type": "api_error", "message": "m"}},
]


@pytest.mark.parametrize("wrong", [None, 1, -1.5, True, "x", "", [], {}, [1], {"a": 1}], ids=repr)
def test_any_stream_is_survived(wrong):
    """Each value of each event replaced by one of a wrong kind: no exception."""
    for number in range(len(SAMPLE)):
        for path in paths(SAMPLE[number]):
            stream = copy.deepcopy(SAMPLE)
            holder: Any = stream[number]
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = wrong
            decoder = MessagesDecoder(REQUEST)
            for event in stream:
                decoder.feed(f"data: {json.dumps(event)}\n\n".encode())
            assert isinstance(decoder.finish(), bytes)


def paths(value: Any) -> list[list[Any]]:
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [[key] for key in keys] + [[key, *rest] for key in keys for rest in paths(value[key])]
