"""The lists of models in the form of each protocol (seeds S63-S68, S246-S248; conformance.md 69, 71, 83).

Who asks for a list gets all rows but hidden ones; who asks for one model gets any.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mitmcodex.wire.shapes import Fields

METHODS = ("generateContent", "streamGenerateContent", "countTokens")
FAMILY = "gpt"
"""Ollama clients read the context length under the architecture's name."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One name that a request may carry as ``model``. Numbers are tokens, 0 = not known."""

    id: str
    name: str = ""
    description: str = ""
    role: str = "model"
    """model | alias | variant (a model with one effort) | hidden (usable, but in no list)"""
    created: int = 1_700_000_000
    """Unix seconds. No source tells it; the SDKs want one, and it must be the same each time."""
    owned_by: str = "openai"
    context: int = 0
    max_context: int = 0
    max_output: int = 0
    efforts: tuple[str, ...] = ()
    default_effort: str = ""
    input_modalities: tuple[str, ...] = ("text",)
    output_modalities: tuple[str, ...] = ("text",)
    is_default: bool = False
    raw: Fields = field(default_factory=dict)
    """Codex's ModelInfo under this name, whole; for a variant that of its model."""

    @property
    def has_vision(self) -> bool:
        return "image" in self.input_modalities

    @property
    def created_at(self) -> str:
        return datetime.fromtimestamp(self.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def truncation_limit(self) -> int:
        policy = self.raw.get("truncation_policy")
        limit = policy.get("limit") if isinstance(policy, dict) else 0
        return limit if isinstance(limit, int) else 0


def find(rows: Iterable[Listed], name: str) -> Listed | None:
    return next((row for row in rows if row.id == name), None)


def shown(rows: Iterable[Listed]) -> list[Listed]:
    return [row for row in rows if row.role != "hidden"]


def openai_list(rows: Iterable[Listed]) -> Fields:
    """``GET /v1/models``."""
    return {"object": "list", "data": [openai_entry(row) for row in shown(rows)]}


def openai_entry(row: Listed) -> Fields:
    """``GET /v1/models/{id}``: OpenAI's entry with what other clients of that path look for."""
    limits = {"max_context_window_tokens": row.context, "max_output_tokens": row.max_output}
    supports = {
        "parallel_tool_calls": True,
        "streaming": True,
        "structured_outputs": True,
        "tool_calls": True,
        "vision": row.has_vision,
    }
    entry = {
        "id": row.id,
        "object": "model",
        "created": row.created,
        "owned_by": row.owned_by,
        "name": row.name or row.id,
        **_known(context_window=row.context, max_context_window=row.max_context, max_output_tokens=row.max_output),
        "capabilities": {"limits": _known(**limits), "supports": supports},
    }
    if row.truncation_limit:
        entry["truncation_policy"] = {"mode": "tokens", "limit": row.truncation_limit}
    return entry


def catalog_list(rows: Iterable[Listed]) -> list[Fields]:
    """``GET /v1/models/catalog``: an array."""
    return [catalog_entry(row) for row in shown(rows)]


def catalog_entry(row: Listed) -> Fields:
    """``GET /v1/models/{id}/info``."""
    levels: list[Fields] = row.raw.get("supported_reasoning_levels", [])
    described = {level.get("effort"): level.get("description", "") for level in levels}
    upgrade = row.raw.get("upgrade")
    return {
        "id": row.id,
        "displayName": row.name or row.id,
        "description": row.description,
        "isDefault": row.is_default,
        "supportedReasoningEfforts": [
            {"reasoningEffort": effort, "description": described.get(effort, "")} for effort in row.efforts
        ],
        "defaultReasoningEffort": row.default_effort or None,
        "inputModalities": [*row.input_modalities],
        "outputModalities": [*row.output_modalities],
        **_known(
            contextWindow=row.context,
            maxContextWindow=row.max_context,
            maxOutputTokens=row.max_output,
            truncationPolicyLimit=row.truncation_limit,
        ),
        "supportsPersonality": row.raw.get("supports_personality") is True,
        "upgrade": upgrade.get("model") if isinstance(upgrade, dict) else None,
    }


def messages_list(rows: Iterable[Listed]) -> Fields:
    """Anthropic's list, always on one page."""
    data = [messages_entry(row) for row in shown(rows)]
    return {
        "data": data,
        "has_more": False,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def messages_entry(row: Listed) -> Fields:
    return {"type": "model", "id": row.id, "display_name": row.name or row.id, "created_at": row.created_at}


def gemini_list(rows: Iterable[Listed]) -> Fields:
    """Google's list, always on one page."""
    return {"models": [gemini_entry(row) for row in shown(rows)]}


def gemini_entry(row: Listed) -> Fields:
    return {
        "name": f"models/{row.id}",
        "version": "001",
        "displayName": row.name or row.id,
        "description": row.description,
        **_known(inputTokenLimit=row.context, outputTokenLimit=row.max_output),
        "supportedGenerationMethods": [*METHODS],
        "thinking": bool(row.efforts),
    }


def codex_list(rows: Iterable[Listed]) -> Fields:
    """What Codex asks with ``client_version``. It chooses the effort itself, so that variants would only be in its
    way, and it calls hidden models itself (codex-auto-review).
    """
    return {"models": [row.raw for row in rows if row.role != "variant"]}


def ollama_tags(rows: Iterable[Listed]) -> Fields:
    """``GET /api/tags``. Nothing is on this disk: every size is 0."""
    return {
        "models": [
            {
                "name": row.id,
                "model": row.id,
                "modified_at": row.created_at,
                "size": 0,
                "digest": hashlib.sha256(row.id.encode("utf-8", "backslashreplace")).hexdigest(),
                "details": _ollama_details(),
            }
            for row in shown(rows)
        ]
    }


def ollama_show(row: Listed, disable_vision: bool = False) -> Fields:
    """``POST /api/show``. ``disable_vision``: some clients send images to every model that says it sees them."""
    information: Fields = {"general.architecture": FAMILY, "general.basename": row.id}
    information.update(_known(**{f"{FAMILY}.context_length": row.context}))
    return {
        "model": row.id,
        "license": "",
        "modelfile": "",
        "parameters": f"num_ctx {row.context}" if row.context else "",
        "template": "",
        "capabilities": _ollama_capabilities(row, disable_vision),
        "modified_at": row.created_at,
        "details": _ollama_details(),
        "model_info": information,
    }


def ollama_ps(rows: Sequence[Listed] = ()) -> Fields:
    """``GET /api/ps``: the models in memory, of which there are none here."""
    return ollama_tags(rows)


def ollama_version(version: str) -> Fields:
    return {"version": version}


def _ollama_capabilities(row: Listed, disable_vision: bool) -> list[str]:
    has = {"vision": row.has_vision and not disable_vision, "thinking": bool(row.efforts)}
    return ["completion", "tools", *(name for name, is_there in has.items() if is_there)]


def _ollama_details() -> Fields:
    return {
        "parent_model": "",
        "format": "remote",
        "family": FAMILY,
        "families": [FAMILY],
        "parameter_size": "unknown",
        "quantization_level": "unknown",
    }


def _known(**numbers: int) -> dict[str, int]:
    """Without those that nobody told us."""
    return {name: number for name, number in numbers.items() if number}
