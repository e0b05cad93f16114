"""`make bench-encoders`: what the protocol code alone costs on one core, without a proxy or a network.

The first table is of streams: each encoder (canonical stream → a client's), each decoder (a provider's stream →
canonical) and what works on canonical streams, fed one event at a time. The second is of requests: JSON in, decode,
adapt, JSON out. CPU time, medians of the rounds; growth is the worst cost at any length over that at a shorter one.
What misses its aim stands in bold.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from samples import CONTEXT, GEMINI_ASKED, MODELS, canonical_stream, provider_stream, request_body

from mitmcodex.upstream.tokens import TokenCounter
from mitmcodex.wire import CODECS, REVERSES
from mitmcodex.wire.backend import Target, adapted
from mitmcodex.wire.codec import Decoded
from mitmcodex.wire.limits import Limiter
from mitmcodex.wire.patch import set_top_level
from mitmcodex.wire.repair import repaired
from mitmcodex.wire.restore import Changed, Restore
from mitmcodex.wire.sse import FrameSplitter

AIM_PER_S = 50_000
AIM_GROWTH = 1.3
BURST = 32
"""Events in one piece."""
CLIENTS = ("chat", "messages", "gemini", "responses")
ENCODERS = ("chat", "messages", "gemini", "ollama", "responses")
_PAIR = {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False}
TUPLES: dict[str, Any] = {"type": "object", "properties": {"pair": _PAIR}, "required": ["pair"]}

Costs = dict[int, float]
"""Length → µs per event, or per turn."""


class Machine(Protocol):
    """An encoder or a decoder."""

    def feed(self, data: bytes, /) -> Any: ...
    def finish(self) -> Any: ...


class Splitter(FrameSplitter):
    def finish(self) -> bytes:
        return self.rest()


@dataclass(frozen=True)
class Work:
    """One row. ``prepare`` gives, for a length, what is measured."""

    title: str
    prepare: Callable[[int], Callable[[], object]]


# -- streams --------------------------------------------------------------------------------------


def stream_works() -> list[Work]:
    stream, counter = canonical_stream, TokenCounter()
    works = [Work(f"{name} encoder", partial(_streamed, _encoder(name), stream)) for name in ENCODERS]
    for kind, reverse in REVERSES.items():
        make = partial(reverse.decoder, Decoded({"model": MODELS[kind]}))
        works.append(Work(f"{kind} decoder", partial(_streamed, make, partial(provider_stream, kind))))
    machines: dict[str, Callable[[], Machine]] = {
        "restore: names": partial(Restore, Changed({"alias": "name"}, has_namespace=True)),
        "restore: tuples in a format": partial(Restore, Changed(format=TUPLES)),
        "limits: stop": partial(Limiter, ("\n\nand", "END"), None, counter, lambda: 0),
        "limits: tokens": partial(Limiter, (), 1_000_000, counter, lambda: 0),
        "sse splitter": Splitter,
    }
    works += [Work(title, partial(_streamed, make, stream)) for title, make in machines.items()]
    works.append(Work(f"sse splitter, {BURST} events a piece", partial(_streamed, Splitter, partial(_burst, stream))))
    return works


def _encoder(protocol: str) -> Callable[[], Machine]:
    codec = CODECS[protocol]
    body = request_body("chat" if protocol == "ollama" else protocol, 0)  # without calls, which differ, these are one
    return lambda: codec.encoder(codec.decode_request(json.loads(body), GEMINI_ASKED), CONTEXT)


def _streamed(
    make: Callable[[], Machine], events: Callable[[int], list[bytes]], deltas: int
) -> Callable[[], object]:
    pieces = events(deltas)

    def run() -> None:
        machine = make()
        for piece in pieces:
            machine.feed(piece)
        machine.finish()

    return run


def _burst(stream: Callable[[int], list[bytes]], deltas: int) -> list[bytes]:
    events = stream(deltas)
    return [b"".join(events[at : at + BURST]) for at in range(0, len(events), BURST)]


# -- requests -------------------------------------------------------------------------------------


def request_works() -> list[Work]:
    works = [Work(f"{client} → ChatGPT backend", partial(_asked, client, _to_backend)) for client in CLIENTS]
    return works + [Work(f"responses → {kind}", partial(_asked, "responses", partial(_to, kind))) for kind in REVERSES]


def _asked(client: str, adapt: Callable[[Decoded, bytes | None], bytes], turns: int) -> Callable[[], object]:
    body, codec = request_body(client, turns), CODECS[client]

    def run() -> None:
        decoded = codec.decode_request(json.loads(body), GEMINI_ASKED)
        adapt(decoded, body if codec.is_canonical else None)

    return run


def _to_backend(decoded: Decoded, body: bytes | None) -> bytes:
    """As stage Adapt does it: of a client's canonical body only what must change is written anew."""
    found = adapted(decoded, Target("chatgpt", is_translated=body is None), {"model": MODELS["responses"]})
    return _dumped(found.fields) if body is None else set_top_level(body, found.changes)


def _to(kind: str, decoded: Decoded, _body: bytes | None) -> bytes:
    decoded.fields["model"] = MODELS[kind]
    decoded.fields["input"], _ = repaired(decoded.fields["input"], "input")
    return _dumped(REVERSES[kind].encode_request(decoded).fields)


def _dumped(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


# -- measuring ------------------------------------------------------------------------------------


def measure(works: Sequence[Work], lengths: Sequence[int], rounds: int) -> dict[str, Costs]:
    """Each round goes through all works, so that what else the machine does falls on all alike."""
    spent: dict[str, dict[int, list[float]]] = {work.title: {length: [] for length in lengths} for work in works}
    for number in range(1, rounds + 1):
        for work in works:
            print(f"round {number}: {work.title}", file=sys.stderr)
            for length in lengths:
                spent[work.title][length].append(_cost(work.prepare(length), length, max(lengths)))
    return {title: {length: statistics.median(of[length]) for length in lengths} for title, of in spent.items()}


def _cost(run: Callable[[], object], length: int, longest: int) -> float:
    """µs of CPU per unit of length; short ones are repeated until they are as much work as the longest."""
    run()
    times = max(1, longest // length)
    begin = time.process_time_ns()
    for _ in range(times):
        run()
    return (time.process_time_ns() - begin) / 1000 / times / length


def growth(costs: Costs) -> float:
    lengths = sorted(costs)
    longer = [costs[after] / costs[before] for before in lengths for after in lengths if before < after]
    return max(longer, default=1.0)


# -- tables ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    unit: str
    costs: dict[str, Costs]
    has_rate: bool

    def shortfalls(self, title: str) -> tuple[float, float]:
        """How far a row is behind its aims for growth and rate: 1 = reached exactly, more = missed."""
        costs = self.costs[title]
        rate = AIM_PER_S * costs[max(costs)] / 1e6 if self.has_rate else 0.0
        return growth(costs) / AIM_GROWTH, rate

    def lines(self) -> list[str]:
        lengths = sorted(next(iter(self.costs.values())))
        heads = [f"{length:,} {self.unit}s" for length in lengths] + [f"growth, aim ≤ ×{AIM_GROWTH:g}"]
        heads += [f"per second, aim ≥ {AIM_PER_S:,}"] if self.has_rate else []
        shown = [f"| µs per {self.unit} at | {' | '.join(heads)} |", "|---|" + "--:|" * len(heads)]
        for title, costs in self.costs.items():
            grown, slow = self.shortfalls(title)
            cells = [f"{costs[length]:.1f}" for length in lengths] + [_marked(f"×{growth(costs):.2f}", grown)]
            cells += [_marked(f"{1e6 / costs[max(costs)]:,.0f}", slow)] if self.has_rate else []
            shown.append(f"| {title} | {' | '.join(cells)} |")
        return shown


def _marked(text: str, shortfall: float) -> str:
    return f"**{text}**" if shortfall > 1 else text


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, nargs="+", default=[100, 1000, 10_000], help="lengths of streams: deltas")
    parser.add_argument("--turns", type=int, nargs="+", default=[10, 100, 1000], help="lengths of conversations")
    parser.add_argument("--only", default="", help="rows with this in their title")
    help_of_check = "exit 1 when an aim is missed by more than this share: 0.2 = a fifth"
    parser.add_argument("--check", type=float, metavar="SHARE", help=help_of_check)
    return parser.parse_args()


def main() -> int:
    options = parse_options()
    tables = []
    for unit, works, lengths in (
        ("event", stream_works(), options.events),
        ("turn", request_works(), options.turns),
    ):
        chosen = [work for work in works if options.only in work.title]
        if chosen:
            tables.append(Table(unit, measure(chosen, lengths, options.rounds), has_rate=unit == "event"))
    if not tables:
        sys.exit(f"no row has {options.only!r} in its title")
    print("\n\n".join("\n".join(table.lines()) for table in tables))
    if options.check is None:
        return 0
    worst = max((max(table.shortfalls(title)) for table in tables for title in table.costs), default=0.0)
    return 1 if worst > 1 + options.check else 0


if __name__ == "__main__":
    sys.exit(main())
