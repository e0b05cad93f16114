"""catalogs.py: which models the provider in force has, whom that is asked of and when."""

from __future__ import annotations

import asyncio
import json
import logging
import stat
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mitmcodex.catalogs import PAUSE_S, Catalogs
from mitmcodex.exchange import End, Exchange, Head
from mitmcodex.process import Process
from mitmcodex.resources import Resources
from mitmcodex.schema import Naming, Settings
from mitmcodex.upstream.catalog import ModelEntry
from mitmcodex.upstream.providers import CredentialRef, Provider
from mitmcodex.wire.errors import WireError
from support.auth import Login, write_login

T = TypeVar("T")
API = Provider("work", "openai", "https://u.example/v1")
DEMO = Provider("demo", "demo", "http://demo.invalid/v1")
LIVE = {"models": [{"slug": "gpt-7", "priority": 1, "context_window": 9}, {"slug": "gpt-5.5", "priority": 2}]}


class Scene:
    """A process with one provider; ``begin`` stands for egress and answers as the test says."""

    def __init__(self, folder: Path, provider: Provider, refresh_s: int = 300, **settings: Any) -> None:
        providers = {provider.name: provider}
        given = Settings(
            provider=provider, providers=providers, state_dir=folder, models_refresh_s=refresh_s, **settings
        )
        self.process = Process(settings=given)
        self.process.begin = self.begin
        self.now = 1_800_000_000.0
        self.catalogs = Catalogs(self.process, Resources(self.process), lambda: self.now)
        self.provider = provider
        self.asked: list[Exchange] = []
        self.status, self.body, self.etag = 200, json.dumps(LIVE).encode(), 'W/"1"'

    def begin(self, exchange: Exchange) -> None:
        self.asked.append(exchange)
        exchange.task = asyncio.get_running_loop().create_task(self._answer(exchange))

    async def _answer(self, exchange: Exchange) -> None:
        await exchange.emit(Head(self.status, [("ETag", self.etag)]))
        await exchange.emit(self.body)
        await exchange.emit(End())
        exchange.outcome = "complete" if self.status == 200 else "failed"

    def run(self, *steps: Callable[[], Awaitable[T]]) -> list[T]:
        """One after the other; calls for lists that go on are waited for after each."""

        async def inside() -> list[T]:
            found = []
            for step in steps:
                found.append(await step())
                calls = [live.fetching for live in self.process.catalogs.values() if live.fetching]
                await asyncio.gather(*calls)
            return found

        return asyncio.run(inside())

    def known(self) -> list[str]:
        (catalog,) = self.run(lambda: self.catalogs.known(self.provider))
        return [*catalog.entries]

    def fresh(self) -> list[str]:
        (catalog,) = self.run(lambda: self.catalogs.fresh(self.provider))
        return [*catalog.entries]

    def notice(self, etag: str) -> None:
        self.run(lambda: self.catalogs.noticed(self.provider, etag))


def chatgpt(login: Login, **fields: Any) -> Provider:
    return Provider("chatgpt", "chatgpt", "https://u.example/codex", CredentialRef("codex", str(login.path)), **fields)


@pytest.fixture
def scene(tmp_path: Path, login: Login) -> Scene:
    return Scene(tmp_path, chatgpt(login))


@pytest.mark.parametrize(("provider", "first"), [(API, []), (DEMO, ["mitmcodex-demo"])])
def test_what_is_known_without_asking(tmp_path: Path, provider: Provider, first: list[str]) -> None:
    """An API's models are unknown until it was asked, the demo has one, which is its default."""
    scene = Scene(tmp_path, provider)
    assert scene.known() == first and scene.asked == []
    (catalog,) = scene.run(lambda: scene.catalogs.known(provider))
    assert catalog.default_model == (first[0] if first else "")


def test_the_shipped_list_holds_until_the_backend_was_asked(scene: Scene) -> None:
    """Nobody waits for a catalog before his first answer; then the backend's own replaces it (seeds S118), and what it
    leaves out of a model is filled in from ours."""
    assert scene.known()[0] == "gpt-6.1-sol" and scene.asked == []
    assert scene.fresh() == ["gpt-7", "gpt-5.5"] == scene.known()
    (catalog,) = scene.run(lambda: scene.catalogs.known(scene.provider))
    assert (catalog.default_model, catalog.etag) == ("gpt-7", 'W/"1"')
    assert catalog.entries["gpt-5.5"].efforts == ("low", "medium", "high", "xhigh")


def test_the_call_is_an_exchange_of_our_own(scene: Scene) -> None:
    """A GET that says it is internal: the stages treat it as any other call for models, by no Codex client."""
    scene.fresh()
    (exchange,) = scene.asked
    admission = exchange.admission
    assert (admission.call, admission.listener, admission.is_codex) == ("models", "internal", False)
    assert (exchange.flow.request.method, admission.secrets, admission.headers) == ("GET", [], [])


def test_an_api_has_its_own_form_of_list(tmp_path: Path) -> None:
    """``data`` with ids; no default model comes of it."""
    scene = Scene(tmp_path, API)
    scene.body = b'{"object": "list", "data": [{"id": "one"}, {"id": "gpt-5.5"}]}'
    assert scene.fresh() == ["one", "gpt-5.5"]


def test_it_is_asked_again_when_it_is_old(scene: Scene) -> None:
    """Once in ``models_refresh_s``, whoever asks for the list in between."""
    scene.fresh()
    scene.now += 299
    scene.fresh()
    assert len(scene.asked) == 1
    scene.now += 1
    scene.fresh()
    assert len(scene.asked) == 2


def test_many_wait_for_one_call(scene: Scene) -> None:
    """Ten clients that start at once make one call, and all get what it brings."""

    async def ten() -> list[list[str]]:
        found = await asyncio.gather(*(scene.catalogs.fresh(scene.provider) for _ in range(10)))
        return [[*catalog.entries] for catalog in found]

    (found,) = scene.run(ten)
    assert found == [["gpt-7", "gpt-5.5"]] * 10 and len(scene.asked) == 1


@pytest.mark.parametrize("settings", [{"refresh_s": 0}, {"secure": True}], ids=str)
def test_nobody_is_asked_where_that_is_not_wanted(tmp_path: Path, login: Login, settings: dict[str, Any]) -> None:
    """With ``models_refresh_s: 0``, and in the secure mode, no call is made that no client made."""
    scene = Scene(tmp_path, chatgpt(login), **settings)
    assert scene.fresh()[0] == "gpt-6.1-sol"
    scene.notice("other")
    assert scene.asked == []


def test_only_the_provider_in_force_is_asked(scene: Scene) -> None:
    """An exchange goes to that one: another's list would be taken for its."""
    (catalog,) = scene.run(lambda: scene.catalogs.fresh(API))
    assert not catalog.entries and scene.asked == []


@pytest.mark.parametrize("fault", [{"status": 500}, {"body": b"<html>"}, {"body": b'{"models": []}'}], ids=str)
def test_a_failure_leaves_what_is_known(scene: Scene, fault: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """The list that was there holds, one line says so, and the provider is left alone for a while."""
    scene.fresh()
    for name, value in fault.items():
        setattr(scene, name, value)
    for pause_s, calls in ((300, 2), (PAUSE_S - 1, 2), (1, 3)):
        scene.now += pause_s
        with caplog.at_level(logging.WARNING):
            assert scene.fresh() == ["gpt-7", "gpt-5.5"]
        assert len(scene.asked) == calls
    assert len(caplog.records) == 2 and "what is known of its models holds" in caplog.messages[0]


def test_the_etag_of_an_answer_tells_whether_the_list_is_old(scene: Scene) -> None:
    """Equal: the list is young again; another: it is asked for at once; none: its age decides (protocol.md 7)."""
    scene.fresh()
    scene.now += 250
    scene.notice('W/"1"')
    scene.now += 250
    scene.notice("")
    assert len(scene.asked) == 1
    scene.etag = 'W/"2"'
    scene.notice('W/"2"')
    assert len(scene.asked) == 2
    scene.now += 299
    scene.notice('W/"2"')
    scene.now += 299
    scene.notice("")
    assert len(scene.asked) == 2
    scene.now += 1
    scene.notice("")
    assert len(scene.asked) == 3


def test_a_list_is_kept_between_runs(scene: Scene, tmp_path: Path, login: Login) -> None:
    """The next process has it, with its age, before it asks anybody (seeds S119); only its owner may read the file."""
    scene.fresh()
    (file,) = (tmp_path / "models").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    later = Scene(tmp_path, chatgpt(login))
    assert later.known() == later.fresh() == ["gpt-7", "gpt-5.5"] and later.asked == []
    later.now += 300
    later.fresh()
    assert len(later.asked) == 1


@pytest.mark.parametrize("content", ["", "[]", '{"body": "x", "etag": "", "fetched_at": 1}'])
def test_a_file_that_makes_no_sense_is_no_list(scene: Scene, tmp_path: Path, login: Login, content: str) -> None:
    """Then what is shipped holds, and the next list takes its place."""
    scene.fresh()
    (file,) = (tmp_path / "models").iterdir()
    file.write_text(content)
    later = Scene(tmp_path, chatgpt(login))
    assert later.known()[0] == "gpt-6.1-sol"
    assert later.fresh() == ["gpt-7", "gpt-5.5"]


def test_a_disk_that_refuses_costs_the_file_alone(tmp_path: Path, login: Login) -> None:
    """Without it everything works, for this run."""
    (tmp_path / "models").write_text("a file where the folder should be")
    assert Scene(tmp_path, chatgpt(login)).fresh() == ["gpt-7", "gpt-5.5"]


def test_each_account_has_its_list(scene: Scene, tmp_path: Path, login: Login) -> None:
    """A login that changes while it runs is another plan with other models: none of the first one's are shown."""
    scene.fresh()
    write_login(login.path, account_id="another-account")
    assert scene.known()[0] == "gpt-6.1-sol"
    scene.body = b'{"models": [{"slug": "gpt-8"}]}'
    scene.now += PAUSE_S
    assert scene.fresh() == ["gpt-8"]
    assert len([*(tmp_path / "models").iterdir()]) == 2


def test_without_a_login_the_shipped_list_holds(tmp_path: Path) -> None:
    """The call itself tells what is wrong, not its model's name."""
    missing = Provider("chatgpt", "chatgpt", "https://u.example/codex", CredentialRef("codex", str(tmp_path / "no")))
    assert Scene(tmp_path, missing).known()[0] == "gpt-6.1-sol"


NAMING = Naming(
    aliases={"mine": "gpt-5.5", "claude-*": "gpt-7"},
    custom_models=(ModelEntry("own"),),
    routing={"llama": "elsewhere", "gpt-5.5": "elsewhere"},
)


def test_the_rows_of_the_lists(tmp_path: Path, login: Login) -> None:
    """Catalog, custom models, effort variants, aliases and the models that ``routing`` leads to other providers (seeds
    S65, S98, S212), each once; patterns are no names."""
    scene = Scene(tmp_path, chatgpt(login), naming=NAMING)
    (rows,) = scene.run(scene.catalogs.rows)
    ids = [row.id for row in rows]
    variants = [f"gpt-5.5-{effort}" for effort in ("low", "medium", "high", "xhigh")]
    assert ids == ["gpt-7", "gpt-5.5", *variants, "own", "mine", "llama"]


def test_variants_and_aliases_can_be_left_out(tmp_path: Path, login: Login) -> None:
    """By ``list_variants`` and ``list_aliases``; who asks for one by its name gets it all the same (seeds S97, S98)."""
    scene = Scene(tmp_path, chatgpt(login), naming=NAMING, list_variants=False, list_aliases=False)
    (rows,) = scene.run(scene.catalogs.rows)
    assert [row.id for row in rows] == ["gpt-7", "gpt-5.5", "own", "llama"]
    names = ("gpt-5.5-high", "mine", "claude-sonnet-4-5", "own", "llama")
    for name in names:
        (row,) = scene.run(lambda name=name: scene.catalogs.row(name))  # type: ignore[misc]
        assert row.id == name


@pytest.mark.parametrize("unknown_model", ["pass", "default", "reject"])
def test_an_unknown_model_is_in_no_list(tmp_path: Path, login: Login, unknown_model: str) -> None:
    """Whatever a request with this name would come to, there is no such model (seeds S67)."""
    scene = Scene(tmp_path, chatgpt(login), unknown_model=unknown_model, force_model="gpt-7")
    for name in ("no-such-model", "gpt-image-2"):
        with pytest.raises(WireError) as raised:
            scene.run(lambda name=name: scene.catalogs.row(name))  # type: ignore[misc]
        assert (raised.value.kind, raised.value.code) == ("not_found", "model_not_found")


def test_nothing_is_unknown_while_no_list_is_at_hand(tmp_path: Path) -> None:
    """A provider whose list can't be had may have any model."""
    scene = Scene(tmp_path, API)
    scene.status = 404
    (row,) = scene.run(lambda: scene.catalogs.row("any"))
    assert row.id == "any"
    scene.process.settings = replace(scene.process.current, models_refresh_s=0)
    assert scene.run(scene.catalogs.rows) == [[]]
