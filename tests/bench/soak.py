"""`make soak`: minutes or hours of mixed traffic with aborts; memory, files and exchanges must return to the base.

The base is taken after a warm-up of the same traffic and a pause. That no exchange is left is seen twice: the
upstream has no open request, and ``max_concurrency``, set to the number of clients, still lets all of them in.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from client import Target
from load import PHASES
from processes import Log, Upstream, end_children_when_terminated, memory_kb, mitmcodex, open_files
from script import Script

CLIENTS = 24
QUIET_S = 3.0
MORE_MEMORY_KB = 16 * 1024
MORE_FILES = 4
WHOLE = (Script(), Script(events=2000), Script(events=40, hz=50), Script(events=50, pad=20_000))
"""Answers that are read to their end: short, burst, paced, large."""
ABORTED = (*PHASES.values(), Script(events=100_000, pad=2000))
"""Answers whose client leaves: in each phase, and in a burst that nobody reads."""


@dataclass
class Soak:
    target: Target
    seed: int
    whole: int = 0
    aborted: int = 0
    errors: list[str] = field(default_factory=list)
    numbers: int = 0

    async def traffic(self, minutes: float) -> None:
        until = time.monotonic() + minutes * 60
        await asyncio.gather(*(self._client(random.Random(self.seed + number), until) for number in range(CLIENTS)))

    async def _client(self, chance: random.Random, until: float) -> None:
        while time.monotonic() < until and len(self.errors) < 20:
            try:
                await self._connection(chance)
            except (OSError, TimeoutError) as error:
                self.errors.append(repr(error))

    async def _connection(self, chance: random.Random) -> None:
        """Some whole answers on one connection, then perhaps one that is left."""
        leg = await self.target.connect()
        try:
            for _ in range(chance.randrange(4)):
                script = self._tagged(chance.choice(WHOLE))
                leg.events = 0
                await asyncio.wait_for(leg.fetch(script), 60)
                if leg.events != script.events:
                    self.errors.append(f"{leg.events} of {script.events} events came")
                self.whole += 1
            if chance.random() < 0.5:
                script = self._tagged(chance.choice(ABORTED))
                leg.send(script)
                if not script.stop and not script.hz:
                    leg.transport.pause_reading()
                await asyncio.sleep(chance.random() / 2)
                self.aborted += 1
        finally:
            leg.close()

    def _tagged(self, script: Script) -> Script:
        self.numbers += 1
        return replace(script, tag=f"soak-{self.numbers}")

    async def all_slots_are_free(self) -> bool:
        """As many streams at once as ``max_concurrency`` allows, each with its first event."""
        legs = [await self.target.connect() for _ in range(CLIENTS)]
        try:
            for leg in legs:
                leg.send(Script(stop="delta"))
            await asyncio.wait_for(asyncio.gather(*(leg.first_event for leg in legs)), 10)
        except TimeoutError:
            return False
        finally:
            for leg in legs:
                leg.close()
        return True


async def run(soak: Soak, minutes: float, log: Log) -> list[str]:
    """What is wrong at the end, one line each."""
    pid = soak.target.pid
    await soak.traffic(min(3.0, minutes / 4))
    await asyncio.sleep(QUIET_S)
    base_kb, base_files = memory_kb(pid), open_files(pid)
    print(f"base: {base_kb // 1024} MB, {base_files} files", flush=True)
    until = time.monotonic() + minutes * 60
    while (left := until - time.monotonic()) > 0 and len(soak.errors) < 20:
        await soak.traffic(min(1.0, left / 60))
        log.open_tags()
        print(
            f"{left / 60:5.1f} min left: {soak.whole} whole, {soak.aborted} aborted, "
            f"{memory_kb(pid) // 1024} MB, {open_files(pid)} files",
            flush=True,
        )
    await asyncio.sleep(QUIET_S)
    more_kb, more_files, left_open = memory_kb(pid) - base_kb, open_files(pid) - base_files, log.open_tags()
    wrong = list(soak.errors)
    if more_kb > MORE_MEMORY_KB:
        wrong.append(f"memory grew by {more_kb} kB")
    if more_files > MORE_FILES:
        wrong.append(f"{more_files} more files are open")
    if left_open:
        wrong.append(f"the upstream still has {len(left_open)} open requests: {sorted(left_open)[:5]}")
    if not await soak.all_slots_are_free():
        wrong.append("an exchange still holds its slot")
    print(f"end: {more_kb:+d} kB, {more_files:+d} files, {soak.whole} whole, {soak.aborted} aborted")
    return wrong


def main() -> None:
    end_children_when_terminated()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="mitmcodex-soak-") as folder:
        upstream = Upstream(Path(folder))
        with upstream.running(), mitmcodex(Path(folder), upstream, max_concurrency=CLIENTS) as (port, pid):
            soak = Soak(Target(port, pid=pid), options.seed)
            wrong = asyncio.run(run(soak, options.minutes, Log(str(upstream.log))))
    for line in wrong:
        print(f"wrong: {line}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
