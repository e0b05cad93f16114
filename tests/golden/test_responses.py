"""Responses API: each folder of golden/responses holds what the upstream sent and what the clients get for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mitmcodex.wire.codec import Decoded, ReplyContext
from mitmcodex.wire.error_replies import reply_for
from mitmcodex.wire.fold import Folder
from mitmcodex.wire.responses_reply import ResponsesEncoder, encode_response

FOLDER = Path(__file__).parent / "responses"
CASES = sorted(path.parent.name for path in FOLDER.glob("*/upstream.sse"))


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Path:
    return FOLDER / request.param


def encoded(chunks: list[bytes], is_codex: bool) -> bytes:
    encoder = ResponsesEncoder(is_codex, model="asked-model", response_id="resp_made_here", created_at=1795200000)
    return b"".join([*map(encoder.feed, chunks), encoder.finish()])


def folded(data: bytes) -> bytes:
    """The status and body that a client without ``stream`` gets that is not Codex, as a file that people can read."""
    folder = Folder()
    folder.feed(data)
    if error := folder.error:
        reply = reply_for(error, "responses", is_codex=False)
        shown = {"status": reply.status, "body": json.loads(reply.body)}
    else:
        asked = ReplyContext(model="asked-model")
        shown = {"status": 200, "body": encode_response(folder.result(), Decoded({}), asked)}
    return (json.dumps(shown, indent=2, ensure_ascii=False) + "\n").encode()


def test_reply_to_codex(case, golden):
    """Byte for byte what Codex gets."""
    golden(case / "reply.codex.sse", encoded([(case / "upstream.sse").read_bytes()], is_codex=True))


def test_reply_to_other_clients(case, golden):
    """Byte for byte what any other client gets."""
    golden(case / "reply.public.sse", encoded([(case / "upstream.sse").read_bytes()], is_codex=False))


def test_reply_without_stream(case, golden):
    """Status and body for a client that did not ask for a stream."""
    golden(case / "reply.json", folded((case / "upstream.sse").read_bytes()))


@pytest.mark.parametrize("is_codex", [True, False], ids=["codex", "public"])
def test_law_cuts_do_not_matter(case, is_codex):
    """The upstream's bytes cut at any place, or into single bytes, give the same output."""
    data = (case / "upstream.sse").read_bytes()
    whole = encoded([data], is_codex)
    assert encoded([data[at : at + 1] for at in range(len(data))], is_codex) == whole
    for cut in range(1, len(data)):
        assert encoded([data[:cut], data[cut:]], is_codex) == whole, cut


@pytest.mark.parametrize("is_codex", [True, False], ids=["codex", "public"])
def test_law_folding_the_stream_gives_the_whole(case, is_codex):
    """A client that folds what it was streamed has what it would have got without streaming."""
    data = (case / "upstream.sse").read_bytes()
    assert folded(encoded([data], is_codex)) == folded(data)


def test_law_numbers_rise(case):
    """conformance 28: sequence numbers grow strictly, on events made here too; one event ends each stream."""
    data = encoded([(case / "upstream.sse").read_bytes()], is_codex=False)
    lines = [line.removeprefix(b"data: ") for line in data.splitlines() if line.startswith(b"data: {")]
    events = [json.loads(line) for line in lines]
    numbers = [event["sequence_number"] for event in events if event["type"] != "error"]
    assert numbers == sorted(set(numbers))
    assert events[0]["type"] == "response.created"
    terminal = ("response.completed", "response.incomplete", "response.failed")
    assert [event["type"] in terminal for event in events] == [False] * (len(events) - 1) + [True]


def test_law_one_model_name(case):
    """conformance 2, seeds S96, S103: every response carries the name that the client asked for, whatever the upstream
    calls it."""
    data = encoded([(case / "upstream.sse").read_bytes()], is_codex=False)
    lines = [line.removeprefix(b"data: ") for line in data.splitlines() if line.startswith(b"data: {")]
    responses = [event["response"] for event in map(json.loads, lines) if "response" in event]
    assert {response["model"] for response in responses} == {"asked-model"}
