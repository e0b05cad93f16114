"""wire/chat_reply.py: chunks, their ends, and several choices."""

from __future__ import annotations

import time

from mitmcodex.wire.chat_reply import end_of, join_responses
from mitmcodex.wire.chat_request import ChatReply
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.writer import ResponseWriter
from support.chat_chunks import chunks_of, deltas_of, encoder, message_of, spoken, told, whole_of


def test_the_role_is_told_once_and_first():
    """conformance 1."""
    got = deltas_of(spoken()[1])
    assert got[0] == {"role": "assistant", "content": ""}
    assert [delta.get("content") for delta in got[1:3]] == ["Hel", "lo"]
    assert not any("role" in delta for delta in got[1:])


def test_all_chunks_are_of_one_answer():
    """conformance 2: id, created and model are constant; the model is the one that was asked for, streaming or not."""
    writer, written = spoken()
    heads = [{key: chunk[key] for key in ("id", "created", "model")} for chunk in chunks_of(written)]
    assert heads == [{"id": f"chatcmpl-{'f' * 32}", "created": 7, "model": "asked"}] * len(heads)
    whole = whole_of(writer)
    assert whole["model"] == "asked" and whole["object"] == "chat.completion"


def test_usage_is_one_more_chunk_when_it_is_asked_for():
    """conformance 8: without choices; null in the others."""
    got = chunks_of(spoken()[1], ChatReply(includes_usage=True))
    assert [chunk["usage"] for chunk in got[:-1]] == [None] * (len(got) - 1)
    assert got[-1]["choices"] == [] and got[-1]["usage"]["total_tokens"] == 15


def test_usage_is_not_told_in_a_stream_unasked():
    """conformance 8."""
    assert not any("usage" in chunk for chunk in chunks_of(spoken()[1]))


def test_a_failure_in_the_stream_is_an_error_and_done():
    """conformance 12: the error object, then [DONE]; no finish_reason, no usage."""
    writer = ResponseWriter("m")
    made = encoder(ChatReply(includes_usage=True))
    sent = made.feed(writer.text("Hal") + writer.failed(WireError("overloaded", "Busy."))) + made.finish()
    *chunks, error = told(sent)
    assert error["error"]["message"] == "Busy." and error["error"].keys() == {"message", "type", "param", "code"}
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks)
    assert made.is_cut


def test_what_a_policy_forbids_is_refused():
    """conformance 7: content_filter, with the provider's words as the refusal; before any text too."""
    for text in ("Hal", ""):
        made, writer = encoder(), ResponseWriter("m")
        said = writer.text(text) if text else b""
        sent = made.feed(said + writer.failed(WireError("invalid_request", "Not this.", code="cyber_policy")))
        *_, refused, last = [chunk["choices"][0] for chunk in told(sent + made.finish())]
        assert (refused["delta"], refused["finish_reason"]) == ({"refusal": "Not this."}, None)
        assert (last["delta"], last["finish_reason"]) == ({}, "content_filter")
        assert made.is_cut


def test_a_cut_is_an_error_and_done():
    """conformance 12: a stream that was cut never looks complete."""
    made = encoder()
    *chunks, error = told(made.feed(ResponseWriter("m").text("Hal")) + made.finish())
    assert error["error"]["code"] == "stream_incomplete" and made.is_cut
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None]


def test_an_error_before_anything_is_told_too():
    """conformance 12: ``fail`` works before any ``feed``, and once."""
    made = encoder()
    sent = made.fail(WireError("unreachable", "Down."))
    assert [chunk["error"]["message"] for chunk in told(sent)] == ["Down."]
    assert made.fail(WireError("unreachable", "Down.")) == made.finish() == b""


def test_a_stream_ends_with_done():
    """conformance 13: and is of the right type."""
    made = encoder()
    assert (made.feed(spoken()[1]) + made.finish()).endswith(b"data: [DONE]\n\n")
    assert made.content_type == "text/event-stream; charset=utf-8"


def test_messages_are_joined_and_an_empty_one_erases_nothing():
    """conformance 14: a blank line between two."""
    writer = ResponseWriter("m")
    message = {"type": "message", "role": "assistant"}
    parts = [[{"type": "output_text", "text": "One."}], [{"type": "output_text", "text": "Two."}], []]
    written = b"".join(writer.item({**message, "content": part}) for part in parts) + writer.completed(None)
    assert message_of(writer)["content"] == "One.\n\nTwo."
    assert "".join(delta.get("content", "") for delta in deltas_of(written)) == "One.\n\nTwo."


def test_the_tier_is_told():
    """Where the upstream told it, in the last chunk and in the whole."""
    writer = ResponseWriter("m")
    writer.response["service_tier"] = "priority"
    assert chunks_of(writer.text("Hi") + writer.completed(None))[-1]["service_tier"] == "priority"
    whole = whole_of(writer)
    assert whole["service_tier"] == "priority"


def test_the_keep_alive_is_a_comment():
    """conformance 48."""
    assert encoder().idle() == b": keepalive\n\n"


def test_a_lone_surrogate_stays_the_escape_that_it_is():
    """It has no UTF-8 form; JSON can carry it."""
    made = encoder()
    sent = made.feed(b'data: {"type":"response.output_text.delta","item_id":"m","delta":"\\ud83d"}\n\n')
    assert b'"content":"\\ud83d"' in sent


def test_a_part_leaves_out_what_stands_once_in_a_stream():
    """conformance 23: usage and [DONE] come when all parts are there; each chunk tells its choice."""
    parts = [encoder(ChatReply(includes_usage=True), n=2, choice=choice) for choice in (0, 1)]
    sent = b"".join(part.feed(spoken()[1]) + part.finish() for part in parts)
    assert b"[DONE]" not in sent and b'"choices":[]' not in sent
    got = told(sent + end_of(parts))
    assert {chunk["choices"][0]["index"] for chunk in got[:-1]} == {0, 1}
    assert got[-1]["usage"] == {
        "prompt_tokens": 20,
        "completion_tokens": 10,
        "total_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }


def test_a_part_that_fails_leaves_done_to_who_joins():
    """conformance 12, 23: the error, once; the other parts may still speak."""
    part = encoder(n=2)
    assert b"[DONE]" not in part.fail(WireError("unreachable", "Down."))
    assert end_of([part]) == b"data: [DONE]\n\n"


def test_whole_answers_are_joined():
    """conformance 23: one object with each choice and what all cost."""
    writer, _ = spoken()
    parts = [whole_of(writer, n=2, choice=choice) for choice in (0, 1)]
    joined = join_responses(parts)
    assert [choice["index"] for choice in joined["choices"]] == [0, 1]
    assert joined["usage"]["total_tokens"] == 30 and joined["id"] == parts[0]["id"]


def test_a_delta_costs_the_same_at_the_end_of_a_long_stream():
    """The work for a delta does not grow with what came before: the last thousand of 20,000 cost about what the
    first do."""
    writer = ResponseWriter("m")
    made = encoder()
    made.feed(writer.text("Hi"))
    events = [writer.text("hello ") for _ in range(20_000)]
    spent = []
    for begin in range(0, len(events), 1000):
        before = time.process_time()
        for event in events[begin : begin + 1000]:
            made.feed(event)
        spent.append(time.process_time() - before)
    assert min(spent[-5:]) < 3 * min(spent[:5])
