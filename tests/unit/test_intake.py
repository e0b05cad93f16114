"""Client connections become exchanges, end them when they end, and nothing else leaves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import flow as mflow
from mitmproxy.addonmanager import Loader
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.test import taddons, tflow

from mitmcodex.exchange import Exchange
from mitmcodex.intake import Intake
from mitmcodex.process import Process


class Task:
    def __init__(self) -> None:
        self.is_cancelled = False

    def done(self) -> bool:
        return False

    def cancel(self) -> None:
        self.is_cancelled = True


def running(process: Process) -> Exchange:
    """An exchange of a client of its own."""
    leg: Any = None
    admission: Any = None
    exchange = Exchange(tflow.tflow(), admission, leg)
    exchange.task = Task()  # type: ignore[assignment]
    process.running.add(exchange)
    return exchange


def test_mitmproxy_opens_no_connection_of_its_own() -> None:
    """Whatever went wrong before: each one is refused, with words that name us."""
    data = ServerConnectionHookData(server=tflow.tserver_conn(), client=tflow.tclient_conn())
    Intake(Process()).server_connect(data)
    assert data.server.error == "direct upstream connections are off in mitmcodex"


@pytest.mark.parametrize(("name", "value"), [("connection_strategy", "lazy"), ("keep_host_header", True)])
def test_it_sets_what_the_gate_and_the_seam_stand_on(name: str, value: object) -> None:
    """No connection before a request; the client's own Host."""
    with taddons.context(Proxyserver()) as context:
        Intake(Process()).load(Loader(context.master))
        assert getattr(context.options, name) == value


def test_a_client_that_goes_cancels_its_own_exchanges() -> None:
    """And no other client's."""
    process = Process()
    goes, stays = running(process), running(process)
    with taddons.context(Proxyserver()):
        Intake(process).client_disconnected(goes.flow.client_conn)
    assert [exchange.task.is_cancelled for exchange in (goes, stays)] == [True, False]  # type: ignore[union-attr]


def test_a_flow_that_failed_otherwise_is_not_killed() -> None:
    """Only mitmproxy's mark of a kill counts: an exchange that has an error of its own says so itself."""
    process = Process()
    exchange = running(process)
    exchange.flow.error = mflow.Error("something else")
    looks: list[float] = []
    intake = Intake(process)
    loop = SimpleNamespace(call_later=lambda delay_s, again: looks.append(delay_s))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("asyncio.get_running_loop", lambda: loop)
        intake.running()
    assert len(looks) == 1 and not exchange.task.is_cancelled  # type: ignore[union-attr]
