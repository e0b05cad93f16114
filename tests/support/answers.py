"""What the fake backend answers: steps that a test puts together, and the ready answers of protocol.md 1.4 and 5."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field

from support.events import JSON, sse, text_events

Pairs = list[tuple[str, str]]


class Gate:
    """Holds an answer until the test opens it; usable from any thread."""

    def __init__(self) -> None:
        self._opened: Future[None] = Future()

    def open(self) -> None:
        if not self._opened.done():
            self._opened.set_result(None)

    async def wait(self) -> None:
        # The shield keeps a cancelled answer from cancelling the gate for all others that wait at it.
        await asyncio.shield(asyncio.wrap_future(self._opened))


@dataclass(frozen=True, slots=True)
class Head:
    status: int = 200
    headers: Pairs = field(default_factory=lambda: [("content-type", "text/event-stream")])


@dataclass(frozen=True, slots=True)
class Data:
    data: bytes


@dataclass(frozen=True, slots=True)
class Pause:
    """Goes on when the test opens the gate."""

    gate: Gate


@dataclass(frozen=True, slots=True)
class Delay:
    seconds: float


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing more comes until the client goes away or the backend closes."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Breaks the answer. ``reset``: RST_STREAM, on HTTP/1.1 a TCP reset; ``close``: the connection ends without the
    answer's end."""

    how: str = "close"


@dataclass(frozen=True, slots=True)
class Flood:
    """Sends ``total_bytes`` as fast as they are taken; ``call.accepted_bytes`` counts what the socket took."""

    total_bytes: int
    chunk_bytes: int = 16384


@dataclass(frozen=True, slots=True)
class End:
    pass


Step = Head | Data | Pause | Delay | Stall | Cut | Flood | End
Answer = list[Step]
"""Steps in order. An answer that does not end with End, Cut or Stall is ended after its last step."""


def stream(events: Iterable[JSON], headers: Pairs | None = None) -> Answer:
    """A 200 with these events, one data step each."""
    steps: Answer = [Head(200, [("content-type", "text/event-stream"), *(headers or [])])]
    steps += [Data(sse([event], number)) for number, event in enumerate(events)]
    return [*steps, End()]


def say(text: str, headers: Pairs | None = None) -> Answer:
    return stream(text_events(text), headers)


def reply(status: int, value: object, headers: Pairs | None = None) -> Answer:
    """A whole JSON answer."""
    return _whole(status, "application/json", json.dumps(value).encode(), headers)


def _whole(status: int, content_type: str, body: bytes, headers: Pairs | None) -> Answer:
    fixed = [("content-type", content_type), ("content-length", str(len(body)))]
    return [Head(status, [*fixed, *(headers or [])]), Data(body), End()]


def detail(status: int, text: str) -> Answer:
    """The error form of the ChatGPT backend (protocol.md 5.1)."""
    return reply(status, {"detail": text})


def usage_limit(resets_in_s: int = 3600) -> Answer:
    resets_at = int(time.time()) + resets_in_s
    error = {"type": "usage_limit_reached", "message": "The usage limit has been reached", "plan_type": "plus"}
    fields = {**error, "resets_at": resets_at, "resets_in_seconds": resets_in_s}
    return reply(429, {"error": fields}, quota(used_percent=100.0, reset_at=resets_at))


def token_expired() -> Answer:
    text = "Provided authentication token is expired. Please try signing in again."
    error = {"message": text, "type": None, "code": "token_expired", "param": None}
    return reply(401, {"error": error, "status": 401})


def server_error(status: int = 500) -> Answer:
    return reply(status, {"error": {"message": "The server had an error", "type": "server_error", "code": None}})


def overloaded() -> Answer:
    error = {"message": "Overloaded", "type": "service_unavailable_error", "code": "server_is_overloaded"}
    return reply(503, {"error": error})


def challenge() -> Answer:
    """A Cloudflare challenge page (protocol.md 5.5)."""
    page = "<!DOCTYPE html><title>Just a moment...</title><script>window._cf_chl_opt={}</script>"
    headers = [("server", "cloudflare"), ("cf-mitigated", "challenge"), ("cf-ray", "8example-FRA")]
    return _whole(403, "text/html; charset=UTF-8", page.encode(), headers)


def forbidden() -> Answer:
    return detail(403, "Account suspended")


def quota(used_percent: float = 12.0, reset_at: int = 1795210000) -> Pairs:
    """Quota headers; the empty value and ``False`` are what the backend sends (protocol.md 1.4)."""
    return [
        ("x-codex-plan-type", "plus"),
        ("x-codex-primary-used-percent", str(used_percent)),
        ("x-codex-primary-window-minutes", "300"),
        ("x-codex-primary-reset-at", str(reset_at)),
        ("x-codex-secondary-reset-at", ""),
        ("x-codex-credits-has-credits", "False"),
    ]


def service_headers(turn_state: str = "ts-1", etag: str = 'W/"models-1"') -> Pairs:
    """The other headers of a real answer: routing, ids, and two cookies (the second is off the allow-list)."""
    return [
        ("x-codex-turn-state", turn_state),
        ("x-models-etag", etag),
        ("x-request-id", "req-example"),
        ("cf-ray", "8example-FRA"),
        ("set-cookie", "__cf_bm=cookie-bm; Path=/; Secure; HttpOnly"),
        ("set-cookie", "oai-did=cookie-did; Path=/; Secure"),
    ]
