"""slots.py: how many calls may run at once, and who is next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mitmcodex.slots import Slots
from mitmcodex.wire.errors import WireError


class Calls:
    """Calls that hold a slot until they are told to end; ``running`` has them in the order of their start."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.running: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self, *names: str) -> None:
        for name in names:
            self._ends[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._run(name))
            await settle()

    async def end(self, *names: str) -> None:
        for name in names:
            self._ends[name].set()
            await self.tasks[name]
        await settle()

    async def _run(self, name: str) -> None:
        async with self.slots.held():
            self.running.append(name)
            await self._ends[name].wait()


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


def in_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@in_loop
async def test_waiters_are_served_in_the_order_they_came() -> None:
    """No more than the limit run, and the first in line is next."""
    calls = Calls(Slots(2, 10))
    await calls.start("a", "b", "c", "d")
    assert calls.running == ["a", "b"]
    await calls.end("b")
    assert calls.running == ["a", "b", "c"]
    await calls.end("a")
    assert calls.running == ["a", "b", "c", "d"]
    await calls.end("c", "d")
    assert calls.slots.waiting == 0


@in_loop
async def test_a_new_call_does_not_overtake_the_queue() -> None:
    """A slot that came free belongs to the first waiter, also when somebody else asks before it wakes."""
    calls = Calls(Slots(1, 10))
    await calls.start("a", "b")
    calls._ends["a"].set()
    await calls.tasks["a"]
    await calls.start("c")
    assert calls.running == ["a", "b"]
    await calls.end("b", "c")
    assert calls.running == ["a", "b", "c"]


@in_loop
async def test_above_the_queue_a_call_is_turned_away() -> None:
    """More waiters than max_queue are answered busy with a retry-after."""
    calls = Calls(Slots(1, 1))
    await calls.start("a", "b")
    with pytest.raises(WireError) as caught:
        async with calls.slots.held():
            raise AssertionError("held a third slot")
    assert (caught.value.kind, caught.value.headers) == ("busy", [("retry-after", "1")])
    await calls.end("a", "b")


@in_loop
async def test_without_a_limit_nobody_waits() -> None:
    """0 means no limit, even with no queue."""
    calls = Calls(Slots(0, 0))
    names = [str(number) for number in range(50)]
    await calls.start(*names)
    assert calls.running == names
    await calls.end(*names)


@in_loop
async def test_a_cancelled_waiter_leaves_the_queue() -> None:
    """Its place is free at once, and the slot goes to the one behind it."""
    calls = Calls(Slots(1, 2))
    await calls.start("a", "b", "c")
    calls.tasks["b"].cancel()
    await settle()
    assert calls.slots.waiting == 1
    await calls.end("a")
    assert calls.running == ["a", "c"]
    await calls.end("c")


@in_loop
async def test_a_slot_given_to_a_cancelled_waiter_goes_on() -> None:
    """Hand-over and cancellation in the same moment lose no slot, in either order."""
    for cancel_first in (True, False):
        calls = Calls(Slots(1, 3))
        async with calls.slots.held():
            await calls.start("b", "c")
            if cancel_first:
                calls.tasks["b"].cancel()
        calls.tasks["b"].cancel()
        await settle()
        assert calls.running == ["c"]
        assert calls.tasks["b"].cancelled()
        await calls.end("c")
        await calls.start("d")
        assert calls.running == ["c", "d"]
        await calls.end("d")


@in_loop
async def test_a_call_that_fails_gives_its_slot_back() -> None:
    """An exception inside the block frees the slot."""
    slots = Slots(1, 0)
    for _ in range(2):
        with pytest.raises(KeyError):
            async with slots.held():
                raise KeyError


@in_loop
async def test_a_new_limit_applies_at_once() -> None:
    """A higher limit wakes waiters in order; a lower one lets those who run end first."""
    calls = Calls(Slots(1, 10))
    await calls.start("a", "b", "c", "d")
    calls.slots.resize(3, 10)
    await settle()
    assert calls.running == ["a", "b", "c"]
    calls.slots.resize(1, 10)
    await calls.end("a", "b")
    assert calls.running == ["a", "b", "c"]
    await calls.end("c")
    assert calls.running == ["a", "b", "c", "d"]
    await calls.end("d")
