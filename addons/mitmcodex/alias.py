"""Stage, outermost: which model is meant, and so which provider serves it. It reads the body's JSON once for all."""

from __future__ import annotations

from mitmcodex.catalogs import Catalogs
from mitmcodex.exchange import Exchange
from mitmcodex.process import Process
from mitmcodex.schema import Settings
from mitmcodex.upstream.providers import Provider
from mitmcodex.upstream.resolution import Resolution, resolve
from mitmcodex.wire import body

CALLS = ("responses", "compact")
"""Those whose body is JSON and names a model."""


class Alias:
    def __init__(self, process: Process, catalogs: Catalogs) -> None:
        self._process = process
        self._catalogs = catalogs

    def upstream_request(self, exchange: Exchange) -> None:
        admission, provider = exchange.admission, exchange.provider
        assert provider is not None
        if admission.is_raw or admission.call not in CALLS:
            return
        settings = self._process.current
        exchange.parsed = body.parsed(admission.body)
        found = exchange.resolution = self._resolved(exchange.asked_model, settings, provider)
        exchange.losses += found.losses
        if found.provider:
            exchange.provider = settings.providers[found.provider]

    def _resolved(self, asked: str, settings: Settings, provider: Provider) -> Resolution:
        """Where nobody names a model the provider's own default holds, if it has one: it says so if not."""
        catalog, names = self._catalogs.known(provider), settings.names
        if not (asked or names.force_model or names.default_model or catalog.default_model):
            return Resolution(None, provider.kind, "")
        return resolve(asked, names, catalog, self._catalogs.shipped, provider.kind)
