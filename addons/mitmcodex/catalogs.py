"""The model catalogs of the providers: live where they were asked, else the shipped one."""

from __future__ import annotations

from mitmcodex import paths
from mitmcodex.upstream.catalog import Catalog, Shipped, shipped
from mitmcodex.upstream.providers import Provider


class Catalogs:
    def __init__(self) -> None:
        self._shipped: Shipped | None = None

    @property
    def shipped(self) -> Shipped:
        if self._shipped is None:
            self._shipped = shipped(paths.model_catalog())
        return self._shipped

    def known(self, provider: Provider) -> Catalog:
        """What is known now, without asking anybody."""
        return self.shipped.catalog if provider.kind == "chatgpt" else Catalog()
