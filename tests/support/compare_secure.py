"""``mitmcodex secure`` beside the real ``codex responses-api-proxy``: the same requests, keys and flags to both.

    python -m support.compare_secure     prints the table; exit code 1 when something differs that is not meant to

A difference that is meant is exact: it computes from what the real one did what ours must do, and gives its reason.
One that is not needed any more fails too.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mitmcodex.wire.redact import CREDENTIAL_HEADERS
from support import secure
from support.secure_rows import EVENTS, TAKEN, Findings, observe

HOP_BY_HOP = ("te", "connection")


@dataclass(frozen=True, slots=True)
class Difference:
    where: str
    """Glob on a finding's name."""
    ours: Callable[[Any], Any]
    """What ours must be, from what the real one is."""
    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    expected: Any
    ours: Any
    reasons: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        return bool(self.expected == self.ours)


def _always(value: Any) -> Callable[[Any], Any]:
    return lambda _: value


def _instead(row: str, reason: str, **fields: Any) -> Iterator[Difference]:
    for field, value in fields.items():
        yield Difference(f"{row} / {field.replace('_', ' ')}", _always(value), reason)


def _without_server(headers: Any) -> Any:
    if ("server", "tiny-http (Rust)") not in headers:
        return headers
    return [pair for pair in headers if pair[0] not in ("server", "date")]


def _requests(change: Callable[[Any, bytes], Any]) -> Callable[[Any], Any]:
    """On the header lists of requests that the upstream saw."""
    return lambda seen: [[method, target, change(headers, body), body] for method, target, headers, body in seen]


def _framed(headers: Any, body: bytes) -> Any:
    kept = [pair for pair in headers if pair[0] not in ("content-length", "transfer-encoding")]
    at = [name for name, _ in kept].index("authorization")
    return [*kept[:at], ("content-length", str(len(body))), *kept[at:]]


def _marked(headers: Any) -> Any:
    mark = "[redacted]"
    return [[name, mark if value == "[REDACTED]" or name in CREDENTIAL_HEADERS else value] for name, value in headers]


GATE = "pages and DNS rebinding: a browser on this machine must not spend the key"
ERROR = b'{"error": {"message": "The request head is not valid HTTP.", "type": "invalid_request_error", ' + (
    b'"param": null, "code": "invalid_request"}}'
)
STREAM_HEAD = [(name.lower(), value) for name, value in EVENTS[0].headers]  # type: ignore[union-attr]
EMPTY = {"status": 403, "headers": [], "framing": [("content-length", "0")], "body": b"", "upstream_saw": []}

INTENDED: tuple[Difference, ...] = (
    Difference("* / headers", _without_server, "ours adds no Server and no Date of its own"),
    Difference(
        "* / upstream saw",
        _requests(lambda headers, _: headers[:-1] if headers[-1] == ("accept", "*/*") else headers),
        "ours adds no Accept when the client sent none",
    ),
    Difference(
        "* / upstream saw",
        _requests(lambda headers, _: [pair for pair in headers if pair[0] not in HOP_BY_HOP]),
        "hop-by-hop headers are for one connection",
    ),
    Difference(
        "* / upstream saw",
        _requests(_framed),
        "the body goes out whole: its length is told anew, behind the client's headers",
    ),
    *_instead("foreign Host", GATE, **EMPTY),
    *_instead("page's Origin", GATE, **EMPTY),
    Difference("dumps / of requests", lambda count: count - 2, "those two leave none"),
    *_instead(
        "answer 302",
        "only the upstream URL is ever contacted: a redirect is the client's to follow",
        status=302,
        headers=[("location", "/elsewhere")],
    ),
    Difference("answer 302 / upstream saw", lambda seen: seen[:1], "only the upstream URL is ever contacted"),
    *_instead("answer 204", "a 204 has no length", framing=[]),
    *_instead(
        "answer cut",
        "the real one leaves its client hanging; ours passes on what came, then cuts",
        status=200,
        headers=STREAM_HEAD,
        framing=[("transfer-encoding", "chunked")],
        body=EVENTS[1].data,  # type: ignore[union-attr]
    ),
    *_instead("stream", "the real one holds 8 kB back; ours passes each piece on", arrives_piece_by_piece=True),
    *_instead(
        "refused by the parser",
        "mitmproxy's parser refuses it before any mode is known: the form of all our errors",
        headers=[("connection", "close"), ("content-type", "application/json"), ("x-should-retry", "false")],
        framing=[("content-length", str(len(ERROR)))],
        body=ERROR,
    ),
    *_instead("shutdown", "the connection closes with the process", headers=[("connection", "close")]),
    Difference("dump *-request.json / fields", lambda fields: [*fields, "body_encoding"], "tells text from base64"),
    Difference(
        "dump *-response.json / fields",
        lambda fields: [*fields, "body_encoding", "ended"],
        "tells text from base64, and how the answer ended",
    ),
    Difference("dump * / headers", _marked, "the longer list of what is a secret, and our mark"),
    *_instead("dumps", "dumps hold prompts: for their owner alone", mode=["0o600"]),
    Difference(
        "unreachable / dumps", lambda names: [*names, "000001-MS-response.json"], "the answer of ours is dumped too"
    ),
)


def compare(real: Findings, ours: Findings, intended: tuple[Difference, ...]) -> list[Row]:
    """Raises Stale when a difference of the list is none any more."""
    unused = set(intended)
    rows = []
    for name in [*real, *(name for name in ours if name not in real)]:
        expected, reasons = real.get(name), []
        for difference in intended:
            if name in real and fnmatchcase(name, difference.where):
                changed = difference.ours(expected)
                if changed != expected:
                    unused.discard(difference)
                    reasons.append(difference.reason)
                expected = changed
        rows.append(Row(name, expected, ours.get(name), tuple(reasons)))
    if unused:
        raise Stale("; ".join(f"{difference.where}: {difference.reason}" for difference in unused))
    return rows


class Stale(Exception):
    """A difference is listed that is none any more."""


def both() -> tuple[Findings, Findings]:
    """What the real one and ours did."""
    commands: Mapping[str, tuple[str, ...]] = {"real": secure.real(), "ours": secure.OURS}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(commands)) as pool:
        for name in commands:
            (Path(folder) / name).mkdir()
        real, ours = pool.map(lambda name: observe(commands[name], Path(folder) / name), commands)
    return real, ours


def main() -> int:
    rows = compare(*both(), INTENDED)
    for row in rows:
        verdict = "DIFFERENT" if not row.is_right else "explained" if row.reasons else "equal"
        print(f"{verdict:<10} {row.name:<60} {'; '.join(row.reasons) if row.is_right else ''}".rstrip())
        if not row.is_right:
            print(f"    expected {str(row.expected)[:600]}\n    ours     {str(row.ours)[:600]}")
    wrong = sum(not row.is_right for row in rows)
    print(f"{len(rows)} findings on {len(TAKEN)} calls taken and the rest: {wrong} differ without a reason")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
