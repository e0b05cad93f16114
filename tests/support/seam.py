"""Drives the seam (``proxy/``) without sockets: events in, bytes for the client out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from mitmproxy import connection, http
from mitmproxy.proxy import commands, context, events
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode

from mitmcodex.exchange import Admission, Exchange, Head
from mitmcodex.proxy.layer import EgressHttpLayer, UpstreamEvent

STREAM = Head(200, [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")])
POST = b"POST /v1/responses HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}"


class Task:
    """Counts what the seam asks of the exchange's task."""

    def __init__(self) -> None:
        self.cancels = 0

    def done(self) -> bool:
        return False

    def cancel(self) -> None:
        self.cancels += 1


class Driver:
    """Feeds events, answers each hook at once (but those in ``held``), collects what goes to the client."""

    def __init__(self, options: Any, handler: Any = None) -> None:
        self.client = connection.Client(
            peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), state=connection.ConnectionState.OPEN
        )
        self.admits = True
        self.exchanges: list[Exchange] = []
        self.flows: list[http.HTTPFlow] = []
        self.admissions: dict[http.HTTPFlow, Admission] = {}
        self.hooks: list[str] = []
        self.logs: list[str] = []
        self.sent = b""
        self.is_closed = False
        self.held: dict[str, commands.StartHook | None] = {}
        surroundings = context.Context(self.client, options)
        surroundings.server.address = ("codex.invalid", 80)
        self.layer: Any = HttpLayer(surroundings, HTTPMode.transparent)
        seam: Any = SimpleNamespace(admissions=self.admissions, begin=self.begin)
        EgressHttpLayer.adopt(self.layer, handler, seam)
        self.feed(events.Start())

    def begin(self, exchange: Exchange) -> None:
        exchange.task = Task()  # type: ignore[assignment]
        self.exchanges.append(exchange)

    def feed(self, event: events.Event) -> None:
        for command in self.layer.handle_event(event):
            match command:
                case commands.StartHook():
                    self._hook(command)
                case commands.SendData(data=data):
                    self.sent += data
                case commands.CloseConnection():
                    self.is_closed = True
                    self.client.state = connection.ConnectionState.CLOSED
                case commands.Log(message=message):
                    self.logs.append(message)

    def _hook(self, hook: commands.StartHook) -> None:
        self.hooks.append(hook.name)
        flow = hook.args()[0]
        if hook.name == "requestheaders":
            self.flows.append(flow)
            if self.admits:
                self.admissions[flow] = Admission(call="responses")
        if hook.name in self.held:
            self.held[hook.name] = hook
        else:
            self.feed(events.HookCompleted(hook))

    def let_go(self, name: str) -> None:
        hook = self.held.pop(name)
        assert hook is not None
        self.feed(events.HookCompleted(hook))

    def receive(self, data: bytes) -> None:
        self.feed(events.DataReceived(self.client, data))

    def emit(self, *payloads: Any, exchange: int = -1) -> None:
        connection_of = self.exchanges[exchange].leg._connection  # type: ignore[attr-defined]
        for payload in payloads:
            self.feed(UpstreamEvent(connection_of.conn, payload))

    @property
    def cancels(self) -> list[int]:
        return [exchange.task.cancels for exchange in self.exchanges]  # type: ignore[union-attr]

    def answer(self) -> tuple[bytes, bytes]:
        """Head and body of what was sent since the last time."""
        head, _, body = self.sent.partition(b"\r\n\r\n")
        self.sent = b""
        return head, body
