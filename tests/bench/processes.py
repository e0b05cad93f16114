"""The bench's processes: started, measured by the kernel's clocks, ended by their own id."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trustme

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
START_S = 30.0


def cpu_s(pid: int) -> float:
    """User and system time of a process and its threads, in seconds; 0 without a pid."""
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_kb(pid: int) -> int:
    """Resident memory of a process in kB; 0 without a pid."""
    if not pid:
        return 0
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


class Log:
    """The upstream's log: when a tagged request started and ended, in monotonic ns."""

    def __init__(self, path: str) -> None:
        self._file = open(path, encoding="ascii")
        self._times: dict[tuple[str, str], int] = {}

    def read(self) -> None:
        while line := self._file.readline():
            what, tag, stamp = line.split()[:3]
            self._times[what, tag] = int(stamp)

    def open_tags(self) -> set[str]:
        """Requests that started and have not ended, so far as is known; what has ended is forgotten."""
        self.read()
        for ended in [tag for what, tag in self._times if what == "end"]:
            del self._times["end", ended], self._times["start", ended]
        return {tag for _, tag in self._times}

    async def time_of(self, what: str, tag: str, limit_s: float = 10.0) -> int:
        until = time.monotonic() + limit_s
        while (what, tag) not in self._times:
            if time.monotonic() > until:
                raise TimeoutError(f"the upstream saw no {what} of {tag} within {limit_s:.0f} s")
            await asyncio.sleep(0.001)
            self.read()
        return self._times[what, tag]


def end_children_when_terminated() -> None:
    """SIGTERM unwinds like an exception, so that no process is left behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, text=True, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Upstream:
    """What a proxy needs to know of the upstream."""

    def __init__(self, folder: Path) -> None:
        authority, self.ca, self.pem, self.log = trustme.CA(), folder / "ca.pem", folder / "leaf.pem", folder / "log"
        authority.cert_pem.write_to_path(self.ca)
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(self.pem)
        self.log.touch()
        self.port = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        command = [sys.executable, str(HERE / "upstream.py"), str(self.pem), str(self.log)]
        with running(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            self.port = int(process.stdout.readline())
            yield


@contextmanager
def plain_mitmdump(folder: Path, upstream: Upstream) -> Iterator[tuple[int, int]]:
    """Plain `mitmdump --mode reverse:https://…`: (port, pid)."""
    info = folder / "plain.json"
    command = [
        *(sys.executable, mitmdump(), "-q", "-s", str(HERE / "plain.py")),
        *("--mode", f"reverse:https://127.0.0.1:{upstream.port}@127.0.0.1:0"),
        *("--set", f"ssl_verify_upstream_trusted_ca={upstream.ca}", "--set", f"confdir={folder / 'plain'}"),
    ]
    with running(command, env={**os.environ, "BENCH_SERVER_INFO": str(info)}) as process:
        yield wait_for_info(info, process)


@contextmanager
def mitmcodex(folder: Path, upstream: Upstream, wrap: str = "", **more: Any) -> Iterator[tuple[int, int]]:
    """Ours, as a user starts it: (port, pid). ``wrap`` is put before the command (a profiler); ``more`` settings."""
    info, config, login = folder / "ours.json", folder / "config.yaml", folder / "auth.json"
    login.write_text(json.dumps({"auth_mode": "chatgpt", "tokens": {"access_token": "bench", "account_id": "bench"}}))
    login.chmod(0o600)
    reached = {"base_url": f"https://127.0.0.1:{upstream.port}/v1", "ca_file": str(upstream.ca)}
    settings = {
        "listen": "127.0.0.1:0",
        "server_info": str(info),
        "state_dir": str(folder / "state"),
        "upstream": "bench",
        "models_refresh_s": 0,
        "providers": {
            "bench": {"kind": "responses", "credential": {"env": "MITMCODEX_BENCH_KEY"}, **reached},
            "login": {"kind": "chatgpt", "credential": {"file": str(login)}, **reached},
        },
        **more,
    }
    config.write_text(json.dumps(settings))  # JSON is YAML
    command = [
        *(*shlex.split(wrap), sys.executable, mitmdump(), "-q", "-s", str(ROOT / "addons" / "main.py")),
        *("--set", f"codex_config={config}", "--set", f"confdir={folder / 'ours'}"),
    ]
    with running(command, env={**os.environ, "MITMCODEX_BENCH_KEY": "bench"}) as process:
        port, pid = wait_for_info(info, process)
        try:
            yield port, pid
        finally:
            if pid != process.pid:  # a profiler writes its report when what it watches ends, and does not end it
                os.kill(pid, signal.SIGTERM)
                process.wait(20)


def mitmdump() -> str:
    return str(Path(sys.executable).with_name("mitmdump"))


def wait_for_info(path: Path, process: subprocess.Popen[str]) -> tuple[int, int]:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the proxy ended with {process.returncode} before it listened")
        if path.exists():
            info = json.loads(path.read_text())
            return info["port"], info["pid"]
        time.sleep(0.02)
    raise RuntimeError(f"the proxy did not listen within {START_S:.0f} s")


def load(scenario: str, target: dict[str, Any], **order: Any) -> dict[str, float]:
    """Run one scenario of load.py in a process of its own."""
    text = json.dumps({"scenario": scenario, "target": target, **order})
    done = subprocess.run([sys.executable, str(HERE / "load.py"), text], stdout=subprocess.PIPE, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"{scenario} on port {target['port']} failed")
    result: dict[str, float] = json.loads(done.stdout)
    return result
