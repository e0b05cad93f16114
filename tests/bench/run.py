"""`make bench`: what mitmcodex costs, beside plain mitmdump and no proxy, with one upstream, in one run.

The upstream speaks TLS + HTTP/2 (HTTP/1.1 over TLS to the direct client), the clients HTTP/1.1. Each round measures
all targets one after the other; the median of the rounds is shown. A second table is for clients of other protocols:
the upstream answers them as it answers all, and plain mitmdump passes the Responses stream through. Profiling:
``--target ours --only requests --wrap "py-spy record -o profile.svg --"``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import Upstream, end_children_when_terminated, load, mitmcodex, plain_mitmdump

PHASES = ("before head", "before first event", "silent", "mid-stream")
TARGETS = ("direct", "plain", "ours")
TRANSLATED = {
    "chat": {"protocol": "chat"},
    "messages": {"protocol": "messages"},
    "chat, login": {"protocol": "chat", "provider": "login"},
    "messages, login": {"protocol": "messages", "provider": "login"},
}
"""Further targets on our process: the client's protocol; "login" is a provider of kind chatgpt, whose refusals are made
up for here: it takes no token limit, and each Messages client sends one."""
Values = dict[str, dict[str, float]]
"""target -> measure -> value"""


@dataclass(frozen=True)
class Scenario:
    name: str
    load: str
    full: dict[str, Any]
    quick: dict[str, Any]
    is_translated: bool = False
    """Also for clients of other protocols."""

    def targets(self, wanted: list[str]) -> list[str]:
        return [name for name in wanted if self.is_translated or name in TARGETS]


TWENTY = {"streams": 20, "hz": 50}
SCENARIOS = (
    Scenario("memory", "memory", {"streams": 200}, {"streams": 100}),
    Scenario("first_byte", "first_byte", {"count": 200}, {"count": 100}),
    Scenario("events", "stream", {**TWENTY, "seconds": 4}, {**TWENTY, "seconds": 3}, is_translated=True),
    Scenario("one", "stream", {"streams": 1, "hz": 50, "seconds": 2}, {"streams": 1, "hz": 50, "seconds": 1.5}),
    Scenario("fifty", "stream", {"streams": 50, "hz": 25, "seconds": 3}, {"streams": 50, "hz": 25, "seconds": 2}),
    Scenario("burst", "burst", {"streams": 20, "events": 1500}, {"streams": 20, "events": 500}, is_translated=True),
    Scenario("requests", "requests", {"clients": 32, "seconds": 3}, {"clients": 32, "seconds": 2}, is_translated=True),
    Scenario("abort", "abort", {"count": 8}, {"count": 5}),
)


@dataclass(frozen=True)
class Row:
    """One line of the table. ``reached`` is the number that the aim is about."""

    title: str
    measure: str
    unit: str
    digits: int = 0
    reached: Callable[[dict[str, float]], float] | None = None
    aim: float = 0.0
    aim_unit: str = "×"


def over_plain(of: dict[str, float]) -> float:
    return of["ours"] / of["plain"]


def over_plain_less_direct(of: dict[str, float]) -> float:
    return (of["ours"] - of["direct"]) / (of["plain"] - of["direct"])


def more_than_plain(of: dict[str, float]) -> float:
    return of["ours"] - of["plain"]


def alone(of: dict[str, float]) -> float:
    return of["ours"]


ROWS = (
    Row("CPU per event, 20 streams × 50/s", "events.cpu_us", "µs", 0, over_plain, 0.6),
    Row("CPU per event, burst", "burst.cpu_us", "µs", 1, over_plain, 0.6),
    Row("CPU per request", "requests.cpu_us", "µs", 0, over_plain, 0.7),
    Row("first byte (aim: less direct)", "first_byte.first_byte_ms", "ms", 2, over_plain_less_direct, 0.75),
    Row("first byte, p95", "first_byte.first_byte_p95_ms", "ms", 2),
    Row("event's way, 1 stream", "one.latency_us", "µs"),
    Row("event's way, 1 stream, p95", "one.latency_p95_us", "µs"),
    Row("event's way, 50 streams × 25/s", "fifty.latency_us", "µs"),
    Row("event's way, 50 streams, p95", "fifty.latency_p95_us", "µs"),
    Row("requests/s, 32 clients", "requests.per_s", "/s"),
    Row("events/s, burst", "burst.events_per_s", "/s"),
    Row("memory at rest", "memory.rest_mb", "MB", 1, more_than_plain, 25, "MB more"),
    Row("memory per stream", "memory.stream_kb", "kB", 0, alone, 64, "kB"),
    *(Row(f"abort {phase} (median)", f"abort.{phase}", "ms", 1, alone, 10, "ms") for phase in PHASES),
    *(Row(f"abort {phase}, worst", f"abort.{phase}, worst", "ms", 1) for phase in PHASES),
)

TRANSLATED_ROWS = (
    ("CPU per event, 20 streams × 50/s", "events.cpu_us"),
    ("CPU per event, burst", "burst.cpu_us"),
    ("CPU per request", "requests.cpu_us"),
)
TRANSLATED_AIM = 0.8
"""Of plain mitmdump."""


def measure_round(number: int, options: argparse.Namespace, folder: Path) -> Values:
    """All scenarios on all targets, with fresh processes."""
    upstream = Upstream(folder)
    values: Values = {target: {} for target in options.target}
    with ExitStack() as stack:
        stack.enter_context(upstream.running())
        targets = {"direct": {"port": upstream.port, "ca": str(upstream.ca)}}
        if "plain" in options.target:
            port, pid = stack.enter_context(plain_mitmdump(folder, upstream))
            targets["plain"] = {"port": port, "pid": pid}
        if not {"ours", *TRANSLATED}.isdisjoint(options.target):
            port, pid = stack.enter_context(mitmcodex(folder, upstream, options.wrap))
            targets["ours"] = {"port": port, "pid": pid}
            targets |= {name: {**targets["ours"], **how} for name, how in TRANSLATED.items()}
        for scenario in SCENARIOS:
            if options.only and scenario.name not in options.only:
                continue
            for name in scenario.targets(options.target):
                print(f"round {number}: {scenario.name}, {name}", file=sys.stderr)
                order = scenario.quick if options.quick else scenario.full
                if scenario.load == "abort":
                    order = {**order, "log": str(upstream.log), "prefix": name}
                result = load(scenario.load, targets[name], **order)
                values[name] |= {f"{scenario.name}.{measure}": value for measure, value in result.items()}
    return values


def median_of(rounds: list[Values]) -> Values:
    first = rounds[0]
    return {
        target: {measure: statistics.median(one[target][measure] for one in rounds) for measure in first[target]}
        for target in first
    }


def table(values: Values) -> str:
    lines = [
        "| | direct | plain mitmdump | mitmcodex | mitmcodex / plain | aim | reached |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for row in ROWS:
        found = {target: values[target][row.measure] for target in values if row.measure in values[target]}
        if not found:
            continue
        is_process = row.measure.endswith("cpu_us") or row.measure.startswith("memory")
        shown = ["–" if is_process and name == "direct" else number(found.get(name), row) for name in TARGETS]
        ratio = f"×{over_plain(found):.2f}" if {"ours", "plain"} <= found.keys() and found["plain"] else ""
        lines.append(f"| {row.title} | {' | '.join(shown)} | {ratio} | {verdict(row, found)} |")
    return "\n".join(lines)


def translated_table(values: Values) -> str:
    """Each cell: the CPU time, and how it stands to plain mitmdump's."""
    names = [name for name in TRANSLATED if name in values]
    lines = [f"| | plain mitmdump | {' | '.join(names)} | aim |", "|---|--:|" + "--:|" * len(names) + "---|"]
    for title, measure in TRANSLATED_ROWS:
        plain = values["plain"].get(measure)
        if plain:
            cells = [_beside(values[name][measure], plain) for name in names]
            lines.append(f"| {title} | {plain:,.0f} µs | {' | '.join(cells)} | ≤ ×{TRANSLATED_AIM:g} |")
    return "\n".join(lines)


def _beside(spent: float, plain: float) -> str:
    shown = f"{spent:,.0f} µs, ×{spent / plain:.2f}"
    return shown if spent <= TRANSLATED_AIM * plain else f"**{shown}**"


def number(value: float | None, row: Row) -> str:
    return "" if value is None else f"{value:,.{row.digits}f} {row.unit}"


def verdict(row: Row, found: dict[str, float]) -> str:
    if row.reached is None or not set(TARGETS) <= found.keys():
        return "|"
    reached = row.reached(found)
    mark = "yes" if reached <= row.aim else "**no**"
    if row.aim_unit == "×":
        return f"≤ ×{row.aim:g} | {mark}, ×{reached:.2f}"
    return f"≤ {row.aim:g} {row.aim_unit} | {mark}, {reached:.1f}"


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round with short windows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--target", action="append", choices=[*TARGETS, *TRANSLATED], help="default: all")
    parser.add_argument("--only", action="append", choices=[scenario.name for scenario in SCENARIOS])
    parser.add_argument("--wrap", default="", help="put before our command: a profiler")
    options = parser.parse_args()
    options.target = options.target or [*TARGETS, *TRANSLATED]
    return options


def main() -> None:
    end_children_when_terminated()
    options = parse_options()
    rounds = []
    for number_of_round in range(1, (1 if options.quick else options.rounds) + 1):
        with tempfile.TemporaryDirectory(prefix="mitmcodex-bench-") as folder:
            rounds.append(measure_round(number_of_round, options, Path(folder)))
    values = median_of(rounds)
    print(table(values))
    if "plain" in values and any(name in values for name in TRANSLATED):
        print(f"\n{translated_table(values)}")


if __name__ == "__main__":
    main()
