"""The lists of models in each protocol's form: seeds S63-S68, S246-S248, conformance 69, 71."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from mitmcodex.wire import model_lists
from mitmcodex.wire.model_lists import Listed

INFO = {
    "slug": "m",
    "truncation_policy": {"mode": "tokens", "limit": 10000},
    "supported_reasoning_levels": [{"effort": "low", "description": "quick"}, {"effort": "high"}],
    "upgrade": {"model": "n", "migration_markdown": "…"},
    "supports_personality": True,
}
RICH = Listed(
    "m",
    "Model M",
    "What it is for",
    created=1_700_000_000,
    context=272000,
    max_context=872000,
    max_output=128000,
    efforts=("low", "high"),
    default_effort="low",
    input_modalities=("text", "image"),
    is_default=True,
    raw=INFO,
)
BARE = Listed("b")
HIDDEN = Listed("h", role="hidden")
ROWS = [RICH, HIDDEN, BARE]


def test_openai() -> None:
    """OpenAI's entry, with limits and capabilities for the clients that look for them (seeds S63, S64, S65)."""
    assert model_lists.openai_list(ROWS)["object"] == "list"
    rich, bare = model_lists.openai_list(ROWS)["data"]
    supports = dict.fromkeys(("parallel_tool_calls", "streaming", "structured_outputs", "tool_calls"), True)
    limits = {"max_context_window_tokens": 272000, "max_output_tokens": 128000}
    assert rich == {
        "id": "m",
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "openai",
        "name": "Model M",
        "context_window": 272000,
        "max_context_window": 872000,
        "max_output_tokens": 128000,
        "capabilities": {"limits": limits, "supports": {**supports, "vision": True}},
        "truncation_policy": {"mode": "tokens", "limit": 10000},
    }
    assert bare == {
        "id": "b",
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "openai",
        "name": "b",
        "capabilities": {"limits": {}, "supports": {**supports, "vision": False}},
    }


def test_catalog() -> None:
    """An array of entries in the catalog form; what is not known is left out (seeds S66, S67)."""
    rich, bare = model_lists.catalog_list(ROWS)
    assert rich == model_lists.catalog_entry(RICH) == {
        "id": "m",
        "displayName": "Model M",
        "description": "What it is for",
        "isDefault": True,
        "supportedReasoningEfforts": [
            {"reasoningEffort": "low", "description": "quick"},
            {"reasoningEffort": "high", "description": ""},
        ],
        "defaultReasoningEffort": "low",
        "inputModalities": ["text", "image"],
        "outputModalities": ["text"],
        "contextWindow": 272000,
        "maxContextWindow": 872000,
        "maxOutputTokens": 128000,
        "truncationPolicyLimit": 10000,
        "supportsPersonality": True,
        "upgrade": "n",
    }
    assert {"contextWindow", "maxOutputTokens", "truncationPolicyLimit"}.isdisjoint(bare)
    assert (bare["isDefault"], bare["defaultReasoningEffort"], bare["upgrade"]) == (False, None, None)


def test_messages() -> None:
    """Anthropic's form on one page, the first and last id named."""
    found = model_lists.messages_list(ROWS)
    assert [row["id"] for row in found["data"]] == ["m", "b"]
    assert found["data"][0] == {
        "type": "model",
        "id": "m",
        "display_name": "Model M",
        "created_at": "2023-11-14T22:13:20Z",
    }
    assert (found["has_more"], found["first_id"], found["last_id"]) == (False, "m", "b")
    assert model_lists.messages_list([]) == {"data": [], "has_more": False, "first_id": None, "last_id": None}


def test_gemini() -> None:
    """Google's form: names below models/, what they can be asked, limits where known (conformance 69, seeds S68)."""
    rich, bare = model_lists.gemini_list(ROWS)["models"]
    assert rich == model_lists.gemini_entry(RICH) == {
        "name": "models/m",
        "version": "001",
        "displayName": "Model M",
        "description": "What it is for",
        "inputTokenLimit": 272000,
        "outputTokenLimit": 128000,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
        "thinking": True,
    }
    assert (bare["name"], bare["displayName"], bare["thinking"]) == ("models/b", "b", False)
    assert "inputTokenLimit" not in bare


def test_ollama_tags() -> None:
    """Each model by its name, nothing of it on the disk (conformance 71, seeds S246)."""
    rich, bare = model_lists.ollama_tags(ROWS)["models"]
    assert rich == {
        "name": "m",
        "model": "m",
        "modified_at": "2023-11-14T22:13:20Z",
        "size": 0,
        "digest": hashlib.sha256(b"m").hexdigest(),
        "details": {
            "parent_model": "",
            "format": "remote",
            "family": "gpt",
            "families": ["gpt"],
            "parameter_size": "unknown",
            "quantization_level": "unknown",
        },
    }
    assert (bare["name"], bare["digest"]) == ("b", hashlib.sha256(b"b").hexdigest())


def test_ollama_show() -> None:
    """Capabilities and the context length are what clients read of it (conformance 71, seeds S247)."""
    found = model_lists.ollama_show(RICH)
    assert (found["model"], found["parameters"]) == ("m", "num_ctx 272000")
    assert found["model_info"] == {
        "general.architecture": "gpt",
        "general.basename": "m",
        "gpt.context_length": 272000,
    }
    assert {"license", "modelfile", "template", "modified_at", "details"} <= found.keys()
    assert model_lists.ollama_show(BARE)["parameters"] == ""


@pytest.mark.parametrize(
    ("row", "disable_vision", "capabilities"),
    [
        (RICH, False, ["completion", "tools", "vision", "thinking"]),
        (RICH, True, ["completion", "tools", "thinking"]),
        (BARE, False, ["completion", "tools"]),
    ],
)
def test_ollama_capabilities(row: Listed, disable_vision: bool, capabilities: list[str]) -> None:
    """Vision with image input unless switched off, thinking with efforts (conformance 71, seeds S248)."""
    assert model_lists.ollama_show(row, disable_vision)["capabilities"] == capabilities


def test_ollama_ps_and_version() -> None:
    """Nothing is loaded; the version is the configured one (conformance 71, seeds S245)."""
    assert model_lists.ollama_ps() == {"models": []}
    assert model_lists.ollama_version("0.18.3") == {"version": "0.18.3"}


def test_codex() -> None:
    """Each ModelInfo as it is, hidden ones too, variants not (conformance 83)."""
    variant = Listed("m-low", role="variant", raw=INFO)
    assert model_lists.codex_list([RICH, variant, HIDDEN]) == {"models": [INFO, {}]}


def test_one_model_is_found_by_its_name() -> None:
    """A hidden one too: it can be used."""
    assert model_lists.find(ROWS, "h") is HIDDEN
    assert model_lists.find(ROWS, "gone") is None


@pytest.mark.parametrize("raw", [{}, {"truncation_policy": 3}, {"truncation_policy": {"limit": "x"}}, {"upgrade": "n"}])
def test_a_strange_info_is_survived(raw: dict[str, Any]) -> None:
    """A backend's fields may change their type."""
    row = Listed("m\ud800", raw=raw)
    for encode in (model_lists.openai_entry, model_lists.catalog_entry, model_lists.ollama_show):
        assert "truncation" not in str(encode(row))
    assert model_lists.ollama_tags([row])["models"][0]["digest"]
