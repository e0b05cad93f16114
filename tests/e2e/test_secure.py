"""``mitmcodex secure`` by itself: the process, its key, what it takes and what it refuses (seeds section 2)."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mitmcodex import paths
from support.answers import Data, Gate, Head, Pause
from support.backend import Backend
from support.codex import Codex
from support.secure import KEY, OURS, WAIT_S, DidNotStart, Secure, environ, started
from support.secure_rows import EVENTS, KEYS, REFUSED

CLIENT_SECRETS = ("clients-own-bearer-000", "clients-cookie-111", "clients-api-key-222", "clients-account-333")
UPSTREAM_SECRET = "upstreams-cookie-444"

# Root may read any process unless it gives its capabilities up; for others this changes nothing.
WITHOUT_CAPABILITIES = """\
import ctypes, os, sys
for capability in range(64 if sys.platform == "linux" else 0):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
SPY = """\
import ctypes, sys
for name in ("environ", "mem", "maps"):
    try:
        with open(f"/proc/{sys.argv[1]}/{name}", "rb") as file:
            file.read(0)
        print(name, "open")
    except OSError:
        print(name, "refused")
if sys.argv[2] == "attach":
    print("ptrace", "refused" if ctypes.CDLL(None).ptrace(16, int(sys.argv[1]), None, None) else "attached")
"""
BYSTANDER = "import sys; print(flush=True); sys.stdin.read()"


def unprivileged(*command: str) -> tuple[str, ...]:
    return sys.executable, "-c", WITHOUT_CAPABILITIES, *command


@pytest.fixture
def upstream(make_backend: Callable[..., Backend]) -> Backend:
    backend = make_backend()
    backend.script(lambda _: list(EVENTS))
    return backend


@pytest.fixture
def proxy(tmp_path: Path, upstream: Backend) -> Iterator[Secure]:
    flags = ("--http-shutdown", "--upstream-url", f"{upstream.origin}/base/anything?api-version=1")
    with started(unprivileged(*OURS), tmp_path, *flags, "--dump-dir", str(tmp_path / "dumps")) as running:
        yield running


def test_the_client_s_headers_and_body_go_out_as_they_came(proxy: Secure, upstream: Backend) -> None:
    """Order, duplicates, cookies and a body that is no JSON are kept; authorization and host are ours (S48, S53)."""
    sent = [("X-Two", "a"), ("x-two", "b"), ("Cookie", "c=1"), ("Authorization", "Bearer x"), ("X-Api-Key", "k")]
    answer = proxy.post(b"\xff\x00", *sent)
    (seen,) = upstream.requests
    assert (seen.method, seen.target, seen.raw_body) == ("POST", "/base/anything?api-version=1", b"\xff\x00")
    assert seen.headers == [
        *(("x-two", "a"), ("x-two", "b"), ("cookie", "c=1"), ("x-api-key", "k"), ("content-length", "2")),
        *(("authorization", f"Bearer {KEY}"), ("host", f"127.0.0.1:{upstream.port}")),
    ]
    head = EVENTS[0]
    assert isinstance(head, Head)
    assert (answer.status, answer.headers) == (200, [*head.headers, ("transfer-encoding", "chunked")])


def test_the_answer_streams(proxy: Secure, upstream: Backend) -> None:
    """An event is at the client while the upstream holds the next one back (S49)."""
    gate = Gate()
    upstream.queue([*EVENTS[:2], Pause(gate), *EVENTS[2:]])
    with proxy.connect() as client:
        client.sendall(b"POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
        seen = b""
        while b"response.created" not in seen:
            seen += client.recv(65536)
        assert b"response.completed" not in seen
        gate.open()
        while b"response.completed" not in seen:
            seen += client.recv(65536)


@pytest.mark.parametrize("row", REFUSED)
def test_everything_else_is_403_and_goes_nowhere(refusing: Secure, upstreamless: Backend, row: str) -> None:
    """Another method, path, query, target or host: 403, empty (a request that is not HTTP: 400); no upstream call,
    no dump (S42, S43, S59)."""
    answer = REFUSED[row].send(refusing)
    assert answer.status == (400 if row == "refused by the parser" else 403)
    assert answer.status == 400 or answer.body == b""
    assert upstreamless.connections == []


@pytest.mark.parametrize(
    "headers",
    [[("Host", "evil.example")], [("Host", "localhost"), ("Origin", "http://localhost:1")], []],
    ids=["foreign Host", "Origin", "no Host"],
)
def test_pages_are_refused(refusing: Secure, upstreamless: Backend, headers: list[tuple[str, str]]) -> None:
    """A browser on this machine can't spend the key, by DNS rebinding or by a page's own call."""
    answer = refusing.ask("POST /v1/responses HTTP/1.1", [*headers, ("Content-Length", "2")], b"{}")
    assert (answer.status, answer.body, upstreamless.connections) == (403, b"", [])


def test_shutdown_is_403_without_its_flag(refusing: Secure) -> None:
    """Who may use the proxy may not end it unless it was started so (S52)."""
    assert refusing.shut_down().status == 403
    assert refusing.process.poll() is None


@pytest.fixture(scope="module")
def upstreamless() -> Iterator[Backend]:
    """An upstream that nobody may reach."""
    with Backend() as backend:
        yield backend


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory, upstreamless: Backend) -> Iterator[Secure]:
    """Shared by tests of requests that end at the gate."""
    folder = tmp_path_factory.mktemp("refusing")
    dumps = folder / "dumps"
    flags = ("--upstream-url", f"{upstreamless.origin}/v1/responses", "--dump-dir", str(dumps))
    with started(OURS, folder, *flags) as running:
        yield running
    assert not dumps.exists() or not list(dumps.iterdir())


def test_shutdown_ends_it_with_0(proxy: Secure) -> None:
    """GET /shutdown is answered 200, empty, before the process ends with exit code 0 (S52, S57)."""
    answer = proxy.shut_down()
    assert (answer.status, answer.body) == (200, b"")
    assert proxy.wait().code == 0


def test_server_info_is_one_line_with_port_and_pid(proxy: Secure) -> None:
    """Written once it listens, by the process that listens (S50, S51)."""
    assert proxy.info_text == f'{{"port":{proxy.port},"pid":{proxy.process.pid}}}\n'
    proxy.connect().close()


def test_an_unreachable_upstream_is_a_500_and_a_line(tmp_path: Path) -> None:
    """The client gets an empty 500, the operator a line with the reason; the proxy lives on (protocol.md 9)."""
    with started(OURS, tmp_path, "--http-shutdown", "--upstream-url", "http://127.0.0.1:1/v1/responses") as running:
        answers = [running.post(b"{}"), running.post(b"{}")]
        running.shut_down()
        errors = running.wait().errors
    assert [(answer.status, answer.body) for answer in answers] == [(500, b"")] * 2
    assert errors.count("forwarding error: forwarding request to upstream: unreachable: 127.0.0.1") == 2
    assert KEY not in errors


@pytest.mark.parametrize(
    "row", [row for row, key in KEYS.items() if not key.startswith((b"sk-a", b"a" * 1016 + b"\n"))]
)
def test_a_bad_key_stops_the_start(tmp_path: Path, row: str) -> None:
    """Exit code 1 and one line, without any part of the key (S45)."""
    with pytest.raises(DidNotStart) as caught, started(OURS, tmp_path, key=KEYS[row]):
        pass
    ended = caught.value.ended
    assert ended.code == 1 and ended.errors.startswith("mitmcodex: API key ") and ended.errors.count("\n") == 1
    assert "sk" not in ended.errors and "aaaa" not in ended.errors


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_nobody_else_can_look_into_the_process(proxy: Secure) -> None:
    """A process of the same user reads neither environment nor memory and can't attach; of one that is not hardened
    it reads the environment."""
    assert spy(proxy.pid, "attach") == ["environ refused", "mem refused", "maps refused", "ptrace refused"]
    with subprocess.Popen(
        unprivileged(sys.executable, "-c", BYSTANDER), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as bystander:
        assert bystander.stdout is not None
        bystander.stdout.readline()
        assert "environ open" in spy(bystander.pid, "look")


def spy(pid: int, how: str) -> list[str]:
    command = unprivileged(sys.executable, "-c", SPY, str(pid), how)
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=WAIT_S).stdout.splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_the_process_is_hardened(tmp_path: Path, upstream: Backend) -> None:
    """No core dump, the key's memory locked where the limit allows it, and the loader's variables are dropped."""
    variables = {"LD_LIBRARY_PATH": "/nowhere", "OPENAI_API_KEY": "sk-left-in-the-environment"}
    with started(OURS, tmp_path, "--upstream-url", upstream.origin, variables=variables) as running:
        limits = Path(f"/proc/{running.pid}/limits").read_text()
        status = Path(f"/proc/{running.pid}/status").read_text()
        errors = running.errors.decode()
    (core,) = (line.split() for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core[4:6] == ["0", "0"]
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] >= 1 << 16:
        (locked,) = (line.split() for line in status.splitlines() if line.startswith("VmLck"))
        assert int(locked[1]) > 0
    assert "OPENAI_API_KEY is set in the environment too" in errors and "sk-left" not in errors


def test_no_secret_is_left_anywhere(proxy: Secure, upstream: Backend, tmp_path: Path) -> None:
    """The key, the client's credentials and the upstream's cookies are in no argument, file, log or dump."""
    bearer, cookie, api_key, account = CLIENT_SECRETS
    upstream.queue([Head(200, [("set-cookie", UPSTREAM_SECRET)]), Data(b"ok")])
    headers = [("Authorization", f"Bearer {bearer}"), ("Cookie", cookie), ("X-Api-Key", api_key)]
    assert proxy.post(b"{}", *headers, ("chatgpt-account-id", account)).body == b"ok"
    seen = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(proxy.pid)], capture_output=True, check=True).stdout
    proxy.shut_down()
    seen += proxy.wait().errors.encode()
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len([file for file in files if file.parent.name == "dumps"]) == 2
    seen += b"".join(file.read_bytes() for file in files)
    assert [secret for secret in (KEY, *CLIENT_SECRETS, UPSTREAM_SECRET) if secret.encode() in seen] == []


def test_dumps_have_the_real_proxy_s_names_and_shape(proxy: Secure, tmp_path: Path) -> None:
    """Two private files per request, ordered headers, body as JSON (S54, S55)."""
    proxy.post(b'{"a": [1]}', ("Authorization", "Bearer x"))
    proxy.shut_down()
    proxy.wait()
    request, response = sorted((tmp_path / "dumps").iterdir())
    assert re.fullmatch(r"000001-\d{13}-request\.json", request.name)
    assert response.name == request.name.replace("request", "response")
    assert {file.stat().st_mode & 0o777 for file in (request, response)} == {0o600}
    sent = json.loads(request.read_text())
    assert (sent["method"], sent["url"], sent["body"]) == ("POST", "/v1/responses", {"a": [1]})
    assert [header["name"] for header in sent["headers"]] == ["Host", "Content-Length", "Authorization"]
    assert sent["headers"][2]["value"] == "[redacted]"
    assert json.loads(response.read_text())["status"] == 200


def test_a_client_that_leaves_ends_the_upstream_call(proxy: Secure, upstream: Backend, tmp_path: Path) -> None:
    """The call is aborted at once, and the dump holds what came until then."""
    upstream.queue([*EVENTS[:2], Pause(Gate())])
    with proxy.connect() as client:
        client.sendall(b"POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
        seen = b""
        while b"response.created" not in seen:
            seen += client.recv(65536)
    upstream.calls[0].wait_aborted()
    proxy.shut_down()
    proxy.wait()
    (response,) = (tmp_path / "dumps").glob("*-response.json")
    dumped = json.loads(response.read_text())
    assert "response.created" in dumped["body"] and dumped["ended"] == "aborted"


@pytest.mark.parametrize(
    ("program", "arguments"),
    [("mitmweb", ()), ("mitmproxy", ()), ("mitmdump", ("-w", "flows"))],
)
def test_it_refuses_onlookers(tmp_path: Path, program: str, arguments: tuple[str, ...]) -> None:
    """Neither mitmweb nor the console nor a flow file may show the traffic."""
    ended = mitm(tmp_path, program, *arguments)
    assert ended.returncode == 1 and "secure mode" in ended.stderr


def test_the_variable_starts_it_under_mitmdump_too(tmp_path: Path, upstream: Backend) -> None:
    """MITMCODEX_SECURE=1 is the same mode: the key on stdin survives the second start (S16)."""
    variables = {"MITMCODEX_SECURE": "1", "MITMCODEX_UPSTREAM_URL": upstream.origin, "MITMCODEX_LISTEN": "127.0.0.1:0"}
    command = (sys.executable, "-c", "import mitmcodex.cli, sys; sys.exit(mitmcodex.cli.main(sys.argv[3:]))")
    info = tmp_path / "run" / "info.json"
    with started(command, tmp_path, "run", variables=variables | {"MITMCODEX_SERVER_INFO": str(info)}) as running:
        running.post(b"{}")
        assert running.ask("GET /health HTTP/1.1", [("Host", "localhost")]).status == 403
    assert upstream.requests[0].first("authorization") == f"Bearer {KEY}"


def mitm(folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = str(paths.script())
    command = [str(Path(sys.executable).parent / program), "-s", script, "--set", "codex_listen=127.0.0.1:0"]
    return subprocess.run(
        [*command, *arguments],
        input=f"{KEY}\n",
        env=environ(folder / "home") | {"MITMCODEX_SECURE": "1", "TERM": "xterm"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )


@pytest.mark.codex
def test_codex_runs_through_it(tmp_path: Path, make_backend: Callable[..., Backend]) -> None:
    """The command of the seeds, word for word: a turn in which Codex writes a file (S17, S56, S57)."""
    backend = make_backend()
    flags = ("--http-shutdown", "--upstream-url", f"{backend.origin}/v1/responses")
    with started(OURS, tmp_path, *flags) as running:
        name = "OpenAI Proxy"
        provider = f"{{ name='{name}', base_url='http://127.0.0.1:{running.port}/v1', wire_api='responses' }}"
        codex = Codex(tmp_path / "codex", f"http://127.0.0.1:{running.port}/v1")
        work = tmp_path / "work"
        options = ("-c", f"model_providers.openai-proxy={provider}", "-c", "model_provider=openai-proxy")
        run = codex.exec("[[shell:echo hi > made.txt]]", work, *options)
        assert run.code == 0, run.errors
        assert running.shut_down().status == 200 and running.wait().code == 0
    assert (work / "made.txt").read_text() == "hi\n"
    assert {request.first("authorization") for request in backend.requests} == {f"Bearer {KEY}"}
    assert len(backend.requests) == 2
