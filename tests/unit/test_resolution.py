"""What names mean: seeds S97-S134 and S145, as far as they are rules of names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mitmcodex import paths
from mitmcodex.upstream.catalog import Catalog, entry_of, parse_backend, parse_list, shipped
from mitmcodex.upstream.resolution import Names, Resolution, resolve
from mitmcodex.wire.errors import WireError

SHIPPED = shipped(paths.default_config().with_name("models.yaml"))
CUSTOM = entry_of({"slug": "my-own", "default_reasoning_level": "high"})
NAMES = Names(
    aliases={
        "my-openai": "openai:gpt-4o",
        "my-deepseek": "deepseek-chat",
        "sonnet-local": "gpt-6-sol",
        "openai-fast": "openai:gpt-4o",
        "hard": "gpt-6-sol-high-fast",
        "swift": "gpt-6-sol",
        "swift-high": "gpt-5.5",
        "grok-*": "gpt-6-luna",
        "gpt-5.6-luna-*": "gpt-6-astra",
        "gpt-4.1": "gpt-5.5",
    },
    custom_models=(CUSTOM,),
    routing={"deepseek-chat": "deepseek", "gpt-5.6-sol": "work"},
    providers={"openai": "openai", "deepseek": "chat", "work": "chatgpt", "anthropic": "messages"},
)
PLAIN = Names()


def found(asked: str, names: Names = PLAIN, kind: str = "chatgpt", catalog: Catalog = SHIPPED.catalog) -> Resolution:
    return resolve(asked, names, catalog, SHIPPED, kind)


def upstream(asked: str, names: Names = PLAIN, kind: str = "chatgpt") -> tuple[str, str, str]:
    """Model, effort, tier."""
    result = found(asked, names, kind)
    return result.model, result.effort, result.tier


@pytest.mark.parametrize("slug", [*SHIPPED.catalog.entries])
def test_a_catalog_id_is_itself(slug: str) -> None:
    """Listed or hidden, with its entry and nothing lost (seeds S116, S118)."""
    result = found(slug)
    assert (result.model, result.provider, result.kind, result.losses) == (slug, None, "chatgpt", ())
    assert result.entry is SHIPPED.catalog.find(slug)


@pytest.mark.parametrize(
    ("asked", "model", "effort", "tier"),
    [
        ("gpt-6-sol-high", "gpt-6-sol", "high", ""),
        ("gpt-6-sol-fast", "gpt-6-sol", "", "priority"),
        ("gpt-6-sol-flex", "gpt-6-sol", "", "flex"),
        ("gpt-6-sol-high-fast", "gpt-6-sol", "high", "priority"),
        ("gpt-6-sol-XHigh", "gpt-6-sol", "xhigh", ""),
        ("gpt-6-sol-none", "gpt-6-sol", "none", ""),
        ("gpt-6-sol/high", "gpt-6-sol", "high", ""),
        ("gpt-6-sol[1m]", "gpt-6-sol", "", ""),
        ("gpt-6-sol-low[1M]", "gpt-6-sol", "low", ""),
        ("gpt-6.1-sol-max", "gpt-6.1-sol", "max", ""),
        ("gpt-6-luna-ultra", "gpt-6-luna-ultra", "", ""),
        ("gpt-5.5-max", "gpt-5.5-max", "", ""),
        ("gpt-6-sol-fast-high", "gpt-6-sol-fast-high", "", ""),
        ("my-own-high-fast", "my-own", "high", "priority"),
        ("sonnet-local-high", "gpt-6-sol", "high", ""),
        ("hard-low", "gpt-6-sol", "low", "priority"),
        ("hard-flex", "gpt-6-sol", "", "flex"),
        ("swift-high-fast", "gpt-5.5", "", "priority"),
        ("mistral-medium", "mistral-medium", "", ""),
        ("kimi-fast", "kimi-fast", "", ""),
        ("-high", "-high", "", ""),
    ],
)
def test_suffixes(asked: str, model: str, effort: str, tier: str) -> None:
    """Tier last, effort before it, in any case; only where a known name is left, `max` and `ultra` only where that
    model has them (seeds S99, S114, S115).
    """
    assert upstream(asked, NAMES) == (model, effort, tier)


@pytest.mark.parametrize(
    ("asked", "table", "model"),
    [
        ("gpt-5.1-codex-max", "gpt-5.1-codex-max", "gpt-6.1-sol"),
        ("gpt-5.1-codex-max-2026", "gpt-5.1-codex-max", "gpt-6.1-sol"),
        ("gpt-5.1-codex-mini-x", "gpt-5.1-codex-mini", "gpt-6-luna"),
        ("gpt-5.1-codex-x", "gpt-5.1-codex", "gpt-6.1-sol"),
        ("gpt-5.1-2025-11-13", "gpt-5.1", "gpt-6.1-sol"),
        ("gpt-5-codex-mini-x", "gpt-5-codex-mini", "gpt-6-luna"),
        ("gpt-5-mini-codex-preview", "gpt-5-codex", "gpt-6.1-sol"),
        ("gpt-5.2-codex", "gpt-5-codex", "gpt-6.1-sol"),
        ("gpt-5-mini", "gpt-5", "gpt-6-luna"),
        ("gpt-5", "gpt-5", "gpt-6.1-sol"),
        ("gpt-5-chat-latest", "gpt-5", "gpt-6.1-sol"),
        ("GPT-5.1", "gpt-5.1", "gpt-6.1-sol"),
    ],
)
def test_old_slugs_go_to_a_live_model(asked: str, table: str, model: str) -> None:
    """With the efforts of the slug that the name comes down to (seeds S97, S100, S101, S102, S103)."""
    result = found(asked)
    assert (result.model, result.effort_table) == (model, SHIPPED.tables[table])
    assert result.entry is SHIPPED.catalog.find(model)


@pytest.mark.parametrize("asked", ["gpt-5.9", "gpt-5.7-sol", "my-codex", "gpt-image-2-high"])
def test_names_that_only_look_alike_pass(asked: str) -> None:
    """A gpt-5.N of tomorrow is no gpt-5, and only gpt-5 names come down to gpt-5-codex (seeds S101, S102, S115)."""
    result = found(asked)
    assert (result.model, result.entry, result.losses) == (asked, None, ())


@pytest.mark.parametrize(
    ("asked", "model"),
    [
        ("claude-opus-4-8", "gpt-6.1-sol"),
        ("claude-opus-4-8[1m]", "gpt-6.1-sol"),
        ("claude-3-opus-20240229", "gpt-6.1-sol"),
        ("claude-sonnet-4-6", "gpt-6-sol"),
        ("claude-haiku-4-5-20251001", "gpt-6-luna"),
        ("gemini-2.5-pro", "gpt-6.1-sol"),
        ("gemini-2.5-flash-lite", "gpt-6-luna"),
        ("gemini-embedding", "gpt-6-sol"),
        ("gpt-5.4", "gpt-6.1-sol"),
        ("gpt-5.4-mini", "gpt-6-luna"),
        ("gpt-5.3-codex", "gpt-6.1-sol"),
        ("gpt-5.2", "gpt-6.1-sol"),
        ("gpt-oss-20b", "gpt-6-luna"),
        ("gpt-3.5-turbo", "gpt-6.1-sol"),
        ("gpt-4.1", "gpt-6.1-sol"),
        ("gpt-4o-mini-2024-07-18", "gpt-6-luna"),
        ("o1", "gpt-6.1-sol"),
        ("o3-pro", "gpt-6.1-sol"),
        ("o4-mini", "gpt-6-luna"),
        ("chatgpt-4o-latest", "gpt-6.1-sol"),
    ],
)
def test_shipped_aliases(asked: str, model: str) -> None:
    """Families that the ChatGPT backend can't have, haiku to a cheap model; the catalog alone bounds the effort
    (seeds S112, S124, S333, conformance 63).
    """
    result = found(asked)
    assert (result.model, result.effort_table) == (model, None)
    assert [(loss.path, loss.what) for loss in result.losses] == [("model", "mapped")]
    assert asked.removesuffix("[1m]") in result.losses[0].why and model in result.losses[0].why


@pytest.mark.parametrize("asked", ["gpt-5.1", "claude-opus-4-8", "gemini-2.5-pro", "gpt-4.1"])
@pytest.mark.parametrize("kind", ["openai", "azure", "responses", "chat", "messages", "gemini"])
def test_shipped_aliases_are_for_the_chatgpt_backend_alone(asked: str, kind: str) -> None:
    """With an API key gpt-5.1 is a real model."""
    assert found(asked, kind=kind).model == asked


def test_a_live_model_needs_no_alias() -> None:
    """What the live catalog has is that model, without an old slug's table."""
    live = parse_backend(b'{"models":[{"slug":"gpt-5.1"}]}').filled_from(SHIPPED.catalog)
    result = found("gpt-5.1-high", catalog=live)
    assert (result.model, result.effort, result.effort_table) == ("gpt-5.1", "high", None)


def test_a_target_that_the_account_lacks_is_replaced() -> None:
    """A smaller plan's list may lack the usual target: its own default answers."""
    live = parse_backend(b'{"models":[{"slug":"only"}]}').filled_from(SHIPPED.catalog)
    assert found("claude-opus-4-8", catalog=live).model == "only"


@pytest.mark.parametrize(
    ("asked", "model", "effort", "tier"),
    [
        ("gpt-5.1-high", "gpt-6.1-sol", "high", ""),
        ("gpt-5.1-high-fast", "gpt-6.1-sol", "high", "priority"),
        ("gpt-5.1-codex-max-fast", "gpt-6.1-sol", "", "priority"),
        ("gpt-5-codex-mini-low", "gpt-6-luna", "low", ""),
        ("gpt-5.1-codex-max-xhigh", "gpt-6.1-sol", "xhigh", ""),
        ("gpt-5.1-codex-max-high", "gpt-6.1-sol", "high", ""),
        ("o4-mini-high", "gpt-6-luna", "high", ""),
        ("claude-opus-4-8-max", "gpt-6.1-sol", "max", ""),
    ],
)
def test_suffixes_of_shipped_aliases(asked: str, model: str, effort: str, tier: str) -> None:
    """A shipped pattern does not swallow them (seeds S98, S110)."""
    assert upstream(asked) == (model, effort, tier)


@pytest.mark.parametrize(
    ("asked", "provider", "kind", "model"),
    [
        ("openai-fast", "openai", "openai", "gpt-4o"),
        ("my-openai", "openai", "openai", "gpt-4o"),
        ("my-deepseek", "deepseek", "chat", "deepseek-chat"),
        ("sonnet-local", None, "chatgpt", "gpt-6-sol"),
        ("openai:gpt-4o", "openai", "openai", "gpt-4o"),
        ("openai:claude-opus-4-8", "openai", "openai", "claude-opus-4-8"),
        ("nowhere:gpt-4o", None, "chatgpt", "nowhere:gpt-4o"),
        ("work:gpt-5.1", "work", "chatgpt", "gpt-6.1-sol"),
        ("deepseek-chat", "deepseek", "chat", "deepseek-chat"),
        ("gpt-5.6-sol", "work", "chatgpt", "gpt-5.6-sol"),
        ("gpt-5.6-sol-high", "work", "chatgpt", "gpt-5.6-sol"),
        ("claude-sonnet-4-6", "anthropic", "messages", "claude-sonnet-4-6"),
        ("claude-sonnet-4-6[1m]", "anthropic", "messages", "claude-sonnet-4-6"),
        ("gemini-2.5-pro", None, "chatgpt", "gpt-6.1-sol"),
        ("grok-4-fast", None, "chatgpt", "gpt-6-luna"),
        ("gpt-4.1", None, "chatgpt", "gpt-5.5"),
    ],
)
def test_providers_and_the_users_names(asked: str, provider: str | None, kind: str, model: str) -> None:
    """seeds S123, S125, S127, S128, S129, S130"""
    result = found(asked, NAMES)
    assert (result.provider, result.kind, result.model) == (provider, kind, model)


ORDER = [
    # what is added, and where `gpt-5.5` or `claude-opus-4-8` then goes; each beats all that come before it
    ("claude-opus-4-8", {}, (None, "gpt-6.1-sol")),
    ("claude-opus-4-8", {"providers": {"real": "messages"}}, ("real", "claude-opus-4-8")),
    ("claude-opus-4-8", {"providers": {"real": "messages"}, "aliases": {"claude-*": "gpt-5.5"}}, (None, "gpt-5.5")),
    (
        "claude-opus-4-8",
        {"aliases": {"claude-*": "gpt-5.5"}, "providers": {"r": "chat"}, "routing": {"claude-opus-4-8": "r"}},
        ("r", "claude-opus-4-8"),
    ),
    (
        "r:claude-opus-4-8",
        {"aliases": {"*": "gpt-5.5"}, "providers": {"r": "chat"}, "routing": {"r:claude-opus-4-8": "q"}},
        ("r", "claude-opus-4-8"),
    ),
    ("r:x", {"providers": {"r": "chat"}, "custom_models": (entry_of({"slug": "r:x"}),)}, (None, "r:x")),
    (
        "r:x",
        {
            "providers": {"r": "chat"},
            "custom_models": (entry_of({"slug": "r:x"}),),
            "aliases": {"*": "gpt-6-sol", "r:x": "gpt-5.5"},
        },
        (None, "gpt-5.5"),
    ),
    ("gpt-5.5", {"aliases": {"gpt-*": "gpt-6-luna"}}, (None, "gpt-5.5")),
    ("gpt-5.5-high", {"aliases": {"gpt-*": "gpt-6-luna"}}, (None, "gpt-6-luna")),
]


@pytest.mark.parametrize(("asked", "settings", "answer"), ORDER)
def test_the_order_of_resolution(asked: str, settings: dict[str, object], answer: tuple[str | None, str]) -> None:
    """Exact alias, catalog or custom id, prefix, routing, patterns, the family's provider, shipped ones, suffixes
    (seeds S131).
    """
    result = found(asked, Names(**settings))  # type: ignore[arg-type]
    assert (result.provider, result.model) == answer


@pytest.mark.parametrize(
    ("asked", "effort", "tier"),
    [("grok-4-fast", "", ""), ("gpt-5.6-luna-high", "high", ""), ("gpt-5.6-luna-low-fast", "low", "priority")],
)
def test_a_suffix_survives_the_users_pattern(asked: str, effort: str, tier: str) -> None:
    """Where what is left is known without the pattern, else the whole name is a plain one."""
    assert upstream(asked, NAMES)[1:] == (effort, tier)


def test_an_aliass_own_suffix_is_a_default() -> None:
    """What the target asks for comes after what the client's name asks for; so does a custom model's effort (S104)."""
    result = found("hard-low", NAMES)
    assert (result.effort, result.alias_effort, result.tier) == ("low", "high", "priority")
    assert found("my-own", NAMES).alias_effort == "high"


@pytest.mark.parametrize(
    "aliases",
    [
        {"a": "b", "b": "a"},
        {"a": "b-high", "b": "a-fast"},
        {"a": "b1", "b*": "a"},
        {"a": "gpt-5.5", "gpt-5.5": "a"},
    ],
)
def test_a_circle_of_aliases_is_not_found(aliases: dict[str, str]) -> None:
    """One clear error that shows the circle (seeds S126)."""
    with pytest.raises(WireError) as caught:
        found("a", Names(aliases=aliases))
    error = caught.value
    assert (error.kind, error.code, error.param) == ("not_found", "model_not_found", "model")
    assert "a → " in error.message


def test_a_pattern_may_match_its_own_target() -> None:
    """`*: gpt-6-sol` and a name that no catalog has."""
    assert upstream("anything", Names(aliases={"*": "foo"})) == ("foo", "", "")
    assert upstream("anything", Names(aliases={"*": "gpt-6-sol-high"})) == ("gpt-6-sol", "", "")


def test_brackets_alone_make_no_pattern() -> None:
    """`sonnet[1m]` is a name that a client sends."""
    names = Names(aliases={"sonnet[1m]": "gpt-6-sol"})
    assert upstream("sonnet[1m]", names)[0] == "gpt-6-sol"
    assert upstream("sonnet1", names)[0] == "sonnet1"


def test_no_model_means_the_default() -> None:
    """The configured one, else the catalog's; that is no loss (seeds S113)."""
    result = found("")
    assert (result.model, result.losses) == ("gpt-6.1-sol", ())
    assert upstream("", Names(default_model="gpt-5.5")) == ("gpt-5.5", "", "")
    assert found("", Names(default_model="gpt-5.5-high")).alias_effort == "high"
    assert upstream("o3", Names(default_model="gpt-5.5")) == ("gpt-5.5", "", "")


@pytest.mark.parametrize("default", ["gpt-4.1", "o3", "nonsense"])
def test_a_default_model_that_the_backend_lacks_does_no_harm(default: str) -> None:
    """Shipped aliases that mean the default would lead back to it."""
    assert upstream("gpt-4.1", Names(default_model=default))[0] in ("gpt-6.1-sol", "nonsense")
    assert found("", Names(default_model=default, unknown_model="default")).model == "gpt-6.1-sol"


def test_no_model_and_no_default_is_the_clients_error() -> None:
    """An API key's list names no default."""
    with pytest.raises(WireError, match="names no model") as caught:
        found("", kind="openai", catalog=parse_list(b'{"data":[{"id":"x"}]}'))
    assert caught.value.kind == "invalid_request"


def test_a_forced_model_replaces_every_name() -> None:
    """With what its own suffix asks for, and an entry in the loss report."""
    result = found("gpt-6-sol-low", replace(NAMES, force_model="gpt-5.5-high"))
    assert (result.model, result.effort, result.alias_effort) == ("gpt-5.5", "", "high")
    assert "force_model" in result.losses[0].why
    assert found("gpt-5.5", Names(force_model="gpt-5.5")).losses == ()


def test_unknown_names() -> None:
    """`pass`, `default` or `reject`; where the provider's list is not at hand nothing is unknown (seeds S102, S131)."""
    assert found("x").losses == ()
    replaced = found("x", Names(unknown_model="default"))
    assert (replaced.model, len(replaced.losses)) == ("gpt-6.1-sol", 1)
    with pytest.raises(WireError) as caught:
        found("x", Names(unknown_model="reject"))
    assert (caught.value.kind, caught.value.code) == ("not_found", "model_not_found")
    reject = Names(unknown_model="reject", providers={"o": "openai"})
    assert found("o:x", reject).model == "x"
    assert found("x", reject, catalog=Catalog()).model == "x"


@pytest.mark.parametrize("asked", ["gpt-image-2", "openai:gpt-image-2", "painter", "drawn"])
def test_an_image_model_answers_no_chat(asked: str) -> None:
    """400, with what to do instead (seeds S145)."""
    custom = entry_of({"slug": "painter", "output_modalities": ["image"]})
    names = Names({"drawn": "gpt-image-2"}, (custom,), providers={"openai": "openai"})
    with pytest.raises(WireError, match="/v1/images/generations") as caught:
        found(asked, names)
    assert caught.value.kind == "invalid_request"


def test_an_image_model_takes_no_suffix() -> None:
    """Also where an API key's list has it (seeds S115)."""
    live = parse_list(b'{"data":[{"id":"gpt-image-2"}]}')
    assert found("gpt-image-2-high", kind="openai", catalog=live).model == "gpt-image-2-high"


def test_another_kinds_models_have_no_entry_of_ours() -> None:
    """The catalog is that of the provider in force: an openai provider's gpt-6-sol wants no Lite form."""
    assert found("openai:gpt-6-sol", NAMES).entry is None
    assert found("work:gpt-6-sol", NAMES).entry is SHIPPED.catalog.find("gpt-6-sol")
    other = found("work:gpt-5.1-high", NAMES, "openai", Catalog())
    assert (other.model, other.effort, other.entry) == ("gpt-6.1-sol", "high", SHIPPED.catalog.find("gpt-6.1-sol"))


def test_a_custom_model_of_a_catalogs_id_keeps_what_it_does_not_say() -> None:
    """The user's fields first (seeds S132)."""
    names = Names(custom_models=(entry_of({"slug": "gpt-6-sol", "context_window": 9}),))
    entry = found("gpt-6-sol", names).entry
    assert entry and (entry.context_window, entry.is_lite) == (9, True)


@pytest.mark.parametrize(
    "asked", ["\ud800", "a" * 10000, "[1m]", "-fast", "/high", "*", "[", ":", "x:", ":x", "-low-fast[1m]"]
)
def test_any_name_is_survived(asked: str) -> None:
    """What means nothing passes as it is."""
    assert found(asked, NAMES).model == asked
