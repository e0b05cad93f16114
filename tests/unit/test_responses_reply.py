"""wire/responses_reply.py: frames go through untouched, and the end is told as it is."""

import json

import pytest

from mitmcodex.wire import responses_reply
from mitmcodex.wire.codec import Decoded, ReplyContext
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.responses_reply import CODEX_KEEPALIVE, PUBLIC_KEEPALIVE, ResponsesEncoder
from mitmcodex.wire.sse import FRAME_LIMIT, FrameSplitter, event_of, event_type, format_event


def sse(kind, **fields):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


CREATED = sse("response.created", sequence_number=0, response={"id": "resp_1", "model": "m", "created_at": 5})
DELTA = sse("response.output_text.delta", sequence_number=7, delta="hi")
ITEM = sse("response.output_item.done", sequence_number=8, output_index=0, item={"id": "msg_1", "type": "message"})
COMPLETED = sse("response.completed", sequence_number=9, response={"id": "resp_1", "output": []})
LIMITS = sse("codex.rate_limits", plan_type="plus")


def events(data):
    return [event_of(frame) for frame in FrameSplitter().feed(data)]


@pytest.fixture(params=[True, False], ids=["codex", "public"])
def is_codex(request):
    return request.param


def test_codex_gets_every_byte():
    """Own events of the backend, comments and odd white space included, and nothing is added to a whole stream."""
    stream = CREATED + LIMITS + b": hello\n\ndata:\n\n" + DELTA + ITEM + COMPLETED + b"data: [DONE]\n\n"
    encoder = ResponsesEncoder(is_codex=True)
    assert encoder.feed(stream) == stream
    assert encoder.finish() == b""
    assert encoder.terminal == "response.completed"


def test_others_get_public_events_alone():
    """conformance.md 27: response.* and error, byte for byte."""
    encoder = ResponsesEncoder(is_codex=False)
    error = sse("error", message="m")
    sent = encoder.feed(CREATED + LIMITS + sse("keepalive") + b": c\n\ndata: junk\n\n" + DELTA + error)
    assert sent == CREATED + DELTA + error


def test_others_get_the_output_rebuilt():
    """conformance.md 30: SDKs read the final answer from the terminal event, where the backend sends []."""
    encoder = ResponsesEncoder(is_codex=False)
    encoder.feed(CREATED + ITEM)
    terminal = events(encoder.feed(COMPLETED))[0]
    assert terminal["response"] == {"id": "resp_1", "output": [{"id": "msg_1", "type": "message"}]}
    assert terminal["sequence_number"] == 9
    assert encoder.feed(b"data: [DONE]\n\n") == b"data: [DONE]\n\n"
    assert encoder.finish() == b""


@pytest.mark.parametrize("limited", ["ITEMS_LIMIT", "FRAME_LIMIT"])
def test_an_output_with_a_hole_is_not_made_up(limited, monkeypatch):
    """An item that is too large to be kept goes through, and the terminal event stays as the upstream sent it."""
    large = sse("response.output_item.done", output_index=1, item={"id": "msg_2", "text": "x" * 9000})
    if limited == "ITEMS_LIMIT":
        monkeypatch.setattr(responses_reply, limited, 8000)
    encoder = ResponsesEncoder(is_codex=False)
    if limited == "FRAME_LIMIT":
        encoder._splitter = FrameSplitter(8000)
    stream = CREATED + ITEM + large + ITEM + COMPLETED
    assert b"".join(encoder.feed(stream[at : at + 1000]) for at in range(0, len(stream), 1000)) == stream
    assert encoder._items.size < 8000


def test_a_full_output_is_left_alone():
    """conformance 30: what needs no change is the same bytes."""
    terminal = sse("response.completed", response={"id": "resp_1", "output": [{"id": "own"}]})
    encoder = ResponsesEncoder(is_codex=False)
    assert encoder.feed(CREATED + ITEM + terminal) == CREATED + ITEM + terminal


def test_a_partial_frame_waits():
    """A keep-alive may come at any time, so only whole frames go out."""
    encoder = ResponsesEncoder(is_codex=True)
    assert encoder.feed(DELTA[:-1]) == b""
    assert encoder.idle() == CODEX_KEEPALIVE
    assert encoder.feed(DELTA[-1:]) == DELTA


def test_keepalive_by_client():
    """A comment does not reset Codex's idle timer, an event of no public type could break others."""
    assert event_type(ResponsesEncoder(is_codex=True).idle()) == "keepalive"
    assert ResponsesEncoder(is_codex=False).idle() == PUBLIC_KEEPALIVE
    assert PUBLIC_KEEPALIVE.startswith(b":")


def test_a_cut_never_looks_complete(is_codex):
    """conformance.md 28, 29: response.failed, stream_incomplete, next number, the id that was told."""
    encoder = ResponsesEncoder(is_codex)
    encoder.feed(CREATED + DELTA + DELTA[:20])
    (failed,) = events(encoder.finish())
    assert failed["type"] == encoder.terminal == "response.failed"
    assert failed["sequence_number"] == 8
    assert failed["response"]["id"] == "resp_1"
    assert (failed["response"]["created_at"], failed["response"]["model"]) == (5, "m")
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"]["code"] == "stream_incomplete"


def test_unnumbered_frames_do_not_hide_the_number(is_codex):
    """The last number counts, not the last frame."""
    encoder = ResponsesEncoder(is_codex)
    encoder.feed(CREATED + DELTA + LIMITS + sse("keepalive"))
    assert events(encoder.fail(WireError("internal", "m")))[-1]["sequence_number"] == 8


def test_others_always_see_created_first():
    """conformance.md 26: openai-python raises when the first event is another one; ids and numbers agree."""
    encoder = ResponsesEncoder(is_codex=False, model="asked")
    created, failed = events(encoder.fail(WireError("upstream_failed", "m")))
    assert (created["type"], failed["type"]) == ("response.created", "response.failed")
    assert created["response"]["id"] == failed["response"]["id"] != ""
    assert created["response"]["model"] == "asked"
    assert (created["sequence_number"], failed["sequence_number"]) == (0, 1)
    assert created["response"]["status"] == "in_progress"


def test_a_failure_that_comes_first_is_preceded_by_its_created():
    """conformance 26: the envelope of the failed event serves for it."""
    terminal = sse("response.failed", sequence_number=0, response={"id": "resp_1", "error": {"code": "x"}})
    encoder = ResponsesEncoder(is_codex=False)
    created, failed = events(encoder.feed(terminal))
    assert created["type"] == "response.created" and created["response"]["id"] == "resp_1"
    assert created["response"]["error"] is None
    assert failed["response"]["error"] == {"code": "x"}
    assert (created["sequence_number"], failed["sequence_number"]) == (0, 1)
    codex = ResponsesEncoder(is_codex=True)
    assert codex.feed(terminal) == terminal


def test_codex_gets_no_made_up_created():
    """It needs none, and each further event would be an untruth."""
    assert len(events(ResponsesEncoder(is_codex=True).fail(WireError("internal", "m")))) == 1


def test_the_error_keeps_its_fields():
    """Codex reads plan_type and resets_at of response.error."""
    error = WireError("usage_limit", "m", detail={"plan_type": "plus", "resets_at": 5})
    shown = events(ResponsesEncoder(is_codex=True).fail(error))[0]["response"]["error"]
    assert shown == {"code": "usage_limit_reached", "message": "m", "type": "usage_limit_reached"} | error.detail


def test_items_that_came_stand_in_the_failure():
    """What was finished before the cut is not lost to a client that reads the terminal event."""
    encoder = ResponsesEncoder(is_codex=False)
    encoder.feed(CREATED + ITEM)
    assert events(encoder.finish())[0]["response"]["output"] == [{"id": "msg_1", "type": "message"}]


def test_nothing_follows_the_end(is_codex):
    """fail() and finish() after a terminal event, or after one another, add nothing."""
    encoder = ResponsesEncoder(is_codex)
    encoder.feed(CREATED + ITEM + COMPLETED)
    assert encoder.fail(WireError("internal", "m")) == b""
    broken = ResponsesEncoder(is_codex)
    assert broken.fail(WireError("internal", "m"))
    assert broken.finish() == broken.fail(WireError("internal", "m")) == b""


@pytest.mark.parametrize("tail", [b"\n", b""])
def test_the_last_event_needs_no_blank_line(tail, is_codex):
    """conformance.md 36: it is completed and counts."""
    terminal = sse("response.completed", response={"id": "resp_1", "output": [1]})
    encoder = ResponsesEncoder(is_codex)
    encoder.feed(CREATED)
    assert encoder.feed(terminal[:-2] + tail) == b""
    assert encoder.finish() == terminal
    assert encoder.terminal == "response.completed"


def test_a_done_marker_needs_no_blank_line_either(is_codex):
    """Some providers close right after it."""
    encoder = ResponsesEncoder(is_codex)
    encoder.feed(CREATED + COMPLETED + b"data: [DONE]\n")
    assert encoder.finish() == b"data: [DONE]\n\n"


def test_the_first_identity_and_the_first_end_count(is_codex):
    """openai-python raises when the id changes; what follows the end changes nothing."""
    encoder = ResponsesEncoder(is_codex)
    encoder.feed(CREATED + sse("response.in_progress", response={"id": "resp_2"}))
    assert events(encoder.fail(WireError("internal", "m")))[0]["response"]["id"] == "resp_1"
    ended = ResponsesEncoder(is_codex)
    ended.feed(CREATED + ITEM + COMPLETED)
    second = sse("response.failed", response={"id": "resp_1", "output": []})
    assert ended.feed(second) == second
    assert ended.terminal == "response.completed"


def test_an_error_event_is_the_reason_of_the_failure(is_codex):
    """Codex ignores a top-level error and would only see a cut; the terminal event tells it the code."""
    encoder = ResponsesEncoder(is_codex)
    encoder.feed(CREATED + sse("error", code="context_length_exceeded", message="too long"))
    assert events(encoder.finish())[0]["response"]["error"]["code"] == "context_length_exceeded"


def oversize(kind):
    """A frame so far beyond the limit that it goes out in several pieces."""
    return sse(kind, delta="x" * (FRAME_LIMIT + 500_000))


def in_chunks(encoder, data):
    return b"".join(encoder.feed(data[at : at + 100_000]) for at in range(0, len(data), 100_000))


def test_an_oversize_frame_passes_in_pieces(is_codex):
    """No keep-alive cuts it in two, and what follows it goes on as ever."""
    encoder = ResponsesEncoder(is_codex)
    frame = oversize("response.output_text.delta")
    sent = in_chunks(encoder, CREATED + frame[:-500])
    assert encoder.idle() == b""
    sent += encoder.feed(frame[-500:] + DELTA)
    assert sent == CREATED + frame + DELTA
    assert encoder.idle() != b""


def test_an_oversize_frame_that_is_not_public_is_dropped_whole():
    """Each piece of it, and no byte of its neighbours."""
    encoder = ResponsesEncoder(is_codex=False)
    assert in_chunks(encoder, CREATED + oversize("codex.internal") + DELTA) == CREATED + DELTA


def test_a_cut_inside_an_oversize_frame_is_closed_first(is_codex):
    """Without the blank line the failure would be a part of the broken frame; a half terminal event is no end."""
    encoder = ResponsesEncoder(is_codex)
    in_chunks(encoder, CREATED + oversize("response.completed")[:-500])
    assert encoder.terminal == ""
    ending = encoder.finish()
    assert ending.startswith(b"\n\nevent: response.failed\n")
    whole = ResponsesEncoder(is_codex)
    in_chunks(whole, CREATED + oversize("response.completed"))
    assert whole.terminal == "response.completed"
    assert whole.finish() == b""


LIFECYCLE = [
    sse("response.created", sequence_number=0, response={"id": "r", "model": "m-2026-01-01", "instructions": "ours"}),
    sse("response.in_progress", sequence_number=1, response={"id": "r", "model": "m-2026-01-01", "store": False}),
    sse("response.completed", sequence_number=2, response={"id": "r", "model": "m-2026-01-01", "output": [{"a": 1}]}),
]
TOLD = {"instructions": None, "store": True, "metadata": {"a": "b"}}


def test_every_response_repeats_the_request_as_the_client_wrote_it():
    """conformance 2, seeds S96, S103: its own name of the model, also on the way; instructions that were added and what
    the provider was not told come out as they went in."""
    encoder = ResponsesEncoder(is_codex=False, model="m", told=TOLD)
    told = [event["response"] for event in events(b"".join(map(encoder.feed, LIFECYCLE)))]
    assert [response["model"] for response in told] == ["m", "m", "m"]
    assert [(r.get("instructions"), r["store"], r["metadata"]) for r in told] == [(None, True, {"a": "b"})] * 3
    assert told[-1]["output"] == [{"a": 1}]


def test_codex_reads_what_the_upstream_wrote():
    """Not a byte is changed for it, its model's name neither."""
    encoder = ResponsesEncoder(is_codex=True, model="m", told=TOLD)
    assert [encoder.feed(frame) for frame in LIFECYCLE] == LIFECYCLE


def test_frames_that_say_it_already_pass_as_they_are():
    """Byte for byte: they are not written again."""
    odd = b'data: {"type":"response.created",  "response":{ "id":"r","model":"m","created_at":1 }}\n\n'
    assert ResponsesEncoder(is_codex=False, model="m", told={"instructions": None}).feed(odd) == odd


@pytest.mark.parametrize("kind", ["response.created", "response.in_progress"])
def test_a_response_has_its_time(kind):
    """As in the public API, where the upstream leaves it out; the AI SDK refuses an answer without. Codex does not."""
    frame = format_event({"type": kind, "response": {"id": "r"}})
    [event] = events(ResponsesEncoder(is_codex=False, created_at=5).feed(frame))
    assert event["response"]["created_at"] == 5
    assert ResponsesEncoder(is_codex=True, created_at=5).feed(frame) == frame


def test_what_the_request_says_may_become_known_until_the_first_event():
    """A stage behind the one that makes the encoder finds out whether the response is kept."""
    told = {"store": False}
    encoder = ResponsesEncoder(is_codex=False, told=told)
    told["store"] = True
    assert events(encoder.feed(LIFECYCLE[0]))[0]["response"]["store"] is True


def test_responses_made_here_repeat_it_too():
    """A stream that broke before its first event."""
    encoder = ResponsesEncoder(is_codex=False, model="m", told=TOLD)
    made = [event["response"] for event in events(encoder.fail(WireError("stream_incomplete", "cut")))]
    assert [(r["model"], r["store"], r["metadata"]) for r in made] == [("m", True, {"a": "b"})] * 2


def test_a_whole_response_repeats_it():
    """conformance 31: the JSON object says the same as the stream; for Codex it stays as it is."""
    response = {"id": "r", "model": "other", "instructions": "ours", "output": [], "created_at": 5}
    decoded = Decoded({}, reply=TOLD)
    assert responses_reply.encode_response(dict(response), decoded, ReplyContext(is_codex=True)) == response
    told = responses_reply.encode_response(dict(response), decoded, ReplyContext(model="m"))
    assert told == {"id": "r", "model": "m", "output": [], "created_at": 5, **TOLD}


@pytest.mark.parametrize("told", [{}, {"created_at": 0}])
def test_each_response_says_when_it_was_created(told):
    """A service of another kind need not say it; zero would be the year 1970."""
    context = ReplyContext(model="m", now_ns=lambda: 7_500_000_000)
    assert responses_reply.encode_response(dict(told), Decoded({}, reply=TOLD), context)["created_at"] == 7
    encoder = ResponsesEncoder(is_codex=False, model="m", created_at=7)
    (created,) = events(encoder.feed(sse("response.created", sequence_number=0, response={"id": "resp_1", **told})))
    assert created["response"]["created_at"] == 7
