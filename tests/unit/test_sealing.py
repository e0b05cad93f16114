"""wire/sealing.py: encrypted reasoning in a client's signature."""

import pytest

from mitmcodex.wire.sealing import seal, unseal


@pytest.mark.parametrize("encrypted", ["ENC==", "", "ü\ud800", "a.b"])
@pytest.mark.parametrize("account", ["acct0001", "a.b", ""])
def test_what_was_sealed_comes_back_with_its_account(account, encrypted):
    """conformance 57: our signature gives the encrypted reasoning and the account that it belongs to."""
    assert unseal(seal(account, encrypted)) == (account, encrypted)


def test_a_signature_is_plain_ascii():
    """It travels in JSON and must survive any client."""
    assert seal("tag", "ENC?>==") == "mcx1.tag.RU5DPz49PQ=="


@pytest.mark.parametrize("foreign", ["", "EqQBCgIYAhIM", "mcx1.", "mcx1.t", "mcx1.t.***", "mcx1.t._w==", "mcx1.t.A"])
def test_a_foreign_signature_is_none(foreign):
    """conformance 57: what we did not seal, or what was damaged, is never taken for ours."""
    assert unseal(foreign) is None
