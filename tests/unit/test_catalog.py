"""The shipped catalog against protocol.md section 7, and every list that a provider may send."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mitmcodex import paths
from mitmcodex.upstream.catalog import Catalog, CatalogError, EffortTable, parse_backend, parse_list, shipped

SHIPPED = shipped(paths.default_config().with_name("models.yaml"))
TO_XHIGH = ("low", "medium", "high", "xhigh")
TO_MAX = (*TO_XHIGH, "max")
TO_ULTRA = (*TO_MAX, "ultra")

TABLE = [
    # slug, efforts, default, context, max context, listed, Lite, tiers, default tier, upgrade
    ("gpt-6.1-sol", TO_ULTRA, "low", 272000, 872000, True, True, "priority", "", ""),
    ("gpt-6-astra", TO_ULTRA, "low", 272000, 872000, True, True, "priority", "", ""),
    ("gpt-6-sol", TO_ULTRA, "medium", 272000, 872000, True, True, "priority", "priority", ""),
    ("gpt-6-luna", TO_MAX, "medium", 272000, 872000, True, True, "priority", "priority", ""),
    ("gpt-5.6-sol", TO_ULTRA, "low", 272000, 872000, True, True, "priority", "", "gpt-6-sol"),
    ("gpt-6.1-terra", TO_ULTRA, "low", 500000, 872000, True, True, "priority", "", ""),
    ("gpt-5.6-terra", TO_ULTRA, "medium", 272000, 872000, True, True, "priority", "", "gpt-6-sol"),
    ("gpt-5.6-luna", TO_MAX, "medium", 272000, 872000, True, True, "priority", "", "gpt-6-luna"),
    ("gpt-daybreak-blue-latest", TO_ULTRA, "low", 272000, 872000, False, True, "", "", ""),
    ("gpt-daybreak-red-latest", TO_ULTRA, "medium", 372000, 372000, False, True, "", "", ""),
    ("gpt-5.5", TO_XHIGH, "medium", 272000, 272000, True, False, "priority", "", "gpt-6-sol"),
    ("codex-auto-review", TO_MAX, "medium", 272000, 872000, False, True, "priority", "", ""),
]


def test_the_shipped_catalog_is_that_of_the_protocol() -> None:
    """Each line of protocol.md section 7, in its order; all read texts and images (seeds S112)."""
    found = []
    for entry in SHIPPED.catalog.entries.values():
        upgrade = (entry.raw["upgrade"] or {}).get("model", "")
        limits = (entry.context_window, entry.max_context_window, entry.is_listed, entry.is_lite)
        tiers = (",".join(entry.tiers), entry.default_tier, upgrade)
        found.append((entry.slug, entry.efforts, entry.default_effort, *limits, *tiers))
        assert entry.input_modalities == ("text", "image")
    assert found == TABLE
    assert SHIPPED.catalog.default_model == "gpt-6.1-sol"


def test_the_shipped_catalog_has_no_prompt() -> None:
    """What a vendor's model is told is the backend's to give."""
    texts = [entry.raw["base_instructions"] for entry in SHIPPED.catalog.entries.values()]
    assert {*texts, SHIPPED.template["base_instructions"]} == {""}
    assert not any("model_messages" in entry.raw for entry in SHIPPED.catalog.entries.values())


@pytest.mark.parametrize(
    ("slug", "allowed", "default"),
    [
        ("gpt-5", "minimal low medium high", ""),
        ("gpt-5-codex", "minimal low medium high", ""),
        ("gpt-5.1", "low medium high", "low"),
        ("gpt-5.1-codex", "low medium high", "low"),
        ("gpt-5.1-codex-max", "low medium high xhigh", "low"),
        ("gpt-5-codex-mini", "medium high", "medium"),
        ("gpt-5.1-codex-mini", "medium high", "medium"),
    ],
)
def test_the_old_slugs_have_their_efforts(slug: str, allowed: str, default: str) -> None:
    """seeds S106, S107, S108, S109"""
    assert SHIPPED.tables[slug] == EffortTable(tuple(allowed.split()), default)


def test_a_backends_list_is_read_by_priority() -> None:
    """The order is `priority`, the default the first that is listed, the ETag is kept (seeds S118)."""
    rows = [
        {"slug": "b", "priority": 2, "visibility": "list", "context_window": 5, "max_output_tokens": 3},
        {"slug": "a", "priority": 1, "visibility": "hide"},
        {"slug": "c"},
    ]
    catalog = parse_backend(json.dumps({"models": rows}).encode(), 'W/"1"')
    assert [*catalog.entries] == ["a", "b", "c"]
    assert (catalog.default_model, catalog.etag) == ("b", 'W/"1"')
    entry = catalog.entries["b"]
    assert (entry.context_window, entry.max_output_tokens, entry.raw) == (5, 3, rows[0])


def test_live_values_stand_above_shipped_ones() -> None:
    """Field by field: what the live entry has counts, what it lacks is filled in (seeds S118)."""
    rows = [{"slug": "gpt-5.5", "context_window": 7, "supported_reasoning_levels": []}, {"slug": "x"}]
    live = parse_backend(json.dumps({"models": rows}).encode())
    filled = live.filled_from(SHIPPED.catalog)
    entry = filled.entries["gpt-5.5"]
    assert (entry.context_window, entry.max_context_window, entry.efforts) == (7, 272000, ())
    assert filled.entries["x"].context_window == 0
    assert [*filled.entries] == ["gpt-5.5", "x"]
    assert filled.default_model == "gpt-5.5"


@pytest.mark.parametrize(
    "body",
    [
        {"object": "list", "data": [{"id": "x", "object": "model"}, {"object": "model"}, "no", {"id": 3}]},
        {"data": [{"type": "model", "id": "x", "display_name": "X"}], "has_more": False},
        {"models": [{"name": "models/x", "displayName": "X"}]},
    ],
)
def test_a_public_list_gives_names(body: object) -> None:
    """OpenAI's, Anthropic's and Google's; what has no name is no model, and no default is known."""
    catalog = parse_list(json.dumps(body).encode())
    assert [*catalog.entries] == ["x"]
    assert catalog.default_model == ""


def test_a_gemini_list_gives_limits() -> None:
    """The only public list that says how much goes in and out."""
    catalog = parse_list(b'{"models":[{"name":"models/x","inputTokenLimit":9,"outputTokenLimit":4}]}')
    assert (catalog.entries["x"].context_window, catalog.entries["x"].max_output_tokens) == (9, 4)


def test_a_public_list_is_filled_in_too() -> None:
    """An API key's list has the shipped model's efforts, and its default where it has that model."""
    filled = parse_list(b'{"data":[{"id":"gpt-6.1-sol"}]}').filled_from(SHIPPED.catalog)
    assert filled.entries["gpt-6.1-sol"].efforts == TO_ULTRA
    assert filled.entries["gpt-6.1-sol"].display_name == "GPT-6.1-Sol"
    assert filled.default_model == "gpt-6.1-sol"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"models":{}}', b'{"data":null}', b"\xff", b"[" * 99999]
)
def test_what_is_no_list_is_one_error(body: bytes) -> None:
    """A challenge page, another shape, no text: CatalogError and nothing else."""
    for parse in (parse_backend, parse_list):
        with pytest.raises(CatalogError, match="list of models"):
            parse(body)


def test_fields_of_another_type_count_as_unknown() -> None:
    """A backend that changes a field must not stop the proxy."""
    row = {
        "slug": "x",
        "display_name": 1,
        "supported_reasoning_levels": [3, {"effort": "low"}, {}],
        "context_window": "many",
        "max_context_window": True,
        "input_modalities": "text",
        "service_tiers": None,
        "priority": "first",
    }
    entry = parse_backend(json.dumps({"models": [row]}).encode()).entries["x"]
    assert (entry.display_name, entry.efforts, entry.context_window) == ("x", ("low",), 0)
    assert (entry.max_context_window, entry.input_modalities, entry.tiers) == (0, (), ())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("default: gpt-6.1-sol", "default: gone", "'gone'"),
        ("model: gpt-6-luna}", "model: gone}", "'gone'"),
        ("slug: gpt-5.1-codex-max", "slug: gone", "'gone'"),
        ("image_models: [gpt-image-2]", "image_models: gpt-image-2", "a list of texts"),
        ("old_slugs:", "slugs:", "'old_slugs'"),
        ("models:", "models: [", "not valid YAML"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    """Targets that are not there show when the file is read, not when a request comes."""
    file = tmp_path / "models.yaml"
    text = paths.default_config().with_name("models.yaml").read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CatalogError) as caught:
        shipped(file)
    assert said in str(caught.value) and str(file) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "3", "models: 3", "models: {a: 3}"])
def test_any_other_yaml_is_one_line(tmp_path: Path, text: str) -> None:
    """Another shape is named, never a traceback; so is a missing file."""
    file = tmp_path / "models.yaml"
    with pytest.raises(CatalogError, match="can't read"):
        shipped(file)
    file.write_text(text, encoding="utf-8")
    with pytest.raises(CatalogError, match=r"models\.yaml: "):
        shipped(file)


def test_an_empty_catalog_finds_nothing() -> None:
    """Before any list was read."""
    assert Catalog().find("gpt-6-sol") is None
