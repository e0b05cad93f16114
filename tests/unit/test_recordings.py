import base64
import errno
import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from mitmcodex.state import recordings
from mitmcodex.state.recordings import Recording, Recordings, RequestLine
from mitmcodex.wire.codec import Loss
from mitmcodex.wire.redact import REDACTED

JWT = "eyJhbGciOiJub25lIn0.eyJleHAiOjF9.c2lnbmF0dXJl"
SSE = [("content-type", "text/event-stream")]
JSON = [("Content-Type", "application/json; charset=utf-8")]
AT = 1846179912.345


def _begin(folder: Path, number: int = 1, limit: int = 0, client: str = "client") -> Recording:
    return Recordings(folder, limit).begin(number, AT, client)


def _read(folder: Path, name: str) -> Any:
    return json.loads((folder / f"000001-1846179912345-{name}.json").read_text())


def _body(folder: Path, headers: list[tuple[str, str]], *pieces: bytes) -> tuple[Any, str]:
    recording = _begin(folder)
    recording.response("client", 200, headers)
    for piece in pieces:
        recording.data("client", piece)
    recording.close("complete")
    content = _read(folder, "client-response")
    return content["body"], content["body_encoding"]


def test_losses_stand_beside_the_body(tmp_path: Path) -> None:
    """What of the client's request did not go into it, and why; without any there is no such key."""
    recording = _begin(tmp_path)
    recording.request("client", RequestLine("POST", "/", []), b"{}")
    recording.request("upstream", RequestLine("POST", "/", []), b"{}", [Loss("seed", "dropped", "there is none")])
    assert "losses" not in _read(tmp_path, "client-request")
    (loss,) = _read(tmp_path, "upstream-request")["losses"]
    assert loss == {"path": "seed", "what": "dropped", "why": "there is none"}


def test_each_side_and_attempt_has_its_pair_of_files(tmp_path: Path) -> None:
    """The names tell number, time in ms, side, attempt and direction; each file is private, ends with a newline."""
    folder = tmp_path / "new" / "dumps"
    recording = _begin(folder)
    for side in ("client", "upstream", "upstream-2"):
        recording.request(side, RequestLine("POST", "/v1/responses", []), b"")
        recording.response(side, 200, SSE)
    recording.close("complete")
    prefix = "000001-1846179912345"
    sides = ("client", "upstream", "upstream-2")
    assert sorted(os.listdir(folder)) == sorted(
        f"{prefix}-{side}-{what}.json" for side in sides for what in ("request", "response")
    )
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert all(file.read_bytes().endswith(b"\n}\n") for file in folder.iterdir())


def test_the_secure_mode_has_the_names_of_the_real_proxy(tmp_path: Path) -> None:
    """Two files and no side in their names."""
    recording = _begin(tmp_path, client="")
    recording.request("client", RequestLine("POST", "/v1/responses", []), b"{}")
    recording.response("client", 200, SSE)
    recording.close("complete")
    assert sorted(os.listdir(tmp_path)) == [f"000001-1846179912345-{what}.json" for what in ("request", "response")]


def test_a_request_keeps_order_and_duplicates_and_no_secret(tmp_path: Path) -> None:
    """Headers are a list, secrets in URL, headers and body are masked, the body is JSON."""
    headers = [("B", "1"), ("Authorization", "Bearer S"), ("a", "2"), ("B", "1"), ("chatgpt-account-id", "acc")]
    body = json.dumps({"model": "m", "input": f"my {JWT} ü", "api_key": "S"}).encode()
    _begin(tmp_path).request("upstream", RequestLine("POST", "https://h.test/p?api-version=1&key=S", headers), body)
    assert _read(tmp_path, "upstream-request") == {
        "method": "POST",
        "url": f"https://h.test/p?api-version=1&key={REDACTED}",
        "headers": [
            {"name": "B", "value": "1"},
            {"name": "Authorization", "value": REDACTED},
            {"name": "a", "value": "2"},
            {"name": "B", "value": "1"},
            {"name": "chatgpt-account-id", "value": REDACTED},
        ],
        "body": {"model": "m", "input": f"my {REDACTED} ü", "api_key": REDACTED},
        "body_encoding": "json",
    }


@pytest.mark.parametrize(
    ("body", "expected", "encoding"),
    [
        (b'{"a":1}', {"a": 1}, "json"),
        (b'"\\ud800"', "\ud800", "json"),
        (b"", "", "text"),
        (b'{"a":', '{"a":', "text"),
        (b'{"a":NaN}', '{"a":NaN}', "text"),
        (b'{"a":1e999}', '{"a":1e999}', "text"),
        (b"[" * 3000, "[" * 3000, "text"),
        (b'quote " and \\ and \n\x00', 'quote " and \\ and \n\x00', "text"),
        (b"\x00\xff\xfe", base64.b64encode(b"\x00\xff\xfe").decode(), "base64"),
    ],
    ids=range(9),
)
def test_a_body_is_json_else_text_else_base64(tmp_path: Path, body: bytes, expected: object, encoding: str) -> None:
    """The encoding beside the body says which; requests and responses agree; every file is strict JSON."""
    recording = _begin(tmp_path)
    recording.request("client", RequestLine("POST", "/", []), body)
    request = _read(tmp_path, "client-request")
    assert (request["body"], request["body_encoding"]) == (expected, encoding)
    recording.response("client", 200, JSON)
    recording.data("client", body)
    recording.close("complete")
    response = _read(tmp_path, "client-response")
    assert (response["body"], response["body_encoding"]) == (expected, encoding)


def test_a_stream_is_written_as_it_arrives(tmp_path: Path) -> None:
    """Each line is in the file before the next chunk comes, and the end makes it whole."""
    recording = _begin(tmp_path)
    recording.response("upstream", 200, SSE)
    recording.data("upstream", b'data: {"n":1}\n\n')
    path = tmp_path / "000001-1846179912345-upstream-response.json"
    assert '"body": "data: {\\"n\\":1}\\n\\n' in path.read_text()
    recording.data("upstream", b"data: par")
    recording.end("upstream", "cut")
    content = _read(tmp_path, "upstream-response")
    assert list(content) == ["status", "headers", "body", "body_encoding", "ended"]
    assert (content["body"], content["body_encoding"], content["ended"]) == (
        'data: {"n":1}\n\ndata: par',
        "text",
        "cut",
    )


@pytest.mark.parametrize("headers", [SSE, JSON, [("content-type", "application/octet-stream")]], ids=range(3))
def test_a_cut_exchange_leaves_a_valid_file_with_what_came(tmp_path: Path, headers: list[tuple[str, str]]) -> None:
    """Whatever the type, an abort keeps the partial body."""
    recording = _begin(tmp_path)
    recording.response("client", 200, headers)
    recording.data("client", b'{"partial": "bo')
    recording.close("aborted")
    content = _read(tmp_path, "client-response")
    assert (content["body"], content["ended"]) == ('{"partial": "bo', "aborted")


@pytest.mark.parametrize("size", [1, 2, 5])
def test_secrets_and_characters_cut_by_chunks(tmp_path: Path, size: int) -> None:
    """A token and a multi-byte character that arrive in pieces: the first is masked, the second is whole."""
    text = f"data: € {JWT} 😀 \x7f\ndata: Bearer S9\n".encode()
    body, encoding = _body(tmp_path, SSE, *(text[at : at + size] for at in range(0, len(text), size)))
    assert (body, encoding) == (f"data: € {REDACTED} 😀 \x7f\ndata: Bearer {REDACTED}\n", "text")


def test_a_coded_or_untyped_body_is_told_at_its_end(tmp_path: Path) -> None:
    """What is not plainly text is looked at as a whole: bytes with a content coding don't become broken text."""
    coded = b"\x1f\x8b\x08\xff"
    body = _body(tmp_path / "a", [("content-type", "text/event-stream"), ("content-encoding", "gzip")], coded)
    assert body == (base64.b64encode(coded).decode(), "base64")
    assert _body(tmp_path / "b", [], b'{"a"', b":1}") == ({"a": 1}, "json")


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_large_bodies_are_not_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    """Above the limit JSON becomes text and bytes become base64 as they come, whatever the size of the pieces."""
    monkeypatch.setattr(recordings, "MAX_BUFFERED", 100)
    text = json.dumps({"a": "ä" * 400}, ensure_ascii=False).encode()
    raw = bytes(range(255, -1, -1)) * 4 + f" {JWT}\n".encode()
    body = _body(tmp_path / "a", JSON, *(text[at : at + piece] for at in range(0, len(text), piece)))
    assert body == (text.decode(), "text")
    body = _body(tmp_path / "b", [], *(raw[at : at + piece] for at in range(0, len(raw), piece)))
    assert body[1] == "base64"
    assert base64.b64decode(body[0]) == raw.replace(JWT.encode(), REDACTED.encode())


def _exchange(all_of_them: Recordings, number: int, at: float, size: int) -> None:
    recording = all_of_them.begin(number, at)
    recording.request("client", RequestLine("POST", "/", []), b"x" * size)
    recording.response("client", 200, SSE)
    recording.close("complete")


def _numbers(folder: Path) -> list[str]:
    return sorted({file.name[:10] for file in folder.glob("*.json")})


def test_the_oldest_exchanges_are_dropped_whole(tmp_path: Path) -> None:
    """Above the limit the oldest pairs go, those of earlier runs first, and no other file in the folder."""
    (tmp_path / "notes.json").write_text("mine")
    earlier = Recordings(tmp_path, 0)
    _exchange(earlier, 2, 2.0, 1000)
    _exchange(earlier, 1, 2.001, 1000)
    later = Recordings(tmp_path, 3000)
    assert _numbers(tmp_path) == ["000001-200", "000002-200", "notes.json"]
    _exchange(later, 1, 3.0, 1000)
    assert _numbers(tmp_path) == ["000001-200", "000001-300", "notes.json"]
    _exchange(later, 2, 4.0, 1000)
    assert _numbers(tmp_path) == ["000001-300", "000002-400", "notes.json"]
    assert len(list(tmp_path.glob("0*.json"))) == 4
    Recordings(tmp_path, 1500)
    assert _numbers(tmp_path) == ["000002-400", "notes.json"]


def test_what_runs_is_not_dropped(tmp_path: Path) -> None:
    """An exchange that is being written stays until it has ended."""
    all_of_them = Recordings(tmp_path, 500)
    running = all_of_them.begin(1, 1.0)
    running.request("client", RequestLine("POST", "/", []), b"x" * 1000)
    _exchange(all_of_them, 2, 2.0, 10)
    assert _numbers(tmp_path) == ["000001-100", "000002-200"]
    running.close("complete")
    assert "000001-100" not in _numbers(tmp_path)


class Full(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_an_error_and_leaves_no_open_file(tmp_path: Path) -> None:
    """Writing raises what the system says; abandon() closes what was open."""
    recording = _begin(tmp_path)
    recording.response("client", 200, SSE)
    opened = recording._open["client"]
    opened._file.close()
    opened._file = file = io.BufferedWriter(Full())
    with pytest.raises(OSError, match="No space left"):
        recording.data("client", b"data: x\n")
    recording.abandon()
    assert file.raw.closed and not recording._open
