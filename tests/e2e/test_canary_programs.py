"""Planted secrets and the real programs: what they print, save, show in mitmweb and in the process list."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import canary
from support.answers import say
from support.auth import Login, jwt
from support.backend import Backend
from support.canary import secret
from support.program import Program
from support.upstreams import to
from support.wires import Http1Wire

JSON = dict[str, Any]
CLIENT_KEY, UPSTREAM_KEY = secret("client key"), secret("upstream key")
IN_BODY = jwt({"jti": "in a body"})
BODY = json.dumps({"model": "gpt-5.5", "input": f"what is {IN_BODY}?", "stream": True}).encode()
PLACES = ("client key", "upstream key", "wrong key", "cookie", "bad line", "set-cookie", "provider header", "web")
TALKATIVE = ("--set", "termlog_verbosity=debug", "--set", "proxy_debug=true", "--set", "flow_detail=2")
FORMS = (
    f"Authorization: Bearer {CLIENT_KEY}",
    f"X-Api-Key: {CLIENT_KEY}",
    f"api-key: {CLIENT_KEY}",
    f"x-goog-api-key: {CLIENT_KEY}",
)


@pytest.fixture
def upstream(make_backend: Callable[..., Backend]) -> Backend:
    backend = make_backend()
    backend.script(lambda request: say(f"that is {IN_BODY}", [("set-cookie", f"__cf_bm={secret('set-cookie')}")]))
    return backend


def config(folder: Path, upstream: Backend, credential: JSON) -> JSON:
    base = f"{upstream.origin}/v1?api-key={secret('url')}"
    headers = [["x-own", secret("provider header")]]
    keys = {"client_keys": [{"env": "CANARY_CLIENT_KEY"}], "dump_dir": str(folder / "dumps")}
    return {**keys, **to(kind="responses", base_url=base, credential=credential, headers=headers)}


def send(port: int, *lines: str, target: str = "/v1/responses", method: str = "POST") -> bytes:
    head = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {len(BODY)}"]
    with Http1Wire(port) as client, contextlib.suppress(ConnectionError):
        client.socket.sendall("\r\n".join([*head, *lines, "", ""]).encode() + BODY)
        return client.read_to_close()
    return b""


def send_everything(port: int) -> dict[str, bytes]:
    """The client key in all its forms, wrong ones, and what the parser refuses; the answers."""
    cookie = f"Cookie: a={secret('cookie')}"
    answers = {line.split(":")[0]: send(port, line, cookie) for line in FORMS}
    answers["query"] = send(port, cookie, target=f"/v1/responses?key={CLIENT_KEY}")
    assert [name for name, answer in answers.items() if b"response.completed" not in answer] == [], answers
    answers["wrong"] = send(port, f"Authorization: Bearer {secret('wrong key')}", cookie)
    assert answers["wrong"].startswith(b"HTTP/1.1 401")
    for line in (f"Authorization Bearer {secret('bad line')}", f"api-key : {secret('bad line')}", "Content-Length: x"):
        answers[line] = send(port, line, cookie, target=f"/v1/responses?key={CLIENT_KEY}")
        assert answers[line].startswith(b"HTTP/1.1 400")
    return answers


def argv_of(pid: int) -> bytes:
    """The command lines of a process and of those that it started, as the process list shows them."""
    listed = subprocess.run(["ps", "-eww", "-o", "pid=,ppid=,args="], capture_output=True, check=True).stdout
    rows = [row for row in listed.splitlines() if str(pid).encode() in row.split()[:2]]
    assert any(b"codex_config=" in row for row in rows)
    return b"\n".join(rows)


@pytest.mark.parametrize("source", ["stdin", "env", "file"])
def test_mitmdump_leaves_no_secret(tmp_path: Path, upstream: Backend, source: str) -> None:
    """Keys from stdin, environment and file: not in the output (at its most talkative), flow file, HAR, dumps, answers
    or the process list; flow file and HAR are private. Bodies are in flow file and HAR as they were."""
    (tmp_path / "upstream.key").write_text(UPSTREAM_KEY)
    credential: JSON = {
        "stdin": {"stdin": True},
        "env": {"env": "CANARY_KEY"},
        "file": {"file": str(tmp_path / "upstream.key")},
    }[source]
    variables = {"CANARY_CLIENT_KEY": CLIENT_KEY, "CANARY_KEY": UPSTREAM_KEY}
    (tmp_path / "flows").touch(0o644)  # as an older run without us left it
    saved = ("-w", str(tmp_path / "flows"), "--set", f"hardump={tmp_path / 'flows.har'}")
    program = Program(
        tmp_path,
        config(tmp_path, upstream, credential),
        stdin=f"{UPSTREAM_KEY}\n",
        command=("mitmdump", *saved, *TALKATIVE),
        variables=variables,
    )
    with program:
        answers = send_everything(program.port)
        listed = argv_of(program.pid)
    assert upstream.requests[0].first("authorization") == f"Bearer {UPSTREAM_KEY}"
    left = canary.files(tmp_path / "flows", tmp_path / "flows.har", tmp_path / "dumps")
    shown = {"output": program.output.encode(), "argv": listed, **answers}
    assert canary.leaks(left | shown, [*PLACES, "url"]) == {}
    holders = canary.found({**left, "output": shown["output"]}, {"body": IN_BODY})["body"]
    assert {Path(name).name for name in holders} == {"flows", "flows.har"}
    assert "client disconnect" in program.output
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("flows", "flows.har")} == {0o600}


@pytest.fixture
def web_port() -> int:
    """A port that is free: mitmweb does not tell which one it got."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_mitmweb_shows_no_secret(tmp_path: Path, upstream: Backend, login: Login, web_port: int) -> None:
    """Nothing that mitmweb answers holds a credential; bodies are shown as they were, in the flows alone. Its own token
    stands in the output, as nobody could log in without it."""
    web = ("--no-web-open-browser", "--web-port", str(web_port), *TALKATIVE)
    settings = config(tmp_path, upstream, {"codex": str(login.path)})
    settings["providers"]["work"]["kind"] = "chatgpt"
    variables = {"CANARY_CLIENT_KEY": CLIENT_KEY}
    with Program(tmp_path, settings, command=("mitmweb", *web), variables=variables) as program:
        url, token = program.wait_for(r"Web server listening at (http://127\.0\.0\.1:\d+)/\?token=([0-9a-f]+)").groups()
        send_everything(program.port)
        flows = json.loads(shown_by(f"{url}/flows", token))
        shown = {path: shown_by(url + path, token) for path in ("/flows", "/events", "/options", "/state", "/commands")}
        for flow in flows:
            for message in ("request", "response"):
                for view in ("content.data", "content/raw", "content/auto"):
                    path = f"/flows/{flow['id']}/{message}/{view}"
                    shown[path] = shown_by(url + path, token)
        shown |= {"/flows/dump": shown_by(f"{url}/flows/dump", token)}
    assert len(flows) > len(FORMS)
    assert upstream.requests[0].first("authorization") == f"Bearer {login.access_token}"
    tokens = {name: getattr(login, name) for name in ("id_token", "access_token", "refresh_token", "account_id")}
    assert canary.leaks(shown, [*PLACES, "url"]) == canary.found(shown, tokens) == {}
    holders = canary.found(shown, {"body": IN_BODY})["body"]
    assert any(name.endswith("request/content.data") for name in holders)
    assert not {"/events", "/options", "/state"} & set(holders)


def shown_by(url: str, token: str) -> bytes:
    """What mitmweb answers; also the body of an error (a flow without response has no content)."""
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            assert error.code != 403, "not logged in"
            return error.read()
