"""Stage, outermost: which model is meant, and so which provider serves it. It reads the body's JSON once for all."""

from __future__ import annotations

from mitmcodex import emission
from mitmcodex.catalogs import Catalogs
from mitmcodex.exchange import Admission, Exchange
from mitmcodex.process import Process
from mitmcodex.schema import Settings
from mitmcodex.upstream.providers import Provider
from mitmcodex.upstream.resolution import Resolution, resolve
from mitmcodex.wire import body, images_form
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.shapes import Fields

CALLS = ("responses", "compact", "images")
"""Those whose body names a model."""
LONGEST_NAME = 512


class Alias:
    def __init__(self, process: Process, catalogs: Catalogs) -> None:
        self._process = process
        self._catalogs = catalogs

    async def upstream_request(self, exchange: Exchange) -> None:
        admission, provider = exchange.admission, exchange.provider
        assert provider is not None
        if admission.is_raw or admission.call not in CALLS:
            return
        settings = self._process.current
        exchange.parsed = _parsed(admission)
        asked = _checked(exchange.asked_model)
        if admission.call == "images":
            # No catalog has image models: routing says who has one; the ChatGPT backend draws by a chat model's tool.
            if routed := settings.naming.routing.get(asked):
                provider = exchange.provider = settings.providers[routed]
            if provider.kind != "chatgpt":
                return
            asked = ""
        found = exchange.resolution = await self._resolved(asked, settings, provider)
        exchange.losses += found.losses
        if found.provider:
            exchange.provider = settings.providers[found.provider]

    async def _resolved(self, asked: str, settings: Settings, provider: Provider) -> Resolution:
        """Where nobody names a model the provider's own default holds, if it has one: it says so if not."""
        catalog, names = await self._catalogs.known(provider), settings.names
        if not (asked or names.force_model or names.default_model or catalog.default_model):
            return Resolution(None, provider.kind, "")
        return resolve(asked, names, catalog, self._catalogs.shipped, provider.kind)


def _checked(name: str) -> str:
    """A model's name goes into headers, paths and lines of the log. Raises WireError (invalid_request)."""
    if len(name) > LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise wrong("model", f"must be up to {LONGEST_NAME} printable characters, without spaces around them")
    return name


def _parsed(admission: Admission) -> Fields:
    if admission.call == "images":
        return images_form.parsed(admission.body, emission.first(admission.headers, "content-type"))
    return body.parsed(admission.body)
