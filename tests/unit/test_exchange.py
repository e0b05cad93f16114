"""What is known of a caller and of a generation: what may be shown of it, and how it is ended."""

from __future__ import annotations

import asyncio

from mitmcodex.exchange import Admission, Exchange
from support.exchanges import an_exchange, canonical


def test_an_admission_shows_nothing_that_was_taken_off() -> None:
    """It may land in a log: no credential, no header, no query, no body."""
    held = [("authorization", "canary")]
    shown = repr(Admission(call="models", query="canary", secrets=held, headers=held, body=b"canary"))
    assert "models" in shown and "canary" not in shown


def test_an_exchange_shows_nothing_at_all() -> None:
    """It holds the admission, the credential and the prompt."""
    assert "canary" not in repr(canonical(an_exchange(body=b"canary", path="/canary"), {"input": "canary"}))


def test_two_exchanges_of_one_flow_are_two() -> None:
    """They are kept in sets: equality is identity."""
    first = an_exchange()
    second = Exchange(first.flow, first.admission, first.leg)
    assert first != second and len({first, second}) == 2


def test_whether_it_is_codex_is_the_gates_word() -> None:
    """One predicate, in one place."""
    assert an_exchange(is_codex=True).is_codex and not an_exchange().is_codex


def test_cancelling_ends_its_task_and_nothing_else() -> None:
    """Before it begins and after its end there is nothing to cancel."""

    async def run() -> tuple[bool, bool]:
        running, ended, begun = an_exchange(), an_exchange(), asyncio.Event()
        running.task = asyncio.create_task(_until_cancelled(begun))
        ended.task = asyncio.create_task(asyncio.sleep(0))
        await asyncio.gather(begun.wait(), ended.task)
        for exchange in (an_exchange(), running, ended):
            exchange.cancel()
        await asyncio.wait((running.task,), timeout=5)
        return running.task.cancelled(), ended.task.cancelled()

    assert asyncio.run(run()) == (True, False)


async def _until_cancelled(begun: asyncio.Event) -> None:
    begun.set()
    await asyncio.Event().wait()
