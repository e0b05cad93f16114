"""The secure mode as a process, ours and the real ``codex responses-api-proxy``, and a client that sends raw bytes."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mitmcodex import paths
from support.client import Answer, Pairs
from support.codex import HOW_TO_GET, find_codex

KEY = "sk-local_KEY-0123456789"
WAIT_S = 15
OURS = (sys.executable, "-c", "import sys, mitmcodex.cli; sys.exit(mitmcodex.cli.main())", "secure")


def real() -> tuple[str, ...]:
    """The command of the CLI's own strict proxy."""
    binary = find_codex()
    assert binary is not None, HOW_TO_GET
    return str(binary), "responses-api-proxy"


def environ(home: Path) -> dict[str, str]:
    """A machine without settings, login or key."""
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return kept | {"HOME": str(home), "CODEX_HOME": str(home), "PYTHONPATH": str(paths.PACKAGE.parent)}


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    errors: str
    """All of stderr."""


class Secure:
    """A running secure proxy. ``info_text`` is its ``--server-info`` file; ``port`` and ``pid`` are from there."""

    def __init__(self, process: subprocess.Popen[bytes], info: Path) -> None:
        self.process = process
        self.errors = b""
        self.until_said(b"listening on")
        self.info_text = info.read_text()
        fields = json.loads(self.info_text)
        self.port, self.pid = int(fields["port"]), int(fields["pid"])

    def until_said(self, text: bytes) -> None:
        """Reads stderr up to this text. Raises DidNotStart when it ends, or says nothing of the kind for too long."""
        assert self.process.stderr is not None
        too_late = threading.Timer(WAIT_S, self.process.kill)
        too_late.start()
        try:
            while text not in self.errors:
                line = self.process.stderr.readline()
                self.errors += line
                if not line:
                    raise DidNotStart(Ended(self.process.wait(WAIT_S), self.errors.decode()))
        finally:
            too_late.cancel()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), WAIT_S)

    def ask(self, head: str, headers: Pairs, body: bytes = b"", patience_s: float = WAIT_S) -> Answer:
        """One request as it is written here (``{port}`` in a header is ours), on a connection of its own.

        Raises TimeoutError.
        """
        lines = [head, *(f"{name}: {value.replace('{port}', str(self.port))}" for name, value in headers)]
        with self.connect() as client:
            client.settimeout(patience_s)
            client.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
            return read_answer(client, head.partition(" ")[0])

    def post(self, body: bytes, *headers: tuple[str, str]) -> Answer:
        fixed = [("Host", "127.0.0.1:{port}"), ("Content-Length", str(len(body)))]
        return self.ask("POST /v1/responses HTTP/1.1", [*fixed, *headers], body)

    def shut_down(self) -> Answer:
        return self.ask("GET /shutdown HTTP/1.1", [("Host", "127.0.0.1:{port}")])

    def wait(self) -> Ended:
        """For its end."""
        _, rest = self.process.communicate(timeout=WAIT_S)
        self.errors += rest
        return Ended(self.process.returncode, self.errors.decode())


class DidNotStart(Exception):
    def __init__(self, ended: Ended) -> None:
        super().__init__(f"exit code {ended.code}: {ended.errors}")
        self.ended = ended


@contextlib.contextmanager
def started(
    command: tuple[str, ...],
    folder: Path,
    *flags: str,
    key: bytes = KEY.encode() + b"\n",
    variables: dict[str, str] | None = None,
) -> Iterator[Secure]:
    """Runs ``command`` with ``flags`` and ``--server-info``, the key on stdin. Raises DidNotStart."""
    info = folder / "run" / "info.json"
    process = subprocess.Popen(
        [*command, "--server-info", str(info), *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environ(folder / "home") | (variables or {}),
        cwd=folder,
        umask=0o022,  # a user's, whatever a proxy in this process has set
    )
    running: Secure | None = None
    try:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(key)
        process.stdin = None  # communicate() would flush it
        running = Secure(process, info)
        yield running
    finally:
        if running is not None and process.poll() is None:
            # The CLI's npm package is a wrapper: the proxy itself is the process that wrote the file.
            with contextlib.suppress(ProcessLookupError):
                os.kill(running.pid, signal.SIGKILL)
        process.kill()
        process.wait(WAIT_S)
        assert process.stderr is not None
        process.stderr.close()


def read_answer(client: socket.socket, method: str = "POST") -> Answer:
    response = http.client.HTTPResponse(client, method=method)
    try:
        response.begin()
        headers = response.getheaders()
        try:
            return Answer(response.status, headers, response.read(), is_whole=True)
        except http.client.IncompleteRead as error:
            return Answer(response.status, headers, error.partial, is_whole=False)
    finally:
        response.close()
