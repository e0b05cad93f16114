"""wire/chat_upstream_reply.py: what golden/upstream_chat does not show."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mitmcodex.wire import verdict
from mitmcodex.wire.chat_upstream import encode_request
from mitmcodex.wire.chat_upstream_reply import ChatDecoder, decode_response
from mitmcodex.wire.codec import Decoded
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.fold import Folder
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.sse import FrameSplitter, event_of

REQUEST = Decoded({"model": "m", "input": "x"})


def chunk(delta: Any, finish: Any = None, **more: Any) -> Fields:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def stream(*chunks: Any) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in chunks)


def events(*chunks: Any) -> list[Fields]:
    decoder = ChatDecoder(REQUEST)
    data = decoder.feed(stream(*chunks)) + decoder.feed(b"data: [DONE]\n\n") + decoder.finish()
    return [event for frame in FrameSplitter().feed(data) if (event := event_of(frame))]


def whole(**message: Any) -> Fields:
    return {"choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}]}


def test_a_finish_reason_is_a_proper_end():
    """Not all services send [DONE]: with finish_reason the end of the stream completes, without it is a cut."""
    for finish, ends in ((None, []), ("stop", ["response.completed"])):
        decoder = ChatDecoder(REQUEST)
        data = decoder.feed(stream(chunk({"content": "a"}, finish))) + decoder.finish()
        last = [event_of(frame) for frame in FrameSplitter().feed(data)][-1]
        assert last is not None
        assert [last["type"]] == (ends or ["response.output_text.delta"])


def test_the_last_event_may_lack_its_blank_line():
    """conformance 36: it is read at the end."""
    decoder = ChatDecoder(REQUEST)
    data = decoder.feed(stream(chunk({"content": "a"}, "stop")).rstrip())
    assert data == b"" and b"response.completed" in decoder.finish()


@pytest.mark.parametrize("finish", ["stop", "tool_calls", "function_call", "eos", "end_turn", "from the future"])
def test_other_finish_reasons_complete(finish):
    """Services invent them; only limits and errors are something else."""
    assert events(chunk({"content": "a"}, finish))[-1]["type"] == "response.completed"


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("length", "max_output_tokens"), ("model_length", "max_output_tokens"), ("content_filter", "content_filter")],
)
def test_limits_are_incomplete(finish, reason):
    """conformance 7, backwards."""
    last = events(chunk({"content": "a"}, finish))[-1]
    assert last["type"] == "response.incomplete" and last["response"]["incomplete_details"] == {"reason": reason}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "m", "code": "context_length_exceeded"}, "invalid_request"),
        ({"message": "m", "code": 429}, "busy"),
        ({"message": "m", "code": "429"}, "busy"),
        ({"message": "m", "type": "overloaded_error"}, "overloaded"),
        ({"message": "m", "code": "insufficient_quota"}, "usage_limit"),
        ({"message": "m", "code": 502}, "upstream_failed"),
        ("m", "upstream_failed"),
        ({"message": ["m"], "code": "9" * 5000}, "upstream_failed"),
        ([1], "upstream_failed"),
    ],
)
def test_errors_are_told_in_our_vocabulary(error, kind):
    """In a stream as response.failed, which is judged the same again; without stream as a WireError."""
    last = events(chunk({"content": "a"}), {"error": error})[-1]
    judged = verdict.of_event(last)
    assert last["type"] == "response.failed" and judged is not None and judged.error.kind == kind
    with pytest.raises(WireError) as caught:
        decode_response({"error": error}, REQUEST)
    assert caught.value.kind == kind


def test_nothing_comes_after_an_error():
    """Neither text nor a second end."""
    types = [event["type"] for event in events({"error": "m"}, chunk({"content": "a"}, "stop"))]
    assert types[-1] == "response.failed" and len(types) == 3


def test_usage():
    """conformance 9, backwards: cached and reasoning tokens are parts of their totals; junk counts as 0."""
    told = {
        **{"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17},
        "prompt_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    assert events(chunk({"content": "a"}, "stop"), {"choices": [], "usage": told})[-1]["response"]["usage"] == {
        "input_tokens": 12,
        "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 1},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 17,
    }
    junk = {"prompt_tokens": "x", "prompt_tokens_details": None}
    assert events(chunk({}, "stop", usage=junk))[-1]["response"]["usage"]["total_tokens"] == 0


def test_time_and_model():
    """created_at is the service's, the model's name the one that was asked for."""
    response = events(chunk({"content": "a"}, "stop", created=1795200000, model="other"))[-1]["response"]
    assert (response["created_at"], response["model"]) == (1795200000, "m")


def test_reasoning_comes_back_to_the_service_that_made_it():
    """What the decoder marks, the encoder takes back beside the call that it led to."""
    made = events(
        chunk({"reasoning_content": "Hm."}),
        chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]}, "tool_calls"),
    )[-1]["response"]["output"]
    answer = {"type": "function_call_output", "call_id": "c", "output": "ok"}
    got = encode_request(Decoded({"model": "m", "input": [*made, answer]}))
    assert got.fields["messages"][0]["reasoning_content"] == "Hm." and got.losses == []


def test_the_same_reasoning_in_two_fields_is_told_once():
    """OpenRouter sends ``reasoning`` and ``reasoning_details``, gateways add ``reasoning_content``."""
    detail = {"type": "reasoning.summary", "summary": "Hm."}
    delta = {"reasoning": "Hm.", "reasoning_content": "Hm.", "reasoning_details": [detail]}
    assert events(chunk(delta, "stop"))[-1]["response"]["output"][0]["summary"][0]["text"] == "Hm."
    alone = events(chunk({"reasoning_details": [detail]}, "stop"))[-1]["response"]["output"][0]
    assert alone["summary"][0]["text"] == "Hm." and "encrypted_content" not in alone


def test_an_image_elsewhere_is_text():
    """Only a data URL can become an image item; seeds S143 has the form."""
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    output = events(chunk({"images": [image]}, "stop"))[-1]["response"]["output"]
    assert output[0]["content"][0]["text"] == "![image](https://example.org/a.png)"


def test_a_whole_answer():
    """Text, calls and usage of an answer without stream."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    response = decode_response({**whole(content="a", tool_calls=[call]), "created": 5, "usage": usage}, REQUEST)
    assert [item["type"] for item in response["output"]] == ["message", "function_call"]
    assert (response["status"], response["created_at"], response["usage"]["total_tokens"]) == ("completed", 5, 3)


@pytest.mark.parametrize("junk", [{}, {"choices": []}, {"choices": [3]}, {"choices": {}}, {"object": "list"}])
def test_what_is_no_answer_is_an_error(junk):
    """A page or another API in the service's place."""
    with pytest.raises(WireError) as caught:
        decode_response(junk, REQUEST)
    assert caught.value.kind == "upstream_failed" and "base_url" in caught.value.message


def test_one_event_is_bounded():
    """Memory stays bounded whatever the service sends."""
    decoder = ChatDecoder(REQUEST)
    with pytest.raises(WireError, match="larger"):
        for _ in range(70):
            decoder.feed(b"x" * 1024 * 1024)


JUNK: tuple[Any, ...] = (None, 1, "x", [], {}, [1], {"a": 1}, [[]], [{}], True, "\ud83d")
KEYS = ("content", "reasoning_content", "reasoning", "reasoning_details", "refusal", "annotations", "images")


@pytest.mark.parametrize("key", [*KEYS, "tool_calls", "function_call", "role", "unknown"])
def test_any_delta_is_survived(key):
    """Whatever a field holds: no exception, and the text after it arrives."""
    for junk in (*JUNK, [{"function": {"name": "f", "arguments": [1]}}], [{"type": "thinking", "thinking": [1]}]):
        response = events(chunk({key: junk}), chunk({"content": "after"}, "stop"))[-1]["response"]
        assert "after" in json.dumps(response["output"])


@pytest.mark.parametrize("key", ["choices", "usage", "created", "error", "model"])
def test_any_chunk_is_survived(key):
    """A chunk with anything in any field is no exception; the stream still ends."""
    for junk in JUNK:
        found = events({"choices": [], key: junk}, *([{key: junk}] * 2), chunk({"content": "after"}, "stop"))
        assert found[-1]["type"] in ("response.completed", "response.failed")


def test_any_choice_is_survived():
    """The same for what stands beside the delta."""
    for key in ("index", "delta", "message", "finish_reason", "error"):
        for junk in JUNK:
            found = events({"choices": [{"delta": {"content": "a"}, key: junk}]}, chunk({"content": "after"}, "stop"))
            assert found[-1]["type"] == "response.completed"


def test_a_stream_folds():
    """The stream satisfies the reader that makes whole answers of it."""
    folder = Folder()
    decoder = ChatDecoder(REQUEST)
    folder.feed(decoder.feed(stream(chunk({"content": "a"}, "stop"))) + decoder.finish())
    assert folder.result()["output"][0]["content"][0]["text"] == "a"
