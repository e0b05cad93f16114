"""wire/chat_answer.py: what stands in the deltas, and the same in the whole answer."""

from __future__ import annotations

import json

import pytest

from mitmcodex.wire.chat_request import ChatReply
from mitmcodex.wire.sse import format_event
from mitmcodex.wire.writer import ResponseWriter
from support.chat_chunks import chunks_of, deltas_of, encoder, message_of, spoken, whole_of
from support.fold_chat import fold

CITATION = {"type": "url_citation", "start_index": 2, "end_index": 4, "url": "http://127.0.0.1/", "title": "t"}


def test_a_call_begins_with_its_name_and_goes_on_with_arguments_alone():
    """conformance 3: nothing else stands in its deltas."""
    writer = ResponseWriter("m")
    written = writer.call_begin("a", "call_1", "look") + writer.call_delta("a", '{"x"') + writer.call_delta("a", ":1}")
    got = deltas_of(written + writer.call_end("a") + writer.completed(None))
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}
    assert got[1:4] == [
        {"tool_calls": [first]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"x"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
    ]


def calls_of(written: bytes) -> list[tuple[int, str | None, str]]:
    """Index, id and arguments of each delta of a call."""
    calls = [delta["tool_calls"][0] for delta in deltas_of(written) if "tool_calls" in delta]
    return [(call["index"], call.get("id"), call["function"]["arguments"]) for call in calls]


def test_calls_are_counted_without_other_items_and_told_one_after_the_other():
    """conformance 4: a message and a thought before them take no index; interleaved deltas find their call, and wait
    for the end of the one before, which openai-python's stream helper takes for whole when the next begins."""
    writer = ResponseWriter("m")
    written = writer.reasoning("Hm.") + writer.text("I look.")
    written += writer.call_begin("a", "call_a", "look") + writer.call_begin("b", "call_b", "list")
    written += writer.call_delta("b", "B") + writer.call_delta("a", "A") + writer.call_end("b") + writer.call_end("a")
    expected = [(0, "call_a", ""), (0, None, "A"), (1, "call_b", ""), (1, None, "B")]
    assert calls_of(written + writer.completed(None)) == expected


def test_calls_that_never_end_are_told_at_the_end():
    """conformance 5: an answer that was cut has what came of each."""
    writer = ResponseWriter("m")
    written = writer.call_begin("a", "call_a", "look") + writer.call_begin("b", "call_b", "list")
    written += writer.call_delta("b", "B") + writer.call_delta("a", "A")
    cut = format_event({"type": "response.incomplete", "response": {"incomplete_details": {"reason": "x"}}})
    assert calls_of(written + cut) == [(0, "call_a", ""), (0, None, "A"), (1, "call_b", ""), (1, None, "B")]


def test_arguments_behind_the_end_of_a_call_are_not_told():
    """conformance 5: the client has it whole."""
    writer = ResponseWriter("m")
    written = writer.call_begin("a", "call_a", "look") + writer.call_delta("a", "A") + writer.call_end("a")
    late = format_event({"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "B"})
    assert calls_of(written + late + writer.completed(None)) == [(0, "call_a", ""), (0, None, "A")]


@pytest.mark.parametrize("has_deltas", [True, False])
def test_arguments_come_once(has_deltas):
    """conformance 5: from the deltas, or from the finished item when there were none."""
    writer = ResponseWriter("m")
    if has_deltas:
        call = writer.call_begin("a", "call_a", "look") + writer.call_delta("a", '{"x":1}') + writer.call_end("a")
    else:
        call = writer.item({"type": "function_call", "call_id": "call_a", "name": "look", "arguments": '{"x":1}'})
    made = encoder()
    folded = fold(made.feed(call + writer.completed(None)))
    assert folded is not None
    assert folded["choices"][0]["message"]["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"x":1}'}


def test_a_call_without_arguments_has_an_empty_object():
    """conformance 5: clients parse them."""
    writer = ResponseWriter("m")
    written = writer.call_begin("a", "call_a", "now") + writer.call_end("a") + writer.completed(None)
    assert deltas_of(written)[2] == {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}
    assert message_of(writer)["tool_calls"][0]["function"]["arguments"] == "{}"


def patched() -> tuple[ResponseWriter, bytes]:
    writer = ResponseWriter("m")
    written = writer.call_begin("a", "call_a", "patch", is_custom=True)
    written += writer.call_delta("a", 'say "') + writer.call_delta("a", 'hi"')
    return writer, written + writer.call_end("a") + writer.completed(None)


def test_a_declared_custom_call_is_told_as_one():
    """conformance 6: its text in pieces."""
    writer, written = patched()
    reply = ChatReply(custom_names=frozenset({"patch"}))
    assert deltas_of(written, reply)[1:4] == [
        {"tool_calls": [{"index": 0, "id": "call_a", "type": "custom", "custom": {"name": "patch", "input": ""}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": 'say "'}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": 'hi"'}}]},
    ]
    custom = {"id": "call_a", "type": "custom", "custom": {"name": "patch", "input": 'say "hi"'}}
    assert message_of(writer, reply)["tool_calls"] == [custom]


def test_another_custom_call_is_a_function_with_arguments_that_are_json():
    """conformance 6: the client knows no custom tool of that name."""
    writer, written = patched()
    calls = [delta["tool_calls"][0] for delta in deltas_of(written) if "tool_calls" in delta]
    assert calls[0]["type"] == "function"
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"input": 'say "hi"'}
    assert json.loads(message_of(writer)["tool_calls"][0]["function"]["arguments"]) == {"input": 'say "hi"'}


@pytest.mark.parametrize("end", ["stop", "length", "content_filter", "tool_calls"])
def test_one_chunk_tells_why_it_ended(end):
    """conformance 7: exactly one, the last of the choice."""
    writer = ResponseWriter("m")
    written = writer.text("Hi")
    if end == "tool_calls":
        written += writer.call_begin("a", "call_a", "look") + writer.call_end("a")
    reason = {"length": "max_output_tokens"}.get(end, end)
    written += writer.completed(None) if end in ("stop", "tool_calls") else writer.incomplete(reason, None)
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks_of(written)]
    assert reasons[-1] == end and not any(reasons[:-1])
    assert whole_of(writer)["choices"][0]["finish_reason"] == end


def test_a_limit_counts_more_than_a_finished_call():
    """conformance 7: what came after the call is missing, so the client must not go on as if all were there."""
    writer = ResponseWriter("m")
    written = writer.call_begin("a", "call_a", "look") + writer.call_end("a") + writer.text("and")
    written += writer.incomplete("max_output_tokens", None)
    assert chunks_of(written)[-1]["choices"][0]["finish_reason"] == "length"


def test_usage_counts_what_was_cached_in():
    """conformance 9: prompt with cache, completion with reasoning, their details; an explicit 0 is kept."""
    writer, _ = spoken()
    whole = whole_of(writer)
    assert whole["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    writer.response["usage"] = {"input_tokens": 1, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 0}}
    whole = whole_of(writer)
    assert whole["usage"]["prompt_tokens_details"] == {"cached_tokens": 0}
    writer.response["usage"] = None
    assert "usage" not in whole_of(writer)


def test_a_refusal_is_no_content():
    """conformance 10: its own field in both forms, content null."""
    writer = ResponseWriter("m")
    written = writer.refusal("I ") + writer.refusal("can't.") + writer.completed(None)
    assert deltas_of(written)[1:3] == [{"refusal": "I "}, {"refusal": "can't."}]
    assert message_of(writer) == {"role": "assistant", "content": None, "refusal": "I can't."}


def thought() -> tuple[ResponseWriter, bytes]:
    writer = ResponseWriter("m")
    written = writer.reasoning("One") + writer.reasoning(".") + writer.reasoning_done() + writer.text("Yes.")
    written += writer.reasoning("Two.") + writer.text("No.")
    return writer, written + writer.completed(None)


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("reasoning_content", {"reasoning_content": "One.\n\nTwo.", "content": "Yes.\n\nNo."}),
        ("reasoning", {"reasoning": "One.\n\nTwo.", "content": "Yes.\n\nNo."}),
        ("think", {"content": "<think>One.</think>\n\nYes.\n\n<think>Two.</think>\n\nNo."}),
        ("off", {"content": "Yes.\n\nNo."}),
    ],
)
def test_reasoning_has_four_ways_out(mode, wanted):
    """conformance 11: a field of its own by default, never mixed into the content unless asked for."""
    writer, written = thought()
    message = message_of(writer, reasoning_out=mode)
    assert {key: value for key, value in message.items() if key not in ("role", "refusal")} == wanted
    folded = fold(encoder(reasoning_out=mode).feed(written))
    assert folded is not None and folded["choices"][0]["message"] == message


def test_a_client_can_turn_reasoning_off_by_itself():
    """conformance 11: ``reasoning.exclude``."""
    assert "reasoning_content" not in message_of(thought()[0], ChatReply(hides_reasoning=True))


@pytest.mark.parametrize("follower", ["call", "refusal", "end"])
def test_think_tags_are_closed_whatever_follows(follower):
    """conformance 11: a parser that waits for the closing tag would swallow the rest."""
    writer = ResponseWriter("m")
    written = writer.reasoning("Hm.")
    if follower == "call":
        written += writer.call_begin("a", "call_a", "look") + writer.call_end("a")
    elif follower == "refusal":
        written += writer.refusal("No.")
    got = deltas_of(written + writer.completed(None), reasoning_out="think")
    assert [delta.get("content") for delta in got[1:3]] == ["<think>Hm.", "</think>"]
    assert message_of(writer, reasoning_out="think")["content"] == "<think>Hm.</think>"


def test_a_citation_tells_characters_of_the_whole_content():
    """conformance 15: code points, also behind a message with signs beyond the basic plane; told once, at the end."""
    writer = ResponseWriter("m")
    cited = {"type": "output_text", "text": "ab🎉d", "annotations": [CITATION, {"type": "file_path"}]}
    message = {"type": "message", "role": "assistant"}
    written = writer.item({**message, "content": [{"type": "output_text", "text": "🎉🎉"}]})
    written += writer.item({**message, "content": [cited]}) + writer.completed(None)
    [annotation] = message_of(writer)["annotations"]
    start, end = (annotation["url_citation"][key] for key in ("start_index", "end_index"))
    assert (annotation["type"], "🎉🎉\n\nab🎉d"[start:end]) == ("url_citation", "🎉d")
    assert [delta["annotations"] for delta in deltas_of(written) if "annotations" in delta] == [[annotation]]


def test_images_come_out_as_data_urls():
    """seeds S143: in one delta, as SDKs keep the last alone."""
    writer = ResponseWriter("m")
    image = {"type": "image_generation_call", "result": "AAAA"}
    written = writer.item(image) + writer.item({**image, "output_format": "webp"}) + writer.completed(None)
    urls = ["data:image/png;base64,AAAA", "data:image/webp;base64,AAAA"]
    wanted = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    assert [delta["images"] for delta in deltas_of(written) if "images" in delta] == [wanted]
    assert message_of(writer)["images"] == wanted


def test_a_legacy_client_gets_function_call():
    """conformance 19: the first call, in pieces and whole."""
    writer = ResponseWriter("m")
    written = writer.call_begin("a", "call_a", "look") + writer.call_delta("a", "{}") + writer.call_end("a")
    written += writer.call_begin("b", "call_b", "list") + writer.call_end("b") + writer.completed(None)
    got = chunks_of(written, ChatReply(is_legacy=True))
    assert [chunk["choices"][0]["delta"] for chunk in got[1:3]] == [
        {"function_call": {"name": "look", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
    ]
    assert got[-1]["choices"][0]["finish_reason"] == "function_call" and len(got) == 4
    message = message_of(writer, ChatReply(is_legacy=True))
    assert message["function_call"] == {"name": "look", "arguments": "{}"} and "tool_calls" not in message
