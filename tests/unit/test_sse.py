"""wire/sse.py: frames are cut right, whatever the line ends and the chunks, and never changed."""

import json

import pytest

from mitmcodex.wire.sse import FrameSplitter, data_of, event_of, event_type, format_event

MIXED = (
    b"event: a\ndata: 1\n\ndata: 2\r\n\r\ndata: 3\r\r: comment\n\r\ndata: 4\r\n\ndata: 5\n\rdata: 6\n\n\n\ndata: 7\n\n"
)
MIXED_FRAMES = [
    b"event: a\ndata: 1\n\n",
    b"data: 2\r\n\r\n",
    b"data: 3\r\r",
    b": comment\n\r\n",
    b"data: 4\r\n\n",
    b"data: 5\n\r",
    b"data: 6\n\n",
    b"\n\n",
    b"data: 7\n\n",
]


def test_frames_end_at_a_blank_line_of_any_kind():
    """conformance 36: LF, CRLF, CR and their mixtures end a line; two line ends in a row end a frame."""
    splitter = FrameSplitter()
    assert splitter.feed(MIXED) == MIXED_FRAMES
    assert splitter.rest() == b""


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_chunks_do_not_matter(step):
    """Any chunk size gives the same frames."""
    splitter = FrameSplitter()
    frames = []
    for at in range(0, len(MIXED), step):
        frames += splitter.feed(MIXED[at : at + step])
    assert frames == MIXED_FRAMES


def test_every_single_cut_gives_the_same_frames():
    """A cut at any byte, inside a CRLF too, changes nothing."""
    for cut in range(len(MIXED) + 1):
        splitter = FrameSplitter()
        assert splitter.feed(MIXED[:cut]) + splitter.feed(MIXED[cut:]) == MIXED_FRAMES, cut


def test_unicode_line_separators_are_data():
    """conformance 36: U+2028, U+2029 and NEL end no line."""
    text = "a\u2028b\u2029c\u0085d\x0b\x0ce"
    frame = f"data: {text}\n\n".encode()
    assert FrameSplitter().feed(frame * 2) == [frame, frame]
    assert data_of(frame) == text.encode()


def test_a_frame_of_bare_crs_does_not_wait_for_the_next():
    """CR CR ends a frame at once: there is no next byte to wait for at the end of a turn."""
    assert FrameSplitter().feed(b"data: 1\r\r") == [b"data: 1\r\r"]


def test_the_rest_is_what_has_no_blank_line():
    """rest() hands out the incomplete frame once."""
    splitter = FrameSplitter()
    assert splitter.feed(b"data: 1\n\ndata: 2\n") == [b"data: 1\n\n"]
    assert splitter.rest() == b"data: 2\n"
    assert splitter.rest() == b""


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_an_oversize_frame_goes_out_in_pieces(end):
    """Memory is bounded by the limit, oversize says when a frame is half out, and no byte is lost."""
    splitter = FrameSplitter(limit=100)
    stream = b"data: " + b"x" * 1000 + end + b"data: 2\n\n"
    frames, states = [], []
    for at in range(0, len(stream), 7):
        frames += splitter.feed(stream[at : at + 7])
        states.append(splitter.oversize)
        assert len(splitter._buffer) <= 107
    assert b"".join(frames) == stream
    assert frames[-1] == b"data: 2\n\n"
    assert len(frames) > 100
    assert True in states and states[-1] is False


def test_data_lines_are_joined():
    """conformance 36: several data lines are one text with LF between; one space after the colon goes, no more."""
    assert data_of(b"event: a\ndata: {\ndata:  1\r\ndata:}\ndata\n\n") == b"{\n 1\n}\n"
    assert data_of(b": comment\n\n") == b""
    assert data_of(b"\xef\xbb\xbfdata: 1\n\n") == b"1"


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (b'event: response.created\ndata: {"type":"other"}\n\n', "response.created"),
        (b"event:response.created\r\ndata: {}\r\n\r\n", "response.created"),
        (b'data: {"a":1}\nevent: late\n\n', "late"),
        (b'data: {"a":1}\revent: late\r\r', "late"),
        (b'data: {"type":"response.completed","response":{"type":"x"}}\n\n', "response.completed"),
        (b'data:{ "type" : "spaced" }\n\n', "spaced"),
        (b'data: {"item":{"type":"message"},"type":"response.output_item.done"}\n\n', "response.output_item.done"),
        (b'data: {"text":"\\"type\\":\\"no\\"","type":"yes"}\n\n', "yes"),
        (b'id: 1\ndata: {\ndata: "type":"lines"}\n\n', "lines"),
        (b'data: {"type":"esc\\u0061ped"}\n\n', "escaped"),
        (b'data: {"item":{"type":"message"}}\n\n', ""),
        (b'data: {"type":5}\n\n', ""),
        (b"data: [DONE]\n\n", ""),
        (b": keepalive\n\n", ""),
        (b'data: {"cut": {"type"\n\n', ""),
        (b'event:\ndata: {"type":"x"}\n\n', "x"),
    ],
)
def test_event_type(frame, kind):
    """The event line names the event, else the top-level type, never a nested one."""
    assert event_type(frame) == kind


def test_event_of_gives_objects_alone():
    """Anything but a JSON object is None, however broken or deep."""
    assert event_of(b'data: {"a":1}\n\n') == {"a": 1}
    for data in (b"[1]", b"{", b"[DONE]", b"\xff", b"[" * 100_000):
        assert event_of(b"data: " + data + b"\n\n") is None


def test_format_event_is_read_back():
    """conformance 36: what is written has event and type agreeing, no escaped text, and survives a lone surrogate."""
    event = {"type": "response.failed", "text": "é\u2028\n", "half": "\ud800"}
    frame = format_event(event)
    assert frame.startswith(b"event: response.failed\ndata: {")
    assert FrameSplitter().feed(frame) == [frame]
    assert "é".encode() in frame
    assert json.loads(data_of(frame)) == event
