"""wire/compaction.py: a compaction as the ChatGPT backend takes it."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.codec import Loss
from mitmcodex.wire.compaction import COMPACT_KEYS, compaction
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.patch import REMOVE
from support.strictness import COMPACT_KEYS as TAKEN

USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
PLAIN = {"model": "gpt-5.5", "instructions": "x", "input": [USER]}


def losses(fields: dict[str, Any]) -> list[tuple[str, str, bool]]:
    return [(loss.path, loss.what, loss.is_hint) for loss in compaction(fields, {}).losses]


def test_what_fits_is_left_alone() -> None:
    """Nothing is changed, nothing is invented (conformance 32)."""
    fitted = compaction(PLAIN, {})
    assert (fitted.changes, fitted.fields, fitted.losses) == ({}, PLAIN, [])


def test_only_what_a_compaction_has_goes_on() -> None:
    """conformance 42: fields that only a generation with tools has are left out, each told unless it means nothing."""
    fields = {**PLAIN, "tool_choice": "auto", "store": True, "stream": False, "include": ["x"], "temperature": 0.5}
    fitted = compaction(fields, {})
    assert fitted.fields == PLAIN and set(COMPACT_KEYS) == TAKEN
    gone = ("tool_choice", "store", "stream", "include", "temperature")
    assert fitted.changes == dict.fromkeys(gone, REMOVE)
    assert losses(fields) == [("temperature", "dropped", False), ("tool_choice", "dropped", True)]


def test_the_history_is_fitted_as_for_a_generation() -> None:
    """Capture openai-py-responses/22: items without a type, a plain text, ids, system texts."""
    items = [{"role": "system", "content": "s"}, {"role": "user", "content": "hi", "id": "x"}]
    fitted = compaction({"model": "m", "input": items}, {})
    assert fitted.fields["instructions"] == "s" and fitted.fields["input"] == [USER]
    assert compaction({"model": "m", "input": "hi"}, {}).fields["input"] == [USER]


def test_the_model_is_the_one_that_was_settled() -> None:
    """As is the effort; where nobody asks for reasoning there is none."""
    fitted = compaction(PLAIN, {"model": "gpt-6.1-sol", "reasoning": {"effort": "low"}})
    assert fitted.fields["model"] == fitted.changes["model"] == "gpt-6.1-sol"
    assert fitted.fields["reasoning"]["effort"] == "low"  # type: ignore[index,call-overload]


@pytest.mark.parametrize("key", ["previous_response_id", "conversation"])
def test_what_the_backend_does_not_keep_is_refused(key: str) -> None:
    """400 that names the parameter."""
    with pytest.raises(WireError) as caught:
        compaction({**PLAIN, key: "x"}, {})
    assert caught.value.param == key


def test_losses_are_losses() -> None:
    """Each says why."""
    assert all(isinstance(loss, Loss) and loss.why for loss in compaction({**PLAIN, "tool_choice": "auto"}, {}).losses)
