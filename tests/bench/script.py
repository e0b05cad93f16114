"""What the bench's upstream does with a request: carried in the model's name, as every proxy passes that on."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, fields
from typing import Any

BATCH = 32
"""Events written in one piece in a burst, each one in a DATA frame of its own."""
MARK = b':"@'
"""Stands in each protocol before an event's time (monotonic ns, 19 digits: one clock on the whole machine)."""
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


PATHS = {"responses": "/v1/responses", "chat": "/v1/chat/completions", "messages": "/v1/messages"}
"""By the protocol that the client speaks."""

NO_LIMIT = 1_000_000_000
"""Tokens: a Messages client must name a limit, and what keeps it must not cut the answer."""


def request_body(script: Script, protocol: str = "responses", provider: str = "") -> bytes:
    """A request of about 1 kB that says the same in each protocol; ``provider`` is one of our settings' names."""
    model = f"{provider}:{script.as_model()}" if provider else script.as_model()
    return json.dumps(_REQUESTS[protocol](model, "Say something. " * 50), separators=(",", ":")).encode()


def _responses(model: str, text: str) -> dict[str, Any]:
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    return {"model": model, "instructions": "Be brief.", "input": [said], "store": False, "stream": True}


def _chat(model: str, text: str) -> dict[str, Any]:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    return {"model": model, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}


def _messages(model: str, text: str) -> dict[str, Any]:
    told = {"model": model, "max_tokens": NO_LIMIT, "system": "Be brief."}
    return {**told, "messages": [{"role": "user", "content": text}], "stream": True}


_REQUESTS = {"responses": _responses, "chat": _chat, "messages": _messages}


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


WORDS = "and so the answer goes on, word by word; "


def delta(number: int, pad: int) -> bytes:
    stamp = time.monotonic_ns()
    text = (WORDS * (pad // len(WORDS) + 1))[:pad]
    rest = f'"sequence_number":{number},"item_id":"msg_1","output_index":0,"content_index":0,'
    return event("response.output_text.delta", f'{rest}"delta":"@{stamp:019d} {number} {text}"')


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
