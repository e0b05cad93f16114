"""reread.py: the settings file is read again when it changes."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from mitmproxy.options import Options
from mitmproxy.tools.dump import DumpMaster

from mitmcodex import start
from mitmcodex.process import Process
from mitmcodex.reread import Reread
from mitmcodex.schema import Settings as Values
from mitmcodex.settings import Settings

BASE = {"upstream": "demo", "providers": {"work": {"kind": "openai", "base_url": "https://u.example/v1"}}}


class Edited:
    """The user's file, and the process that reads it."""

    def __init__(self, file: Path, process: Process, reread: Reread) -> None:
        self._file = file
        self.process = process
        self._reread = reread
        self._serial = 0

    def edit(self, **tables: object) -> Values:
        """What holds after the file says this, and was looked at."""
        return self.write(yaml.safe_dump({**BASE, **tables}))

    def write(self, text: str) -> Values:
        self._file.write_text(text)
        self._serial += 1
        os.utime(self._file, (self._serial, self._serial))
        return self.look()

    def look(self) -> Values:
        self._reread.running()
        self._reread.done()
        return self.process.current


def edited(folder: Path, run: Callable[[Edited], None], first: str = "") -> None:
    async def inside() -> None:
        file = folder / "config.yaml"
        file.write_text(first or yaml.safe_dump(BASE))
        master = DumpMaster(Options(mode=["reverse:http://codex.invalid@127.0.0.1:0"]), with_termlog=False)
        before = os.umask(0o077)
        try:
            master.options.set(f"codex_config={file}", f"codex_state_dir={folder}", defer=True)
            start.prepare()
            process = Process.of(master)
            reread = Reread(process)
            master.addons.add(Settings(process), reread)
            run(Edited(file, process, reread))
        finally:
            os.umask(before)

    asyncio.run(inside())


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings and no login of the machine."""
    for name in [name for name in os.environ if name.startswith("MITMCODEX_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CODEX_HOME", str(tmp_path))


def test_names_of_models_hold_at_once(tmp_path: Path) -> None:
    """Aliases, custom models and routing (seeds S126), and what else can change while it runs."""

    def run(file: Edited) -> None:
        found = file.edit(aliases={"a": "b"}, custom_models=["c"], routing={"d": "work"}, strict=True)
        assert found.naming.aliases == {"a": "b"} and found.naming.routing == {"d": "work"}
        assert [entry.slug for entry in found.naming.custom_models] == ["c"]
        assert found.strict is True
        assert file.edit().naming.aliases == {}

    edited(tmp_path, run)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"a": "a"}, "a leads to itself"),
        ({"a": ""}, "'a' must lead to a name"),
        ({"a": "b", " a ": "c"}, "a is there twice"),
        (["a"], "must map names to values"),
    ],
)
def test_a_broken_edit_changes_nothing(
    tmp_path: Path, table: object, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One line says why, by the rules of seeds S126; the next good edit counts again."""

    def run(file: Edited) -> None:
        before = file.edit(aliases={"old": "b"})
        caplog.clear()
        assert file.edit(aliases=table) == before == file.look()
        assert len(caplog.messages) == 1
        assert "mitmcodex keeps its settings" in caplog.messages[0] and told in caplog.messages[0]
        assert file.edit(aliases={"new": "b"}).naming.aliases == {"new": "b"}

    edited(tmp_path, run)


def test_what_needs_a_restart_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One line; all else of the edit holds. A route to a provider that is new waits for the restart with it."""

    def run(file: Edited) -> None:
        caplog.clear()
        found = file.edit(upstream="work", ollama={"enabled": True}, aliases={"a": "b"})
        assert caplog.messages[0] == "mitmcodex: a change of upstream, provider, ollama needs a restart"
        assert (found.provider.name, found.ollama.enabled, found.naming.aliases) == ("demo", False, {"a": "b"})
        more = {"providers": {**BASE["providers"], "new": {"kind": "openai", "base_url": "https://n.example"}}}  # type: ignore[dict-item]
        caplog.clear()
        found = file.edit(**more, routing={"x": "new"})
        assert "providers, routing needs a restart" in caplog.messages[0] and found.naming.routing == {}

    edited(tmp_path, run)


def test_a_file_that_is_away_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An editor may be about to put it there again."""

    def run(file: Edited) -> None:
        before = file.edit(aliases={"a": "b"})
        (tmp_path / "config.yaml").unlink()
        caplog.clear()
        assert file.look() == before and caplog.messages == []

    edited(tmp_path, run)


def test_without_a_change_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither at the start nor at a look; and in the secure mode never, where all is settled at the start."""

    def run(file: Edited) -> None:
        monkeypatch.setattr(start, "reread", lambda process: pytest.fail("read again"))
        file.look()
        file.process.settings = replace(file.process.current, secure=True)
        file.edit(aliases={"a": "b"})

    edited(tmp_path, run)


def test_client_keys_are_taken_too(tmp_path: Path) -> None:
    """A key that is taken back opens nothing from then on."""
    key = tmp_path / "key"
    key.write_text("one")

    def run(file: Edited) -> None:
        file.edit(client_keys=[{"file": str(key)}])
        assert file.process.client_keys == (b"one",)
        key.write_text("two")
        file.edit(client_keys=[{"file": str(key)}], strict=True)
        assert file.process.client_keys == (b"two",)

    edited(tmp_path, run)


def test_it_looks_again_and_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By a timer, until it is done."""

    def run(file: Edited) -> None:
        reread = file._reread
        reread.running()
        first = reread._watch
        reread._look()
        assert reread._watch is not None and reread._watch is not first
        reread.done()
        assert reread._watch.cancelled()
        with caplog.at_level(logging.INFO):
            file.edit(strict=True)
        assert caplog.messages[-1] == "mitmcodex: the changed settings file holds now"

    edited(tmp_path, run)
