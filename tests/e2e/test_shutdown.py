"""The proxy goes down while it works: upstreams learn of it, and no client is told of an end that never came."""

from __future__ import annotations

import json
from pathlib import Path

from support.answers import Data, Head, Stall
from support.auth import Login
from support.backend import Backend
from support.client import CODEX, posted
from support.events import ev_created, ev_text_delta, sse
from support.proxy import Proxy
from support.tls import Authority
from support.upstreams import to_chatgpt


def test_shutdown_in_the_middle_of_a_stream(backend: Backend, ca: Authority, login: Login, tmp_path: Path) -> None:
    """The upstream call is aborted, its connection closed, the dump ends, and the client's answer breaks off."""
    config = {**to_chatgpt(backend, ca, login.path), "dump_dir": str(tmp_path / "dump")}
    backend.queue([Head(), Data(sse([ev_created(), ev_text_delta("half")])), Stall()])
    with Proxy(tmp_path, config) as proxy:
        sent = posted(proxy, CODEX)
        sent.read_until(b"half")
    backend.wait_for_call().wait_aborted()
    backend.connections[0].wait_closed()
    assert not sent.to_end().is_whole
    (dump,) = (tmp_path / "dump").glob("*-upstream-response.json")
    assert json.loads(dump.read_text())
