"""wire/writer.py: a canonical stream as the strictest reader of the Responses API wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import pytest

from mitmcodex.wire.errors import WireError
from mitmcodex.wire.fold import Folder
from mitmcodex.wire.sse import FrameSplitter, event_of, event_type
from mitmcodex.wire.writer import ResponseWriter, fresh_id, replay, usage

Event = dict[str, Any]
CITATION = {"type": "url_citation", "url": "https://example.org", "title": "t", "start_index": 0, "end_index": 1}
USAGE = usage(12, 5, cached=10, reasoning=3, cache_write=1)

REQUIRED = {
    # What openai-python's event types demand besides type and sequence_number.
    "response.created": {"response"},
    "response.in_progress": {"response"},
    "response.completed": {"response"},
    "response.incomplete": {"response"},
    "response.failed": {"response"},
    "response.output_item.added": {"item", "output_index"},
    "response.output_item.done": {"item", "output_index"},
    "response.content_part.added": {"item_id", "output_index", "content_index", "part"},
    "response.content_part.done": {"item_id", "output_index", "content_index", "part"},
    "response.output_text.delta": {"item_id", "output_index", "content_index", "delta", "logprobs"},
    "response.output_text.done": {"item_id", "output_index", "content_index", "text", "logprobs"},
    "response.output_text.annotation.added": {
        *("item_id", "output_index", "content_index", "annotation_index", "annotation")
    },
    "response.refusal.delta": {"item_id", "output_index", "content_index", "delta"},
    "response.refusal.done": {"item_id", "output_index", "content_index", "refusal"},
    "response.reasoning_summary_part.added": {"item_id", "output_index", "summary_index", "part"},
    "response.reasoning_summary_part.done": {"item_id", "output_index", "summary_index", "part"},
    "response.reasoning_summary_text.delta": {"item_id", "output_index", "summary_index", "delta"},
    "response.reasoning_summary_text.done": {"item_id", "output_index", "summary_index", "text"},
    "response.function_call_arguments.delta": {"item_id", "output_index", "delta"},
    "response.function_call_arguments.done": {"item_id", "output_index", "arguments"},
    "response.custom_tool_call_input.delta": {"item_id", "output_index", "delta"},
    "response.custom_tool_call_input.done": {"item_id", "output_index", "input"},
}


def new_writer() -> ResponseWriter:
    ids = count(1)
    return ResponseWriter("a-model", 1795200000, lambda: f"{next(ids):032x}")


def written(build: Callable[[ResponseWriter], Iterable[bytes]]) -> list[Event]:
    return events_of(b"".join(build(new_writer())))


def events_of(data: bytes) -> list[Event]:
    frames = FrameSplitter().feed(data)
    events = [event_of(frame) for frame in frames]
    assert all(events) and [event_type(frame) for frame in frames] == [event["type"] for event in events if event]
    return [event for event in events if event]


def folded(data: bytes) -> Event:
    folder = Folder()
    folder.feed(data)
    return folder.result()


def types(events: list[Event]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def everything(writer: ResponseWriter) -> Iterable[bytes]:
    yield writer.reasoning("think")
    yield writer.reasoning("ing")
    yield writer.reasoning_done("secret")
    yield writer.text("hel")
    yield writer.text("lo")
    yield writer.annotation(CITATION)
    yield writer.refusal("no")
    yield writer.call_begin("a", "call_a", "read_file", namespace="disk")
    yield writer.call_begin("b", "call_b", "apply_patch", is_custom=True)
    yield writer.call_delta("a", '{"path"')
    yield writer.call_delta("b", "*** Begin")
    yield writer.call_delta("a", ':"x"}')
    yield writer.call_end("a")
    yield writer.item({"type": "web_search_call", "status": "completed", "action": {"type": "search"}})
    yield writer.completed(USAGE)


def test_each_event_has_what_its_type_demands():
    """Names of events and their required fields are those of the SDK's types (protocol.md 3.2)."""
    events = written(everything)
    for event in events:
        assert REQUIRED[event["type"]] <= event.keys(), event
    assert {event["type"] for event in events} >= REQUIRED.keys() - {"response.failed", "response.incomplete"}


def test_numbers_rise_by_one():
    """conformance 28: sequence_number is strictly increasing, from 0."""
    events = written(everything)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


def test_one_response_id_and_constant_item_ids():
    """openai-python's stream() accumulates by ids: the response's is one, an item's is the same in all its events."""
    events = written(everything)
    assert len({event["response"]["id"] for event in events if "response" in event}) == 1
    ids = {event["output_index"]: event["item"]["id"] for event in events if event["type"].endswith("item.added")}
    assert list(ids) == [0, 1, 2, 3, 4, 5] and len(set(ids.values())) == 6
    for event in events:
        if "output_index" in event:
            assert ids[event["output_index"]] == (event.get("item_id") or event["item"]["id"])
    assert [item["id"] for item in events[-1]["response"]["output"]] == list(ids.values())


def test_every_item_and_part_opens_and_closes_once():
    """Each ``added`` has its ``done``, deltas lie between them, and joined they are what ``done`` says."""
    events = written(everything)
    open_items: set[int] = set()
    pieces: dict[int, str] = {}
    for event in events:
        index = event.get("output_index")
        if event["type"] == "response.output_item.added":
            assert index not in pieces
            open_items.add(index)
            pieces[index] = ""
        elif index is not None:
            assert index in open_items
            pieces[index] += event.get("delta", "")
        if event["type"] == "response.output_item.done":
            open_items.remove(index)
        for key in ("text", "refusal", "arguments", "input"):
            if key in event:
                assert event[key] == pieces[index]
    assert not open_items


def test_the_whole_is_what_was_streamed():
    """The terminal event's output holds each finished item, in the order of output_index."""
    response = written(everything)[-1]["response"]
    reasoning, said, refused, call, custom, search = response["output"]
    assert response["status"] == "completed" and response["usage"] == USAGE
    assert reasoning["summary"] == [{"type": "summary_text", "text": "thinking"}]
    assert reasoning["encrypted_content"] == "secret" and "status" not in reasoning
    expected = {"type": "output_text", "text": "hello", "annotations": [CITATION], "logprobs": []}
    assert said["content"] == [expected] and said["role"] == "assistant" and said["status"] == "completed"
    assert refused["content"] == [{"type": "refusal", "refusal": "no"}]
    assert (call["call_id"], call["name"], call["namespace"]) == ("call_a", "read_file", "disk")
    assert call["type"] == "function_call" and call["arguments"] == '{"path":"x"}' and call["status"] == "completed"
    assert custom["type"] == "custom_tool_call" and custom["input"] == "*** Begin" and "namespace" not in custom
    assert search["action"] == {"type": "search"} and search["id"]


def test_ids_have_the_prefixes_of_their_kinds():
    """Prefixes that the backend accepts when an item comes back (protocol.md 2.4)."""
    output = written(everything)[-1]["response"]["output"]
    assert [item["id"].split("_")[0] for item in output] == ["rs", "msg", "msg", "fc", "ctc", "item"]


def test_created_comes_first_and_once():
    """conformance 26: the first events are response.created and response.in_progress, whatever is said first."""
    starts = (
        lambda writer: [writer.created(), writer.created(), writer.text("x")],
        lambda writer: [writer.reasoning("x")],
        lambda writer: [writer.call_begin(0, "c", "n")],
        lambda writer: [writer.item({"type": "compaction"})],
        lambda writer: [writer.completed(None)],
        lambda writer: [writer.incomplete("content_filter", None)],
        lambda writer: [writer.failed(WireError("overloaded", "later"))],
    )
    for start in starts:
        found = types(written(start))
        assert found[:2] == ["created", "in_progress"] and found.count("created") == 1


def test_lifecycle_before_the_end_says_in_progress():
    """The opening events show a response without output, in progress."""
    for event in written(everything)[:2]:
        assert event["response"]["status"] == "in_progress" and event["response"]["output"] == []
        assert event["response"]["created_at"] == 1795200000 and event["response"]["model"] == "a-model"


@pytest.mark.parametrize("say", ["text", "refusal", "reasoning"])
def test_empty_pieces_say_nothing(say):
    """An empty delta opens no item."""
    assert getattr(new_writer(), say)("") == b""


def test_an_empty_call_delta_is_no_event():
    """A call's empty piece is left out, its arguments stay an empty text."""
    events = written(lambda writer: [writer.call_begin(0, "c", "n"), writer.call_delta(0, ""), writer.completed(None)])
    assert "function_call_arguments.delta" not in types(events)
    assert events[-1]["response"]["output"][0]["arguments"] == ""


def test_texts_of_one_kind_join_until_another_begins():
    """Text, reasoning, text are three items; text, text is one."""
    said = written(lambda w: [w.text("a"), w.text("b"), w.reasoning("c"), w.text("d"), w.completed(None)])
    assert [item["type"] for item in said[-1]["response"]["output"]] == ["message", "reasoning", "message"]


def test_reasoning_done_without_reasoning():
    """Encrypted content alone still makes an item; nothing at all makes none."""
    assert new_writer().reasoning_done() == b""
    alone = written(lambda writer: [writer.reasoning_done("secret"), writer.completed(None)])
    assert alone[-1]["response"]["output"][0] | {"id": ""} == {
        **{"id": "", "type": "reasoning", "summary": [], "encrypted_content": "secret"}
    }


def test_incomplete_leaves_an_open_call_unfinished():
    """A cut call has no ``done`` and is not in the output (Codex would run it); a cut text is marked incomplete."""

    def cut(writer: ResponseWriter) -> Iterable[bytes]:
        yield writer.call_begin(0, "c", "n")
        yield writer.call_delta(0, '{"pa')
        yield writer.text("half")
        yield writer.incomplete("max_output_tokens", USAGE)

    events = written(cut)
    response = events[-1]["response"]
    assert events[-1]["type"] == "response.incomplete" and response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"} and response["usage"] == USAGE
    assert [(item["type"], item["status"]) for item in response["output"]] == [("message", "incomplete")]
    assert "function_call_arguments.done" not in types(events)


def test_failed_finishes_nothing():
    """After a failure there is no finished item of what was open, and the error has message, type and code."""
    events = written(lambda w: [w.text("half"), w.call_begin(0, "c", "n"), w.failed(WireError("overloaded", "later"))])
    response = events[-1]["response"]
    assert types(events)[-1] == "failed" and response["status"] == "failed" and response["usage"] is None
    expected = {"message": "later", "type": "service_unavailable_error", "code": "server_is_overloaded"}
    assert response["error"] == expected
    assert [item["type"] for item in response["output"]] == ["message"]  # closed when the call began


def test_nothing_comes_after_the_end():
    """A second end is no event."""
    writer = new_writer()
    writer.failed(WireError("overloaded", "later"))
    assert writer.has_ended
    assert writer.completed(USAGE) == writer.incomplete("x", None) == writer.failed(WireError("internal", "x")) == b""


def test_replay_is_the_stream_of_a_whole():
    """Folding the replay of a whole response gives that response, completed and incomplete."""
    whole = written(everything)[-1]["response"]
    assert folded(replay(whole)) == whole
    cut = whole | {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
    assert folded(replay(cut)) == cut


def test_replay_survives_a_bare_response():
    """Keys that are missing or null in a whole response are no error."""
    assert folded(replay({"output": None}))["status"] == "completed"
    assert folded(replay({"status": "incomplete"}))["incomplete_details"] == {"reason": "max_output_tokens"}


def test_usage_counts_like_the_responses_api():
    """conformance 9 and protocol.md 3.2: details are parts of their totals, not added to them."""
    assert usage(12, 5, cached=10, reasoning=3, cache_write=1) == {
        "input_tokens": 12,
        "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 1},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 17,
    }


def test_fresh_ids_differ():
    """32 hexadecimal digits, each time others."""
    first, second = fresh_id(), fresh_id()
    assert first != second and len(first) == 32 and int(first, 16) >= 0
