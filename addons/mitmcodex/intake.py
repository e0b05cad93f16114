"""Addon: how client connections become exchanges, and how they end early."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from mitmproxy import connection, ctx
from mitmproxy import flow as mflow
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy import layer, server_hooks
from mitmproxy.utils import asyncio_utils

from mitmcodex.exchange import Failed
from mitmcodex.process import Process
from mitmcodex.proxy.layer import adopt_all

KILL_POLL_S = 0.5
"""``Flow.kill()`` is only a flag, which mitmproxy does not look at while a flow streams (mitmproxy#4711)."""


class Intake:
    def __init__(self, process: Process) -> None:
        self._process = process
        self._watch: asyncio.TimerHandle | None = None

    def load(self, loader: Loader) -> None:
        # eager would open mitmproxy's own TLS connection on each client connect (mitmproxy.md 1.5); without
        # keep_host_header the client's Host is gone before anyone can check it (DNS rebinding).
        ctx.options.update(connection_strategy="lazy", keep_host_header=True)

    def running(self) -> None:
        self._look_for_kills()

    def done(self) -> Awaitable[None] | None:
        """A reload takes this addon down too, and may not wait: then everything lives on in Process."""
        if self._watch is not None:
            self._watch.cancel()
        return self._process.aclose() if ctx.master.should_exit.is_set() else None

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        ctx.master.addons.get("nextlayer").next_layer(nextlayer)
        handler = ctx.master.addons.get("proxyserver").connections.get(nextlayer.context.client.id)
        if nextlayer.layer is not None and handler is not None:
            adopt_all(nextlayer.layer, handler, self._process)

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        # The last guard: whatever went wrong before, mitmproxy opens no connection of its own.
        data.server.error = "direct upstream connections are off in mitmcodex"

    def client_disconnected(self, client: connection.Client) -> None:
        for exchange in list(self._process.running):
            if exchange.flow.client_conn.id == client.id:
                exchange.cancel()
        # When a hook was running as the client closed its side, mitmproxy ends the connection without closing ours.
        handler = ctx.master.addons.get("proxyserver").connections.get(client.id)
        io = handler.transports.get(client) if handler is not None else None
        if io is not None and io.writer is not None:
            io.writer.close()

    def _look_for_kills(self) -> None:
        for exchange in list(self._process.running):
            error = exchange.flow.error
            if error is not None and error.msg == mflow.Error.KILLED_MESSAGE:
                exchange.cancel()
                cut = exchange.emit(Failed(mflow.Error.KILLED_MESSAGE))
                asyncio_utils.create_task(cut, name=f"kill of exchange {exchange.number}", keep_ref=True)
        self._watch = asyncio.get_running_loop().call_later(KILL_POLL_S, self._look_for_kills)
