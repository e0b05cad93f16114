"""proxy/dispatch.py: hooks by index do what mitmproxy's own dispatch does."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from mitmproxy import exceptions, options
from mitmproxy.addonmanager import AddonManager
from mitmproxy.master import Master
from mitmproxy.proxy.layers.http import HttpRequestHook
from mitmproxy.test import tflow

from mitmcodex.proxy.dispatch import IndexedAddons


class Named:
    def __init__(self, name: str, seen: list[str], act: Callable[[], Any] = lambda: None) -> None:
        self.name, self._seen, self._act = name, seen, act

    def request(self, _: object) -> Any:
        self._seen.append(self.name)
        return self._act()


class Parent:
    """As a script loader: its children are its ``addons``."""

    def __init__(self, name: str, *children: Any) -> None:
        self.name = name
        self.addons = list(children)


def dispatched(
    *addons: Any,
    later: Callable[[Master], None] | None = None,
    rounds: int = 1,
    hook: HttpRequestHook | None = None,
) -> None:
    async def go() -> None:
        master = Master(options.Options())
        IndexedAddons.adopt(master.addons)
        master.addons.add(*addons)
        for number in range(rounds):
            if number and later:
                later(master)
            await master.addons.trigger_event(hook or HttpRequestHook(tflow.tflow()))

    asyncio.run(go())


def test_hooks_run_in_the_chains_order_and_addons_without_one_are_passed_over() -> None:
    """Order is that of the chain, children after their parent."""
    seen: list[str] = []
    dispatched(Named("a", seen), Parent("p", Named("b", seen), object()), Named("c", seen))
    assert seen == ["a", "b", "c"]


def test_an_exception_ends_its_entry_of_the_chain_alone() -> None:
    """The children after the one that raised are skipped, the next entry runs: mitmproxy's own rule."""
    seen: list[str] = []

    def broken() -> None:
        raise RuntimeError("planted")

    dispatched(Parent("p", Named("a", seen, broken), Named("b", seen)), Named("c", seen))
    assert seen == ["a", "c"]


def test_halt_ends_the_hook() -> None:
    """AddonHalt keeps all later addons from the hook."""
    seen: list[str] = []

    def halt() -> None:
        raise exceptions.AddonHalt

    dispatched(Named("a", seen, halt), Named("b", seen))
    assert seen == ["a"]


def test_async_hooks_are_awaited_before_the_next_addon_runs() -> None:
    """A coroutine of one addon ends before the next addon is asked."""
    seen: list[str] = []

    async def slow() -> None:
        await asyncio.sleep(0)
        seen.append("a ended")

    dispatched(Named("a", seen, slow), Named("b", seen))
    assert seen == ["a", "a ended", "b"]


@pytest.mark.parametrize("change", ["add", "remove"])
def test_a_changed_chain_is_seen_by_the_next_hook(change: str) -> None:
    """The index is made anew when an addon comes or goes."""
    seen: list[str] = []
    first, other = Named("a", seen), Named("b", seen)

    def later(master: Master) -> None:
        if change == "add":
            master.addons.add(other)
        else:
            master.addons.remove(first)

    dispatched(first, later=later, rounds=2)
    assert seen == (["a", "a", "b"] if change == "add" else ["a"])


def test_what_is_replaced_is_still_there_in_mitmproxy() -> None:
    """The contract with mitmproxy's private API: the names and signatures that the index stands on."""
    assert list(inspect.signature(AddonManager.trigger_event).parameters) == ["self", "event"]
    assert list(inspect.signature(AddonManager.handle_lifecycle).parameters) == ["self", "event"]
    assert "hooks.UpdateHook([message])" in inspect.getsource(AddonManager.handle_lifecycle)
    assert list(inspect.signature(AddonManager.register).parameters) == ["self", "addon"]
    assert list(inspect.signature(AddonManager.remove).parameters) == ["self", "addon"]
    assert "self.chain" in inspect.getsource(AddonManager.trigger_event)


@pytest.mark.parametrize("listens", [True, False])
def test_an_update_follows_each_hook_of_a_flow(listens: bool) -> None:
    """mitmweb's lists live on it; where nobody listens none is made."""
    seen: list[str] = []

    class Watching(Named):
        def update(self, flows: list[Any]) -> None:
            seen.append(f"update {len(flows)}")

    async def go() -> None:
        master = Master(options.Options())
        IndexedAddons.adopt(master.addons)
        master.addons.add((Watching if listens else Named)("a", seen))
        await master.addons.handle_lifecycle(HttpRequestHook(tflow.tflow()))

    asyncio.run(go())
    assert seen == ["a", "update 1"][: 1 + listens]


def test_a_hooks_arguments_are_those_that_mitmproxy_reads() -> None:
    """``args()`` is not called, as it looks the names up each time: the same come out."""
    flow = tflow.tflow()
    hook = HttpRequestHook(flow)
    seen: list[object] = []

    class Taking:
        def request(self, *given: object) -> None:
            seen.extend(given)

    dispatched(Taking(), hook=hook)
    assert seen == hook.args() == [flow]
