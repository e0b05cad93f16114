"""Who the upstream sees: the whole proxy beside the capture of the real client, ids, cookies, what never goes out."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mitmcodex import paths, resources
from mitmcodex.upstream.fingerprint import Entry, Profile, load
from support.answers import challenge, say, service_headers
from support.auth import ACCOUNT_ID, Login, write_login
from support.backend import Backend
from support.client import CODEX, CODEX_AGENT, CODEX_VERSION, UUID7, a_request, as_codex, call, post
from support.fingerprint_table import CAPTURE, PROFILE, Row, captured, compare
from support.proxy import Proxy
from support.records import Request
from support.strictness import Strictness
from support.tls import Authority
from support.upstreams import to_api, to_chatgpt

REAL: dict[str, Any] = json.loads(CAPTURE.read_text())
UUID7_FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
IDS = ("session-id", "thread-id", "x-client-request-id")
LITE_INPUT = [
    {"type": "additional_tools", "role": "developer", "tools": []},
    {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
]
CHALLENGED = 403
INSTALLATION = "11111111-2222-4333-8444-555555555555"
ANOTHER_ID = "99999999-2222-3333-4444-555555555555"

StartProxy = Callable[..., Proxy]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartProxy]:
    """Starts the proxy. A second one is a restart: the first has ended, and its state folder is the same."""
    with ExitStack() as stack:

        def run(config: dict[str, Any]) -> Proxy:
            stack.close()
            return stack.enter_context(Proxy(tmp_path, config))

        yield run


@pytest.fixture
def chatgpt(start: StartProxy, backend: Backend, ca: Authority, login: Login) -> Proxy:
    return start(to_chatgpt(backend, ca, login.path))


# -- the wire, field by field


def measured(start: StartProxy, make_backend: Callable[..., Backend], ca: Authority, login: Login) -> list[Row]:
    """The second request of a Lite conversation, when the cookie of the first has come, beside the capture."""
    strictness = Strictness("chatgpt", login.access_token, ACCOUNT_ID)
    backend = make_backend(tls=ca.server_context(), strictness=strictness, name="chatgpt.com")
    backend.queue(say("first", service_headers()), say("second"))
    proxy = start(to_chatgpt(backend, ca, login.path))
    for text in ("first", "second"):
        conversation = [*LITE_INPUT, {"role": "user", "content": text}]
        answer = post(proxy, model="gpt-6.1-sol", input=conversation, reasoning={"effort": "low"})
        assert answer.status == 200, answer.body
    return compare(REAL, captured(backend.requests[1]), load(PROFILE, paths.fingerprints()).explained)


def test_the_whole_proxy_looks_like_the_capture(
    start: StartProxy, make_backend: Callable[..., Backend], ca: Authority, login: Login
) -> None:
    """ClientHello, SETTINGS, window, pseudo-headers and header list are the real client's, field by field."""
    rows = measured(start, make_backend, ca, login)
    assert [row for row in rows if not row.is_accepted] == []
    assert {"header names, in order", "opening frames", "ja4", "akamai", "cookie"} <= {row.field for row in rows}


def _swap(profile: Profile) -> Profile:
    entries = list(profile.calls["responses"])
    names = [entry.name for entry in entries]
    first, second = names.index("session-id"), names.index("thread-id")
    entries[first], entries[second] = entries[second], entries[first]
    return dataclasses.replace(profile, calls={**profile.calls, "responses": tuple(entries)})


def _add(profile: Profile) -> Profile:
    entries = (*profile.calls["responses"], Entry(name="x-other", value="1"))
    return dataclasses.replace(profile, calls={**profile.calls, "responses": entries})


def _drop_extension(profile: Profile) -> Profile:
    kept = tuple(number for number in profile.tls.extensions if number != 35)
    tls = dataclasses.replace(profile.tls, extensions=kept, session_ticket=False)
    return dataclasses.replace(profile, tls=tls)


def _other_window(profile: Profile) -> Profile:
    return dataclasses.replace(profile, http2=dataclasses.replace(profile.http2, window_update=15663105))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (_swap, "header names, in order"),
        (_add, "header names, in order"),
        (_drop_extension, "ext_order"),
        (_other_window, "akamai"),
    ],
)
def test_a_changed_profile_is_noticed(
    change: Callable[[Profile], Profile],
    field: str,
    start: StartProxy,
    make_backend: Callable[..., Backend],
    ca: Authority,
    login: Login,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The comparison refuses one swapped or added header, one missing extension, another window."""
    monkeypatch.setattr(resources.fingerprint, "load", lambda name, folder: change(load(name, folder)))
    rows = measured(start, make_backend, ca, login)
    assert field in [row.field for row in rows if not row.is_accepted]


# -- whose ids and names


def test_other_clients_get_ids_that_are_stable_per_conversation(chatgpt: Proxy, backend: Backend) -> None:
    """The same opening words are the same session and thread, other words another; all are UUIDs of version 7."""
    opening = {"role": "user", "content": "tell me of trees"}
    longer = [opening, {"role": "assistant", "content": "They grow."}, {"role": "user", "content": "more"}]
    for conversation in ([opening], longer, [{"role": "user", "content": "tell me of stones"}]):
        assert post(chatgpt, input=conversation).status == 200
    first, again, other = backend.requests
    assert all(first.first(name) == again.first(name) != other.first(name) for name in IDS)
    assert len({first.first(name) for name in IDS}) == 1
    assert UUID7_FORM.fullmatch(first.first("session-id"))
    assert first.first("x-codex-window-id") == f"{first.first('session-id')}:0"
    ours, later = (json.loads(request.first("x-codex-turn-metadata")) for request in (first, again))
    assert ours["session_id"] == ours["thread_id"] == first.first("session-id")
    assert ours["turn_id"] != later["turn_id"] and ours["installation_id"] == later["installation_id"]


def test_compaction_belongs_to_its_conversation(chatgpt: Proxy, backend: Backend) -> None:
    """conformance 42, 79: a foreign client's compaction goes out under the ids of the conversation that it compacts,
    with its model as the routing hint; a Codex client's own installation id is kept."""
    fields = {"model": "gpt-5.5", "instructions": "Be brief.", "input": [{"role": "user", "content": "of rivers"}]}
    body = json.dumps(fields).encode()
    assert post(chatgpt, **fields).status == call(chatgpt, "POST", "/v1/responses/compact", [], body).status == 200
    theirs = [*CODEX, ("x-codex-installation-id", UUID7)]
    assert call(chatgpt, "POST", "/v1/responses/compact", theirs, body).status == 200
    generation, compaction, codex = backend.requests
    assert all(generation.first(name) == compaction.first(name) != "" for name in IDS)
    assert compaction.first("x-codex-routing-hint") == codex.first("x-codex-routing-hint") == "model=gpt-5.5"
    metadata = json.loads(generation.first("x-codex-turn-metadata"))
    assert compaction.first("x-codex-installation-id") == metadata["installation_id"]
    assert codex.first("x-codex-installation-id") == UUID7


def test_other_clients_get_the_profile_s_names(chatgpt: Proxy, backend: Backend) -> None:
    """conformance 77: a foreign User-Agent, its version and its own headers stay behind; the profile speaks for it."""
    foreign = [("user-agent", "OpenAI/Python 2.0"), ("x-stainless-lang", "python"), ("x-codex-other", "1")]
    assert post(chatgpt, [*foreign, ("version", "9.9.9"), ("x-codex-turn-state", "theirs")]).status == 200
    (request,) = backend.requests
    values = load(PROFILE, paths.fingerprints()).values
    assert request.first("originator") == values.originator
    assert request.first("user-agent") == values.user_agent
    assert request.first("version") == values.version
    assert not any(request.has(name) for name in ("x-stainless-lang", "x-codex-other", "x-codex-turn-state"))


def test_a_client_that_names_nothing_gets_the_profile_s_names(chatgpt: Proxy, backend: Backend) -> None:
    """The path alone makes a caller count as Codex: what it does not say of itself, the profile says."""
    assert call(chatgpt, "POST", "/backend-api/codex/responses", [], json.dumps(a_request()).encode()).status == 200
    assert call(chatgpt, "GET", "/backend-api/wham/usage").status == 200
    generation, side = backend.requests
    values = load(PROFILE, paths.fingerprints()).values
    names = (values.originator, values.user_agent, values.version)
    assert tuple(generation.first(name) for name in ("originator", "user-agent", "version")) == names
    assert side.first("user-agent") == values.user_agent and not side.has("originator")


def test_codex_keeps_its_own(chatgpt: Proxy, backend: Backend) -> None:
    """conformance 77: every id and name that a Codex client sends goes on as it is, and ``version`` is the one in its
    User-Agent."""
    assert as_codex(chatgpt, [("x-codex-new-thing", "kept")]).status == 200
    (request,) = backend.requests
    assert all(request.first(name) == value for name, value in CODEX)
    assert (request.first("version"), request.first("user-agent")) == (CODEX_VERSION, CODEX_AGENT)
    assert request.first("x-codex-new-thing") == "kept"
    assert request.first("session-id") == UUID7


def test_turn_state_goes_to_the_client_and_back(chatgpt: Proxy, backend: Backend) -> None:
    """conformance 78, protocol.md 1.4: ``x-codex-turn-state`` reaches Codex, its next request of the turn carries it
    upstream, and a turn that does not bring it has none."""
    backend.queue(say("one", service_headers(turn_state="ts-7")), say("two"))
    state = as_codex(chatgpt).first("x-codex-turn-state")
    assert as_codex(chatgpt, [("x-codex-turn-state", state)]).status == as_codex(chatgpt).status == 200
    assert [request.first("x-codex-turn-state") for request in backend.requests] == ["", "ts-7", ""]


def test_what_one_account_knows_codex_by_is_not_shown_to_another(
    start: StartProxy, make_backend: Callable[..., Backend], ca: Authority, tmp_path: Path
) -> None:
    """conformance 78, 79: after another login, and another start, the turn state stays here, and ours stands for the
    installation id of Codex in header and body; the first login sees its own."""
    backend = make_backend(tls=ca.server_context(), name="codex-backend.test")
    file = write_login(tmp_path / "auth.json").path
    config = to_chatgpt(backend, ca, file, base_url=f"{backend.origin}/backend-api/codex")
    headers = [("x-codex-installation-id", INSTALLATION), ("x-codex-turn-state", "ts-7")]
    metadata = {"x-codex-installation-id": INSTALLATION, "turn_id": "t"}
    proxy = start(config)
    for number, account_id in enumerate((ACCOUNT_ID, ANOTHER_ID, ACCOUNT_ID)):
        write_login(file, account_id, serial=number)
        backend.queue(say("hi", service_headers(turn_state="ts-7") if number == 0 else ()))
        assert as_codex(proxy, headers, client_metadata=metadata).status == 200
    write_login(file, ANOTHER_ID, serial=3)
    assert as_codex(start(config), headers, client_metadata=metadata).status == 200
    told = [request.json["client_metadata"] for request in backend.requests]
    ids = [held["x-codex-installation-id"] for held in told]
    assert ids == [request.first("x-codex-installation-id") for request in backend.requests]
    assert ids[0] == ids[2] == INSTALLATION and ids[1] == ids[3] != INSTALLATION
    assert all(held["turn_id"] == "t" for held in told)
    assert [request.first("x-codex-turn-state") for request in backend.requests[:3]] == ["ts-7", "", "ts-7"]


@pytest.mark.parametrize("kind", ["openai", "responses"])
def test_api_key_form(kind: str, start: StartProxy, api_backend: Backend, ca: Authority, tmp_path: Path) -> None:
    """An API-key provider gets no zstd, no account id, no routing hint and no cookie; the real client's build of it
    alone names its version."""
    proxy = start(to_api(api_backend, ca, tmp_path, kind))
    api_backend.queue(say("one", service_headers()))
    theirs = [("chatgpt-account-id", "theirs"), ("x-codex-routing-hint", "model=gpt-5.5"), ("cookie", "a=b")]
    assert as_codex(proxy, theirs).status == as_codex(proxy).status == 200
    for request in api_backend.requests:
        names = ("content-encoding", "chatgpt-account-id", "x-codex-routing-hint", "cookie")
        assert not any(request.has(name) for name in names)
        assert request.has("version") == (kind == "openai")


# -- cookies


def cookies(request: Request) -> str:
    return request.first("cookie")


def test_cookies_stay_between_the_upstream_and_us(
    start: StartProxy, backend: Backend, ca: Authority, login: Login
) -> None:
    """A cookie of the real client's list comes back at the next request, also after a restart; others are not kept,
    and the client gets none."""
    config = to_chatgpt(backend, ca, login.path)
    backend.queue(say("one", service_headers()))
    proxy = start(config)
    first = as_codex(proxy)
    assert first.status == 200 and not first.first("set-cookie") and b"cookie-bm" not in first.body
    as_codex(proxy)
    as_codex(start(config))
    assert [cookies(request) for request in backend.requests] == ["", *["__cf_bm=cookie-bm"] * 2]


def test_cookies_are_dropped_after_a_challenge(
    start: StartProxy, backend: Backend, ca: Authority, login: Login
) -> None:
    """A Cloudflare challenge makes the proxy forget its cookies, on disk too."""
    config = to_chatgpt(backend, ca, login.path)
    backend.queue(say("one", service_headers()), challenge())
    proxy = start(config)
    as_codex(proxy)
    assert as_codex(proxy).status == CHALLENGED
    # A restart, as the first proxy now leaves the upstream alone for a while.
    assert as_codex(start(config)).status == 200
    assert [cookies(request) for request in backend.requests] == ["", "__cf_bm=cookie-bm", ""]


def test_cookies_belong_to_an_account(
    start: StartProxy, make_backend: Callable[..., Backend], ca: Authority, tmp_path: Path
) -> None:
    """Another account in the same file is another stranger to the upstream: no cookie of the first one is sent, and
    the first one's are still there when it comes back."""
    backend = make_backend(tls=ca.server_context(), name="codex-backend.test")
    file = write_login(tmp_path / "auth.json").path
    proxy = start(to_chatgpt(backend, ca, file, base_url=f"{backend.origin}/backend-api/codex"))
    for number, account_id in enumerate((ACCOUNT_ID, ANOTHER_ID, ACCOUNT_ID)):
        write_login(file, account_id, serial=number)
        backend.queue(say("hi", service_headers()))
        assert as_codex(proxy).status == 200
    assert [cookies(request) for request in backend.requests] == ["", "", "__cf_bm=cookie-bm"]
    assert len({request.connection.number for request in backend.requests}) == 2
