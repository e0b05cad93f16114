"""Stage: ``previous_response_id`` and ``store`` for providers that keep no responses (conformance 33).

An answer is kept before its client can see that it is whole: the next request may follow at once. One that was cut or
failed, or that the client asked not to keep, is not.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from mitmcodex import emission
from mitmcodex.chain import whole_input
from mitmcodex.exchange import Exchange
from mitmcodex.process import Process
from mitmcodex.resources import Resources
from mitmcodex.state.responses import StoredResponse
from mitmcodex.upstream.providers import STORING_KINDS
from mitmcodex.whole import read_whole
from mitmcodex.wire.body import parsed
from mitmcodex.wire.codec import Loss
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.fold import FOLD_LIMIT, Folder
from mitmcodex.wire.patch import REMOVE
from mitmcodex.wire.responses_reply import repeat
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.stored_items import items_of

log = logging.getLogger(__name__)

Keep = Callable[[Fields], Awaitable[None]]
KEPT_STATUSES = ("completed", "incomplete")


class Remember:
    def __init__(self, process: Process, resources: Resources) -> None:
        self._process = process
        self._resources = resources

    async def upstream_request(self, exchange: Exchange) -> None:
        exchange.history = None
        if not _is_served(exchange):
            return
        assert exchange.canonical is not None
        decoded, is_generation = exchange.canonical.decoded, exchange.canonical.call == "responses"
        previous, has_store = decoded.fields.get("previous_response_id"), self._process.current.response_store
        keeps = is_generation and has_store and decoded.fields.get("store") is not False
        changes: dict[str, Any] = {}
        items = items_of(decoded.fields.get("input"))
        if previous is not None:
            if not has_store:
                raise _forgetful()
            items = await whole_input(decoded.fields, self._resources.responses())
            changes = {"input": items, "previous_response_id": REMOVE}
            exchange.losses.append(Loss("previous_response_id", "emulated", "the kept conversation goes as input"))
        if keeps and decoded.fields.get("store"):
            changes["store"] = REMOVE
            exchange.losses.append(Loss("store", "emulated", "the response is kept here, not at the provider"))
        if changes:
            exchange.canonical.change(changes)
        if is_generation:
            decoded.reply.update(store=keeps, previous_response_id=previous)
        exchange.history = items if keeps else None

    async def upstream_response(self, exchange: Exchange) -> None:
        reply, body = exchange.reply, exchange.body
        assert reply is not None
        if exchange.history is None or reply.body is not None or not 200 <= reply.status < 300:
            return
        assert body is not None

        async def keep(response: Fields) -> None:
            await self._keep(exchange, response)

        is_stream = emission.is_event_stream(reply.headers)
        limit = min(FOLD_LIMIT, self._process.current.response_store_max_bytes or FOLD_LIMIT)
        exchange.body = _kept_stream(body, keep, limit) if is_stream else _kept_whole(body, keep)

    async def _keep(self, exchange: Exchange, response: Fields) -> None:
        """Under the id that the client reads in the answer."""
        assert exchange.canonical is not None and exchange.history is not None
        id = response.get("id")
        if not isinstance(id, str) or response.get("status") not in KEPT_STATUSES:
            return
        repeat(response, exchange.canonical.decoded.reply, exchange.told_model)
        record = StoredResponse(response, exchange.history, exchange.account_tag, time.time())
        if not await self._resources.responses().put(id, record):
            log.warning(f"exchange {exchange.number}: its response is not kept: it does not fit into the store")


def _is_served(exchange: Exchange) -> bool:
    """Whether what came before is ours to know. Codex sends its whole history and asks nobody to keep it."""
    canonical, provider = exchange.canonical, exchange.provider
    assert canonical is not None and provider is not None
    has_history = exchange.parsed is not None and canonical.call in ("responses", "compact")
    is_public = exchange.admission.protocol == "responses" and not exchange.is_codex
    return has_history and is_public and provider.kind not in STORING_KINDS


def _forgetful() -> WireError:
    text = "This provider keeps no responses, and response_store is off. Send the whole conversation as input."
    code = "previous_response_not_found"
    return WireError("invalid_request", text, code=code, param="previous_response_id")


async def _kept_stream(body: AsyncIterator[bytes], keep: Keep, limit: int) -> AsyncIterator[bytes]:
    """``limit``: bytes of a response that can be kept at all."""
    folder: Folder | None = Folder(limit)
    async for data in body:
        if folder is not None:
            folder = await _folded(folder, data, keep)
        yield data
    if folder is not None and folder.error is None:
        await keep(folder.result())  # its last event lacked the blank line


async def _folded(folder: Folder, data: bytes, keep: Keep) -> Folder | None:
    """None when there is nothing more to be looked for."""
    try:
        folder.feed(data)
    except WireError:
        log.warning("a response is not kept: it is too large")
        return None
    if not folder.has_ended:
        return folder
    if folder.error is None:
        await keep(folder.result())
    return None


async def _kept_whole(body: AsyncIterator[bytes], keep: Keep) -> AsyncIterator[bytes]:
    """One JSON object, which its client can use when it is whole and not before."""
    whole = await read_whole(body)
    try:
        response = parsed(whole)
    except WireError:
        yield whole  # whoever reads it says what is wrong with it
        return
    await keep(response)
    yield whole
