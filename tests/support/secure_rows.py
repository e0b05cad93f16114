"""What the two secure proxies are asked, and what is looked at: the rows of support.compare_secure."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.answers import Answer as Played
from support.answers import Cut, Data, End, Head, Pause, reply
from support.answers import Gate as Holder
from support.backend import Backend
from support.client import Answer, Pairs
from support.records import Request
from support.secure import DidNotStart, Secure, started

Findings = dict[str, Any]
"""``row / what was looked at`` → what was seen."""

PATIENCE_S = 5
"""A client that has heard nothing for so long is taken to be left hanging."""
FRAMING = ("content-length", "transfer-encoding")
DUMPS_COMPARED = 15
"""Those of the answers that came whole: what the real one has read of a cut one is chance."""
HOST = ("Host", "127.0.0.1:{port}")
JSON_BODY = b'{"model": "m", "input": "caf\xc3\xa9"}'
CLIENT: Pairs = [
    HOST,
    ("Authorization", "Bearer clients-own-0123456789"),
    ("X-Two", "first"),
    ("x-two", "second"),
    ("Cookie", "session=abcdefgh"),
    ("X-Api-Key", "clients-api-key"),
    ("User-Agent", "probe/1"),
    ("Accept", "text/event-stream"),
    ("X-Empty", ""),
]
EVENTS: Played = [
    Head(
        200,
        [
            ("Content-Type", "text/event-stream"),
            ("Set-Cookie", "a=12345678; Path=/"),
            ("set-cookie", "b=12345678"),
            ("X-Request-Id", "req_1"),
            ("x-codex-primary-used-percent", "12.5"),
        ],
    ),
    Data(b"event: response.created\ndata: {}\n\n"),
    Data(b"event: response.completed\ndata: {}\n\n"),
    End(),
]


@dataclass(frozen=True, slots=True)
class Probe:
    """A request, and what the upstream answers if it is asked."""

    head: str = "POST /v1/responses HTTP/1.1"
    headers: tuple[tuple[str, str], ...] = (*CLIENT, ("Content-Type", "application/json"))
    body: bytes = JSON_BODY
    is_chunked: bool = False
    upstream: tuple[Any, ...] = tuple(EVENTS)

    def send(self, to: Secure) -> Answer:
        framing = ("Transfer-Encoding", "chunked") if self.is_chunked else ("Content-Length", str(len(self.body)))
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(self.body), self.body) if self.is_chunked else self.body
        try:
            headers = [self.headers[0], framing, *self.headers[1:]]
            return to.ask(self.head, headers, body, PATIENCE_S)
        except TimeoutError:
            return Answer(0, [], b"", is_whole=False)


def _answered(status: int, headers: Pairs, body: bytes = b"") -> tuple[Any, ...]:
    length = [] if status == 204 else [("content-length", str(len(body)))]
    return (Head(status, [*headers, *length]), *([Data(body)] if body else []), End())


def _refused(head: str, *headers: tuple[str, str]) -> Probe:
    return Probe(head, (HOST, *headers), b"{}")


TAKEN: dict[str, Probe] = {
    "stream": Probe(),
    "body not JSON": Probe(headers=(HOST, ("Content-Type", "text/plain")), body=b"\xff\x00no json"),
    "body coded": Probe(headers=(HOST, ("Content-Encoding", "zstd")), body=b"\x28\xb5\x2f\xfdx"),
    "body empty": Probe(headers=(HOST,), body=b""),
    "body chunked": Probe(headers=(HOST, ("Accept", "a")), is_chunked=True),
    "body large": Probe(headers=(HOST, ("Accept", "a")), body=b'"' + b"x" * 3_000_000 + b'"'),
    "hop by hop": Probe(headers=(HOST, ("Accept", "a"), ("TE", "trailers"), ("Connection", "close"))),
    "answer JSON": Probe(upstream=tuple(reply(200, {"id": "resp_1"}))),
    "answer 400": Probe(upstream=tuple(reply(400, {"error": {"message": "no"}}))),
    "answer 401": Probe(upstream=tuple(reply(401, {"error": {"code": "invalid_api_key"}}))),
    "answer 429": Probe(upstream=tuple(reply(429, {"error": {}}, [("retry-after", "7")]))),
    "answer 503": Probe(upstream=_answered(503, [("content-type", "text/html")], b"<h1>busy</h1>")),
    "answer 204": Probe(upstream=_answered(204, [("x-a", "b")])),
    "answer coded": Probe(upstream=_answered(200, [("content-encoding", "gzip")], b"\x1f\x8b\x08raw")),
    "answer empty": Probe(upstream=_answered(200, [("content-type", "text/plain")])),
    "answer cut": Probe(upstream=(*EVENTS[:2], Cut("close"))),
    "answer 302": Probe(upstream=_answered(302, [("location", "/elsewhere")])),
    "foreign Host": Probe(headers=(("Host", "evil.example"), ("Accept", "a"))),
    "page's Origin": Probe(headers=(HOST, ("Accept", "a"), ("Origin", "http://evil.example"))),
}
REFUSED: dict[str, Probe] = {
    f"refused {head}": _refused(f"{head} HTTP/1.1")
    for head in (
        *("GET /v1/responses", "HEAD /v1/responses", "PUT /v1/responses", "DELETE /v1/responses"),
        *("PATCH /v1/responses", "OPTIONS /v1/responses", "post /v1/responses"),
        *("POST /v1/responses?", "POST /v1/responses?a=b"),
        *("POST /v1/responses/", "POST /v1//responses", "POST //v1/responses", "POST /V1/responses", "POST /"),
        *("POST /responses", "POST /v1/responses/compact", "POST /v1/%72esponses", "POST /v1/x/../responses"),
        *("POST /v1/responses#a", "POST http://127.0.0.1/v1/responses", "POST http://evil.example/v1/responses"),
        *("GET /health", "GET /healthz", "GET /v1/models", "POST /shutdown", "GET /shutdown?a", "GET /shutdown/"),
    )
} | {"refused by the parser": _refused("POST /v1/responses JUNK")}

KEYS: dict[str, bytes] = {
    "key with newline": b"sk-a_B-9\n",
    "key without newline": b"sk-a_B-9",
    "key with CR LF": b"sk-a_B-9\r\n",
    "key then more": b"sk-a_B-9\nmore\n",
    "key of 1016 bytes": b"a" * 1016 + b"\n",
    "key of 1017 bytes": b"a" * 1017 + b"\n",
    "key empty": b"",
    "key of a newline": b"\n",
    "key with a dot": b"sk.a\n",
    "key with a blank": b" sk-a\n",
    "key not UTF-8": b"sk-\xff\n",
}
KEY_ERRORS = (
    "API key may only contain ASCII letters, numbers, '-' or '_'",
    "API key must be provided via stdin (",
    "API key is too large to fit in the 1024-byte buffer",
)
FORWARDING_ERROR = "forwarding error: forwarding request to upstream"


# --- what is looked at


def observe(command: tuple[str, ...], folder: Path) -> Findings:
    found: Findings = {}
    with Backend() as backend:
        _requests(command, folder, backend, found)
        _keys(command, folder, backend, found)
    _flags(command, folder, found)
    return found


def _requests(command: tuple[str, ...], folder: Path, backend: Backend, found: Findings) -> None:
    url = f"{backend.origin}/base/responses?api-version=1&x=%20"
    dumps = folder / "made" / "dumps"
    flags = ("--http-shutdown", "--upstream-url", url, "--dump-dir", str(dumps))
    with started(command, folder, *flags) as proxy:
        found["server-info / text"] = re.sub(r"\d+", "N", proxy.info_text)
        found["server-info / port"] = _is_open("127.0.0.1", proxy.port)
        found["listener / other loopback address"] = _is_open("127.0.0.2", proxy.port)
        for row, probe in (TAKEN | REFUSED).items():
            before = len(backend.requests)
            backend.script(lambda _, probe=probe: list(probe.upstream))  # type: ignore[misc]
            _note_answer(row, probe.send(proxy), found)
            found[f"{row} / upstream saw"] = [_seen(request) for request in backend.requests[before:]]
        found["stream / arrives piece by piece"] = _is_incremental(proxy, backend)
        _note_answer("shutdown", proxy.shut_down(), found)
        found["shutdown / exit code"] = proxy.wait().code
    _note_dumps(dumps, found)


def _note_answer(row: str, answer: Answer, found: Findings) -> None:
    headers = [(name.lower(), value) for name, value in answer.headers]
    found[f"{row} / status"] = answer.status
    found[f"{row} / headers"] = [pair for pair in headers if pair[0] not in FRAMING]
    found[f"{row} / framing"] = [pair for pair in headers if pair[0] in FRAMING]
    found[f"{row} / body"] = answer.body
    found[f"{row} / whole"] = answer.is_whole


def _seen(request: Request) -> Any:
    headers = [(name, "HOST" if name == "host" else value) for name, value in request.headers]
    return [request.method, request.target, headers, request.raw_body]


def _is_open(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), 5):
        return True
    return False


def _is_incremental(proxy: Secure, backend: Backend) -> bool:
    """The first event is at the client while the upstream holds the second back."""
    holder = Holder()
    backend.queue([*EVENTS[:2], Pause(holder), *EVENTS[2:]])
    with proxy.connect() as client:
        client.sendall(b"POST /v1/responses HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}")
        client.settimeout(PATIENCE_S)
        with contextlib.suppress(TimeoutError):
            _read_to(client, b"response.created")
            return True
        holder.open()
        _read_to(client, b"response.completed")
        return False


def _read_to(client: socket.socket, mark: bytes) -> None:
    seen = b""
    while mark not in seen:
        seen += client.recv(65536)


def _note_dumps(folder: Path, found: Findings) -> None:
    """All files counted, those of the first requests looked into."""
    names = sorted(file.name for file in folder.iterdir())
    found["dumps / of requests"] = sum(name.endswith("-request.json") for name in names)
    found["dumps / ends with a newline"] = all((folder / name).read_text().endswith("}\n") for name in names)
    found["dumps / mode"] = sorted({oct((folder / name).stat().st_mode & 0o777) for name in names})
    names = [name for name in names if int(name[:6]) <= DUMPS_COMPARED]
    shapes = [re.sub(r"^(\d{6})-\d{13}-", r"\1-MS-", name) for name in names]
    found["dumps / names"] = shapes
    for name, shape in zip(names, shapes, strict=True):
        content = json.loads((folder / name).read_text())
        found[f"dump {shape} / fields"] = list(content)
        found[f"dump {shape} / first line"] = content.get("status") or [content["method"], content["url"]]
        found[f"dump {shape} / headers"] = [
            [pair["name"].lower(), re.sub(r"127\.0\.0\.1:\d+", "HOST", pair["value"])] for pair in content["headers"]
        ]
        found[f"dump {shape} / names as sent"] = "request" not in shape or [pair["name"] for pair in content["headers"]]
        is_base64 = content.get("body_encoding") == "base64"
        body = content["body"]
        found[f"dump {shape} / body"] = base64.b64decode(body).decode(errors="replace") if is_base64 else body


def _keys(command: tuple[str, ...], folder: Path, backend: Backend, found: Findings) -> None:
    backend.script(lambda _: list(EVENTS))
    for row, key in KEYS.items():
        ended = None
        try:
            with started(command, folder, "--upstream-url", f"{backend.origin}/v1/responses", key=key) as proxy:
                proxy.post(b"{}")
                found[f"{row} / sent"] = backend.requests[-1].first("authorization")
        except DidNotStart as error:
            ended = error.ended
        found[f"{row} / exit code"] = ended.code if ended else "runs"
        found[f"{row} / error"] = [text for text in KEY_ERRORS if ended and text in ended.errors]


def _flags(command: tuple[str, ...], folder: Path, found: Findings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    with started(command, folder, "--port", str(free), "--upstream-url", f"http://127.0.0.1:{free}/none") as proxy:
        found["--port / is taken"] = proxy.port == free
        _note_answer("no --http-shutdown", proxy.shut_down(), found)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets this port
        nowhere = f"http://127.0.0.1:{silent.getsockname()[1]}/v1/responses"
        dumps = folder / "unreachable"
        with started(command, folder, "--http-shutdown", "--upstream-url", nowhere, "--dump-dir", str(dumps)) as proxy:
            _note_answer("unreachable", proxy.post(b"{}"), found)
            proxy.until_said(FORWARDING_ERROR.encode())  # the real one answers first: shut down now, it may not say it
            proxy.shut_down()
            ended = proxy.wait()
        found["unreachable / said on stderr"] = ended.errors.count(FORWARDING_ERROR)
        found["unreachable / exit code"] = ended.code
        found["unreachable / dumps"] = [re.sub(r"-\d+-", "-MS-", file.name) for file in sorted(dumps.iterdir())]
    for flags in (("--upstream-url", "nonsense"), ("--port", "70000"), ("--no-such-flag",)):
        try:
            with started(command, folder, *flags):
                found[f"{' '.join(flags)} / exit code"] = "runs"
        except DidNotStart as error:
            found[f"{' '.join(flags)} / exit code"] = error.ended.code
