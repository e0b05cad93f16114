"""Stage: who pays. Asks the provider's credential store; a refused credential is read again once, never refreshed."""

from __future__ import annotations

from mitmcodex.exchange import Exchange, Retry
from mitmcodex.resources import Resources
from mitmcodex.state.credentials import CredentialError
from mitmcodex.wire.errors import WireError


class Credentials:
    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def upstream_request(self, exchange: Exchange) -> None:
        assert exchange.provider is not None
        try:
            exchange.credential = await self._resources.store(exchange.provider).current()
        except CredentialError as error:
            raise WireError("credential", str(error)) from error

    async def upstream_response(self, exchange: Exchange) -> None:
        assert exchange.provider is not None and exchange.upstream is not None and exchange.credential is not None
        if exchange.upstream.status != 401 or exchange.admission.is_raw:
            return
        refused = exchange.credential
        if exchange.attempt == 1 and await self._other(exchange) is not None:
            exchange.retry = Retry("the credential was refused; the file holds another one now")
            return
        remedy = f": {refused.remedy}" if refused.remedy else ""
        raise WireError("credential", f"{exchange.provider.name} refused the credential ({refused.source}){remedy}")

    async def _other(self, exchange: Exchange) -> object | None:
        assert exchange.provider is not None and exchange.credential is not None
        try:
            return await self._resources.store(exchange.provider).refused(exchange.credential)
        except CredentialError:
            return None  # the message below names the file and the remedy
