"""What the bench's upstream does with a request: carried in the model's name, as every proxy passes that on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, fields

BATCH = 32
"""Events written in one piece in a burst, each one in a DATA frame of its own."""
MARK = b'"delta":"'
"""Stands before an event's time (monotonic ns, 19 digits: one clock for all processes of a machine)."""
MARK_DIGITS = 19


@dataclass(frozen=True)
class Script:
    """``hz`` 0 = a burst. ``stop``: head (no head is sent), created (silent after it), delta (silent after the
    deltas) or "" (the answer is completed). ``tag`` names the request in the upstream's log."""

    events: int = 1
    hz: float = 0.0
    pad: int = 120
    stop: str = ""
    tag: str = ""

    def as_model(self) -> str:
        return "bench;" + ";".join(f"{name}={value}" for name, value in asdict(self).items())

    @classmethod
    def of_model(cls, model: str) -> Script:
        given = dict(part.split("=", 1) for part in model.split(";")[1:])
        kinds = {"int": int, "float": float, "str": str}
        return cls(**{spec.name: kinds[str(spec.type)](given[spec.name]) for spec in fields(cls) if spec.name in given})


def request_body(script: Script) -> bytes:
    """A request of about 1 kB in the form that every Responses backend takes."""
    text = "Say something. " * 50
    return (
        f'{{"model":"{script.as_model()}","instructions":"Be brief.","input":[{{"type":"message","role":"user",'
        f'"content":[{{"type":"input_text","text":"{text}"}}]}}],"store":false,"stream":true}}'
    ).encode()


def event(kind: str, rest: str) -> bytes:
    return f'event: {kind}\ndata: {{"type":"{kind}",{rest}}}\n\n'.encode()


RESPONSE = '"response":{"id":"resp_1","object":"response","status":"%s","model":"bench","output":[]%s}'
ITEM = (
    '"output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","status":"completed",'
    '"content":[{"type":"output_text","text":"done","annotations":[]}]}'
)
CREATED = event("response.created", RESPONSE % ("in_progress", ""))
ENDING = [
    event("response.output_item.done", ITEM),
    event(
        "response.completed",
        RESPONSE % ("completed", ',"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}'),
    ),
]


def delta(number: int, pad: int) -> bytes:
    stamp = time.monotonic_ns()
    rest = f'"sequence_number":{number},"item_id":"msg_1","output_index":0,"content_index":0,'
    return event("response.output_text.delta", f'{rest}"delta":"{stamp:019d} {number} {"x" * pad}"')


class Pause:
    """Waits so that events keep their rate, however long a write took."""

    def __init__(self) -> None:
        self._next = 0.0

    async def __call__(self, pause_s: float) -> None:
        now = time.monotonic()
        self._next = max(self._next + pause_s, now - pause_s) if self._next else now + pause_s
        await asyncio.sleep(max(0.0, self._next - now))


async def pieces(script: Script) -> AsyncIterator[list[bytes]]:
    """The events of an answer, in lists that are written together."""
    pause = Pause()
    if script.stop == "created":
        yield [CREATED]
        return
    if not script.hz:
        batch = [CREATED]
        for number in range(script.events):
            batch.append(delta(number, script.pad))
            if len(batch) >= BATCH:
                yield batch
                batch = []
        yield batch if script.stop else [*batch, *ENDING]
        return
    yield [CREATED, delta(0, script.pad)]
    for number in range(1, script.events):
        await pause(1 / script.hz)
        yield [delta(number, script.pad)]
    yield ENDING if not script.stop else []
