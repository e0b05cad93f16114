"""Who pays: credentials that change on disk, are refused, are missing, and never leak or get written by us."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from support.answers import Answer as Script
from support.answers import reply, say, token_expired
from support.auth import ACCOUNT_ID, API_KEY, Login, write_api_key, write_login
from support.backend import Backend
from support.client import Answer, as_codex, call, post
from support.proxy import Proxy
from support.records import Request
from support.tls import Authority
from support.upstreams import Config, to_api, to_chatgpt

StartProxy = Callable[..., Proxy]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartProxy]:
    with ExitStack() as stack:
        yield lambda config: stack.enter_context(Proxy(tmp_path, config))


@pytest.fixture
def backend(make_backend: Callable[..., Backend], ca: Authority) -> Backend:
    """A backend that says "hi" to whoever asks; tests make it refuse."""
    backend = make_backend(tls=ca.server_context(), name="codex-backend.test")
    backend.script(lambda request: say("hi"))
    return backend


def at_chatgpt(backend: Backend, ca: Authority, login: Login) -> Config:
    return to_chatgpt(backend, ca, login.path, base_url=f"{backend.origin}/backend-api/codex")


def bearers(backend: Backend) -> list[str]:
    return [request.first("authorization").removeprefix("Bearer ") for request in backend.requests]


# -- the CLI's auth.json


def test_login_is_read_again_when_it_changes(start: StartProxy, backend: Backend, ca: Authority, login: Login) -> None:
    """After ``codex`` has refreshed its tokens, the next request carries the new one, and the same account."""
    proxy = start(at_chatgpt(backend, ca, login))
    assert as_codex(proxy).status == 200
    fresh = write_login(login.path, serial=2)
    assert as_codex(proxy).status == 200
    assert bearers(backend) == [login.access_token, fresh.access_token]
    assert {request.first("chatgpt-account-id") for request in backend.requests} == {ACCOUNT_ID}
    assert len(backend.connections) == 1


def test_refused_token_is_read_again_once(start: StartProxy, backend: Backend, ca: Authority, login: Login) -> None:
    """conformance 80: a 401 that meets a file with another token is one more attempt with that one, unseen by the
    client."""
    fresh: list[Login] = []

    def expire(request: Request) -> Script:
        if not fresh:
            fresh.append(write_login(login.path, serial=2))  # the CLI refreshes while our request is on its way
            return token_expired()
        return say("hi")

    backend.script(expire)
    answer = as_codex(start(at_chatgpt(backend, ca, login)))
    assert answer.status == 200 and b"response.completed" in answer.body
    assert bearers(backend) == [login.access_token, fresh[0].access_token]


def test_refused_twice_is_told(start: StartProxy, backend: Backend, ca: Authority, login: Login) -> None:
    """conformance 80: the new token is refused too: no third attempt."""

    def expire(request: Request) -> Script:
        write_login(login.path, serial=len(backend.requests) + 1)
        return token_expired()

    backend.script(expire)
    check_told(as_codex(start(at_chatgpt(backend, ca, login))), 400, "codex login")
    assert len(backend.calls) == 2


def check_told(answer: Answer, status: int, remedy: str) -> None:
    assert answer.status == status, answer.body
    error = answer.json["error"]
    assert remedy in error["message"] and error["code"] == "credential"


@pytest.mark.parametrize(("ask", "status"), [(as_codex, 400), (post, 401)])
def test_refused_and_unchanged_is_told_with_the_command(
    ask: Callable[..., Answer], status: int, start: StartProxy, backend: Backend, ca: Authority, login: Login
) -> None:
    """conformance 80: one POST; Codex gets 400, as a 401 would make it spend its own refresh token, other clients 401;
    both are told what to run, and neither gets a word of the token."""
    backend.script(lambda request: token_expired())
    answer = ask(start(at_chatgpt(backend, ca, login)))
    check_told(answer, status, "codex login")
    assert len(backend.calls) == 1
    assert login.access_token.encode() not in answer.body


def test_refused_on_other_calls(start: StartProxy, backend: Backend, ca: Authority, login: Login) -> None:
    """The same holds for model lists and side calls: never a 401 to Codex."""
    backend.script(lambda request: token_expired())
    proxy = start(at_chatgpt(backend, ca, login))
    for path in ("/backend-api/codex/models", "/backend-api/wham/usage"):
        check_told(call(proxy, "GET", path), 400, "codex login")


def test_login_goes_missing_after_the_start(start: StartProxy, backend: Backend, ca: Authority, login: Login) -> None:
    """A file that is gone is named, with the command that brings it back; the old token is not used any more, and a
    new login is taken at once."""
    proxy = start(at_chatgpt(backend, ca, login))
    assert as_codex(proxy).status == 200
    login.path.unlink()
    check_told(as_codex(proxy), 400, "codex login")
    check_told(post(proxy), 401, str(login.path))
    assert len(backend.calls) == 1
    write_login(login.path, serial=2)
    assert as_codex(proxy).status == 200


def test_spoiled_login_is_told(start: StartProxy, backend: Backend, ca: Authority, login: Login) -> None:
    """Half a file or another kind of login is an error that names the file, and nothing is sent."""
    proxy = start(at_chatgpt(backend, ca, login))
    login.path.write_text('{"tokens": {"access_tok')
    check_told(as_codex(proxy), 400, str(login.path))
    write_api_key(login.path)
    check_told(as_codex(proxy), 400, "upstream: openai")
    assert backend.connections == []


def test_read_only_home_is_enough_and_stays_as_it_is(
    start: StartProxy, backend: Backend, ca: Authority, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``$CODEX_HOME`` is honoured and never written to, not even after a 401: same bytes, same time, no new file."""
    home = login.path.parent
    base_url = f"{backend.origin}/backend-api/codex"
    monkeypatch.setenv("CODEX_HOME", str(home))
    os.chmod(login.path, 0o400)
    os.chmod(home, 0o500)
    before = (login.path.read_bytes(), os.stat(login.path).st_mtime_ns, os.stat(home).st_mtime_ns)
    backend.script(lambda request: say("hi") if len(backend.requests) == 1 else token_expired())
    proxy = start(to_chatgpt(backend, ca, Path("$CODEX_HOME/auth.json"), base_url=base_url))
    assert [as_codex(proxy).status, as_codex(proxy).status] == [200, 400]
    assert bearers(backend)[0] == login.access_token
    assert (login.path.read_bytes(), os.stat(login.path).st_mtime_ns, os.stat(home).st_mtime_ns) == before
    assert os.listdir(home) == ["auth.json"]


def test_client_s_own_credentials_never_go_upstream(
    start: StartProxy, backend: Backend, ca: Authority, login: Login
) -> None:
    """conformance 77: whatever a client sends to prove itself stays here: the upstream sees our credential alone."""
    theirs = ("authorization", "Bearer theirs-1"), ("chatgpt-account-id", "theirs-2"), ("x-api-key", "theirs-3")
    assert as_codex(start(at_chatgpt(backend, ca, login)), [*theirs, ("cookie", "a=theirs-4")]).status == 200
    (request,) = backend.requests
    assert not any("theirs" in value for _, value in request.headers)
    assert bearers(backend) == [login.access_token]


# -- API keys


def with_key(config: Config, credential: Config) -> Config:
    config["providers"]["work"]["credential"] = credential
    return config


@pytest.mark.parametrize("how", ["env", "file", "codex"])
def test_api_key_from(
    how: str, start: StartProxy, backend: Backend, ca: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key from a variable, a key file or the CLI's auth.json goes as Bearer, and a new one is used at once."""
    file = tmp_path / "key"
    reference = {how: "WORK_KEY" if how == "env" else str(file)}

    def give(key: str) -> None:
        monkeypatch.setenv("WORK_KEY", key)
        write_api_key(file, key) if how == "codex" else file.write_text(f"{key}\n")

    give(API_KEY)
    proxy = start(with_key(to_api(backend, ca, tmp_path), reference))
    assert post(proxy).status == 200
    give("sk-test-another-key")
    assert post(proxy).status == 200
    assert bearers(backend) == [API_KEY, "sk-test-another-key"]
    assert not any(request.has("chatgpt-account-id") for request in backend.requests)


@contextmanager
def on_stdin(data: bytes) -> Iterator[None]:
    """The process's own stdin holds ``data`` and then ends."""
    saved = os.dup(0)
    reading, writing = os.pipe()
    try:
        os.write(writing, data)
        os.close(writing)
        os.dup2(reading, 0)
        yield
    finally:
        os.dup2(saved, 0)
        os.close(reading)
        os.close(saved)


def test_api_key_from_stdin(start: StartProxy, backend: Backend, ca: Authority, tmp_path: Path) -> None:
    """``{stdin: true}`` is read once at the start and serves every request."""
    with on_stdin(f"{API_KEY}\n".encode()):
        proxy = start(with_key(to_api(backend, ca, tmp_path), {"stdin": True}))
    assert [post(proxy).status, post(proxy).status] == [200, 200]
    assert bearers(backend) == [API_KEY, API_KEY]


def test_api_key_that_is_refused(start: StartProxy, backend: Backend, ca: Authority, tmp_path: Path) -> None:
    """The refusal names the place of the key, not the key."""
    backend.script(lambda request: reply(401, {"error": {"message": f"Incorrect API key: {API_KEY}"}}))
    answer = post(start(to_api(backend, ca, tmp_path)))
    check_told(answer, 401, str(tmp_path / "api.key"))
    assert API_KEY.encode() not in answer.body


def test_variable_that_is_unset_stops_the_start(
    start: StartProxy, backend: Backend, ca: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that is asked for by name and has no credential is one line at the start; there is no demo instead."""
    monkeypatch.delenv("WORK_KEY", raising=False)
    with pytest.raises(SystemExit, match="work.*WORK_KEY"):
        start(with_key(to_api(backend, ca, tmp_path), {"env": "WORK_KEY"}))
