"""wire/signatures.py."""

from __future__ import annotations

import pytest

from mitmcodex.wire.signatures import unwrap, wrap


def test_what_was_wrapped_comes_back():
    """Any JSON, a lone surrogate too, as text that is plain ASCII."""
    payload = {"type": "thinking", "thinking": "ü \ud800", "signature": "sig=="}
    wrapped = wrap("messages", payload)
    assert wrapped.isascii() and wrapped.startswith("mcx-messages.")
    assert unwrap("messages", wrapped) == payload


@pytest.mark.parametrize("text", ["", "gAAAA", "mcx-messages.!!", "mcx-messages.W10=", "mcx-messages.e30", None, 5, {}])
def test_what_is_foreign_or_broken_is_none(text):
    """Another service's encrypted content, and ours when it was damaged or is no object."""
    assert unwrap("messages", text) is None


def test_no_other_kind_gets_it():
    """A signature of Gemini's is nothing to a Messages service."""
    assert unwrap("messages", wrap("gemini", {"signature": "x"})) is None
