"""The start block and the server-info file."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path

import pytest
from mitmproxy.options import Options
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.tools.dump import DumpMaster

from mitmcodex.announce import Announce, block
from mitmcodex.listeners import MODE, OLLAMA_MODE, Listening
from mitmcodex.process import Process
from mitmcodex.schema import Listen, Settings
from mitmcodex.upstream.providers import CredentialRef, Provider
from support.auth import write_login

ALONE = Listening([Listen()], [])
WORK = Provider("work", "responses", "https://u.example/v1?key=canary", CredentialRef("env", "WORK_KEY"))


class Server:
    def __init__(self, mode: str, port: int) -> None:
        self.mode = ProxyMode.parse(f"{mode}127.0.0.1:{port}")
        self.listen_addrs = [("127.0.0.1", port)]


class Proxyserver:
    def __init__(self) -> None:
        self.servers = [Server(OLLAMA_MODE, 4712), Server(MODE, 4711)]


def announce(process: Process, verbosity: str = "info") -> None:
    """Runs the hook twice, as a reload does."""

    async def inside() -> None:
        master = DumpMaster(Options(), with_termlog=False)
        master.options.add_option("termlog_verbosity", str, verbosity, "")
        master.addons.lookup["proxyserver"] = Proxyserver()
        Announce(process).running()
        Announce(process).running()

    asyncio.run(inside())


def test_the_block_says_what_holds() -> None:
    """Address, upstream host, where the credential lies, and what to paste; no query, no value."""
    listening = Listening([Listen("127.0.0.1", 4711), Listen("::1", 4711)], [Listen("127.0.0.1", 4712)])
    text = block(Settings(provider=WORK, dump_dir=Path("/d")), listening)
    assert "http://127.0.0.1:4711, http://[::1]:4711" in text
    assert "http://127.0.0.1:4712 (asks no key)" in text
    assert "work (responses) at u.example" in text and "env: WORK_KEY" in text and "/d" in text
    assert 'base_url = "http://127.0.0.1:4711/v1"' in text
    assert "http://127.0.0.1:4711/v1 (clients of OpenAI), http://127.0.0.1:4711 (of Anthropic, Gemini)" in text
    assert "`mitmcodex setup CLIENT`" in text
    assert "canary" not in text and "env_key" not in text


def test_the_demo_says_so_loudly() -> None:
    """Nobody shall take made-up answers for real ones."""
    assert "DEMO: made-up answers" in block(Settings(), ALONE)


@pytest.mark.parametrize(
    ("left_s", "expected"),
    [(-60, "(EXPIRED: run `codex login`)"), (1830, "(EXPIRES in 30 minutes)"), (90000, "(until 20")],
)
def test_a_login_says_how_long_it_lasts(tmp_path: Path, left_s: int, expected: str) -> None:
    """An access token that has expired, or will within the hour, is told at the start."""
    login = write_login(tmp_path / "auth.json", expires_in_s=left_s)
    provider = Provider("chatgpt", "chatgpt", "https://u.example/codex", CredentialRef("codex", str(login.path)))
    text = block(Settings(provider=provider), ALONE)
    assert f"{login.path} {expected}" in text
    assert login.access_token not in text


def test_a_client_key_is_part_of_what_to_paste() -> None:
    """With a client key in force Codex needs env_key."""
    settings = Settings(client_keys=(CredentialRef("env", "MITMCODEX_CLIENT_KEY"),))
    assert 'env_key = "MITMCODEX_CLIENT_KEY"' in block(settings, ALONE)


def test_it_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A reload calls the hook again and must not print again."""
    announce(Process(settings=Settings()))
    assert capsys.readouterr().out.count("listening") == 1


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """-q prints no block."""
    announce(Process(settings=Settings()), verbosity="error")
    assert capsys.readouterr() == ("", "")


def test_secure_mode_prints_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """As the original does: nothing on stdout, the address on stderr."""
    announce(Process(settings=Settings(secure=True)), verbosity="error")
    assert capsys.readouterr() == ("", "mitmcodex secure listening on 127.0.0.1:4711\n")


def test_server_info(tmp_path: Path) -> None:
    """One line of JSON with port and pid, folders made, with the user's own umask: other users read it."""
    path = tmp_path / "a" / "b" / "info.json"
    before = os.umask(0o077)
    try:
        announce(Process(settings=Settings(server_info=path), user_umask=0o022))
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    assert path.read_text() == f'{{"port":4711,"pid":{os.getpid()}}}\n'
    assert json.loads(path.read_text())["port"] == 4711
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [file.name for file in path.parent.iterdir()] == ["info.json"]


def test_a_server_info_that_can_not_be_written_is_an_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """mitmproxy ends the start on a logged error."""
    (tmp_path / "file").touch()
    announce(Process(settings=Settings(server_info=tmp_path / "file" / "info")))
    assert [record.levelname for record in caplog.records if "server_info" in record.message] == ["ERROR"]
