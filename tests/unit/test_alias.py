"""alias.py: which model and provider a call means."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mitmcodex.alias import Alias
from mitmcodex.catalogs import Catalogs
from mitmcodex.exchange import Exchange
from mitmcodex.process import Process
from mitmcodex.resources import Resources
from mitmcodex.schema import Naming, Settings
from mitmcodex.upstream.providers import Provider
from mitmcodex.wire.errors import WireError
from support.exchanges import an_exchange, at

CHATGPT = Provider("chatgpt", "chatgpt", "https://u.example/codex")
OTHER = Provider("other", "chat", "https://o.example/v1")
API = Provider("api", "openai", "https://a.example/v1")
DEMO = Provider("demo", "demo", "http://demo.invalid/v1")
NAMING = Naming(aliases={"mine": "gpt-5.5-high"}, routing={"llama": "other"})


def meant(folder: Path, body: bytes, provider: Provider = CHATGPT, **admission: Any) -> Exchange:
    providers = {each.name: each for each in (CHATGPT, OTHER, API)}
    settings = Settings(
        provider=provider, providers=providers, state_dir=folder, models_refresh_s=0, naming=NAMING
    )
    process = Process(settings=settings)
    exchange = at(an_exchange(body=body, **admission), provider)
    alias = Alias(process, Catalogs(process, Resources(process)))
    asyncio.run(alias.upstream_request(exchange))
    return exchange


def test_a_name_becomes_a_model(tmp_path: Path) -> None:
    """With the effort that it asks for, and a loss that says so; the provider stays."""
    exchange = meant(tmp_path, b'{"model": "mine"}')
    assert exchange.resolution is not None and exchange.provider == CHATGPT
    assert (exchange.resolution.model, exchange.resolution.alias_effort) == ("gpt-5.5", "high")
    assert [loss.what for loss in exchange.losses] == ["mapped"]
    assert exchange.parsed == {"model": "mine"} and exchange.told_model == "mine"


def test_routing_leads_to_another_provider(tmp_path: Path) -> None:
    """Its stages from here on are the other's."""
    assert meant(tmp_path, b'{"model": "llama"}').provider == OTHER


def test_a_model_in_the_path_counts(tmp_path: Path) -> None:
    """Gemini's clients name none in the body."""
    exchange = meant(tmp_path, b"{}", model="mine", protocol="gemini")
    assert exchange.resolution is not None and exchange.resolution.model == "gpt-5.5"


@pytest.mark.parametrize(("provider", "model"), [(CHATGPT, "gpt-6.1-sol"), (DEMO, "mitmcodex-demo"), (API, "")])
def test_no_name_is_the_default(tmp_path: Path, provider: Provider, model: str) -> None:
    """That of the provider's list; where it has none the provider itself says what it thinks of that."""
    exchange = meant(tmp_path, b"{}", provider)
    assert exchange.resolution is not None and exchange.resolution.model == model


@pytest.mark.parametrize("admission", [{"call": "models"}, {"call": "side"}, {"is_raw": True}])
def test_other_calls_name_no_model(tmp_path: Path, admission: dict[str, Any]) -> None:
    """Their bodies are not even read."""
    exchange = meant(tmp_path, b"\xff", **admission)
    assert (exchange.parsed, exchange.resolution) == (None, None)


def test_a_body_that_is_no_json_is_told(tmp_path: Path) -> None:
    """As the client's fault."""
    with pytest.raises(WireError, match="not JSON"):
        meant(tmp_path, b"{")


def test_an_image_model_is_drawn_by_the_default_model(tmp_path: Path) -> None:
    """seeds S140, S145: at the ChatGPT backend no image model is a model of its own, and none is refused."""
    exchange = meant(tmp_path, b'{"model": "gpt-image-2"}', call="images", protocol="images")
    assert exchange.resolution is not None and exchange.resolution.model == "gpt-6.1-sol"
    assert exchange.told_model == "gpt-image-2" and exchange.losses == []


@pytest.mark.parametrize(("model", "provider"), [("llama", OTHER), ("gpt-image-2", API)])
def test_an_image_model_goes_where_routing_leads(tmp_path: Path, model: str, provider: Provider) -> None:
    """seeds S147: a form names its model too; what is not drawn by a tool keeps its name."""
    form = [("content-type", "multipart/form-data; boundary=b")]
    body = f'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\n{model}\r\n--b--\r\n'.encode()
    exchange = meant(tmp_path, body, API, call="images", protocol="images", headers=form)
    assert exchange.provider == provider and exchange.resolution is None
