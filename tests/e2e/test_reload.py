"""A reload (the script's file is touched) changes the addons under running streams, and nothing that users notice."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mitmcodex import paths, stack
from mitmcodex.exchange import Exchange
from mitmcodex.translate import Translate
from support.answers import Data, End, Gate, Head, Pause, Stall
from support.auth import API_KEY
from support.backend import Backend
from support.events import ev_completed, ev_created, ev_message_added, ev_message_done, ev_text_delta, sse
from support.program import Program
from support.proxy import Proxy
from support.tls import Authority
from support.upstreams import to_api
from support.wires import Http1Wire

FIRST = Data(sse([ev_created(), ev_message_added(), ev_text_delta("one")]))
LAST = Data(sse([ev_text_delta(" two"), ev_message_done("one two"), ev_completed()], 3))
AUDIT = """\
import sys

def _note(event, arguments):
    if event == "socket.bind" and isinstance(arguments[1], tuple):
        with open({log!r}, "a") as log:
            log.write(arguments[1][0] + "\\n")

sys.addaudithook(_note)
"""


class Reloadable:
    """A copy of the source tree, so that a touched script disturbs no other test, and mitmdump on it."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        for source in (paths.PACKAGE.parent, paths.fingerprints(), paths.default_config().parent):
            shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        self.script = folder / "addons" / "main.py"
        self.binds = folder / "binds"
        self.script.with_name("sitecustomize.py").write_text(AUDIT.format(log=str(self.binds)))
        self.config = {"state_dir": str(folder / "state"), **config}
        self.program = Program(folder, self.config, self.script, stdin=API_KEY)
        self._loads = 1
        self.port = self.program.port

    def reload(self) -> None:
        """Returns when the new addons are in place."""
        self._loads += 1
        later = self.script.stat().st_mtime + self._loads
        os.utime(self.script, (later, later))
        self.program.wait_for("Loading script", self._loads)
        # mitmproxy loads in one turn of its loop: an answer comes from the new addons.
        with Http1Wire(self.port) as client:
            client.send("GET", "/health", [("host", "localhost")])
            assert client.read_head()[":status"] == "200"


@pytest.fixture
def proxy(tmp_path: Path, api_backend: Backend, ca: Authority) -> Iterator[Reloadable]:
    running = Reloadable(tmp_path, to_api(api_backend, ca, tmp_path, credential={"stdin": True}))
    yield running
    assert running.program.stop() == 0
    assert "Traceback" not in running.program.output


def ask(port: int, stream: bool = True) -> Http1Wire:
    client = Http1Wire(port)
    client.post(json.dumps({"model": "gpt-5.5", "input": "hi", "stream": stream}).encode())
    return client


def test_a_running_stream_ends_whole(proxy: Reloadable, api_backend: Backend) -> None:
    """What the upstream sends after the reload reaches the client, once, up to the stream's own end."""
    gate = Gate()
    api_backend.queue([Head(), FIRST, Pause(gate), LAST, End()])
    with ask(proxy.port) as client:
        client.read_head()
        assert client.read_until(0, b'"one"')
        proxy.reload()
        gate.open()
        rest = client.read_until(0, b"\r\n0\r\n\r\n")
    assert rest.count(b'" two"') == rest.count(b'"response.completed","') == 1


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_begins_after_the_reload_is_whole(proxy: Reloadable, api_backend: Backend, stream: bool) -> None:
    """A request of before the reload, which the upstream answers after it."""
    gate = Gate()
    api_backend.queue([Pause(gate), Head(), FIRST, LAST, End()])
    with ask(proxy.port, stream) as client:
        api_backend.wait_for_call()
        proxy.reload()
        gate.open()
        assert client.read_head()[":status"] == "200"
        body = client.read_body() if stream else client.read_until(0, b'"output_tokens"')
    assert body.count(b'"delta":" two"') == int(stream)
    assert body.count(b"one two") == 1 + int(stream)


def test_an_abort_after_the_reload_reaches_the_upstream(proxy: Reloadable, api_backend: Backend) -> None:
    """Of a stream that began before the reload."""
    api_backend.queue([Head(), FIRST, Stall()])
    with ask(proxy.port) as client:
        client.read_until(0, b'"one"')
        proxy.reload()
    api_backend.wait_for_call().wait_aborted()


def test_key_and_connections_live_on(proxy: Reloadable, api_backend: Backend) -> None:
    """The key that came by stdin pays after the reload too (the backend is strict), over the same connections."""
    with ask(proxy.port) as client:
        client.read_until(0, b"response.completed")
        proxy.reload()
        client.read_until(0, b"\r\n0\r\n\r\n")
        client.post()
        assert client.read_head()[":status"] == "200"
        client.read_body()
    assert [call.request.connection.number for call in api_backend.calls] == [1, 1]


def test_no_port_leaks(proxy: Reloadable) -> None:
    """Three reloads bind nothing anew, and when the process has ended nobody listens."""
    before = proxy.binds.read_text()
    assert "127.0.0.1" in before
    for _ in range(3):
        proxy.reload()
    assert proxy.binds.read_text() == before
    assert proxy.program.stop() == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port), 5)


def test_a_broken_edit_keeps_the_old_settings(proxy: Reloadable, api_backend: Backend) -> None:
    """A settings file with a fault is named in a warning; calls go on by the settings of before."""
    proxy.program.configure({**proxy.config, "max_queue": "many"})
    proxy.reload()
    proxy.program.wait_for("mitmcodex keeps its settings.*max_queue")
    with ask(proxy.port) as client:
        assert client.read_head()[":status"] == "200"


def test_a_good_edit_holds_after_a_reload(proxy: Reloadable, api_backend: Backend) -> None:
    """max_concurrency counts the calls of before the reload too: with one allowed, a second is refused."""
    api_backend.queue([Head(), FIRST, Stall()])
    proxy.program.configure({**proxy.config, "max_concurrency": 1, "max_queue": 0})
    with ask(proxy.port) as first:
        first.read_until(0, b'"one"')
        proxy.reload()
        with ask(proxy.port) as second:
            assert second.read_head()[":status"] == "429"


def test_each_stage_sees_an_answer_once(
    tmp_path: Path, api_backend: Backend, ca: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer goes up through the stages that its request came down; those of the new build are no user's addons."""
    seen: list[Translate] = []
    original = Translate.upstream_response

    async def noted(stage: Translate, exchange: Exchange) -> None:
        seen.append(stage)
        await original(stage, exchange)

    async def rebuild() -> None:
        for addon in proxy.addons:
            proxy.master.addons.remove(addon)
        proxy.master.addons.add(*stack.build())

    monkeypatch.setattr(Translate, "upstream_response", noted)
    gate = Gate()
    api_backend.queue([Pause(gate), Head(), FIRST, LAST, End()])
    with Proxy(tmp_path, to_api(api_backend, ca, tmp_path)) as proxy, ask(proxy.port) as client:
        api_backend.wait_for_call()
        proxy.call(rebuild())
        gate.open()
        client.read_head()
        client.read_body()
    assert seen == [proxy.addon(Translate)]
