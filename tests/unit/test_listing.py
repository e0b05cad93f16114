"""Which names are listed: seeds S97, S98, S123, S132, conformance 83."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from mitmcodex import paths
from mitmcodex.naming import naming
from mitmcodex.upstream.catalog import Catalog, entry_of, parse_backend, parse_list, shipped
from mitmcodex.upstream.listing import listed, row_of
from mitmcodex.upstream.resolution import Names, resolve
from mitmcodex.wire.model_lists import Listed, catalog_entry, codex_list, find, openai_entry, shown
from support.codex import find_codex

SHIPPED = shipped(paths.default_config().with_name("models.yaml"))
CUSTOM = {
    "slug": "my-own",
    "display_name": "Mine",
    "supported_reasoning_levels": [{"effort": "low"}],
    "input_modalities": ["text", "image"],
    "context_window": 9,
}
NAMES = Names(
    aliases={
        "quick": "gpt-6-luna",
        "hard": "quick-high",
        "dated": "gpt-5.1-mini",
        "far": "openai:gpt-4o",
        "x-*": "gpt-5.5",
        "gpt-5.5": "far",
    },
    custom_models=(entry_of(CUSTOM), entry_of({"slug": "plain"})),
    providers={"openai": "openai"},
)


def of(names: Names, variants: bool = True, aliases: bool = True, catalog: Catalog = SHIPPED.catalog) -> list[Listed]:
    return listed(names, catalog, SHIPPED, "chatgpt", variants, aliases)


def rows(variants: bool = True, aliases: bool = True, catalog: Catalog = SHIPPED.catalog) -> list[Listed]:
    return of(NAMES, variants, aliases, catalog)


def names_of(found: list[Listed]) -> list[str]:
    return [row.id for row in shown(found)]


def one(name: str) -> Listed:
    row = find(rows(), name)
    assert row is not None
    return row


def test_the_plain_list_is_the_catalogs() -> None:
    """In its order, custom models after it, hidden ones left out; old slugs are no models (seeds S97, S132)."""
    public = [slug for slug, entry in SHIPPED.catalog.entries.items() if entry.is_listed]
    assert names_of(rows(False, False)) == [*public, "my-own", "plain"]


def test_a_custom_model_is_listed_with_all_that_it_says() -> None:
    """In the catalog's form and OpenAI's, with its efforts as variants (seeds S65, S66, S132)."""
    said = {
        "id": "own",
        "display_name": "Own",
        "description": "What it is for",
        "supported_reasoning_efforts": ["low", "high"],
        "default_reasoning_effort": "high",
        "input_modalities": ["text", "image"],
        "output_modalities": ["text"],
        "context_window": 10,
        "max_context_window": 20,
        "max_output_tokens": 5,
        "truncation_policy_limit": 7,
        "supports_personality": True,
    }
    named = naming({"aliases": {}, "routing": {}, "custom_models": [said]}, ())
    found = of(Names(custom_models=named.custom_models))
    plain, low, high = (row for row in found if row.id.startswith("own"))
    assert catalog_entry(plain) == {
        "id": "own",
        "displayName": "Own",
        "description": "What it is for",
        "isDefault": False,
        "supportedReasoningEfforts": [{"reasoningEffort": each, "description": ""} for each in ("low", "high")],
        "defaultReasoningEffort": "high",
        "inputModalities": ["text", "image"],
        "outputModalities": ["text"],
        "contextWindow": 10,
        "maxContextWindow": 20,
        "maxOutputTokens": 5,
        "truncationPolicyLimit": 7,
        "supportsPersonality": True,
        "upgrade": None,
    }
    entry = openai_entry(plain)
    assert (entry["max_context_window"], entry["max_output_tokens"], entry["truncation_policy"]["limit"]) == (20, 5, 7)
    assert (low.id, high.id) == ("own-low", "own-high")


def test_each_listed_model_has_its_efforts_as_variants() -> None:
    """`<slug>-<effort>`, `<Name> (<effort> reasoning)`, behind the model; a setting leaves them out (seeds S98)."""
    found = names_of(rows(True, False))
    assert found[:4] == ["gpt-6.1-sol", "gpt-6.1-sol-low", "gpt-6.1-sol-medium", "gpt-6.1-sol-high"]
    for slug, entry in SHIPPED.catalog.entries.items():
        endings = [name.removeprefix(f"{slug}-") for name in found if name.startswith(f"{slug}-")]
        variants = [f"{slug}-{ending}" for ending in endings if ending in entry.efforts]
        assert variants == ([f"{slug}-{effort}" for effort in entry.efforts] if entry.is_listed else [])
    variant = one("gpt-6-sol-high")
    assert (variant.name, variant.efforts, variant.default_effort) == ("GPT-6-Sol (high reasoning)", ("high",), "high")
    assert "my-own-low" in found and not any("-low" in name for name in names_of(rows(False, False)))


def test_every_listed_name_can_be_asked_for() -> None:
    """A list that shows what is then refused would be a trap."""
    names = Names(NAMES.aliases, NAMES.custom_models, {}, NAMES.providers, unknown_model="reject")
    for row in rows():
        found = resolve(row.id, names, SHIPPED.catalog, SHIPPED, "chatgpt")
        if row.role == "variant":
            assert found.effort == row.default_effort, row.id


def test_aliases_are_listed_as_what_they_mean() -> None:
    """Through other aliases and suffixes; patterns have no name; a setting leaves them out (seeds S123)."""
    assert names_of(rows(False, True))[-4:] == ["quick", "hard", "dated", "far"]
    luna = SHIPPED.catalog.entries["gpt-6-luna"]
    for alias in ("quick", "hard", "dated"):
        row = one(alias)
        assert (row.role, row.name, row.context, row.efforts) == ("alias", alias, luna.context_window, luna.efforts)
    assert (one("far").context, one("far").efforts) == (0, ())
    assert not {"quick", "hard", "dated", "far"} & {*names_of(rows(False, False))}


def test_an_alias_stands_in_the_place_of_a_model_of_its_name() -> None:
    """One row a name, the one that a request means."""
    found = [row for row in rows() if row.id == "gpt-5.5"]
    assert [row.role for row in found] == ["alias"]
    assert [row.role for row in rows(True, False) if row.id == "gpt-5.5"] == ["model"]


def test_a_circle_of_aliases_does_not_hang_the_list() -> None:
    """It is the request that gets the error."""
    found = of(Names(aliases={"a": "b", "b": "a"}))
    assert [row.id for row in found][-2:] == ["a", "b"]


def test_the_default_model_is_marked() -> None:
    """The configured one before the catalog's (seeds S66)."""
    assert [row.id for row in rows() if row.is_default] == ["gpt-6.1-sol"]
    configured = of(Names(default_model="gpt-6-sol"))
    assert [row.id for row in configured if row.is_default] == ["gpt-6-sol"]


def test_codex_gets_hidden_models_and_no_variants() -> None:
    """Codex asks codex-auto-review for approvals and chooses efforts itself (conformance 83)."""
    infos = {info["slug"]: info for info in codex_list(rows())["models"]}
    assert infos["codex-auto-review"]["visibility"] == "hide"
    assert "gpt-6-sol-high" not in infos
    assert [*codex_list(rows(True, False))["models"]] == [row.raw for row in rows(False, False)]


def test_codex_sees_an_alias_as_its_target_under_the_users_name() -> None:
    """conformance 83"""
    infos = {info["slug"]: info for info in codex_list(rows())["models"]}
    quick, luna = infos["quick"], infos["gpt-6-luna"]
    changed = {key for key in luna if luna[key] != quick[key]}
    assert (changed, quick["display_name"], quick["visibility"]) == ({"slug", "display_name"}, "quick", "list")
    old = of(Names(aliases={"old": "gpt-5.6-sol"}))[-1]
    assert old.raw["upgrade"] is None and SHIPPED.catalog.entries["gpt-5.6-sol"].raw["upgrade"]


def test_a_live_entry_reaches_codex_whole() -> None:
    """Fields that we don't know are passed on."""
    live = parse_backend(b'{"models":[{"slug":"x","new_field":{"a":1},"base_instructions":"live"}]}')
    info = codex_list(rows(catalog=live.filled_from(SHIPPED.catalog)))["models"][0]
    assert (info["slug"], info["new_field"], info["base_instructions"]) == ("x", {"a": 1}, "live")


def test_a_name_that_no_list_shows_has_a_row_too() -> None:
    """`GET /v1/models/gpt-5.1` and names of a service that describes nothing."""
    row = row_of("gpt-5.1", SHIPPED.catalog.find("gpt-6.1-sol"), SHIPPED)
    assert (row.id, row.name, row.context, row.owned_by) == ("gpt-5.1", "gpt-5.1", 272000, "mitmcodex")
    bare = of(Names(), catalog=parse_list(b'{"data":[{"id":"x"}]}'))
    assert [(row.id, row.context, row.efforts) for row in bare] == [("x", 0, ())]
    assert SHIPPED.template.keys() < bare[0].raw.keys()


@pytest.mark.codex
def test_the_real_codex_reads_the_list(tmp_path: Path) -> None:
    """With aliases, custom models and names of other providers, each entry has what Codex asks for (conformance 83)."""
    codex = find_codex()
    assert codex is not None
    infos = codex_list(rows())
    file = tmp_path / "models.json"
    file.write_text(json.dumps(infos), encoding="utf-8")
    command = [str(codex), "debug", "models", "-c", f'model_catalog_json="{file}"']
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path), "CODEX_HOME": str(tmp_path)}
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert run.returncode == 0, run.stderr
    assert {info["slug"] for info in json.loads(run.stdout)["models"]} == {info["slug"] for info in infos["models"]}
