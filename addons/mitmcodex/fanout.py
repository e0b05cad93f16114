"""Stage: a request for ``n`` answers becomes as many exchanges side by side (conformance 23).

Each is sealed, translated, recorded and metered alone; what they emit comes together in ``Joint``, which the client
sees as one answer. The first exchange is the one that the client's request began, the others begin here.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractContextManager
from typing import Any, cast

from mitmcodex import emission
from mitmcodex.exchange import ClientLeg, Emission, End, Exchange, Failed, Head
from mitmcodex.process import Process
from mitmcodex.wire.codec import Loss
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.merge import FORMS, Form, StreamMerge, error_of
from mitmcodex.wire.shapes import Fields


class Fanout:
    def __init__(self, process: Process) -> None:
        self._process = process

    def upstream_request(self, exchange: Exchange) -> None:
        canonical = exchange.canonical
        assert canonical is not None
        decoded = canonical.decoded
        if canonical.is_native or decoded.n == 1:
            return
        form, path = FORMS[exchange.admission.protocol], decoded.path("n")
        if decoded.n > form.most:
            raise WireError("invalid_request", f"{path}: must be from 1 to {form.most}.", param=path)
        if exchange.admission.protocol == "images" and self._process.current.image_n == "error":
            text = "n: more than one image is switched off. Ask for one, or set image_n: parallel."
            raise WireError("invalid_request", text, param=path)
        if not isinstance(exchange.leg, Part):
            self._spread(exchange, form, decoded.n)
        exchange.losses.append(Loss(path, "emulated", f"{decoded.n} calls, of one answer each"))
        assert isinstance(exchange.leg, Part)
        if form.has_head:
            cast(Any, exchange.encoder).head = exchange.leg.joint.head

    def _spread(self, exchange: Exchange, form: Form, count: int) -> None:
        assert exchange.canonical is not None
        joint = Joint(exchange.leg, form, count, exchange.canonical.wants_stream)
        flow, admission = exchange.flow, exchange.admission
        others = [Exchange(flow, admission, Part(joint, choice), choice=choice) for choice in range(1, count)]
        exchange.leg = Part(joint, 0)
        exchange.siblings = tuple(others)
        joint.exchanges = [exchange, *others]
        for other in others:
            self._process.begin(other)


class Part:
    """The leg of one of the exchanges."""

    def __init__(self, joint: Joint, choice: int) -> None:
        self.joint = joint
        self._choice = choice

    def held_open(self) -> AbstractContextManager[None]:
        return self.joint.leg.held_open()

    async def emit(self, payload: Emission) -> None:
        await self.joint.take(self._choice, payload)


class Joint:
    """Where the parts come together. A stream goes out as its pieces come, anything else when all parts are whole.

    The first part that fails ends all: with its answer, or, when something is out already, by the protocol's error.
    """

    def __init__(self, leg: ClientLeg, form: Form, count: int, wants_stream: bool) -> None:
        self.leg = leg
        self.exchanges: list[Exchange] = []
        self.head: Fields = {}
        """Of the chunks of all parts; the first that begins fills it."""
        self._form = form
        self._wants_stream = wants_stream
        self._merge = StreamMerge(form, count)
        self._left = set(range(count))
        """The parts whose end did not come yet."""
        self._heads: dict[int, Head] = {}
        """Of the parts that don't stream."""
        self._bodies: dict[int, bytes] = {}
        self._wholes: dict[int, Fields] = {}
        self._is_streaming = False
        """The head of the stream is out."""
        self._is_over = False
        self._turn = asyncio.Lock()
        """One part at a time: a slow client holds all of them."""

    async def take(self, choice: int, payload: Emission) -> None:
        async with self._turn:
            if self._is_over:
                return
            if isinstance(payload, End | Failed):
                self._left.discard(choice)
            match payload:
                case Head():
                    await self._take_head(choice, payload)
                case bytes() if choice in self._heads:
                    self._bodies[choice] += payload
                case bytes():
                    await self.leg.emit(self._merge.piece(payload))
                case End() if choice in self._heads:
                    await self._take_whole(choice)
                case End():
                    await self._told(self._merge.end(choice, self.exchanges[choice].encoder))
                case Failed():
                    await self._take_failure(choice, payload)

    async def _take_head(self, choice: int, head: Head) -> None:
        if not self._wants_stream or not 200 <= head.status < 300:
            self._heads[choice], self._bodies[choice] = head, b""
        elif not self._is_streaming:
            self._is_streaming = True
            await self.leg.emit(head)

    async def _take_whole(self, choice: int) -> None:
        head, body = self._heads[choice], self._bodies[choice]
        if self._is_streaming:
            await self._take_failure(choice, Failed("", error_of(head.status, _parsed(body))))
        elif not 200 <= head.status < 300:
            await self._answer(head, body)
        else:
            self._wholes[choice] = json.loads(body)
            if len(self._wholes) == len(self.exchanges):
                joined = self._form.whole([self._wholes[choice] for choice in sorted(self._wholes)])
                data = json.dumps(joined, ensure_ascii=False).encode("utf-8", "backslashreplace")
                headers = emission.without(head.headers, "content-length")
                await self._answer(Head(head.status, [*headers, ("content-length", str(len(data)))]), data)

    async def _take_failure(self, choice: int, failed: Failed) -> None:
        encoder = self.exchanges[choice].encoder
        if self._is_streaming and failed.error is not None and encoder is not None:
            await self._told(self._merge.fail(encoder, failed.error))
        else:
            await self._over(failed)

    async def _answer(self, head: Head, body: bytes) -> None:
        await self.leg.emit(head)
        if body:
            await self.leg.emit(body)
        await self._over(End())

    async def _told(self, piece: bytes) -> None:
        if piece:
            await self.leg.emit(piece)
        if self._merge.is_over:
            await self._over(End())

    async def _over(self, end: Emission) -> None:
        """The answer is complete, or can't become so: nobody waits for the parts that still run."""
        self._is_over = True
        for choice in self._left:
            if (task := self.exchanges[choice].task) is not None:
                task.cancel()
        await self.leg.emit(end)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
