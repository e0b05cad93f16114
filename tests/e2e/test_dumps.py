"""Dump files, as the whole proxy writes them (``dump_dir``)."""

from __future__ import annotations

import errno
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mitmcodex.state import recordings
from support.answers import Cut, Data, End, Gate, Head, Pairs, Pause, overloaded, reply, say
from support.auth import Login
from support.backend import Backend
from support.events import ev_created, ev_text_delta, sse
from support.proxy import Proxy
from support.upstreams import to
from support.wires import ASK, Gone, Http1Wire

JSON = dict[str, Any]
NAME = re.compile(r"(\d{6})-(\d{13})-([a-z0-9-]+)\.json")
PAIRS = {"client-request", "client-response", "upstream-request", "upstream-response"}
FIRST_WORDS = sse([ev_created(), ev_text_delta("first words")])


@pytest.fixture
def upstream(make_backend: Callable[..., Backend]) -> Backend:
    """Plain HTTP, and it takes anything: what is dumped is the topic here."""
    return make_backend()


@pytest.fixture
def config(tmp_path: Path, upstream: Backend, login: Login) -> JSON:
    base = f"{upstream.origin}/backend-api/codex"
    provider = to(kind="chatgpt", base_url=base, credential={"codex": str(login.path)})
    return {**provider, "dump_dir": str(tmp_path / "dumps")}


def dumps(folder: Path, number: int = 1) -> dict[str, JSON]:
    """The files of one exchange by the part of their name behind the time; each must be whole JSON."""
    found = {}
    for file in sorted((folder / "dumps").iterdir()):
        match = NAME.fullmatch(file.name)
        assert match, file.name
        if int(match[1]) == number:
            found[match[3]] = json.loads(file.read_text())
    return found


def raw_text(folder: Path, what: str) -> str:
    [file] = (folder / "dumps").glob(f"*-{what}.json")
    return file.read_text()


def ask(port: int, path: str = "/v1/responses", headers: Pairs | None = None, body: bytes = ASK) -> bytes:
    """One whole answer, head and body."""
    with Http1Wire(port) as client:
        fields = [("host", "localhost"), ("connection", "close"), ("content-length", str(len(body)))]
        client.send("POST", path, [*fields, ("content-type", "application/json"), *(headers or [])], body)
        return client.read_to_close()


def body_of(proxy: Proxy) -> bytes:
    with Http1Wire(proxy.port) as client:
        client.post()
        client.read_head()
        return client.read_body()


def pairs(dump: JSON) -> Pairs:
    return [(field["name"], field["value"]) for field in dump["headers"]]


def test_an_exchange_leaves_a_pair_on_each_side(tmp_path: Path, config: JSON, upstream: Backend) -> None:
    """Four files of one number and time; headers in order, with their case and duplicates, on both sides."""
    upstream.queue(say("hi", [("x-twice", "1"), ("x-between", "b"), ("x-twice", "2")]))
    with Proxy(tmp_path, config) as proxy:
        ask(proxy.port, headers=[("X-Double", "one"), ("x-middle", "m"), ("x-double", "two")])
        proxy.wait_idle()
    assert len({file.name.split("-")[1] for file in (tmp_path / "dumps").iterdir()}) == 1
    written = dumps(tmp_path)
    assert written.keys() == PAIRS
    request = written["client-request"]
    assert (request["method"], request["url"]) == ("POST", "/v1/responses")
    assert pairs(request)[-3:] == [("X-Double", "one"), ("x-middle", "m"), ("x-double", "two")]
    assert written["upstream-request"]["url"] == f"{upstream.origin}/backend-api/codex/responses"
    sent = [pair for pair in upstream.requests[0].headers if pair[0] not in ("host", "authorization", "content-length")]
    assert [pair for pair in pairs(written["upstream-request"]) if pair in sent] == [
        pair for pair in sent if pair[0] != "chatgpt-account-id"
    ]
    for side in ("client-response", "upstream-response"):
        answer = written[side]
        assert (answer["status"], answer["ended"]) == (200, "complete")
        assert [pair for pair in pairs(answer) if pair[0].startswith("x-twice")] == [("x-twice", "1"), ("x-twice", "2")]
        assert [name for name, _ in pairs(answer)][1:4] == ["x-twice", "x-between", "x-twice"]


def test_bodies_are_dumped_decoded_as_json_text_or_base64(tmp_path: Path, config: JSON, upstream: Backend) -> None:
    """JSON as JSON (the upstream's request without its zstd), a stream as text, other bytes as base64."""
    upstream.queue(say("hi"), reply(200, {"ok": [1, None]}))
    with Proxy(tmp_path, config) as proxy:
        ask(proxy.port)
        ask(proxy.port, "/backend-api/wham/upload", [("x-n", "2")], b"\x00\xff\xfe")
        proxy.wait_idle()
    first, second = dumps(tmp_path, 1), dumps(tmp_path, 2)
    assert first["client-request"]["body"] == json.loads(ASK)
    assert first["upstream-request"]["body"]["model"] == "gpt-5.5"
    assert upstream.requests[0].first("content-encoding") == "zstd"
    assert {dump["body_encoding"] for name, dump in first.items() if "request" in name} == {"json"}
    assert first["upstream-response"]["body_encoding"] == "text"
    assert first["upstream-response"]["body"].startswith("event: response.created\ndata: {")
    assert (second["client-request"]["body"], second["client-request"]["body_encoding"]) == ("AP/+", "base64")
    assert (second["client-response"]["body"], second["client-response"]["body_encoding"]) == (
        {"ok": [1, None]},
        "json",
    )


def test_a_second_attempt_has_its_own_pair(tmp_path: Path, config: JSON, upstream: Backend) -> None:
    """The refused attempt and the one that worked lie side by side; the client's pair shows what the client got."""
    upstream.queue(overloaded(), say("at last"))
    with Proxy(tmp_path, config) as proxy:
        assert b"at last" in ask(proxy.port)
        proxy.wait_idle()
    written = dumps(tmp_path)
    assert written.keys() == PAIRS | {"upstream-2-request", "upstream-2-response"}
    assert (written["upstream-response"]["status"], written["upstream-response"]["ended"]) == (503, "retried")
    assert (written["upstream-2-response"]["status"], written["upstream-2-response"]["ended"]) == (200, "complete")
    assert written["client-response"]["status"] == 200


def test_a_stream_is_on_disk_before_it_ends(tmp_path: Path, config: JSON, upstream: Backend) -> None:
    """What the client has received can be read in both response files while the upstream goes on."""
    gate = Gate()
    upstream.queue([Head(), Data(FIRST_WORDS), Pause(gate), *say("the rest")[1:]])
    with Proxy(tmp_path, config) as proxy, Http1Wire(proxy.port) as client:
        client.post()
        client.read_until(0, b"first words")
        assert "first words" in raw_text(tmp_path, "client-response")
        assert "first words" in raw_text(tmp_path, "upstream-response")
        assert '"ended"' not in raw_text(tmp_path, "client-response")
        gate.open()
        client.read_until(0, b"response.completed")


def test_a_cut_stream_leaves_its_partial_body(tmp_path: Path, config: JSON, upstream: Backend) -> None:
    """Both response files are whole JSON with what came; the client's also holds the end that we made."""
    upstream.queue([Head(), Data(FIRST_WORDS), Cut("close")])
    with Proxy(tmp_path, config) as proxy:
        assert b"response.failed" in ask(proxy.port)
        proxy.wait_idle()
    written = dumps(tmp_path)
    assert written["upstream-response"]["body"].encode() == FIRST_WORDS
    assert "response.failed" in written["client-response"]["body"]
    assert written["upstream-response"]["ended"] == written["client-response"]["ended"] == "cut"


def test_an_aborted_client_leaves_its_partial_body(tmp_path: Path, config: JSON, upstream: Backend) -> None:
    """conformance 84: the client goes away in mid-stream: the files are whole JSON, hold what came and say so."""
    gate = Gate()
    upstream.queue([Head(), Data(FIRST_WORDS), Pause(gate), End()])
    with Proxy(tmp_path, config) as proxy:
        with Http1Wire(proxy.port) as client:
            client.post()
            client.read_until(0, b"first words")
        upstream.wait_for_call().wait_aborted()
        proxy.wait_idle()
    written = dumps(tmp_path)
    assert "first words" in written["client-response"]["body"]
    assert written["upstream-response"]["body"].encode() == FIRST_WORDS
    assert written["client-response"]["ended"] == "aborted"


def test_files_are_private(tmp_path: Path, config: JSON, upstream: Backend) -> None:
    """0600 in a folder of 0700, whatever the umask was."""
    with Proxy(tmp_path, config) as proxy:
        ask(proxy.port)
        proxy.wait_idle()
    files = list((tmp_path / "dumps").iterdir())
    assert len(files) == 4
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert (tmp_path / "dumps").stat().st_mode & 0o777 == 0o700


def test_the_oldest_exchanges_are_dropped_whole(tmp_path: Path, config: JSON, upstream: Backend) -> None:
    """With dump_max_bytes for about two exchanges, of five the last ones are left, each with all its files."""
    with Proxy(tmp_path, config) as proxy:
        ask(proxy.port)
        proxy.wait_idle()
        one = sum(file.stat().st_size for file in (tmp_path / "dumps").iterdir())
    with Proxy(tmp_path, {**config, "dump_max_bytes": int(one * 2.5)}) as proxy:
        for _ in range(5):
            ask(proxy.port)
            proxy.wait_idle()
    kept = sorted(file.name.split("-")[0] for file in (tmp_path / "dumps").iterdir())
    assert kept == ["000004"] * 4 + ["000005"] * 4


def test_what_has_no_exchange_leaves_no_file(tmp_path: Path, config: JSON, upstream: Backend) -> None:
    """Refusals of the gate and of the parser, and local answers, dump nothing."""
    with Proxy(tmp_path, config) as proxy:
        with Http1Wire(proxy.port) as client:
            client.send("GET", "/health", [("host", "localhost")])
            assert client.read_head()[":status"] == "200"
        assert ask(proxy.port, "/nowhere").startswith(b"HTTP/1.1 404")
        assert ask(proxy.port, headers=[("origin", "https://page.example")]).startswith(b"HTTP/1.1 403")
        assert ask(proxy.port, headers=[("content-encoding", "gzip")]).startswith(b"HTTP/1.1 400")
        assert ask(proxy.port, headers=[("x bad", "1")]).startswith(b"HTTP/1.1 400")
        assert list((tmp_path / "dumps").glob("*")) == []
        ask(proxy.port)
        proxy.wait_idle()
    assert dumps(tmp_path).keys() == PAIRS, "the first number goes to the first exchange"


class _Full(io.RawIOBase):
    """A disk with room for a head and no more."""

    def __init__(self, room: int) -> None:
        self._room = room

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._room -= len(data)
        if self._room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return len(data)


@pytest.mark.parametrize("room", [0, 300, 2500])
def test_a_full_disk_does_not_touch_the_answer(
    tmp_path: Path, config: JSON, upstream: Backend, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """Wherever the disk runs full, the client gets every byte; the flow is marked, the next exchange is tried anew."""
    marks: list[str] = []

    class Look:
        def response(self, flow: Any) -> None:
            marks.append(flow.comment)

    upstream.queue(say("x" * 4000), say("x" * 4000))
    with Proxy(tmp_path, config, extra=[Look()]) as proxy:
        with monkeypatch.context() as patch:
            patch.setattr(recordings, "create_private", lambda path: _Full(room))
            broken = body_of(proxy)
            proxy.wait_idle()
        whole = body_of(proxy)
        proxy.wait_idle()
    assert broken == whole and b"response.completed" in whole
    assert [("Record" in mark) for mark in marks] == [True, False]
    assert dumps(tmp_path, 2).keys() == PAIRS


def test_a_reset_request_is_dumped_too(tmp_path: Path, config: JSON, upstream: Backend) -> None:
    """An upstream that answers nothing: the request of each attempt is there, and the error that the client got."""
    upstream.queue([Cut("reset")], [Cut("reset")], [Cut("reset")], [Cut("reset")])
    with Proxy(tmp_path, config) as proxy:
        try:
            answer = ask(proxy.port)
        except Gone:
            answer = b""
        proxy.wait_idle()
    written = dumps(tmp_path)
    assert b"502" in answer.partition(b"\r\n")[0]
    assert {"client-request", "client-response", "upstream-request"} <= written.keys()
    assert written["client-response"]["status"] == 502
