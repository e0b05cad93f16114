"""The real programs as processes: what they bind, what they print, how they end."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mitmcodex import paths
from support.codex import Codex

BIN = Path(sys.executable).parent
SOURCE_ROOT = paths.PACKAGE.parent
WAIT_S = 30
DEMO = ("--set", "codex_upstream=demo")
AUDIT = """\
import json, os, sys

def _note(event, arguments):
    if event == "socket.bind" and isinstance(arguments[1], tuple):
        with open(os.environ["BIND_LOG"], "a") as log:
            log.write(json.dumps(arguments[1][:2]) + "\\n")

sys.addaudithook(_note)
"""


@dataclass
class Machine:
    """A home without settings or login, and a record of every bind of what runs there."""

    folder: Path
    script: Path = field(default_factory=paths.script)

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.folder),
            "TERM": "xterm",
            "BIND_LOG": str(self.folder / "binds"),
            "PYTHONPATH": os.pathsep.join([str(self.folder / "site"), str(SOURCE_ROOT)]),
        }

    @property
    def info(self) -> Path:
        return self.folder / "info.json"

    @property
    def output(self) -> str:
        file = self.folder / "output"
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def binds(self) -> list[list[Any]]:
        log = self.folder / "binds"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def command(self, program: str, *arguments: str) -> list[str]:
        if program == "mitmcodex":
            return [sys.executable, "-c", "import sys, mitmcodex.cli; sys.exit(mitmcodex.cli.main())", *arguments]
        return [str(BIN / program), "-s", str(self.script), *arguments]

    def run(self, program: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """For what ends by itself."""
        return subprocess.run(
            self.command(program, *arguments),
            input=stdin,
            env=self.environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
        )

    def port(self, process: subprocess.Popen[str]) -> int:
        """Waits until it listens."""
        self.wait(lambda: self.info.exists() or process.poll() is not None)
        assert process.poll() is None, f"ended with {process.returncode}: {self.output}"
        info = json.loads(self.info.read_text())
        assert info["pid"] == process.pid, "re-execution keeps the process"
        return int(info["port"])

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, self.output
            time.sleep(0.02)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(AUDIT)
    return Machine(tmp_path)


@pytest.fixture
def start(machine: Machine) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a program on a terminal of its own, which the console needs; output goes to ``machine.folder/output``."""
    running: list[tuple[subprocess.Popen[str], threading.Thread, int]] = []

    def begin(program: str, *arguments: str) -> subprocess.Popen[str]:
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (40, 160))  # the console can't draw on a terminal without width
        command = machine.command(program, *arguments, "--set", f"codex_server_info={machine.info}")
        process = subprocess.Popen(
            command, env=machine.environ, cwd=machine.folder, stdin=theirs, stdout=theirs, stderr=theirs, text=True
        )
        os.close(theirs)
        reader = threading.Thread(target=_copy, args=(ours, machine.folder / "output"))
        reader.start()
        running.append((process, reader, ours))
        return process

    yield begin
    for process, reader, ours in running:
        process.kill()
        process.wait(WAIT_S)
        reader.join(WAIT_S)
        os.close(ours)


def health(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return client.recv(64)


def _copy(terminal: int, file: Path) -> None:
    with file.open("ab", buffering=0) as output:
        try:
            while piece := os.read(terminal, 65536):
                output.write(piece)
        except OSError:
            pass  # Linux' way to say that the other end is closed


@pytest.fixture
def port() -> int:
    """A port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def occupied_8080() -> Iterator[None]:
    """mitmproxy's default port is taken, by us or by somebody else."""
    with socket.socket() as server:
        try:
            server.bind(("0.0.0.0", 8080))
            server.listen()
        except OSError:
            pass
        yield


@pytest.mark.usefixtures("occupied_8080")
@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("mitmdump", ()),
        ("mitmweb", ("--no-web-open-browser", "--web-port", "0")),
        ("mitmproxy", ()),
        ("mitmcodex", ("run",)),
        ("mitmcodex", ("run", "--web", "--no-web-open-browser", "--web-port", "0")),
        ("mitmcodex", ("run", "--console")),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_it_binds_loopback_only_and_never_8080(
    machine: Machine, start: Callable[..., Any], port: int, program: str, arguments: tuple[str, ...]
) -> None:
    """Each program comes up on our port, on loopback alone, with 8080 taken; it answers, and ends on SIGTERM."""
    process = start(program, *arguments, *DEMO, "--set", f"codex_listen=127.0.0.1:{port}")
    assert machine.port(process) == port
    assert {host for host, _ in machine.binds} <= {"127.0.0.1", "::1"}
    assert 8080 not in {number for _, number in machine.binds}
    assert health(port).startswith(b"HTTP/1.1 200 ")
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0


def test_an_ephemeral_port_has_one_listener(machine: Machine, start: Callable[..., Any]) -> None:
    """Port 0: one listener on 127.0.0.1, its port in server_info, no bind on all interfaces to find it."""
    process = start("mitmdump", *DEMO, "--set", "codex_listen=127.0.0.1:0")
    found = machine.port(process)
    assert {host for host, _ in machine.binds} == {"127.0.0.1"}
    assert machine.binds[-1] == ["127.0.0.1", found]


def test_a_reload_goes_on_listening(machine: Machine, start: Callable[..., Any], port: int) -> None:
    """A touched script is loaded again: same port, still answering, the start block printed once."""
    machine.script = machine.folder / "main.py"
    shutil.copyfile(paths.script(), machine.script)
    machine.port(start("mitmdump", *DEMO, "--set", f"codex_listen=127.0.0.1:{port}"))
    loaded = machine.output.count("Loading script")
    newer = machine.script.stat().st_mtime + 10
    os.utime(machine.script, (newer, newer))
    machine.wait(lambda: machine.output.count("Loading script") > loaded)
    assert health(port).startswith(b"HTTP/1.1 200 ")
    assert machine.output.count("DEMO") == 1
    assert "rror" not in machine.output


@pytest.mark.parametrize(
    ("config", "arguments", "expected"),
    [
        ("listen: [", (), "not valid YAML"),
        ("lisen: 127.0.0.1:1", (), "unknown setting lisen: did you mean listen?"),
        ("", ("--set", "codex_lisen=x"), "unknown setting codex_lisen: did you mean codex_listen?"),
        ("upstream: chatgpt", (), "run `codex login`"),
        ("listen: 0.0.0.0:8787", (), "no client key is set"),
        ("egress_proxy: auto", (), "not built yet"),
        ("", ("-p", "9999"), "use --set codex_listen="),
        ("", ("--mode", "socks5@127.0.0.1:0"), "can't run in mode"),
    ],
)
def test_a_fault_is_one_line(machine: Machine, config: str, arguments: tuple[str, ...], expected: str) -> None:
    """Exit code 1, one line on stderr, nothing bound (a mode of one's own is mitmproxy's to bind)."""
    file = machine.folder / "config.yaml"
    file.write_text(config)
    ended = machine.run("mitmdump", "--set", f"codex_config={file}", *arguments)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1 and ended.stderr.startswith("mitmcodex: ") and expected in ended.stderr
    assert machine.binds == [] or "--mode" in arguments


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        ("import sys; sys.modules['curl_cffi'] = None", "install what it needs"),
        ("import os, pwd; pwd.getpwuid = lambda uid: {}[uid]; del os.environ['HOME']", "is HOME set?"),
        ("import yaml; del yaml.safe_load", "AttributeError"),
    ],
)
def test_whatever_breaks_it_never_listens_for_others(machine: Machine, planted: str, expected: str) -> None:
    """A missing dependency, no home, a fault of our own: mitmproxy would go on as a forward proxy on port 8080."""
    with (machine.folder / "site" / "sitecustomize.py").open("a") as site:
        site.write(f"{planted}\n")
    ended = machine.run("mitmdump", "--set", f"confdir={machine.folder}")  # without it mitmproxy needs a home too
    assert ended.returncode == 1 and machine.binds == []
    assert ended.stderr.startswith("mitmcodex: ") and expected in ended.stderr


@pytest.mark.parametrize(("program", "arguments"), [("mitmdump", ()), ("mitmcodex", ("run",))])
def test_a_port_in_use_is_one_line(machine: Machine, program: str, arguments: tuple[str, ...]) -> None:
    """The line names the port and the remedy, and nothing else was bound."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        ended = machine.run(program, *arguments, "--set", f"codex_listen=127.0.0.1:{taken}")
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert f"port {taken} on 127.0.0.1 is in use: --set codex_listen=" in ended.stderr
    assert machine.binds == [["127.0.0.1", taken]], "the look whether it is free"


def test_options_are_listed_also_while_it_runs(machine: Machine, start: Callable[..., Any], port: int) -> None:
    """`mitmdump -s … --options` starts nothing, so a port in use does not matter."""
    listen = ("--set", f"codex_listen=127.0.0.1:{port}")
    machine.port(start("mitmdump", *DEMO, *listen))
    ended = machine.run("mitmdump", *listen, "--set", "codex_allowed_hosts=h", "--options")
    assert ended.returncode == 0 and "codex_listen" in ended.stdout and "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("key", "expected"),
    [("", "API key must be provided via stdin"), ("a.b\n", "API key may only contain"), ("k" * 2000, "too large")],
)
def test_secure_refuses_a_bad_key(machine: Machine, key: str, expected: str) -> None:
    """The texts of the original (protocol.md 9), one line, exit code 1; the key itself is not shown."""
    ended = machine.run("mitmcodex", "secure", stdin=key)
    assert ended.returncode == 1
    assert expected in ended.stderr and ended.stderr.count("\n") == 1 and "a.b" not in ended.stderr


def test_secure_comes_up_on_one_address(machine: Machine) -> None:
    """`mitmcodex secure`: an ephemeral port of 127.0.0.1 alone, one line on stderr, the key in no argument."""
    with subprocess.Popen(
        machine.command("mitmcodex", "secure", "--server-info", str(machine.info)),
        env=machine.environ,
        cwd=machine.folder,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin and process.stderr
        process.stdin.write("canary-key\n")
        process.stdin.flush()
        found = machine.port(process)
        assert process.stderr.readline() == f"mitmcodex secure listening on 127.0.0.1:{found}\n"
        assert {host for host, _ in machine.binds} == {"127.0.0.1"}
        process.terminate()
        assert process.wait(WAIT_S) == 0


@pytest.mark.codex
def test_the_written_profile_works_with_the_real_cli(
    machine: Machine, start: Callable[..., Any], port: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """`mitmcodex setup codex --write`, then `codex exec -p mitmcodex`: the demo answers through the proxy."""
    listen = ("--set", f"codex_listen=127.0.0.1:{port}")
    machine.port(start("mitmdump", *DEMO, *listen))
    codex = Codex(home=machine.folder / ".codex", base_url="http://127.0.0.1:9/v1")
    written = machine.run("mitmcodex", "setup", "codex", "--write", *listen)
    assert written.returncode == 0, written.stderr
    ended = codex.exec("say hello", tmp_path_factory.mktemp("work"), "--strict-config", "-p", "mitmcodex")
    assert ended.code == 0, ended.errors
    assert "demo" in " ".join(ended.said)


@pytest.mark.parametrize("program", [("mitmdump",), ("mitmcodex", "run")])
def test_ollamas_listener(
    machine: Machine, start: Callable[..., Any], program: tuple[str, ...], port: int
) -> None:
    """Enabled, it is opened beside the main one, which ``server_info`` goes on telling of (seeds S244)."""
    with_settings(machine, "ollama: {enabled: true, listen: '127.0.0.1:0'}")
    main = machine.port(start(*program, *DEMO, "--set", f"codex_listen=127.0.0.1:{port}"))
    machine.wait(lambda: "asks no key" in machine.output)
    found = re.search(r"for Ollama +http://127\.0\.0\.1:(\d+) ", machine.output)
    assert found is not None and int(found[1]) != main
    with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/", timeout=WAIT_S) as answer:
        assert answer.read() == b"Ollama is running"
    assert {host for host, _ in machine.binds} <= {"127.0.0.1", "::1"}


def test_ollamas_listener_for_others_needs_a_second_setting(machine: Machine) -> None:
    """Nothing is bound (seeds S253)."""
    with_settings(machine, "ollama: {enabled: true, listen: '0.0.0.0:0'}")
    ended = machine.run("mitmdump", *DEMO)
    assert ended.returncode == 1 and "set allow_remote" in ended.stderr
    assert machine.binds == []


def with_settings(machine: Machine, text: str) -> None:
    file = machine.folder / ".config" / "mitmcodex" / "config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
