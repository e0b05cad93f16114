"""The shape of the settings."""

from __future__ import annotations

import dataclasses

import pytest

from mitmcodex.schema import KEYS, Listen, Settings, is_loopback


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("127.evil.example", False),
        ("localhost.evil.example", False),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
    ],
)
def test_loopback_is_an_address_or_localhost(host: str, expected: bool) -> None:
    """No other name counts, whatever it starts with: it would go out without a key, or in."""
    assert is_loopback(host) is expected
    assert Listen(host, 1).is_loopback is expected


def test_every_key_is_a_field() -> None:
    """A scalar key has a field of its name in Settings, but for `config` and `upstream`, which come to others."""
    fields = {field.name for field in dataclasses.fields(Settings)}
    assert {key.name for key in KEYS} - fields == {"config", "upstream"}
