"""``/responses/compact`` for clients that are not Codex, as the ChatGPT backend takes it (conformance 42)."""

from __future__ import annotations

from typing import Any, NamedTuple

from mitmcodex.wire.backend import Target, adapted
from mitmcodex.wire.codec import Decoded, Loss
from mitmcodex.wire.patch import REMOVE, Changes
from mitmcodex.wire.shapes import Fields

COMPACT_KEYS = (
    *("model", "input", "instructions", "tools", "parallel_tool_calls"),
    *("reasoning", "service_tier", "prompt_cache_key", "text"),
)
_OF_GENERATIONS = ("stream", "store", "include", "stream_options", "client_metadata")
"""What only an answer that is generated has: a compaction loses nothing by it."""


class Compaction(NamedTuple):
    changes: Changes
    """Top-level keys of the client's body to set or remove."""
    fields: Fields
    """The whole body with these changes."""
    losses: list[Loss]


def compaction(fields: Fields, settled: Changes) -> Compaction:
    """``fields``: the client's body. ``settled``: changes that were decided elsewhere (model, effort, tier).

    The history is fitted as for a generation, in the classic form. Raises WireError (invalid_request).
    """
    asked = {key: value for key, value in fields.items() if key not in _OF_GENERATIONS}
    fitted = adapted(Decoded(asked), Target("chatgpt", lite="off"), settled)
    given = {*asked, *settled}
    keys = [key for key in COMPACT_KEYS if key in fitted.fields and (key != "reasoning" or key in given)]
    kept = {key: fitted.fields[key] for key in keys}
    reported = {loss.path for loss in fitted.losses}
    why = "a compaction has no such parameter"
    gone = [key for key, value in asked.items() if key not in kept and value is not None and key not in reported]
    changes: dict[str, Any] = {key: REMOVE for key in fields if key not in kept}
    changes |= {key: value for key, value in kept.items() if fields.get(key) != value}
    return Compaction(changes, kept, [*fitted.losses, *(Loss(key, "dropped", why, True) for key in gone)])
