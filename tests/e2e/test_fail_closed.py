"""Whatever breaks in the proxy: nothing leaves that was not meant to, and the client hears the truth (house.md 2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import tflow, tutils

from mitmcodex.adapt import Adapt
from mitmcodex.classify import Classify
from mitmcodex.credentials import Credentials
from mitmcodex.egress import Egress
from mitmcodex.exchange import Exchange
from mitmcodex.gate import Gate
from mitmcodex.identity import Identity
from mitmcodex.proxy.layer import EgressHttpLayer
from mitmcodex.translate import Translate
from support.answers import Data, End, Head, Pause, Stall, say
from support.answers import Gate as Hold
from support.auth import Login
from support.backend import Backend
from support.client import CODEX, Answer, Pairs, is_codex, post, posted
from support.events import ev_completed, ev_created, ev_message_done, ev_text_delta, sse
from support.proxy import Proxy
from support.tls import Authority
from support.upstreams import to_chatgpt

STAGES = (Translate, Classify, Adapt, Credentials, Identity)
SECRET_TEXT = "what the upstream said"

each_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
each_client = pytest.mark.parametrize("client", [(), CODEX], ids=["other", "codex"])

StartProxy = Callable[..., Proxy]


class Planted(Exception):
    """Stands for any defect in a stage."""


class Flows:
    """Keeps the flows and the exchanges that were."""

    def __init__(self) -> None:
        self.flows: list[http.HTTPFlow] = []
        self.exchanges: list[Exchange] = []

    def request(self, flow: http.HTTPFlow) -> None:
        self.flows.append(flow)

    def upstream_done(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)


@pytest.fixture
def start(tmp_path: Path, backend: Backend, ca: Authority, login: Login) -> Iterator[StartProxy]:
    with ExitStack() as stack:

        def start_proxy(*extra: Any, **settings: Any) -> Proxy:
            config = {**to_chatgpt(backend, ca, login.path), **settings}
            return stack.enter_context(Proxy(tmp_path, config, extra=extra))

        yield start_proxy


def broken(exchange: Exchange) -> None:
    raise Planted(SECRET_TEXT)


async def broken_later(exchange: Exchange) -> None:
    await asyncio.sleep(0)
    raise Planted(SECRET_TEXT)


def settled(proxy: Proxy) -> None:
    """Returns when no exchange runs any more."""

    async def wait() -> None:
        await asyncio.gather(*[x.task for x in proxy.process.running if x.task is not None])

    proxy.call(wait())


def remove(proxy: Proxy, kind: type) -> None:
    async def take_out() -> None:
        proxy.master.addons.remove(proxy.addon(kind))

    proxy.call(take_out())


def assert_own_error(answer: Answer, client: Pairs) -> None:
    """Our own failure, in the client's form: Codex, which would repeat a 500 thirty times, gets a 400."""
    assert answer.status == (400 if is_codex(client) else 500)
    assert answer.is_whole and answer.error["code"] == "internal"
    assert SECRET_TEXT.encode() not in answer.body


# -- on the way down ------------------------------------------------------------------------------


@each_client
@each_stage
def test_a_stage_that_fails_on_the_way_down_keeps_all_here(
    stage: type, client: Pairs, start: StartProxy, backend: Backend
) -> None:
    """The upstream sees no connection; the client gets a 500 in its form, Codex a 400."""
    proxy = start()
    proxy.addon(stage).upstream_request = broken
    assert_own_error(post(proxy, headers=client), client)
    assert backend.connections == []


class Scribbles:
    """A user's stage that writes a header which HTTP can't carry."""

    def upstream_response(self, exchange: Exchange) -> None:
        assert exchange.reply is not None
        exchange.reply.headers.append(("x-note", "\u4e2d"))


@each_client
def test_a_head_that_can_not_be_sent_is_an_error(client: Pairs, start: StartProxy) -> None:
    """The client is told, in its form, instead of waiting for ever."""
    assert_own_error(post(start(Scribbles()), headers=client), client)


def test_an_async_stage_fails_closed_too(start: StartProxy, backend: Backend) -> None:
    """An exception that comes after an await counts as one that comes at once."""
    proxy = start()
    proxy.addon(Credentials).upstream_request = broken_later
    assert_own_error(post(proxy), ())
    assert backend.connections == []


@pytest.mark.parametrize("missing", [Translate, Adapt, Credentials, Identity], ids=lambda stage: stage.__name__)
def test_a_stage_that_is_not_in_the_list_is_missed(missing: type, start: StartProxy, backend: Backend) -> None:
    """Without one of the stages that an exchange can't do without, nothing is sent."""
    proxy = start()
    egress = proxy.addon(Egress)
    egress._stages = [stage for stage in egress._stages if not isinstance(stage, missing)]
    remove(proxy, missing)
    assert_own_error(post(proxy), ())
    assert backend.connections == []


@pytest.mark.parametrize("part", ["canonical", "adapted", "credential", "identity", "request"])
def test_nothing_leaves_unsealed(part: str, start: StartProxy, backend: Backend) -> None:
    """Whoever takes a part away after the stages have set it: the exchange is not sent."""

    class Takes:
        def upstream_request(self, exchange: Exchange) -> None:
            setattr(exchange, part, None)

    assert_own_error(post(start(Takes())), ())
    assert backend.connections == []


@pytest.mark.parametrize("part", ["_check_origin", "_route", "_body"])
def test_a_gate_that_fails_lets_nobody_in(part: str, start: StartProxy, backend: Backend) -> None:
    """mitmproxy logs an addon's exception and goes on; the request goes nowhere all the same, whatever its call."""

    def fail(*_: object) -> None:
        raise Planted(SECRET_TEXT)

    proxy = start()
    setattr(proxy.addon(Gate), part, fail)
    for path in ("/v1/responses", "/v1/responses/compact", "/backend-api/wham/rate-limit-reset-credits/consume"):
        answer = post(proxy, path=path)
        assert answer.status in (400, 500, 502) and SECRET_TEXT.encode() not in answer.body
    assert backend.connections == []


def test_without_a_gate_nothing_goes_anywhere(start: StartProxy, backend: Backend) -> None:
    """A flow that no gate admitted has no exchange."""
    proxy = start()
    remove(proxy, Gate)
    assert post(proxy).status == 502
    assert backend.connections == []


def test_mitmproxy_opens_no_connection_of_its_own(
    start: StartProxy, make_backend: Callable[..., Backend], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the seam is not in place, and a flow is aimed at a server, the last guard refuses the connection."""
    plain = make_backend()

    class Aims:
        def requestheaders(self, flow: http.HTTPFlow) -> None:
            flow.request.host, flow.request.port, flow.request.scheme = "127.0.0.1", plain.port, "http"

    monkeypatch.setattr(EgressHttpLayer, "adopt", lambda *_: None)
    proxy = start(Aims())
    assert post(proxy).status == 502
    assert plain.connections == []


def test_a_replay_opens_no_connection_of_its_own(start: StartProxy, make_backend: Callable[..., Backend]) -> None:
    """mitmproxy's replay would call the server in the flow directly, past every stage."""
    plain = make_backend()
    request = tutils.treq(host="127.0.0.1", port=plain.port, authority=b"", path=b"/v1/responses", method=b"POST")
    flow = http.HTTPFlow(*_connections(plain.port))
    flow.request = request
    ended = asyncio.Event()

    class Ends:
        def response(self, flow: http.HTTPFlow) -> None:
            ended.set()

        def error(self, flow: http.HTTPFlow) -> None:
            ended.set()

    proxy = start(Ends())

    async def replay() -> None:
        proxy.master.commands.call("replay.client", [flow])
        await asyncio.wait_for(ended.wait(), 5)

    proxy.call(replay())
    assert plain.connections == []


def _connections(port: int) -> tuple[Any, Any]:
    server = tflow.tserver_conn()
    server.address = ("127.0.0.1", port)
    return tflow.tclient_conn(), server


# -- on the way up --------------------------------------------------------------------------------


@each_client
@each_stage
def test_a_stage_that_fails_on_the_way_up_shows_nothing(
    stage: type, client: Pairs, start: StartProxy, backend: Backend
) -> None:
    """The client gets an error and no byte of the upstream's; the upstream's call is ended at once."""
    backend.queue([Head(), Data(sse([ev_created(), ev_text_delta(SECRET_TEXT)])), Stall()])
    proxy = start()
    proxy.addon(stage).upstream_response = broken
    assert_own_error(post(proxy, headers=client), client)
    assert len(backend.calls) == 1
    backend.calls[0].wait_aborted()


class Breaks:
    """Lets the pieces through up to the first that holds the text, and breaks at the next."""

    async def pieces(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        is_next = False
        async for piece in body:
            if is_next:
                raise Planted(SECRET_TEXT)
            is_next = b"first" in piece
            yield piece

    def upstream_response(self, exchange: Exchange) -> None:
        assert exchange.body is not None
        exchange.body = self.pieces(exchange.body)


def a_stream_in_two(proxy: Proxy, backend: Backend, client: Pairs) -> Answer:
    """A turn whose second piece is sent when the client has the first; then the upstream goes on without an end."""
    hold = Hold()
    second = Data(sse([ev_text_delta(SECRET_TEXT)], 2))
    backend.queue([Head(), Data(sse([ev_created(), ev_text_delta("first")])), Pause(hold), second, Stall()])
    with posted(proxy, client) as sent:
        seen = sent.read_until(b"first")
        hold.open()
        answer = sent.to_end()
    backend.calls[0].wait_aborted()
    return Answer(answer.status, answer.headers, seen + answer.body, answer.is_whole)


@each_client
@pytest.mark.parametrize("stage", [*STAGES[1:], None], ids=lambda stage: stage.__name__ if stage else "user's")
def test_a_stream_that_breaks_in_a_stage_says_so(
    stage: type | None, client: Pairs, start: StartProxy, backend: Backend
) -> None:
    """What was sent stays, the end is response.failed and never a normal one, and the upstream's call is ended."""
    proxy = start(*([] if stage else [Breaks()]))
    if stage:
        addon, breaks = proxy.addon(stage), Breaks()
        before = getattr(addon, "upstream_response", None)

        async def both(exchange: Exchange) -> None:
            found = before(exchange) if before else None
            if asyncio.iscoroutine(found):
                await found
            breaks.upstream_response(exchange)

        addon.upstream_response = both
    answer = a_stream_in_two(proxy, backend, client)
    assert answer.status == 200 and answer.is_whole
    assert answer.kinds == ["response.created", "response.output_text.delta", "response.failed"]
    assert answer.events[-1]["response"]["error"]["code"] == "internal"
    assert SECRET_TEXT.encode() not in answer.body


@each_client
def test_an_encoder_that_breaks_cuts_the_connection(client: Pairs, start: StartProxy, backend: Backend) -> None:
    """Not even the protocol's own failure can be said: the client sees a broken connection, it neither hangs nor takes
    the answer for whole."""

    class BrokenEncoder:
        is_cut = False
        content_type = "text/event-stream"

        def __init__(self, encoder: Any) -> None:
            self._encoder = encoder

        def feed(self, data: bytes) -> Any:
            if SECRET_TEXT.encode() in data:
                raise Planted(SECRET_TEXT)
            return self._encoder.feed(data)

        idle = finish = fail = broken

    proxy = start()
    translate = proxy.addon(Translate)
    before = translate.upstream_request

    def planted(exchange: Exchange) -> None:
        before(exchange)
        exchange.encoder = BrokenEncoder(exchange.encoder)

    translate.upstream_request = planted
    answer = a_stream_in_two(proxy, backend, client)
    assert not answer.is_whole and SECRET_TEXT.encode() not in answer.body
    settled(proxy)
    assert proxy.process.running == set()


@each_client
def test_an_answer_without_stream_fails_whole(client: Pairs, start: StartProxy, backend: Backend) -> None:
    """A client that waits for one object gets an error in place of half an object."""
    backend.queue([Head(), Data(sse([ev_created(), ev_text_delta("first")])), Data(sse([ev_message_done("x")], 2))])
    assert_own_error(post(start(Cuts()), client, stream=False), client)


class Cuts:
    def upstream_response(self, exchange: Exchange) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield sse([ev_created(), ev_text_delta("first")])
            raise Planted(SECRET_TEXT)

        exchange.body = pieces()


# -- afterwards -----------------------------------------------------------------------------------


@each_stage
def test_what_breaks_after_the_answer_changes_nothing(stage: type, start: StartProxy, backend: Backend) -> None:
    """The answer is the same, and the addons after the broken one still hear that the exchange is done."""
    flows = Flows()
    proxy = start(flows)
    expected = post(proxy)
    proxy.addon(stage).upstream_done = broken
    assert post(proxy) == expected and expected.status == 200
    settled(proxy)
    assert [exchange.outcome for exchange in flows.exchanges] == ["complete", "complete"]


OBSERVED = (
    "exchange_started",
    "upstream_requested",
    "upstream_responded",
    "upstream_data",
    "upstream_ended",
    "client_head",
    "client_data",
    "exchange_ended",
)


class FailingObserver:
    """Fails in one step, and writes down what it is told."""

    def __init__(self, step: str) -> None:
        self.told: list[str] = []
        for name in OBSERVED:
            setattr(self, name, self._recorder(name, name == step))

    def _recorder(self, name: str, fails: bool) -> Callable[..., None]:
        def record(*_: object) -> None:
            self.told.append(name)
            if fails:
                raise OSError(28, SECRET_TEXT)

        return record


@pytest.mark.parametrize("step", OBSERVED)
def test_an_observer_that_fails_is_not_seen_by_the_client(step: str, start: StartProxy) -> None:
    """The answer is byte for byte the same; the flow is marked; the broken one is told no more, the others are."""
    flows = Flows()
    proxy = start(flows)
    expected = post(proxy)
    failing, healthy = FailingObserver(step), FailingObserver("")
    proxy.addon(Egress)._observers = [failing, healthy]
    assert post(proxy) == expected and expected.status == 200
    settled(proxy)
    clean, failed = flows.flows
    assert not clean.marked and failed.marked == ":warning:"
    assert "FailingObserver" in failed.comment and step in failed.comment
    assert failing.told[-1] == step and failing.told == healthy.told[: len(failing.told)]
    assert list(dict.fromkeys(sorted(healthy.told, key=OBSERVED.index))) == list(OBSERVED)
    assert flows.exchanges[-1].outcome == "complete"


# -- a user's own addon ---------------------------------------------------------------------------


def test_a_users_addon_stands_next_to_the_wire(start: StartProxy, backend: Backend) -> None:
    """It is called after our stages on the way down and before them on the way up, and what it changes counts."""
    heard: list[str] = []

    class Theirs:
        def upstream_request(self, exchange: Exchange) -> None:
            heard.append("down")
            request = exchange.request
            assert request is not None
            exchange.request = type(request)(
                request.method, request.url, (*request.headers, ("x-mine", "1")), request.body
            )

        async def upstream_response(self, exchange: Exchange) -> None:
            heard.append("up")

        def upstream_done(self, exchange: Exchange) -> None:
            heard.append("done")

    proxy = start(Theirs())
    identity = proxy.addon(Identity)
    down, up = identity.upstream_request, identity.upstream_response
    identity.upstream_request = lambda exchange: (heard.append("identity down"), down(exchange))[1]
    identity.upstream_response = lambda exchange: (heard.append("identity up"), up(exchange))[1]
    backend.queue(say("hi"))
    assert post(proxy).kinds[-1] == "response.completed"
    settled(proxy)
    assert heard == ["identity down", "down", "up", "identity up", "done"]
    assert backend.requests[0].first("x-mine") == "1"


@each_client
@pytest.mark.parametrize("fail", [broken, broken_later], ids=["sync", "async"])
def test_a_users_addon_fails_closed(
    fail: Callable[[Exchange], Any], client: Pairs, start: StartProxy, backend: Backend
) -> None:
    """It is held to the same rule as our own stages."""

    class Down:
        async def upstream_request(self, exchange: Exchange) -> None:
            if (found := fail(exchange)) is not None:
                await found

    assert_own_error(post(start(Down()), headers=client), client)
    assert backend.connections == []


@each_client
def test_a_users_addon_that_fails_on_the_way_up_shows_nothing(
    client: Pairs, start: StartProxy, backend: Backend
) -> None:
    """No byte of the upstream's reaches the client past an addon that broke."""

    class Up:
        upstream_response = staticmethod(broken)

    whole = sse([ev_created(), ev_message_done(SECRET_TEXT), ev_completed()])
    backend.queue([Head(), Data(whole), End()])
    assert_own_error(post(start(Up()), headers=client), client)
