"""Dump files: what each side of an exchange said, redacted, one file a request or response.

``000001-1846179912345-client-request.json``, ``-client-response.json``, ``-upstream-request.json``,
``-upstream-response.json``, a second attempt ``-upstream-2-…``; the secure mode has the names of ``codex
responses-api-proxy`` (protocol.md 9), ``000001-1846179912345-request.json`` and ``-response.json``. The number counts
from 1 in each run, the Unix time in ms tells the runs apart.

    {"method", "url", "headers": [{"name", "value"}], "body", "body_encoding": "json" | "text" | "base64",
     "losses": [{"path", "what", "why"}]}
    {"status", "headers": […], "body", "body_encoding", "ended": "complete" | "cut" | "failed" | "aborted" | …}

Text is written as it arrives. What may be JSON or binary can be told apart at its end alone, so up to
``MAX_BUFFERED`` bytes of it wait for that.
"""

from __future__ import annotations

import base64
import codecs
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mitmcodex.state.files import create_private, private_folder
from mitmcodex.wire import redact
from mitmcodex.wire.codec import Loss
from mitmcodex.wire.redact import Scrubber

MAX_BUFFERED = 8 << 20
"""Bytes of a body that are parsed as JSON; a longer one is dumped as text or base64."""

_NAME = re.compile(r"(\d{6,}-\d+)-[a-z0-9-]*(?:request|response)\.json")

Pairs = Iterable[tuple[str, str]]


class RequestLine(NamedTuple):
    """A request less its body."""

    method: str
    url: str
    headers: Pairs


class Recordings:
    """A folder of dump files, held below ``max_bytes`` (0 = no limit) by dropping whole exchanges, the oldest first.

    Files of earlier runs count. The limit is checked when an exchange starts and ends; what runs is not dropped and
    counts when it has ended. Raises OSError when the disk refuses.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = private_folder(folder)
        self._max_bytes = max_bytes
        self._kept = _found(folder)
        self._drop_oldest()

    def begin(self, number: int, started_at: float, client: str = "client") -> Recording:
        """Start an exchange; ``started_at`` in Unix seconds. ``client`` names its side; "" as in the secure mode."""
        private_folder(self.folder)
        self._drop_oldest()
        return Recording(self, f"{number:06}-{int(started_at * 1000)}", client)

    def keep(self, prefix: str, files: list[Path]) -> None:
        """An exchange has ended: from now on it may be dropped."""
        entry = self._kept[prefix] = _Kept()
        for file in files:
            entry.add(file)
        self._drop_oldest()

    def _drop_oldest(self) -> None:
        if not self._max_bytes:
            return
        total = sum(entry.size for entry in self._kept.values())
        while total > self._max_bytes:
            entry = self._kept.pop(next(iter(self._kept)))
            total -= entry.size
            for file in entry.files:
                file.unlink(missing_ok=True)


@dataclass(slots=True)
class _Kept:
    """The files of one ended exchange."""

    files: list[Path] = field(default_factory=list)
    size: int = 0

    def add(self, file: Path) -> None:
        self.files.append(file)
        self.size += file.stat().st_size if file.exists() else 0


def _found(folder: Path) -> dict[str, _Kept]:
    """What earlier runs left, by age."""
    found: dict[str, _Kept] = {}
    for file in folder.iterdir():
        if match := _NAME.fullmatch(file.name):
            found.setdefault(match[1], _Kept()).add(file)
    return dict(sorted(found.items(), key=lambda item: _age(item[0])))


def _age(prefix: str) -> tuple[int, int]:
    number, started_ms = prefix.split("-")
    return int(started_ms), int(number)


class Recording:
    """The files of one exchange. A *side* is ``client`` or ``upstream``, ``upstream-2`` … for further attempts."""

    def __init__(self, recordings: Recordings, prefix: str, client: str) -> None:
        self._recordings = recordings
        self._prefix = prefix
        self._client = client
        self._files: list[Path] = []
        self._open: dict[str, ResponseFile] = {}

    def request(self, side: str, line: RequestLine, body: bytes, losses: Sequence[Loss] = ()) -> None:
        """Write a request, its body without content coding, and what of the client's request did not go into it."""
        head = {"method": line.method, "url": redact.url(line.url), "headers": _header_list(line.headers)}
        with create_private(self._path(side, "request")) as file:
            rendered, encoding = render_body(body)
            tail: dict[str, object] = {"body_encoding": encoding}
            if losses:
                tail["losses"] = [{"path": loss.path, "what": loss.what, "why": loss.why} for loss in losses]
            file.write(_head_text(head) + rendered + _tail_text(tail))

    def response(self, side: str, status: int, headers: Pairs) -> None:
        """Open a response; its body follows by ``data``."""
        self._open[side] = ResponseFile(self._path(side, "response"), status, list(headers))

    def data(self, side: str, data: bytes) -> None:
        self._open[side].write(data)

    def end(self, side: str, how: str) -> None:
        """The response on this side is over, whatever came of it; nothing happens when there was none."""
        if side in self._open:
            self._open[side].end(how)
            del self._open[side]

    def close(self, how: str) -> None:
        """The exchange is over: end what is open."""
        for side in list(self._open):
            self.end(side, how)
        self._recordings.keep(self._prefix, self._files)

    def abandon(self) -> None:
        """The disk refused: leave what was written."""
        for file in self._open.values():
            file.abandon()
        self._open.clear()
        self._recordings.keep(self._prefix, self._files)

    def _path(self, side: str, what: str) -> Path:
        name = self._client if side == "client" else side
        path = self._recordings.folder / "-".join(part for part in (self._prefix, name, f"{what}.json") if part)
        self._files.append(path)
        return path


class ResponseFile:
    """A response as it arrives. After ``end`` the file is one JSON object, also when the body was cut."""

    def __init__(self, path: Path, status: int, headers: list[tuple[str, str]]) -> None:
        self._file = create_private(path)
        self._buffer = bytearray()
        self._sink: _TextSink | _Base64Sink | None = None
        """None while it is open what the body is."""
        kind = next((value for name, value in headers if name.lower() == "content-type"), "")
        is_coded = any(name.lower() == "content-encoding" for name, _ in headers)
        self._put(_head_text({"status": status, "headers": _header_list(headers)}))
        if kind.lower().startswith("text/") and not is_coded:
            self._start(_TextSink())

    def write(self, data: bytes) -> None:
        if self._sink is None:
            self._buffer += data
            if len(self._buffer) <= MAX_BUFFERED:
                return
            self._start(_TextSink() if _is_text_so_far(self._buffer) else _Base64Sink())
            data, self._buffer = bytes(self._buffer), bytearray()
        assert self._sink is not None
        self._put(self._sink.feed(data))

    def end(self, how: str) -> None:
        if self._sink is None:
            rendered, encoding = render_body(bytes(self._buffer))
        else:
            rendered, encoding = self._sink.finish() + b'"', self._sink.encoding
        self._put(rendered + _tail_text({"body_encoding": encoding, "ended": how}))
        self._file.close()

    def abandon(self) -> None:
        try:
            self._file.close()
        except OSError:  # closing flushes, so a full disk says so once more; the descriptor is closed all the same
            pass

    def _start(self, sink: _TextSink | _Base64Sink) -> None:
        self._sink = sink
        self._put(b'"')

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()


class _TextSink:
    """UTF-8 to the inside of a JSON string, scrubbed, cut anywhere."""

    encoding = "text"

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._scrubber = Scrubber()

    def feed(self, data: bytes) -> bytes:
        return _escaped(self._scrubber.feed(self._decoder.decode(data)))

    def finish(self) -> bytes:
        return _escaped(self._scrubber.feed(self._decoder.decode(b"", final=True)) + self._scrubber.finish())


class _Base64Sink:
    """Bytes to base64, scrubbed by their ASCII, cut anywhere."""

    encoding = "base64"

    def __init__(self) -> None:
        self._scrubber = Scrubber()
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        data = self._rest + self._scrubber.feed(data.decode("latin-1")).encode("latin-1")
        whole = len(data) - len(data) % 3
        self._rest = data[whole:]
        return base64.b64encode(data[:whole])

    def finish(self) -> bytes:
        return base64.b64encode(self._rest + self._scrubber.finish().encode("latin-1"))


def render_body(data: bytes) -> tuple[bytes, str]:
    """A redacted body as JSON text, indented for its place in the file, and its encoding: json, text or base64."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        sink = _Base64Sink()
        return b'"' + sink.feed(data) + sink.finish() + b'"', sink.encoding
    if text and len(data) <= MAX_BUFFERED:
        try:
            value = redact.json_value(json.loads(text))
            return _json_text(value).replace(b"\n", b"\n  "), "json"
        except (ValueError, RecursionError):
            pass  # no JSON, or none that Python gives back as it came
    return b'"' + _escaped(redact.scrub(text)) + b'"', "text"


def _is_text_so_far(data: bytearray) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")("strict").decode(data)
    except UnicodeDecodeError:
        return False
    return True


def _header_list(headers: Pairs) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in redact.headers(headers)]


def _json_text(value: object) -> bytes:
    """Indented, readable; raises ValueError for numbers that JSON can't hold."""
    try:
        return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:  # lone surrogates, which JSON can hold as escapes alone
        return json.dumps(value, indent=2, allow_nan=False).encode()


def _head_text(fields: Mapping[str, object]) -> bytes:
    """The object up to the value of ``body``."""
    return _json_text(fields).removesuffix(b"\n}") + b',\n  "body": '


def _tail_text(fields: Mapping[str, object]) -> bytes:
    """The rest of the object behind the value of ``body``."""
    return b",\n" + _json_text(fields).removeprefix(b"{\n") + b"\n"


def _escaped(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False)[1:-1].encode()
