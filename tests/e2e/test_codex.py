"""The real Codex CLI, unmodified, through the proxy to a strict backend behind TLS and HTTP/2."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from mitmproxy import http

from support.answers import Cut, Data, Head
from support.auth import ACCOUNT_ID, API_KEY, Login, write_api_key, write_login
from support.backend import Backend
from support.codex import Codex
from support.events import ev_created, ev_message_added, ev_text_delta, sse
from support.proxy import Proxy
from support.records import Request
from support.strictness import Strictness
from support.tls import Authority
from support.upstreams import to_api, to_chatgpt

pytestmark = pytest.mark.codex

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
CODEX_AGENT = re.compile(r"codex_exec/(\d+\.\d+\.\d+) ")
FORMS = ("chatgpt", "openai", "responses")


@dataclass(frozen=True)
class Way:
    """Codex, the proxy, and the backend behind it."""

    kind: str
    codex: Codex
    proxy: Proxy
    backend: Backend
    account_id: str
    work: Path

    @property
    def turns(self) -> list[Request]:
        return [request for request in self.backend.requests if request.method == "POST"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Proxy]]:
    with ExitStack() as stack:
        yield lambda config, **options: stack.enter_context(Proxy(tmp_path, config, **options))


@pytest.fixture(params=FORMS)
def way(
    request: pytest.FixtureRequest, ca: Authority, login: Login, tmp_path: Path, start: Callable[..., Proxy]
) -> Way:
    """Codex with a custom provider that names the proxy, once for each form of upstream credential."""
    if request.param == "chatgpt":
        backend, account_id = request.getfixturevalue("backend"), login.account_id
        proxy = start(to_chatgpt(backend, ca, login.path))
    else:
        backend, account_id = request.getfixturevalue("api_backend"), ""
        proxy = start(to_api(backend, ca, tmp_path, request.param))
    codex = Codex(tmp_path / "home", f"{proxy.url}/v1")
    return Way(request.param, codex, proxy, backend, account_id, tmp_path / "work")


def check_one_identity(way: Way, connections: int = 1) -> None:
    """One account, one session, one client, one connection in all that the backend saw of one run."""
    turns = way.turns
    assert turns and {turn.http_version for turn in turns} == {"HTTP/2"}
    for name in ("session-id", "thread-id", "originator", "user-agent", "authorization"):
        assert len({turn.first(name) for turn in turns}) == 1 and turns[0].first(name), name
    assert {turn.first("chatgpt-account-id") for turn in turns} == {way.account_id}
    found = CODEX_AGENT.match(turns[0].first("user-agent"))
    assert found and turns[0].first("originator") == "codex_exec"
    assert {turn.first("version") for turn in turns} == {"" if way.kind == "responses" else found[1]}
    assert len({connection.client_hello["fp"]["ja4"] for connection in way.backend.connections}) == 1
    assert len(way.backend.connections) == connections


def test_text(way: Way) -> None:
    """A text turn ends well and shows the backend's text."""
    run = way.codex.exec("Please [[say:hello from the backend]]", way.work)
    assert (run.code, run.said) == (0, ["hello from the backend"]), run.errors
    check_one_identity(way)


def test_shell_tool_and_file_edit(way: Way) -> None:
    """Codex runs the command and edits the file, and all three requests of the turn come from one identity."""
    run = way.codex.exec("[[shell:echo made > made.txt]] [[patch:out.txt:patched]]", way.work)
    assert (run.code, run.said) == (0, ["done"]), run.errors
    assert (way.work / "made.txt").read_text() == "made\n"
    assert (way.work / "out.txt").read_text() == "patched\n"
    assert len(way.turns) == 3
    check_one_identity(way)


def test_usage_limit_is_told_once_with_its_time(way: Way) -> None:
    """The 429 reaches Codex as it came: one POST, and the message names the plan's limit and when to try again."""
    run = way.codex.exec("[[limit]]", way.work)
    assert run.code != 0
    assert re.search(r"usage limit.*try again at \d?\d:\d\d [AP]M", run.errors, re.IGNORECASE), run.errors
    assert len(way.turns) == 1


def test_cut_before_anything_is_never_seen_by_codex(way: Way) -> None:
    """A stream that breaks before it said anything is asked for again by the proxy: Codex posts once."""
    run = way.codex.exec("[[cut:second try]]", way.work)
    assert (run.code, run.said) == (0, ["second try"]), run.errors
    assert (len(way.turns), way.proxy.process.numbers_given) == (2, 1)
    check_one_identity(way, connections=2)


def test_cut_in_the_middle_is_told_to_codex(way: Way) -> None:
    """A stream that breaks after some text never looks like an end: Codex asks again by itself, with the same ids."""
    begun = [ev_created(), ev_message_added(), ev_text_delta("half of it")]
    way.backend.queue([Head(), Data(sse(begun)), Cut("reset")])
    run = way.codex.exec("[[say:the whole of it]]", way.work)
    assert (run.code, run.said) == (0, ["the whole of it"]), run.errors
    assert (len(way.turns), way.proxy.process.numbers_given) == (2, 2)
    check_one_identity(way)


def test_image_arrives_as_it_is(way: Way, tmp_path: Path) -> None:
    """The backend sees the file's own bytes."""
    picture = tmp_path / "pixel.png"
    picture.write_bytes(PIXEL)
    run = way.codex.exec("[[image]]", way.work, "-i", str(picture))
    url = f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"
    assert run.said == [f"image sha256 {hashlib.sha256(url.encode()).hexdigest()}"], run.errors


@pytest.mark.parametrize("model", ["gpt-5.5", "gpt-6-astra"])
def test_built_in_provider_with_its_login(
    model: str, ca: Authority, make_backend: Callable[..., Backend], tmp_path: Path, start: Callable[..., Proxy]
) -> None:
    """Codex's own provider, logged in and pointed at the proxy by one line: its WebSocket is refused once, its zstd
    bodies arrive whole, the Lite form too, and the login that it sends is never what the backend sees."""
    theirs = write_login(tmp_path / "home" / "auth.json", serial=7)
    ours = write_login(tmp_path / "ours" / "auth.json")
    strictness = Strictness("chatgpt", ours.access_token, ACCOUNT_ID, (theirs.access_token, theirs.refresh_token))
    backend = make_backend(tls=ca.server_context(), strictness=strictness, name="codex-backend.test")
    upgrades = Upgrades()
    proxy = start(to_chatgpt(backend, ca, ours.path), extra=[upgrades], mitm_options={"confdir": str(tmp_path)})
    # With a ChatGPT login Codex takes no http:// origin ("workspace backend must use an HTTPS origin").
    base_url = f"https://localhost:{proxy.port}/backend-api/codex"
    codex = Codex(tmp_path / "home", base_url, native=True, ca_file=tmp_path / "mitmproxy-ca-cert.pem", model=model)
    run = codex.exec("[[shell:echo made > made.txt]]", tmp_path / "work")
    assert (run.code, run.said) == (0, ["done"]), run.errors
    assert (tmp_path / "work" / "made.txt").read_text() == "made\n"
    assert upgrades.statuses and set(upgrades.statuses) == {426}
    assert set(upgrades.codings) == {"zstd"}
    check_one_identity(Way("chatgpt", codex, proxy, backend, ACCOUNT_ID, tmp_path))
    turns = [request for request in backend.requests if request.method == "POST"]
    is_lite = {turn.first("x-openai-internal-codex-responses-lite") for turn in turns}
    assert is_lite == ({"true"} if model == "gpt-6-astra" else {""})


def test_built_in_provider_with_an_api_key(
    ca: Authority, make_backend: Callable[..., Backend], tmp_path: Path, start: Callable[..., Proxy]
) -> None:
    """The same with a key for a login, over plain http on loopback: the backend sees our key and never Codex's."""
    write_api_key(tmp_path / "home" / "auth.json", "sk-theirs-0123456789")
    strictness = Strictness("api-key", API_KEY, forbidden=("sk-theirs-0123456789",))
    backend = make_backend(tls=ca.server_context(), strictness=strictness, name="codex-backend.test")
    upgrades = Upgrades()
    proxy = start(to_api(backend, ca, tmp_path), extra=[upgrades])
    codex = Codex(tmp_path / "home", f"{proxy.url}/v1", native=True)
    run = codex.exec("[[shell:echo made > made.txt]]", tmp_path / "work")
    assert (run.code, run.said) == (0, ["done"]), run.errors
    assert (tmp_path / "work" / "made.txt").read_text() == "made\n"
    assert set(upgrades.statuses) == {426}
    check_one_identity(Way("openai", codex, proxy, backend, "", tmp_path))


class Upgrades:
    """A user's addon that notes what became of WebSocket handshakes and of the coding of other bodies."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.codings: list[str] = []

    def response(self, flow: http.HTTPFlow) -> None:
        assert flow.response is not None
        if "upgrade" in flow.request.headers:
            self.statuses.append(flow.response.status_code)
        elif flow.request.method == "POST":
            self.codings.append(flow.request.headers.get("content-encoding", ""))


def test_demo_upstream(tmp_path: Path, start: Callable[..., Proxy]) -> None:
    """Without any provider the demo serves the real Codex: a text turn and a round with its shell tool."""
    proxy = start({"upstream": "demo"})
    codex = Codex(tmp_path / "home", f"{proxy.url}/v1")
    run = codex.exec("hello", tmp_path / "work")
    assert run.code == 0 and any("mitmcodex demo" in text for text in run.said), run.errors
    run = codex.exec("please use a shell", tmp_path / "work")
    assert run.code == 0 and run.said, run.errors
    commands = [
        e["item"] for e in run.events if e["type"] == "item.completed" and e["item"]["type"] == "command_execution"
    ]
    assert [command["exit_code"] for command in commands] == [0]
