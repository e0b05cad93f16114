"""Stage credentials: what pays for a call, and what a 401 leads to. The stores: test_credentials.py."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mitmcodex.credentials import Credentials
from mitmcodex.exchange import Exchange
from mitmcodex.process import Process
from mitmcodex.resources import Resources
from mitmcodex.upstream.providers import CredentialRef, Provider
from mitmcodex.wire.errors import WireError
from support.exchanges import an_exchange, answered, at

KEY, NEW_KEY = "sk-old-key-of-the-test", "sk-new-key-of-the-test"


class Stage:
    """The stage, with a key file of its own."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "key"
        self.file.write_text(KEY)
        self.provider = Provider("work", "openai", "https://u.example/v1", CredentialRef("file", str(self.file)))
        self.stage = Credentials(Resources(Process()))

    def down(self, is_raw: bool = False) -> Exchange:
        exchange = at(an_exchange(is_raw=is_raw), self.provider)
        asyncio.run(self.stage.upstream_request(exchange))
        return exchange

    def up(self, exchange: Exchange, status: int = 401, attempt: int = 1) -> Exchange:
        exchange.attempt = attempt
        asyncio.run(self.stage.upstream_response(answered(exchange, status=status)))
        return exchange


@pytest.fixture
def paying(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_the_providers_own_credential_pays(paying: Stage) -> None:
    """It is what the provider's reference leads to."""
    exchange = paying.down()
    assert exchange.credential is not None and exchange.credential.secret == KEY


def test_without_a_credential_nothing_is_set(paying: Stage) -> None:
    """The client is told which file to fill, and the seal holds the exchange back."""
    paying.file.unlink()
    exchange = at(an_exchange(), paying.provider)
    with pytest.raises(WireError, match=str(paying.file)) as caught:
        asyncio.run(paying.stage.upstream_request(exchange))
    assert caught.value.kind == "credential" and exchange.credential is None


def test_a_refused_credential_that_has_changed_since_is_tried(paying: Stage) -> None:
    """Another process has refreshed it: the next attempt reads the new one."""
    exchange = paying.down()
    paying.file.write_text(NEW_KEY)
    assert paying.up(exchange).retry is not None
    again = paying.down()
    assert again.credential is not None and again.credential.secret == NEW_KEY


@pytest.mark.parametrize("change", ["none", "gone", "second attempt"])
def test_a_refused_credential_is_told_with_its_remedy(paying: Stage, change: str) -> None:
    """Where there is nothing else to try: source and remedy, never the secret."""
    exchange = paying.down()
    if change == "gone":
        paying.file.unlink()
    if change == "second attempt":
        paying.file.write_text(NEW_KEY)
    with pytest.raises(WireError, match="work refused the credential") as caught:
        paying.up(exchange, attempt=2 if change == "second attempt" else 1)
    assert exchange.retry is None and caught.value.kind == "credential"
    assert f"file: {paying.file}" in caught.value.message and "put the key into" in caught.value.message
    assert KEY not in caught.value.message and NEW_KEY not in caught.value.message


@pytest.mark.parametrize("status", [200, 400, 403, 404, 429, 500])
def test_other_answers_say_nothing_of_the_credential(paying: Stage, status: int) -> None:
    """conformance 80: also a 403 (a right, Cloudflare) and a 404, which no other credential mends."""
    assert paying.up(paying.down(), status).retry is None


def test_the_secure_mode_passes_a_401_on(paying: Stage) -> None:
    """Its client sees what the upstream says."""
    exchange = paying.up(paying.down(is_raw=True))
    assert exchange.retry is None and exchange.reply is not None and exchange.reply.status == 401
