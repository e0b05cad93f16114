"""Stage fanout: one request, n exchanges, one answer (conformance 23)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from mitmcodex.exchange import Emission, End, Exchange, Failed, Head
from mitmcodex.fanout import Fanout, Joint, Part
from mitmcodex.process import Process
from mitmcodex.schema import Settings
from mitmcodex.wire import CODECS
from mitmcodex.wire.codec import Asked, ReplyContext
from mitmcodex.wire.errors import WireError
from support.events import ev_completed, ev_created, ev_text_delta, sse
from support.exchanges import an_exchange, canonical

OK = Head(200, [("content-type", "application/json"), ("content-length", "7")])
STREAM = Head(200, [("content-type", "text/event-stream")])
BUSY = Head(429, [("content-type", "application/json"), ("retry-after", "1")])
BUSY_BODY = b'{"error":{"message":"slow down","type":"rate_limit_error"}}'


class Client:
    """The leg behind all parts."""

    def __init__(self) -> None:
        self.got: list[Emission] = []
        self.holds = 0

    def held_open(self) -> AbstractContextManager[None]:
        self.holds += 1
        return nullcontext()

    async def emit(self, payload: Emission) -> None:
        self.got.append(payload)

    @property
    def body(self) -> bytes:
        return b"".join(piece for piece in self.got if isinstance(piece, bytes))


def an_ask(count: int = 3, wants_stream: bool = True, protocol: str = "chat") -> Exchange:
    """Translated, with an encoder and a client's leg."""
    exchange = canonical(an_exchange(protocol=protocol), {}, wants_stream)
    assert exchange.canonical is not None
    asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "n": min(count, 8)}
    exchange.canonical.decoded = CODECS["chat"].decode_request(asked, Asked())
    exchange.canonical.decoded.n, exchange.canonical.decoded.wants_stream = count, wants_stream
    exchange.leg = Client()
    return encoding(exchange)


def encoding(exchange: Exchange, like: Exchange | None = None) -> Exchange:
    """As translate leaves it."""
    exchange.canonical = exchange.canonical or (like.canonical if like else None)
    assert exchange.canonical is not None
    context = ReplyContext(model="m", choice=exchange.choice, new_id=lambda: str(exchange.choice))
    exchange.encoder = CODECS["chat"].encoder(exchange.canonical.decoded, context)
    return exchange


def fanned(exchange: Exchange, **settings: Any) -> list[Exchange]:
    """All exchanges of the request after the stage, in their order."""
    process, begun = Process(settings=Settings(**settings)), [exchange]
    process.begin = begun.append
    stage = Fanout(process)
    stage.upstream_request(exchange)
    for other in begun[1:]:
        stage.upstream_request(encoding(other, exchange))
    return begun


def run(exchanges: list[Exchange], play: Callable[..., Coroutine[Any, Any, None]]) -> tuple[Client, list[bool]]:
    """Plays the parts' emissions; returns what the client got, and which parts were cancelled."""

    async def played() -> list[bool]:
        for exchange in exchanges:
            exchange.task = asyncio.ensure_future(asyncio.Event().wait())  # type: ignore[arg-type]
        await play(*[exchange.leg.emit for exchange in exchanges])
        await asyncio.sleep(0)
        stopped = [exchange.task.cancelled() for exchange in exchanges if exchange.task]
        for exchange in exchanges:
            exchange.cancel()
        return stopped

    stopped = asyncio.run(played())
    assert isinstance(exchanges[0].leg, Part) and isinstance(exchanges[0].leg.joint.leg, Client)
    return exchanges[0].leg.joint.leg, stopped


def chunk(exchange: Exchange, *events: dict[str, Any]) -> bytes:
    assert exchange.encoder is not None
    return exchange.encoder.feed(sse(events))


# -- the stage --------------------------------------------------------------------------------------


def test_one_exchange_for_each_answer() -> None:
    """Of the same flow and caller, numbered, each with its loss entry, all with one head for their chunks."""
    exchanges = fanned(first := an_ask())
    assert [exchange.choice for exchange in exchanges] == [0, 1, 2]
    assert {(id(one.flow), id(one.admission)) for one in exchanges} == {(id(first.flow), id(first.admission))}
    assert [[(loss.path, loss.what) for loss in one.losses] for one in exchanges] == [[("n", "emulated")]] * 3
    heads: list[Any] = [one.encoder for one in exchanges]
    assert all(encoder.head is heads[0].head for encoder in heads)
    assert first.siblings == tuple(exchanges[1:])


def test_a_second_attempt_begins_no_others() -> None:
    """The stage runs at each attempt: the others are there, and the new encoder gets the common head."""
    exchanges = fanned(first := an_ask())
    first.losses = []
    assert fanned(encoding(first)) == [first] and first.siblings == tuple(exchanges[1:])
    encoders: list[Any] = [first.encoder, exchanges[1].encoder]
    assert encoders[0].head is encoders[1].head and len(first.losses) == 1


def test_one_answer_needs_nothing() -> None:
    """Nor does a client of the provider's own protocol, whose provider takes n itself."""
    native = an_ask()
    assert native.canonical is not None
    native.canonical.is_native = True
    for exchange in (an_ask(1), native):
        assert fanned(exchange) == [exchange] and isinstance(exchange.leg, Client) and exchange.losses == []


@pytest.mark.parametrize(
    ("ask", "settings"), [(an_ask(9), {}), (an_ask(2, protocol="images"), {"image_n": "error"})], ids=["9", "images"]
)
def test_too_many_are_refused(ask: Exchange, settings: dict[str, Any]) -> None:
    """Each is a call that costs: at most 8, and of images one where the settings say so."""
    with pytest.raises(WireError, match="n: ") as caught:
        fanned(ask, **settings)
    assert (caught.value.kind, caught.value.param) == ("invalid_request", "n")


def test_a_client_that_goes_ends_all() -> None:
    """The seam knows the first exchange alone."""
    exchanges = fanned(an_ask())

    async def play(*_: Any) -> None:
        exchanges[0].cancel()

    assert run(exchanges, play)[1] == [True] * 3


# -- streams ----------------------------------------------------------------------------------------


def test_pieces_go_out_as_they_come() -> None:
    """One head, then the chunks of all by turns, then one end."""
    one, two = exchanges = fanned(an_ask(2))

    async def play(first: Any, second: Any) -> None:
        await second(STREAM)
        await second(chunk(two, ev_created(), ev_text_delta("two")))
        await first(STREAM)
        await first(chunk(one, ev_created(), ev_text_delta("one"), ev_completed()))
        await first(End())
        await second(chunk(two, ev_completed()))
        await second(End())

    client, stopped = run(exchanges, play)
    assert [type(got) for got in client.got] == [Head, bytes, bytes, bytes, bytes, End]
    assert client.got[1].index(b'"two"') and b'"one"' in client.got[2]  # type: ignore[operator, union-attr]
    assert client.body.count(b"[DONE]") == 1 and stopped == [False, False]


@pytest.mark.parametrize("how", ["an error's answer", "a failure", "told by its encoder"])
def test_a_late_failure_ends_the_stream_with_an_error(how: str) -> None:
    """The others are cancelled, and nothing more of them goes out."""
    one, two, _ = exchanges = fanned(an_ask())
    error = WireError("busy", "slow down")

    async def play(first: Any, second: Any, third: Any) -> None:
        await first(STREAM)
        await first(chunk(one, ev_created(), ev_text_delta("one")))
        if how == "a failure":
            await second(Failed("slow down", error))
        else:
            is_told = how == "told by its encoder"
            assert two.encoder is not None
            for payload in (STREAM, two.encoder.fail(error)) if is_told else (BUSY, BUSY_BODY):
                await second(payload)
            await second(End())
        await third(STREAM)
        await first(chunk(one, ev_completed()))

    client, stopped = run(exchanges, play)
    assert isinstance(client.got[-1], End) and client.body.endswith(b"data: [DONE]\n\n")
    last = json.loads(client.body.split(b"data: ")[-2])
    assert last["error"]["message"] == "slow down"
    assert stopped == [True, False, True] and sum(isinstance(got, Head) for got in client.got) == 1


@pytest.mark.parametrize("wants_stream", [True, False])
def test_a_failure_before_anything_is_the_answer(wants_stream: bool) -> None:
    """Status, headers and body of the part that failed; the others are cancelled."""
    exchanges = fanned(an_ask(2, wants_stream))

    async def play(first: Any, second: Any) -> None:
        for payload in (BUSY, BUSY_BODY, End()):
            await second(payload)
        await first(OK)

    client, stopped = run(exchanges, play)
    assert client.got == [BUSY, BUSY_BODY, End()] and stopped == [True, False]


def test_what_can_not_be_told_is_cut() -> None:
    """An answer that broke without words breaks the client's."""
    exchanges = fanned(an_ask(2))

    async def play(first: Any, second: Any) -> None:
        await first(STREAM)
        await second(Failed("gone"))

    client, stopped = run(exchanges, play)
    assert client.got == [STREAM, Failed("gone")] and stopped == [True, False]


# -- whole answers ----------------------------------------------------------------------------------


def test_whole_answers_wait_for_each_other() -> None:
    """One JSON with the choices in their order, when the last is there; its length is that of the whole."""
    exchanges = fanned(an_ask(2, wants_stream=False))

    async def play(first: Any, second: Any) -> None:
        for emit, choice in ((second, 1), (first, 0)):
            assert exchanges[0].leg.joint.leg.got == []  # type: ignore[attr-defined]
            await emit(OK)
            body = json.dumps({"id": str(choice), "choices": [{"index": choice}], "usage": {"total_tokens": 2}})
            await emit(body[:9].encode())
            await emit(body[9:].encode())
            await emit(End())

    client, _ = run(exchanges, play)
    assert [type(got) for got in client.got] == [Head, bytes, End]
    assert json.loads(client.body) == {
        "id": "0",
        "choices": [{"index": 0}, {"index": 1}],
        "usage": {"total_tokens": 4},
    }
    assert client.got[0] == Head(200, [OK.headers[0], ("content-length", str(len(client.body)))])


def test_the_client_is_held_open_by_each() -> None:
    """One that thinks long keeps the client's connection while the others are done."""
    exchanges = fanned(an_ask(2))
    joint = exchanges[0].leg.joint  # type: ignore[attr-defined]
    assert isinstance(joint, Joint)
    with exchanges[0].leg.held_open(), exchanges[1].leg.held_open():
        assert joint.leg.holds == 2  # type: ignore[attr-defined]
