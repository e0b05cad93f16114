"""start.prepare() inside a master that is no program: first load, reload, options."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.options import Options
from mitmproxy.tools.dump import DumpMaster
from mitmproxy.tools.web.master import WebMaster

from mitmcodex import start
from mitmcodex.process import Process
from mitmcodex.schema import Listen

MODE = "reverse:http://codex.invalid@127.0.0.1:0"


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings and no login of the machine; prepare() changes the umask of the process."""
    for name in [name for name in os.environ if name.startswith("MITMCODEX_")]:
        monkeypatch.delenv(name)
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "CODEX_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    before = os.umask(0o022)
    yield
    os.umask(before)


def in_master(
    run: Callable[[Any], Any],
    *,
    sets: tuple[str, ...] = (),
    kind: type[Any] = DumpMaster,
    mode: str = MODE,
    **options: Any,
) -> Any:
    """Calls run(master) where ctx.master is a fresh one."""

    async def inside() -> Any:
        chosen = Options(mode=[mode])
        master = kind(chosen, with_termlog=False) if kind is DumpMaster else kind(chosen)
        chosen.set(*sets, defer=True)
        chosen.update(**options)
        try:
            return run(master)
        finally:
            master.addons.get("save").done()  # closes the file of -w

    return asyncio.run(inside())


def refusal(**given: Any) -> str:
    with pytest.raises(SystemExit) as caught:
        in_master(lambda master: start.prepare(), **given)
    assert isinstance(caught.value.code, str), "a text is printed on stderr and means exit code 1"
    assert "\n" not in caught.value.code
    return caught.value.code


def test_the_listener_is_that_of_the_mode() -> None:
    """A given mode decides where it listens, whatever `listen` says; Process holds the settings."""

    def run(master: Any) -> None:
        settings = start.prepare()
        assert settings.listen == Listen("127.0.0.1", 0)
        assert Process.of(master).current is settings

    in_master(run, sets=("codex_listen=127.0.0.1:9999",))


def test_values_reach_the_options_that_are_declared_later() -> None:
    """What holds (from any layer) lies in ``deferred`` in the option's type, and nothing of ours beside it."""

    def run(master: Any) -> None:
        start.prepare()
        assert master.options.deferred["codex_max_queue"] == 5
        assert master.options.deferred["codex_allowed_hosts"] == ["a"]
        assert "codex_egress_proxy" not in master.options.deferred

    in_master(run, sets=("codex_max_queue=5", "codex_allowed_hosts=a", "codex_egress_proxy=direct"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"sets": ("codex_lisen=x",)}, "did you mean codex_listen?"),
        ({"sets": ("codex_upstream=chatgpt",)}, "run `codex login`"),
        ({"mode": "regular"}, "can't run in mode 'regular'"),
        ({"mode": "reverse:http://codex.invalid@0.0.0.0:0"}, "no client key is set"),
        ({"listen_port": 8123}, "instead of -p"),
        ({"sets": ("codex_secure",), "kind": WebMaster}, "mitmdump alone"),
        ({"sets": ("codex_secure",), "hardump": "x.har"}, "saves no flows"),
    ],
)
def test_a_fault_ends_the_process_with_one_line(given: dict[str, Any], expected: str) -> None:
    """At the first load a fault is a SystemExit with one line."""
    assert expected in refusal(**given)


def test_secure_refuses_a_flow_file(tmp_path: Path) -> None:
    """-w would keep what secure mode must not show."""
    assert "saves no flows" in refusal(sets=("codex_secure",), save_stream_file=str(tmp_path / "flows"))


def test_others_may_connect_with_a_client_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener for others starts once a client key is in force."""
    monkeypatch.setenv("MITMCODEX_CLIENT_KEY", "k")
    settings = in_master(lambda master: start.prepare(), mode="reverse:http://codex.invalid@0.0.0.0:0")
    assert settings.listen.host == "0.0.0.0"


def test_new_files_are_private(tmp_path: Path) -> None:
    """After the start the umask is 077, the user's own is remembered, and the file of -w is 0600 already."""
    flows = tmp_path / "flows"

    def run(master: Any) -> None:
        start.prepare()
        (tmp_path / "new").touch()
        assert Process.of(master).user_umask == 0o022

    in_master(run, save_stream_file=str(flows))
    assert [stat.S_IMODE(path.stat().st_mode) for path in (flows, tmp_path / "new")] == [0o600, 0o600]


def test_without_a_server_no_listener_is_asked_for() -> None:
    """`mitmdump -n -r flows` reads flows: a mode of mitmproxy's own is no fault then."""
    settings = in_master(lambda master: start.prepare(), mode="regular", server=False)
    assert settings.listen.port == 8787


def test_a_reload_applies_what_can_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Live values of the file are taken; what came by --set stays; the listener stays and a warning says so."""
    file = tmp_path / "config.yaml"
    file.write_text("max_queue: 1\nmax_concurrency: 1\n")
    monkeypatch.setenv("MITMCODEX_CONFIG", str(file))
    warnings = []
    monkeypatch.setattr(start.logger, "warning", lambda text, *values: warnings.append(text % values))

    def run(master: Any) -> None:
        start.prepare()
        master.options.add_option("codex_max_queue", int, 0, "")  # as settings.py does
        master.options.process_deferred()
        file.write_text("max_queue: 2\nmax_concurrency: 2\nlisten: 127.0.0.1:1\n")
        settings = start.prepare()
        assert (settings.max_queue, settings.max_concurrency) == (9, 2)
        assert settings.listen == Listen("127.0.0.1", 0)

    in_master(run, sets=("codex_max_queue=9",))
    assert warnings == ["mitmcodex: a change of listen needs a restart"]


def test_a_broken_file_at_a_reload_keeps_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The running proxy goes on with what it has, and the log says why."""
    file = tmp_path / "config.yaml"
    file.write_text("max_queue: 1\n")
    monkeypatch.setenv("MITMCODEX_CONFIG", str(file))

    def run(master: Any) -> None:
        before = start.prepare()
        file.write_text("max_queue: [\n")
        with caplog.at_level(logging.WARNING, "mitmcodex.start"):
            assert start.prepare() is before

    in_master(run)
    assert "keeps its settings" in caplog.text and "not valid YAML" in caplog.text


def test_a_reload_changes_the_client_keys_but_never_drops_the_last_one_others_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New keys are in force after a reload; a listener for others is not left without any, nor by an empty file."""
    file = tmp_path / "config.yaml"
    monkeypatch.setenv("MITMCODEX_CONFIG", str(file))
    monkeypatch.setenv("FIRST", "k")
    monkeypatch.setenv("SECOND", "l")
    empty = tmp_path / "empty"
    empty.touch()

    def run(master: Any) -> None:
        file.write_text("client_keys: [{env: FIRST}]")
        start.prepare()
        assert Process.of(master).client_keys == (b"k",)
        for text in ("[{env: SECOND}]", "[]", f"[{{file: {empty}}}]"):
            file.write_text(f"client_keys: {text}")
            assert [ref.where for ref in start.prepare().client_keys] == ["SECOND"]
            assert Process.of(master).client_keys == (b"l",)

    in_master(run, mode="reverse:http://codex.invalid@0.0.0.0:0")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["--mode", "x"], True), (["--mode=x"], True), (["-mx"], True), (["-q", "--set", "a=b"], False)],
)
def test_a_named_mode_is_seen(arguments: list[str], expected: bool) -> None:
    """All spellings of --mode keep us from adding our own."""
    assert start.names_mode(arguments) is expected
