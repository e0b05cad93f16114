"""wire/messages_reply.py and messages_whole.py: Anthropic Messages, encode. More cases: golden/messages/replies."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest

from mitmcodex.wire.codec import STOP_KEY, Decoded, ReplyContext
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.fold import Folder
from mitmcodex.wire.messages_reply import MessagesEncoder
from mitmcodex.wire.messages_request import MessagesReply
from mitmcodex.wire.messages_whole import encode_response
from mitmcodex.wire.sealing import unseal
from mitmcodex.wire.sse import format_event
from mitmcodex.wire.writer import ResponseWriter, usage
from support.fold_messages import fold

JSON = dict[str, Any]


def context() -> ReplyContext:
    ids = count()
    return ReplyContext(
        model="asked", account=lambda: "acct", input_tokens=lambda: 7, new_id=lambda: f"{next(ids):032x}"
    )


def encoder(thinking: str = "text") -> MessagesEncoder:
    return MessagesEncoder(Decoded({}, reply=MessagesReply(thinking)), context())


def events(data: bytes) -> list[JSON]:
    return [json.loads(frame.split("data: ", 1)[1]) for frame in data.decode().split("\n\n")[:-1]]


def kinds(data: bytes) -> list[str]:
    return [event["type"] for event in events(data)]


def folded(stream: bytes, thinking: str = "text") -> JSON:
    """What a client makes of the stream; it must be what it gets without one."""
    made = encoder(thinking)
    got = fold(made.feed(stream) + made.finish())
    folder = Folder()
    folder.feed(stream)
    assert got == encode_response(folder.result(), Decoded({}, reply=MessagesReply(thinking)), context())
    return got


def called(writer: ResponseWriter, key: int, name: str, arguments: str) -> bytes:
    begun = writer.call_begin(key, f"call_{key}", name) + writer.call_delta(key, arguments)
    return begun + writer.call_end(key)


def answer(*pieces: bytes, writer: ResponseWriter) -> bytes:
    return b"".join(pieces) + writer.completed(usage(120, 30, cached=100, cache_write=8))


# -- the frame


def test_message_start_comes_once_with_an_estimate():
    """conformance 2, 43: input_tokens is not 0 before the upstream says its own."""
    made, writer = encoder(), ResponseWriter("m")
    sent = made.feed(writer.created() + writer.text("Hi") + writer.text(" you"))
    started = events(sent)[0]["message"]
    assert kinds(sent).count("message_start") == 1
    assert started["usage"]["input_tokens"] == 7 and started["usage"]["output_tokens"] >= 0
    assert {*started} >= {"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"}
    assert started["model"] == "asked"


def test_ping_is_the_keep_alive():
    """conformance 48: before anything, between deltas, and not after the end."""
    made, writer = encoder(), ResponseWriter("m")
    assert made.idle() == b'event: ping\ndata: {"type":"ping"}\n\n'
    sent = made.feed(writer.text("Hi")) + made.idle() + made.feed(writer.completed(None))
    assert fold(sent)["content"] == [{"type": "text", "text": "Hi"}]
    assert made.idle() == b""


def test_the_event_line_is_the_type():
    """conformance 48: on every event."""
    writer = ResponseWriter("m")
    for frame in encoder().feed(writer.text("Hi") + writer.completed(None)).decode().split("\n\n")[:-1]:
        name, data = frame.split("\n")
        assert name == f"event: {json.loads(data.removeprefix('data: '))['type']}"


def test_a_failure_in_the_middle_is_an_error_event():
    """conformance 49: and no message_stop after it; nothing follows."""
    made, writer = encoder(), ResponseWriter("m")
    sent = made.feed(writer.text("Hi")) + made.fail(WireError("overloaded", "Busy."))
    assert kinds(sent)[-1] == "error" and "message_stop" not in kinds(sent)
    assert events(sent)[-1]["error"] == {"type": "overloaded_error", "message": "Busy."}
    assert made.is_cut and made.feed(writer.completed(None)) == made.finish() == b""


def test_a_failure_before_anything_is_an_error_event():
    """conformance 49: the head is out by a ping, so that is all that can be said."""
    assert kinds(encoder().fail(WireError("unreachable", "Down."))) == ["error"]


def test_a_lone_surrogate_does_not_break_it():
    """It is written as the escape that it came as."""
    writer = ResponseWriter("m")
    assert b"\\ud83d" in encoder().feed(writer.text("\ud83d"))


# -- blocks


def test_parallel_calls_are_nested_one_after_the_other():
    """conformance 44, pains P23: of interleaved calls one streams, the others wait; dense indexes."""
    made, writer = encoder(), ResponseWriter("m")
    first = made.feed(writer.call_begin(1, "call_1", "a") + writer.call_begin(2, "call_2", "b"))
    assert kinds(first) == ["message_start", "content_block_start"]
    assert made.feed(writer.call_delta(2, '{"y":1}')) == b""
    assert kinds(made.feed(writer.call_delta(1, '{"x":1}'))) == ["content_block_delta"]
    assert made.feed(writer.call_end(2)) == b""
    last = events(made.feed(writer.call_end(1)))
    assert [(event["type"], event["index"]) for event in last] == [
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
    ]


def test_what_waited_streams_on_when_its_turn_comes():
    """conformance 44: a held block that is not done goes on piece by piece."""
    made, writer = encoder(), ResponseWriter("m")
    made.feed(writer.call_begin(1, "call_1", "a") + writer.call_begin(2, "call_2", "b"))
    made.feed(writer.call_end(1))
    assert events(made.feed(writer.call_delta(2, '{"y"')))[0]["delta"]["partial_json"] == '{"y"'


def test_no_empty_text_block():
    """conformance 44: a message without text, beside a call, leaves nothing."""
    writer = ResponseWriter("m")
    empty = writer.item({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": ""}]})
    got = folded(answer(empty, called(writer, 1, "f", "{}"), writer=writer))
    assert [block["type"] for block in got["content"]] == ["tool_use"]


def test_a_call_begins_when_its_name_is_known():
    """conformance 44, 45: without an index before it, with an empty input; arguments as input_json_delta."""
    item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "", "arguments": ""}
    made = encoder()
    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    assert kinds(made.feed(format_event(added))) == ["message_start"]
    done = {**item, "name": "f", "arguments": '{"a":1}'}
    sent = events(made.feed(format_event({"type": "response.output_item.done", "output_index": 0, "item": done})))
    assert sent[0]["content_block"] == {"type": "tool_use", "id": "call_1", "name": "f", "input": {}}
    assert (sent[0]["index"], sent[1]["delta"]) == (0, {"type": "input_json_delta", "partial_json": '{"a":1}'})


@pytest.mark.parametrize("arguments", ['{"a"', "[1]", "nonsense"])
def test_a_completed_call_with_bad_arguments_is_an_error(arguments):
    """conformance 45: the client must not run it, so its block never ends; without a stream a 500."""
    made, writer = encoder(), ResponseWriter("m")
    stream = answer(called(writer, 1, "f", arguments), writer=writer)
    sent = kinds(made.feed(stream))
    assert sent[-1] == "error" and "content_block_stop" not in sent and made.is_cut
    with pytest.raises(WireError, match="call of f with arguments that are no JSON object"):
        folded(stream)


def test_an_incomplete_call_ends_with_what_there_is():
    """conformance 45: {} without a stream, and the block is closed in one."""
    item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a"', "status": "incomplete"}
    writer = ResponseWriter("m")
    stream = writer.item(item) + writer.incomplete("max_output_tokens", None)
    sent = encoder().feed(stream)
    assert kinds(sent)[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    whole = encode_response({"status": "incomplete", "output": [item]}, Decoded({}), context())
    assert (whole["content"][0]["input"], whole["stop_reason"]) == ({}, "max_tokens")


@pytest.mark.parametrize(("pages", "made"), [("", {"file_path": "a"}), ("1-2", {"file_path": "a", "pages": "1-2"})])
def test_read_never_gets_empty_pages(pages, made):
    """conformance 53: dropped for Read; another tool's ``pages`` is its own affair."""
    writer = ResponseWriter("m")
    given = {"file_path": "a", "pages": pages}
    calls = called(writer, 1, "Read", json.dumps(given)) + called(writer, 2, "Other", json.dumps(given))
    read, other = folded(answer(calls, writer=writer))["content"]
    assert (read["input"], other["input"]) == (made, given)


def test_ids_are_clamped():
    """conformance 52: an id that the protocol does not allow gets one that it does, in both forms alike."""
    writer = ResponseWriter("m")
    begun = writer.call_begin(1, "functions.f:0", "f") + writer.call_end(1)
    assert folded(answer(begun, writer=writer))["content"][0]["id"].startswith("toolu_")


def test_thinking_is_one_block_with_its_signature_last():
    """conformance 46: summary parts joined by a blank line, one signature, from the finished item."""
    item = {"type": "reasoning", "summary": [{"type": "summary_text", "text": text} for text in ("One.", "Two.")]}
    made, writer = encoder(), ResponseWriter("m")
    early = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "EARLY"}
    made.feed(format_event({"type": "response.output_item.added", "output_index": 0, "item": early}))
    done = {**item, "id": "rs_1", "encrypted_content": "FINAL"}
    sent = events(made.feed(format_event({"type": "response.output_item.done", "output_index": 0, "item": done})))
    deltas = [event["delta"] for event in sent if event["type"] == "content_block_delta"]
    assert "".join(delta.get("thinking", "") for delta in deltas) == "One.\n\nTwo."
    assert [unseal(delta["signature"]) for delta in deltas if "signature" in delta] == [("acct", "FINAL")]
    assert "signature" in deltas[-1] and sent[-1]["type"] == "content_block_stop"
    whole = answer(writer.item({**item, "encrypted_content": "FINAL"}), writer=writer)
    assert folded(whole)["content"][0]["thinking"] == "One.\n\nTwo."


@pytest.mark.parametrize(
    ("thinking", "shown"),
    [("text", ["thinking", "text"]), ("signature", ["thinking", "text"]), ("", ["text"])],
)
def test_thinking_goes_out_only_when_asked_for(thinking, shown):
    """conformance 46, 57: none without the request's thinking; the signature alone when the text is omitted."""
    writer = ResponseWriter("m")
    stream = answer(writer.reasoning("Hm.") + writer.reasoning_done("ENC"), writer.text("Hi"), writer=writer)
    blocks = folded(stream, thinking)["content"]
    assert [block["type"] for block in blocks] == shown
    if thinking:
        assert blocks[0]["thinking"] == ("Hm." if thinking == "text" else "")


def test_reasoning_without_encrypted_content_is_signed_too():
    """clients.md: a client replays no thinking block without a signature."""
    writer = ResponseWriter("m")
    got = folded(answer(writer.reasoning("Hm."), writer.text("Hi"), writer=writer))
    assert unseal(got["content"][0]["signature"]) == ("acct", "")


# -- the end


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("max_output_tokens", "max_tokens"),
        ("content_filter", "refusal"),
        ("model_context_window_exceeded", "model_context_window_exceeded"),
        ("", "max_tokens"),
    ],
)
def test_the_stop_reason_of_an_incomplete_answer(reason, stop):
    """conformance 47: also when a complete call was sent."""
    for text in (True, False):
        writer = ResponseWriter("m")
        sent = writer.text("Hi") if text else called(writer, 1, "f", "{}")
        assert folded(sent + writer.incomplete(reason, None))["stop_reason"] == stop


def test_the_stop_reason_of_a_complete_answer():
    """conformance 47: tool_use after a complete call, refusal when the model refused, else end_turn."""
    writer = ResponseWriter("m")
    assert folded(answer(called(writer, 1, "f", "{}"), writer=writer))["stop_reason"] == "tool_use"
    writer = ResponseWriter("m")
    assert folded(answer(writer.refusal("No."), writer=writer))["stop_reason"] == "refusal"
    writer = ResponseWriter("m")
    assert folded(answer(writer.text("Hi"), writer=writer))["stop_reason"] == "end_turn"


def test_an_emulated_stop_names_its_sequence():
    """conformance 47: what cut the stream here stands in the terminal event."""
    writer = ResponseWriter("m")
    writer.response[STOP_KEY] = "END"
    got = folded(answer(writer.text("Hi"), writer=writer))
    assert (got["stop_reason"], got["stop_sequence"]) == ("stop_sequence", "END")


def test_a_search_before_a_text():
    """conformance 51: call, text with its citation, result with the page, in a stream as in a whole answer."""
    search = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
    cited = {"type": "url_citation", "start_index": 0, "end_index": 2, "url": "http://127.0.0.1/a", "title": "A"}
    writer = ResponseWriter("m")
    got = folded(answer(writer.item(search), writer.text("Hi"), writer.annotation(cited), writer=writer))
    use, text, result = got["content"]
    assert (use["type"], text["citations"][0]["cited_text"]) == ("server_tool_use", "Hi")
    assert (result["tool_use_id"], result["content"][0]["url"]) == (use["id"], "http://127.0.0.1/a")
    assert got["usage"]["server_tool_use"]["web_search_requests"] == 1


def test_the_end_of_the_stream_during_a_search_is_a_cut():
    """conformance 51: nothing is made up for it."""
    search = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
    made, writer = encoder(), ResponseWriter("m")
    sent = made.feed(writer.item(search)) + made.finish()
    assert fold(sent) is None and kinds(sent)[-1] == "error"
