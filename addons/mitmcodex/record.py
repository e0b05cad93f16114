"""Observer: writes the dump files of each exchange (``dump_dir``), client's and upstream's side.

A request that the gate or a local answer ended has no exchange and leaves no file. In the secure mode the client's side
alone is dumped, as the proxy that it stands for does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mitmcodex.coding import CodingError, decode
from mitmcodex.exchange import Exchange, Pairs
from mitmcodex.process import Process
from mitmcodex.state.recordings import Recording, Recordings, RequestLine
from mitmcodex.wire.redact import REDACTED


class Record:
    def __init__(self, process: Process) -> None:
        self._process = process
        self._recordings: Recordings | None = None
        self._of = (Path(), 0)
        """The folder and limit that ``_recordings`` was made for."""
        self._running: dict[Exchange, Recording] = {}

    def exchange_started(self, exchange: Exchange) -> bool:
        settings = self._process.current
        if settings.dump_dir is None:
            return False
        wanted = (settings.dump_dir, settings.dump_max_bytes)
        if self._recordings is None or self._of != wanted:
            self._recordings, self._of = Recordings(*wanted), wanted
        client = "" if settings.secure else "client"
        self._running[exchange] = self._recordings.begin(exchange.number, exchange.started_at, client)
        with self._recording(exchange) as recording:
            request = exchange.flow.request
            line = RequestLine(request.method, request.path, _pairs(exchange))
            recording.request("client", line, _client_body(exchange))
        return True

    def upstream_requested(self, exchange: Exchange) -> None:
        if exchange.admission.is_raw or exchange.request is None:
            return
        body = exchange.request.body if exchange.adapted is None else exchange.adapted
        with self._recording(exchange) as recording:
            line = RequestLine(exchange.request.method, exchange.request.url, _sent(exchange))
            recording.request(_upstream(exchange), line, body, exchange.losses)

    def upstream_responded(self, exchange: Exchange) -> None:
        if exchange.admission.is_raw or exchange.upstream is None:
            return
        with self._recording(exchange) as recording:
            recording.response(_upstream(exchange), exchange.upstream.status, exchange.upstream.headers)

    def upstream_data(self, exchange: Exchange, data: bytes) -> None:
        if exchange.admission.is_raw:
            return
        with self._recording(exchange) as recording:
            recording.data(_upstream(exchange), data)

    def upstream_ended(self, exchange: Exchange, how: str) -> None:
        with self._recording(exchange) as recording:
            recording.end(_upstream(exchange), how)

    def client_head(self, exchange: Exchange, status: int, headers: Pairs) -> None:
        with self._recording(exchange) as recording:
            recording.response("client", status, headers)

    def client_data(self, exchange: Exchange, data: bytes) -> None:
        with self._recording(exchange) as recording:
            recording.data("client", data)

    def exchange_ended(self, exchange: Exchange, how: str) -> None:
        with self._recording(exchange) as recording:
            recording.close(how)
        del self._running[exchange]

    @contextmanager
    def _recording(self, exchange: Exchange) -> Iterator[Recording]:
        """What breaks in it ends the recording: this observer is not told of the exchange again."""
        try:
            yield self._running[exchange]
        except BaseException:
            self._running.pop(exchange).abandon()
            raise


def _upstream(exchange: Exchange) -> str:
    return "upstream" if exchange.attempt <= 1 else f"upstream-{exchange.attempt}"


def _pairs(exchange: Exchange) -> Pairs:
    """The client's headers as they stand in the flow, where the gate left a mark in place of each credential."""
    fields = exchange.flow.request.headers.fields
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]


def _sent(exchange: Exchange) -> Pairs:
    """The upstream's headers. Those that the settings add may hold a key under any name."""
    assert exchange.request is not None and exchange.provider is not None
    added = {name.lower() for name, _ in exchange.provider.headers}
    return [(name, REDACTED if name.lower() in added else value) for name, value in exchange.request.headers]


def _client_body(exchange: Exchange) -> bytes:
    """Without content coding. In the secure mode the admission holds the coded bytes."""
    body = exchange.admission.body
    coding = exchange.flow.request.headers.get("content-encoding", "")
    if not exchange.admission.is_raw or not coding:
        return body
    try:
        return decode(body, coding, limit=max(len(body), 64 << 20))
    except CodingError:
        return body
