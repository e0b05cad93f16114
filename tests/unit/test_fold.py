"""wire/fold.py: a stream becomes the one object that a client without ``stream`` gets."""

import json

import pytest

from mitmcodex.wire.errors import WireError
from mitmcodex.wire.fold import Folder, OutputItems


def sse(kind, **fields):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def item_done(index, text):
    item = {"id": f"msg_{index}", "type": "message", "content": [{"type": "output_text", "text": text}]}
    return sse("response.output_item.done", output_index=index, item=item)


def folded(*frames):
    folder = Folder()
    for frame in frames:
        folder.feed(frame)
    return folder


def ids(response):
    return [item["id"] for item in response["output"]]


def test_an_empty_output_is_rebuilt_in_order():
    """conformance 30: the backend's terminal event has ``output: []``; the items come from item.done by
    output_index."""
    folder = folded(item_done(1, "b"), item_done(0, "a"), sse("response.completed", response={"id": "r", "output": []}))
    assert folder.error is None
    assert ids(folder.result()) == ["msg_0", "msg_1"]


def test_a_missing_output_is_made():
    """An object without ``output`` breaks the SDKs."""
    assert folded(sse("response.completed", response={"id": "r"})).result() == {"id": "r", "output": []}


def test_a_full_output_is_untouched():
    """What the upstream says itself counts."""
    response = {"id": "r", "output": [{"id": "own"}]}
    assert folded(item_done(0, "a"), sse("response.completed", response=response)).result() == response


def test_incomplete_is_a_result():
    """An answer cut by a token limit is a 200 that says so."""
    response = {"id": "r", "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": []}
    folder = folded(item_done(0, "a"), sse("response.incomplete", response=response))
    assert folder.result()["status"] == "incomplete"
    assert ids(folder.result()) == ["msg_0"]


@pytest.mark.parametrize(("code", "status"), [("context_length_exceeded", 400), ("server_is_overloaded", 503)])
def test_failed_is_an_http_error(code, status):
    """conformance.md 31: never a 200 with an empty output."""
    folder = folded(sse("response.failed", response={"id": "r", "error": {"code": code, "message": "m"}}))
    assert folder.error.status_for(is_codex=False) == status
    with pytest.raises(WireError, match="m"):
        folder.result()


def test_no_terminal_event_is_stream_incomplete():
    """Text that came is not passed off as the answer."""
    folder = folded(item_done(0, "a"))
    assert folder.error.kind == "stream_incomplete"
    with pytest.raises(WireError):
        folder.result()


def test_an_error_event_names_the_cause():
    """A top-level ``error`` and then the end: its code is told; a terminal event after it counts more."""
    error = sse("error", code="context_length_exceeded", message="too long")
    assert folded(error).error.code == "context_length_exceeded"
    assert folded(error, sse("response.completed", response={"id": "r"})).error is None


def test_the_last_event_needs_no_blank_line():
    """conformance.md 36; what is only half there is no event."""
    terminal = sse("response.completed", response={"id": "r"})
    assert folded(terminal.rstrip()).result()["id"] == "r"
    assert folded(terminal[:-6]).error.kind == "stream_incomplete"


def test_only_the_first_terminal_event_counts():
    """What follows the end can't change it."""
    first, second = (sse("response.completed", response={"id": name}) for name in "ab")
    assert folded(first, second, b"data: [DONE]\n\n").result()["id"] == "a"


def test_a_terminal_event_without_response_is_none():
    """There is nothing to hand out."""
    assert folded(sse("response.completed")).error.kind == "stream_incomplete"


def test_memory_is_that_of_the_items():
    """Deltas are dropped, and beyond the limit folding ends at once: nothing more is read or kept."""
    folder = Folder(limit=500)
    for _ in range(100):
        folder.feed(sse("response.output_text.delta", delta="x" * 100))
    assert folder._items.size == 0
    with pytest.raises(WireError, match="larger than 500"):
        for _ in range(3):
            folder.feed(item_done(0, "x" * 100))
    assert folder._items.size < 1000
    with pytest.raises(WireError, match="larger than 500"):
        Folder(limit=500).feed(sse("response.completed", response={"id": "x" * 600})[:-1])


def test_items_without_or_with_the_same_index():
    """The later of two counts, one without an index comes last, a broken one is left out."""
    items = OutputItems()
    for frame in (
        item_done(5, "a"),
        sse("response.output_item.done", item={"id": "no index"}),
        sse("response.output_item.done", output_index=5, item={"id": "later"}),
        b"event: response.output_item.done\ndata: {\n\n",
    ):
        items.add(frame)
    assert [item["id"] for item in items.in_order()] == ["later", "no index"]
