"""The load, a process of its own: ``load.py '{"scenario": NAME, "target": {…}, …}'`` prints the result as JSON."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from client import Leg, Target
from processes import Log, cpu_s, memory_kb
from script import Script

Result = dict[str, float]
PHASES = {
    "before head": Script(stop="head"),
    "before first event": Script(stop="created"),
    "silent": Script(stop="delta", events=3),
    "mid-stream": Script(events=100_000, hz=50),
}

ABORT_LIMIT_S = 2.0


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


async def first_byte(target: Target, count: int) -> Result:
    """Milliseconds from the request to the first byte of the answer's body, one client, connection kept."""
    leg = await target.connect()
    times = []
    for number in range(count + 10):
        started = time.monotonic_ns()
        leg.send(Script())
        came = await leg.first_byte
        await leg.done
        if number >= 10:
            times.append((came - started) / 1e6)
    return {"first_byte_ms": statistics.median(times), "first_byte_p95_ms": percentile(times, 0.95)}


async def stream(target: Target, streams: int, hz: float, seconds: float) -> Result:
    """CPU per event and the time of an event from the upstream's write to the client's read."""
    legs = [await target.connect() for _ in range(streams)]
    for leg in legs:
        leg.send(Script(events=10_000_000, hz=hz))
        await asyncio.sleep(1 / hz / streams)
    for leg in legs:
        await leg.first_event
    latencies: list[float] = []
    for leg in legs:
        leg.on_event = lambda sent_ns, received_ns: latencies.append((received_ns - sent_ns) / 1e3)
    await asyncio.sleep(0.3)
    latencies.clear()
    before = cpu_s(target.pid)
    await asyncio.sleep(seconds)
    spent, count = cpu_s(target.pid) - before, len(latencies)
    for leg in legs:
        leg.close()
    wanted = streams * hz * seconds
    if count < wanted * 0.9:
        raise RuntimeError(f"only {count} of {wanted:.0f} events came")
    return {
        "cpu_us": spent / count * 1e6,
        "latency_us": statistics.median(latencies),
        "latency_p95_us": percentile(latencies, 0.95),
    }


async def burst(target: Target, streams: int, events: int) -> Result:
    """As fast as it goes: CPU per event, requests included, and events per second."""
    legs = [await target.connect() for _ in range(streams)]
    before, started = cpu_s(target.pid), time.monotonic()
    await asyncio.gather(*(leg.fetch(Script(events=events)) for leg in legs))
    spent, took_s = cpu_s(target.pid) - before, time.monotonic() - started
    count = sum(leg.events for leg in legs)
    if count != streams * events:
        raise RuntimeError(f"{count} of {streams * events} events came")
    return {"cpu_us": spent / count * 1e6, "events_per_s": count / took_s}


async def requests(target: Target, clients: int, seconds: float) -> Result:
    """Short answers, each client one after the other on a kept connection."""
    legs = [await target.connect() for _ in range(clients)]
    for leg in legs:
        await leg.fetch(Script())
    count, until = 0, time.monotonic() + seconds

    async def client(leg: Leg) -> None:
        nonlocal count
        while time.monotonic() < until:
            await leg.fetch(Script())
            count += 1

    before, started = cpu_s(target.pid), time.monotonic()
    await asyncio.gather(*(client(leg) for leg in legs))
    spent = cpu_s(target.pid) - before
    return {"cpu_us": spent / count * 1e6, "per_s": count / (time.monotonic() - started)}


async def memory(target: Target, streams: int) -> Result:
    """Resident memory at rest after a few requests, and what each open stream adds."""
    leg = await target.connect()
    for _ in range(20):
        await leg.fetch(Script())
    rest = memory_kb(target.pid)
    legs = [await target.connect() for _ in range(streams)]
    for leg in legs:
        leg.send(Script(events=20, hz=50, stop="delta"))
    for leg in legs:
        await leg.first_event
    await asyncio.sleep(1)
    held = memory_kb(target.pid)
    for leg in legs:
        leg.close()
    return {"rest_mb": rest / 1024, "stream_kb": (held - rest) / streams}


async def abort(target: Target, count: int, log: str, prefix: str) -> Result:
    """Milliseconds from the client's close until the upstream saw the end of its stream, by phase."""
    seen = Log(log)
    result: Result = {}
    for phase, script in PHASES.items():
        times = []
        for number in range(count):
            tag = f"{prefix}-{phase.replace(' ', '_')}-{number}"
            leg = await target.connect()
            leg.send(Script(script.events, script.hz, script.pad, script.stop, tag))
            await seen.time_of("start", tag)
            if phase in ("silent", "mid-stream"):
                await leg.first_event
            await asyncio.sleep(0.05 + number % 7 / 300)
            closed = time.monotonic_ns()
            leg.close()
            try:
                ended = await seen.time_of("end", tag, ABORT_LIMIT_S)
            except TimeoutError:  # never passed on: shown as the limit
                ended = closed + int(ABORT_LIMIT_S * 1e9)
            times.append((ended - closed) / 1e6)
        result[phase] = statistics.median(times)
        result[f"{phase}, worst"] = max(times)
    return result


SCENARIOS: dict[str, Callable[..., Coroutine[Any, Any, Result]]] = {
    "first_byte": first_byte,
    "stream": stream,
    "burst": burst,
    "requests": requests,
    "memory": memory,
    "abort": abort,
}


def main(order: dict[str, Any]) -> None:
    scenario = SCENARIOS[order.pop("scenario")]
    target = Target(**order.pop("target"))
    print(json.dumps(asyncio.run(scenario(target, **order))))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
