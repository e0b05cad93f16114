"""The models of the provider in force: its own list where it could be asked, else what is known without asking.

A list is asked for by an exchange of our own, through the same stages as any other call: so it is sealed, recorded and
looks like the real client's. It is kept per account, in Process for this run and on disk for the next.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mitmcodex import paths
from mitmcodex.process import Process
from mitmcodex.provider_call import fetch_models
from mitmcodex.resources import Resources
from mitmcodex.state import catalogs as disk
from mitmcodex.state.catalogs import StoredCatalog
from mitmcodex.state.credentials import CredentialError
from mitmcodex.upstream.catalog import Catalog, CatalogError, ModelEntry, Shipped, parse_backend, parse_list, shipped
from mitmcodex.upstream.demo import MODEL
from mitmcodex.upstream.listing import listed, row_of
from mitmcodex.upstream.providers import Provider
from mitmcodex.upstream.resolution import is_pattern, resolve
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.model_lists import Listed, find

log = logging.getLogger(__name__)

DEMO = Catalog({MODEL: ModelEntry(MODEL)}, default_model=MODEL)
PAUSE_S = 30.0
"""Between two calls for one list, whatever asks for it: a provider that has none is not asked with each request."""
WAIT_S = 10.0
"""So long a client waits for a list to come; then it gets what is known, and the call goes on."""


@dataclass(slots=True)
class LiveCatalog:
    """What one account of a provider lists. Times are Unix seconds, 0 = never."""

    name: str
    """Of the file that keeps it."""
    catalog: Catalog = field(default_factory=Catalog)
    """Without models until a list has come."""
    fetched_at: float = 0.0
    tried_at: float = 0.0
    fetching: asyncio.Task[None] | None = None


class Catalogs:
    def __init__(self, process: Process, resources: Resources, now: Callable[[], float] = time.time) -> None:
        """``now``: Unix seconds."""
        self._process = process
        self._resources = resources
        self._now = now
        self._shipped: Shipped | None = None

    @property
    def shipped(self) -> Shipped:
        if self._shipped is None:
            self._shipped = shipped(paths.model_catalog())
        return self._shipped

    async def known(self, provider: Provider) -> Catalog:
        """What is known now, without asking the provider."""
        if provider.kind == "demo":
            return DEMO
        return self._known(provider, await self._live(provider))

    async def fresh(self, provider: Provider) -> Catalog:
        """The same, after the provider was asked if its list is older than ``models_refresh_s``."""
        if provider.kind == "demo":
            return DEMO
        live = await self._live(provider)
        if self._is_old(live) and self._may_ask(provider, live):
            self._ask(provider, live)
        if live.fetching is not None:
            await asyncio.wait((live.fetching,), timeout=WAIT_S)
        return self._known(provider, live)

    async def noticed(self, provider: Provider, etag: str) -> None:
        """The ChatGPT backend answered, with this ``x-models-etag`` ("" = none): nobody waits for what follows.

        As the real client does (protocol.md 7): the same ETag makes our list young again, another one or age has it
        asked for anew.
        """
        live = await self._live(provider)
        if etag and etag == live.catalog.etag:
            live.fetched_at = self._now()
        elif (etag or self._is_old(live)) and self._may_ask(provider, live):
            self._ask(provider, live)

    async def rows(self) -> list[Listed]:
        """What model lists show: the catalog, custom models, aliases and what ``routing`` leads elsewhere."""
        settings = self._process.current
        provider, names = settings.provider, settings.names
        catalog = await self.fresh(provider)
        found = listed(names, catalog, self.shipped, provider.kind, settings.list_variants, settings.list_aliases)
        ids = {row.id for row in found}
        routed = [name for name in names.routing if name not in ids and not is_pattern(name)]
        return [*found, *(row_of(name, None, self.shipped) for name in routed)]

    async def row(self, name: str) -> Listed:
        """Any name that a request may carry, in a list or not; raises WireError ``not_found``."""
        found = find(await self.rows(), name)
        if found is not None:
            return found
        settings = self._process.current
        provider = settings.provider
        names = replace(settings.names, force_model="", unknown_model="reject")
        try:
            meant = resolve(name, names, await self.known(provider), self.shipped, provider.kind)
        except WireError as error:
            raise WireError("not_found", error.message, code="model_not_found", param="model") from None
        return row_of(name, meant.entry, self.shipped, "alias")

    def _known(self, provider: Provider, live: LiveCatalog) -> Catalog:
        if live.catalog.entries:
            return live.catalog
        return self.shipped.catalog if provider.kind == "chatgpt" else Catalog()

    def _is_old(self, live: LiveCatalog) -> bool:
        return self._now() - live.fetched_at >= self._process.current.models_refresh_s

    def _may_ask(self, provider: Provider, live: LiveCatalog) -> bool:
        """Exchanges go to the provider in force, so no other's list can be asked for."""
        settings = self._process.current
        is_due = live.fetching is None and self._now() - live.tried_at >= PAUSE_S
        return is_due and provider == settings.provider and settings.models_refresh_s > 0 and not settings.secure

    def _ask(self, provider: Provider, live: LiveCatalog) -> None:
        live.tried_at = self._now()
        live.fetching = asyncio.get_running_loop().create_task(self._fetch(provider, live), name="models")

    async def _fetch(self, provider: Provider, live: LiveCatalog) -> None:
        try:
            body, etag = await fetch_models(self._process)
            stored = StoredCatalog(body.decode("utf-8", "replace"), etag, self._now())
            self._take(provider, live, stored)
        except (WireError, CatalogError) as error:
            log.warning(f"{provider.name}: what is known of its models holds: {error}")
        else:
            await disk.write(self._process.current.state_dir, live.name, stored)
        finally:
            live.fetching = None

    def _take(self, provider: Provider, live: LiveCatalog, stored: StoredCatalog) -> None:
        """Raises CatalogError."""
        read = parse_backend if provider.kind == "chatgpt" else parse_list
        catalog = read(stored.body.encode(), stored.etag)
        if not catalog.entries:
            raise CatalogError("the provider's list of models is empty")
        live.catalog, live.fetched_at = catalog.filled_from(self.shipped.catalog), stored.fetched_at

    async def _live(self, provider: Provider) -> LiveCatalog:
        name = _file_name(provider, await self._account(provider))
        if name not in self._process.catalogs:
            live = LiveCatalog(name)
            stored = await disk.read(self._process.current.state_dir, name)
            if stored is not None:
                try:
                    self._take(provider, live, stored)
                except CatalogError as error:
                    log.warning(f"{provider.name}: what was kept of its models is of no use: {error}")
            self._process.catalogs.setdefault(name, live)
        return self._process.catalogs[name]

    async def _account(self, provider: Provider) -> str:
        try:
            return (await self._resources.store(provider).current()).account
        except CredentialError:
            return ""  # the call itself tells what is wrong


def _file_name(provider: Provider, account: str) -> str:
    return hashlib.sha256("\0".join((provider.name, provider.base_url, account)).encode()).hexdigest()[:24]
