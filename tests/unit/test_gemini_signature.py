"""thoughtSignature (conformance 67)."""

from __future__ import annotations

import base64

import pytest

from mitmcodex.wire.gemini_signature import Signature, signed, unsigned


@pytest.mark.parametrize("is_before_text", [False, True])
@pytest.mark.parametrize("encrypted", ["gAAA", "ä\ud800", "x" * 1000])
def test_a_signature_is_base64_and_comes_back(encrypted, is_before_text):
    """conformance 67: SDKs decode it to bytes, so it must be base64, and any content survives."""
    told = Signature("acct", encrypted, is_before_text)
    assert base64.b64decode(signed(told), validate=True)
    assert unsigned(signed(told)) == told


def test_the_other_alphabet_is_read():
    """google-genai sends bytes back in the alphabet for URLs (measured), others without padding."""
    told = Signature("~~~~~~?>", "a")
    signature = signed(told)
    assert "+" in signature or "/" in signature
    assert unsigned(signature.replace("+", "-").replace("/", "_").rstrip("=")) == told


@pytest.mark.parametrize("foreign", ["", "c2lnLTE=", "no base64!", "é", "AAAA"])
def test_foreign_signatures(foreign):
    """What is not ours is none."""
    assert unsigned(foreign) is None
