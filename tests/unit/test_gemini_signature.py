"""thoughtSignature (conformance 67)."""

from __future__ import annotations

import base64

import pytest

from mitmcodex.wire.gemini_signature import signed, unsigned


@pytest.mark.parametrize("encrypted", ["gAAA", "ä\ud800", "x" * 1000])
def test_a_signature_is_base64_and_comes_back(encrypted):
    """conformance 67: SDKs decode it to bytes, so it must be base64, and any content survives."""
    signature = signed("acct", encrypted)
    assert base64.b64decode(signature, validate=True)
    assert unsigned(signature) == ("acct", encrypted)


def test_the_other_alphabet_is_read():
    """google-genai sends bytes back in the alphabet for URLs (measured), others without padding."""
    signature = signed("~~~~~~?>", "a")
    assert "+" in signature or "/" in signature
    assert unsigned(signature.replace("+", "-").replace("/", "_").rstrip("=")) == ("~~~~~~?>", "a")


@pytest.mark.parametrize("foreign", ["", "c2lnLTE=", "no base64!", "é", "AAAA"])
def test_foreign_signatures(foreign):
    """What is not ours is none."""
    assert unsigned(foreign) is None
