"""What the backend captured of us beside what was captured of the real client, field by field.

    python -m support.fingerprint_table     prints the table; exit code 1 when a field differs without an explanation

An accepted difference is exact: the real hello with cipher 0x00ff taken out and our order of extensions is computed,
and ours must be that, with its length and hashes. Reasons stand in the profile (``explained``).
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitmcodex import paths
from mitmcodex.upstream.curl import CurlTransport
from mitmcodex.upstream.fingerprint import HeaderFacts, Profile, headers_for, load
from mitmcodex.upstream.transport import ConnectTarget, UpstreamRequest
from support import clienthello
from support.answers import say
from support.backend import Backend
from support.records import Request
from support.tls import Authority

JSON = dict[str, Any]
PROFILE = "codex-cli-rustls-h2"
CAPTURE = Path(__file__).parent.parent / "fixtures" / "fingerprints" / "p2_rustls_h2.json"
SCSV = 0x00FF
FULL_FRAME_BYTES = 16384
UUID = re.compile(r"<uuid>|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
WIDTH = 46


@dataclass(frozen=True, slots=True)
class Row:
    field: str
    real: Any
    ours: Any
    reason: str = ""
    """Why the difference is accepted; "" when there is none or it is not."""

    @property
    def verdict(self) -> str:
        if self.real == self.ours:
            return "equal"
        return f"explained: {self.reason}" if self.reason else "different"

    @property
    def is_accepted(self) -> bool:
        return self.verdict != "different"


def captured(request: Request) -> JSON:
    """A request of ours in the form of the captures."""
    connection = request.connection
    return {
        "client_hello": connection.client_hello,
        "akamai": connection.akamai,
        "h2_frames": connection.frames,
        "request_line": [request.method, request.path],
        "headers": [list(pair) for pair in request.headers],
    }


def compare(real: JSON, ours: JSON, explained: Mapping[str, str]) -> list[Row]:
    """``explained`` is the profile's table of accepted differences: field → reason."""
    rows = [*_hello_rows(real["client_hello"], ours["client_hello"], explained)]
    rows += [Row("akamai", real["akamai"], ours["akamai"])]
    ours_frames = _frames(ours["h2_frames"])
    rows += [Row(name, value, ours_frames[name]) for name, value in _frames(real["h2_frames"]).items()]
    rows += [Row("request line", real["request_line"], ours["request_line"])]
    return [*rows, *_header_rows(real["headers"], ours["headers"], explained)]


def _hello_rows(real: JSON, ours: JSON, explained: Mapping[str, str]) -> Iterator[Row]:
    accepted = _accepted_hello(real, ours)
    for key in sorted((real.keys() | ours.keys()) - {"fp"}):
        yield _hello_row(key, real.get(key), ours.get(key), accepted.get(key), explained)
    for key in sorted(real["fp"].keys() | ours["fp"].keys()):
        yield _hello_row(key, real["fp"].get(key), ours["fp"].get(key), accepted["fp"].get(key), explained)


def _hello_row(key: str, real: Any, ours: Any, accepted: Any, explained: Mapping[str, str]) -> Row:
    base = re.sub(r"_(hash|r|ro)$", "", key)
    return Row(key, real, ours, explained.get(base, "") if ours == accepted else "")


def _accepted_hello(real: JSON, ours: JSON) -> JSON:
    """The real hello as it would be without the SCSV and with the extensions in our order."""
    fields = {**real, "ciphers": [number for number in real["ciphers"] if number != SCSV]}
    fields["hello_len"] = real["hello_len"] - 2 * (len(real["ciphers"]) - len(fields["ciphers"]))
    if sorted(ours["ext_order"]) == sorted(real["ext_order"]):
        fields["ext_order"] = ours["ext_order"]
    return {**fields, "fp": clienthello.fingerprints(fields)}


def _frames(frames: list[JSON]) -> JSON:
    """What is fixed in the client's frames: everything up to the first request's end but lengths and times."""
    number = next(frame["stream"] for frame in frames if frame.get("type") == "HeadersFrame")
    opening: list[Any] = []
    for frame in frames:
        if "preface" in frame:
            opening.append(frame["preface"])
            continue
        content = {key: frame[key] for key in ("settings", "increment") if key in frame}
        opening.append([frame["type"], frame["stream"], frame["flags"], content])
        if frame["type"] == "HeadersFrame":
            break
    data = [frame for frame in frames if frame.get("type") == "DataFrame" and frame["stream"] == number]
    full = all(frame["len"] == FULL_FRAME_BYTES for frame in data[:-1])
    last = ["empty" if data[-1]["len"] == 0 else "with data", data[-1]["flags"]]
    return {"opening frames": opening, "data frames": ["full" if full else "short", "last", *last]}


def _header_rows(real: list[Any], ours: list[Any], explained: Mapping[str, str]) -> Iterator[Row]:
    yield Row("header names, in order", [name for name, _ in real], [name for name, _ in ours])
    values: dict[str, str] = dict(ours)
    for name, value in real:
        mine = values.get(name, "absent")
        if name == ":authority":
            reason = explained.get("authority", "") if mine.partition(":")[0] == value else ""
            yield Row(name, value, mine, reason)
        elif name in values:
            yield Row(name, _value_class(name, value), _value_class(name, mine))


def _value_class(name: str, value: str) -> str:
    """What of a value is fixed: all of it, unless it names a session, an account, a secret or a size."""
    if name == "authorization":
        return value.partition(" ")[0] + " …"
    if name == "cookie":
        return "; ".join(sorted(part.partition("=")[0] for part in value.split("; ")))
    if name == "x-codex-turn-metadata":
        return ", ".join(json.loads(value))
    if name == "content-length":
        return "number" if value.isdecimal() else value
    if name == "x-codex-routing-hint":
        return re.sub(r"model=[^;]+", "model=MODEL", value)
    return UUID.sub("UUID", value)


async def our_request(profile: Profile, real: JSON, port: int, ca_file: Path) -> None:
    """One POST through our transport, with the facts of the real request, to the backend at ``port``."""
    values: dict[str, str] = dict(real["headers"])
    facts: dict[str, Any] = {e.fact: values[e.name] for e in profile.calls["responses"] if e.fact and e.name in values}
    facts["lite"] = facts.get("lite") == "true"
    credential = ("authorization", values["authorization"])
    headers = headers_for(profile, "responses", HeaderFacts("chatgpt", credential, **facts))
    url = f"https://{values[':authority']}:{port}{values[':path']}"
    target = ConnectTarget(resolve="127.0.0.1", ca_file=str(ca_file))
    transport = CurlTransport(profile, target)
    try:
        body = bytes(int(values["content-length"]))
        call = await transport.open(UpstreamRequest("POST", url, headers, body), 10)
        while await call.read():
            pass
    finally:
        await transport.aclose()


def measure() -> list[Row]:
    """Our transport against a capturing backend, beside the real capture."""
    profile, real = load(PROFILE, paths.fingerprints()), json.loads(CAPTURE.read_text())
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        with Backend(authority.server_context()) as backend:
            backend.queue(say("ok"))
            asyncio.run(our_request(profile, real, backend.port, authority.pem))
            return compare(real, captured(backend.requests[0]), profile.explained)


def main() -> int:
    rows = measure()
    print(f"{'field':<24} {'real':<{WIDTH}} {'ours':<{WIDTH}} verdict")
    for row in rows:
        print(f"{row.field:<24} {_short(row.real):<{WIDTH}} {_short(row.ours):<{WIDTH}} {row.verdict}")
    different = [row.field for row in rows if not row.is_accepted]
    print(f"{len(rows)} fields, {len(different)} different{': ' if different else ''}{', '.join(different)}")
    return 1 if different else 0


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


if __name__ == "__main__":
    sys.exit(main())
