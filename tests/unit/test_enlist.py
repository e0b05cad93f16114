"""enlist.py: the user's names in Codex's list, and what answers tell of its age."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from mitmcodex import paths
from mitmcodex.enlist import Enlist, has_own, lengthened, marked
from mitmcodex.exchange import Exchange
from mitmcodex.process import Process
from mitmcodex.schema import Naming, Settings
from mitmcodex.upstream.catalog import CatalogError, ModelEntry, shipped
from mitmcodex.upstream.providers import Provider
from mitmcodex.upstream.resolution import Names
from support.exchanges import an_exchange, answered, at, canonical

SHIPPED = shipped(paths.model_catalog())
BODY = b'{ "models" : [ {"slug":"gpt-7","x":1.0e+02}, {"slug":"gpt-5.5","priority":9} ], "more": 1 }'
NAMING = Naming(aliases={"mine": "gpt-5.5", "claude-*": "gpt-7"}, custom_models=(ModelEntry("own"),))
NAMES = Names(aliases=NAMING.aliases, custom_models=NAMING.custom_models)
CHATGPT = Provider("chatgpt", "chatgpt", "https://u.example/codex")
ETAG, LATER = ("ETag", 'W/"1"'), ("x-models-etag", 'W/"1"')


class Catalogs:
    """Remembers what it was told."""

    shipped = SHIPPED

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    async def noticed(self, provider: Provider, etag: str) -> None:
        self.told.append((provider.name, etag))


def passed(exchange: Exchange, naming: Naming = NAMING, **settings: Any) -> tuple[Exchange, list[tuple[str, str]]]:
    """The exchange after the stage, and what the catalogs were told."""
    catalogs = Catalogs()
    stage = Enlist(Process(settings=Settings(naming=naming, **settings)), catalogs)  # type: ignore[arg-type]
    asyncio.run(stage.upstream_response(exchange))
    return exchange, catalogs.told


def a_list(body: bytes = BODY, status: int = 200, **admission: Any) -> Exchange:
    exchange = canonical(at(an_exchange("GET", "models", **{"is_codex": True, **admission}), CHATGPT))
    return answered(exchange, body, status=status, headers=[ETAG, ("x-a", "b")])


def a_generation(provider: Provider = CHATGPT, **admission: Any) -> Exchange:
    return answered(canonical(at(an_exchange(**admission), provider)), b"data", headers=[LATER])


def test_names_of_the_user_are_added() -> None:
    """Aliases and custom models stand behind the backend's own models, which stay as they are (conformance 83, P48);
    a pattern is no name."""
    exchange, _ = passed(a_list())
    assert exchange.reply is not None
    told = json.loads(exchange.reply.body or b"")
    assert [entry["slug"] for entry in told["models"]] == ["gpt-7", "gpt-5.5", "own", "mine"]
    assert told["models"][:2] == json.loads(BODY)["models"] and told["more"] == 1
    assert told["models"][3]["supported_reasoning_levels"] and told["models"][3]["visibility"] == "list"


def test_a_name_of_the_backend_is_there_once() -> None:
    """An alias or a custom model of the same name stands for it, as in a request."""
    names = Names(aliases={"gpt-7": "gpt-5.5"}, custom_models=(ModelEntry("gpt-5.5", raw={"slug": "gpt-5.5", "y": 2}),))
    models = json.loads(lengthened(BODY, names, SHIPPED))["models"]
    assert sorted(entry["slug"] for entry in models) == ["gpt-5.5", "gpt-7"]
    assert next(entry for entry in models if entry["slug"] == "gpt-5.5")["y"] == 2


@pytest.mark.parametrize(
    ("naming", "settings"),
    [(Naming(), {}), (Naming(aliases={"gpt-*": "gpt-7"}), {}), (NAMING, {"list_aliases": False})],
    ids=["no names", "patterns alone", "switched off"],
)
def test_without_names_nothing_is_changed(naming: Naming, settings: dict[str, Any]) -> None:
    """conformance 83: the body streams on unread, the ETag is the backend's."""
    for exchange in (a_list(), a_generation(is_codex=True)):
        before = exchange.reply, exchange.body
        after, _ = passed(exchange, naming, **settings)
        assert (after.reply, after.body) == before


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"models": 1}'])
def test_what_is_no_list_goes_on_as_it_came(body: bytes) -> None:
    """Codex is to see what the backend said."""
    exchange, _ = passed(a_list(body))
    assert exchange.reply is not None
    assert (exchange.reply.body, exchange.reply.headers) == (body, [ETAG, ("x-a", "b")])


def test_a_refusal_goes_on_as_it_came() -> None:
    """A 500 is no list, whatever it holds."""
    exchange, _ = passed(a_list(status=500))
    assert exchange.reply is not None and exchange.reply.body is None


def test_both_etags_stay_equal() -> None:
    """Codex asks again whenever ``x-models-etag`` differs from the list's ETag (protocol.md 7): both change alike,
    always to the same, and with the names."""
    first, _ = passed(a_list())
    second, _ = passed(a_generation(is_codex=True))
    assert first.reply is not None and second.reply is not None
    etag = first.reply.headers[0][1]
    assert etag.startswith('W/"1-') and etag.endswith('"') and first.reply.headers[1] == ("x-a", "b")
    assert second.reply.headers == [("x-models-etag", etag)]
    assert marked([ETAG], NAMES) == [("ETag", etag)] != marked([ETAG], Names(aliases={"other": "gpt-7"}))
    assert marked([("etag", "bare")], NAMES)[0][1].startswith("bare-")


def test_other_clients_keep_our_list_young() -> None:
    """What an answer tells of the list goes to the catalogs, which ask when it is due (seeds S118)."""
    assert passed(a_generation())[1] == [("chatgpt", 'W/"1"')]


@pytest.mark.parametrize(
    "exchange",
    [
        a_generation(is_codex=True),
        a_generation(is_raw=True),
        a_generation(Provider("work", "openai", "https://u.example/v1")),
        a_list(),
        a_list(listener="internal", is_codex=False),
    ],
    ids=["Codex", "secure", "another kind", "a list", "our own call"],
)
def test_nothing_else_makes_us_ask(exchange: Exchange) -> None:
    """Codex asks for its list itself, and what is only passed on or our own call starts no other."""
    assert passed(exchange, Naming())[1] == []


def test_our_own_call_gets_the_backends_list() -> None:
    """Else the user's names would come to stand in the catalog."""
    exchange, _ = passed(a_list(listener="internal", is_codex=False))
    assert exchange.reply is not None and exchange.reply.body is None


def test_has_own() -> None:
    """A name that can be listed: no pattern."""
    assert has_own(NAMES) and not has_own(Names(aliases={"a*": "b"}))
    with pytest.raises(CatalogError):
        lengthened(b"", NAMES, SHIPPED)
