"""Each client protocol on each canonical stream of golden/streams: what its clients get, and the laws of a codec.

A protocol named P has golden/P/replies/CASE.txt (the stream) and .json (the whole answer),
golden/P/requests/CASE/{request,canonical,losses}.json, and ``support.fold_P.fold``: what a client of that protocol
makes of a whole stream.
"""

from __future__ import annotations

import importlib
import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from mitmcodex.wire import CODECS
from mitmcodex.wire.codec import Asked, Codec, Decoded, ReplyContext
from mitmcodex.wire.error_replies import reply_for
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.fold import Folder

FOLDER = Path(__file__).parent
STREAMS = sorted(path.stem for path in (FOLDER / "streams").iterdir())
PROTOCOLS = sorted(name for name in CODECS if (FOLDER / name / "replies").is_dir())
REQUESTS = sorted(path for name in CODECS for path in FOLDER.glob(f"{name}/requests/*") if path.is_dir())


def context() -> ReplyContext:
    ids = count()
    return ReplyContext(
        model="asked-model",
        account=lambda: "acct0001",
        input_tokens=lambda: 99,
        now_ns=lambda: 1795200000_000000000,
        new_id=lambda: f"{next(ids):032x}",
    )


def decoded_for(protocol: str) -> Decoded:
    """The request that the streams answer: golden/P/replies/request.json."""
    asked = json.loads((FOLDER / protocol / "replies" / "request.json").read_bytes())
    return CODECS[protocol].decode_request(asked["body"], Asked(**asked.get("asked", {})))


def encoded(codec: Codec, decoded: Decoded, chunks: list[bytes]) -> bytes:
    encoder = codec.encoder(decoded, context())
    return b"".join([*map(encoder.feed, chunks), encoder.finish()])


def whole(codec: Codec, decoded: Decoded, data: bytes) -> dict[str, Any]:
    """Status and body for a client that does not stream."""
    folder = Folder()
    folder.feed(data)
    try:
        return {"status": 200, "body": codec.encode_response(folder.result(), decoded, context())}
    except WireError as error:
        reply = reply_for(error, codec.name, is_codex=False)
        return {"status": reply.status, "body": json.loads(reply.body)}


def shown(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


@pytest.fixture(params=[(name, case) for name in PROTOCOLS for case in STREAMS], ids=lambda pair: "-".join(pair))
def case(request: pytest.FixtureRequest) -> tuple[Codec, str, bytes]:
    name, stream = request.param
    return CODECS[name], stream, (FOLDER / "streams" / f"{stream}.sse").read_bytes()


def test_reply_as_a_stream(case, golden):
    """conformance 36: byte for byte what a streaming client gets."""
    codec, name, data = case
    golden(FOLDER / codec.name / "replies" / f"{name}.txt", encoded(codec, decoded_for(codec.name), [data]))


def test_reply_without_stream(case, golden):
    """Status and body for a client that did not ask for a stream."""
    codec, name, data = case
    golden(FOLDER / codec.name / "replies" / f"{name}.json", shown(whole(codec, decoded_for(codec.name), data)))


def test_law_cuts_do_not_matter(case):
    """The upstream's bytes cut at any place, or into single bytes, give the same output."""
    codec, _, data = case
    decoded = decoded_for(codec.name)
    expected = encoded(codec, decoded, [data])
    assert encoded(codec, decoded, [data[at : at + 1] for at in range(len(data))]) == expected
    for cut in range(1, len(data)):
        assert encoded(codec, decoded, [data[:cut], data[cut:]]) == expected, cut


def test_law_folding_the_stream_gives_the_whole(case):
    """What a client makes of the stream is what it would have got without streaming; a failure stays a failure."""
    codec, _, data = case
    fold = importlib.import_module(f"support.fold_{codec.name}").fold
    decoded = decoded_for(codec.name)
    folded, expected = fold(encoded(codec, decoded, [data])), whole(codec, decoded, data)
    if expected["status"] == 200:
        assert folded == expected["body"]
    else:
        assert folded is None, "a stream that failed must not look complete"


@pytest.mark.parametrize("folder", REQUESTS, ids=lambda path: f"{path.parent.parent.name}-{path.name}")
def test_request(folder, golden):
    """A client's request in canonical form, with every key that was not carried over."""
    asked = json.loads((folder / "request.json").read_bytes())
    try:
        got = CODECS[folder.parent.parent.name].decode_request(asked["body"], Asked(**asked.get("asked", {})))
    except WireError as error:
        golden(folder / "error.json", shown(error.as_object()))
        return
    canonical = {
        "fields": got.fields,
        "wants_stream": got.wants_stream,
        "stop": got.stop,
        "n": got.n,
        "extras": got.extras,
        "paths": got.paths,
        "session": got.session,
    }
    golden(folder / "canonical.json", shown(canonical))
    golden(folder / "losses.json", shown([loss._asdict() for loss in got.losses]))
