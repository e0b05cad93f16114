"""Stage, outermost: the user's own names in Codex's model list, and what an answer tells about the list's age.

Codex's list is the ChatGPT backend's own and passes byte for byte; only where the user has names of models (aliases,
custom models) their entries are added to it (conformance 83, P48). Its ETag changes with it. Codex compares that with
the ``x-models-etag`` of later answers and asks again when they differ, so that this header changes in the same way.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from mitmcodex import emission
from mitmcodex.catalogs import Catalogs
from mitmcodex.exchange import Exchange, Pairs, Reply
from mitmcodex.process import Process
from mitmcodex.provider_call import LISTENER
from mitmcodex.upstream.catalog import CatalogError, Shipped, parse_backend
from mitmcodex.upstream.listing import listed
from mitmcodex.upstream.resolution import Names, is_pattern
from mitmcodex.whole import read_whole
from mitmcodex.wire.shapes import Fields

ETAGS = ("etag", "x-models-etag")


class Enlist:
    def __init__(self, process: Process, catalogs: Catalogs) -> None:
        self._process = process
        self._catalogs = catalogs

    async def upstream_response(self, exchange: Exchange) -> None:
        admission, provider, reply = exchange.admission, exchange.provider, exchange.reply
        assert provider is not None and reply is not None
        if provider.kind != "chatgpt" or admission.is_raw or admission.listener == LISTENER:
            return
        told = emission.first(reply.headers, "x-models-etag")
        if admission.call == "responses" and not exchange.is_codex and reply.status < 300:
            await self._catalogs.noticed(provider, told)
        settings = self._process.current
        if not settings.list_aliases or not has_own(settings.names):
            return
        if admission.call == "models" and reply.status == 200 and reply.body is None:
            await self._lengthen(exchange, reply, settings.names)
        elif told:
            exchange.reply = replace(reply, headers=marked(reply.headers, settings.names))

    async def _lengthen(self, exchange: Exchange, reply: Reply, names: Names) -> None:
        assert exchange.body is not None
        body = await read_whole(exchange.body)
        try:
            body, headers = lengthened(body, names, self._catalogs.shipped), marked(reply.headers, names)
        except CatalogError:
            headers = reply.headers  # Codex is told what came, whatever it is
        exchange.reply = Reply(reply.status, headers, body)


def has_own(names: Names) -> bool:
    return bool(names.custom_models) or not all(is_pattern(name) for name in names.aliases)


def lengthened(body: bytes, names: Names, shipped: Shipped) -> bytes:
    """The backend's list with the user's names behind its own, in place of those of the same name.

    Raises CatalogError for what is no list.
    """
    catalog = parse_backend(body).filled_from(shipped.catalog)
    rows = listed(names, catalog, shipped, "chatgpt", with_variants=False, with_aliases=True)
    own: dict[str, Fields] = {row.id: row.raw for row in rows if row.role == "alias" or names.custom(row.id)}
    content: Fields = json.loads(body)
    kept = [entry for entry in content["models"] if not (isinstance(entry, dict) and entry.get("slug") in own)]
    content["models"] = [*kept, *own.values()]
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace")


def marked(headers: Pairs, names: Names) -> Pairs:
    """The ETags of the list, changed by the names alone: so the list's and those of later answers stay equal."""
    own = [sorted(names.aliases.items()), [entry.raw for entry in names.custom_models]]
    mark = hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:8]
    return [(name, _with(value, mark) if name.lower() in ETAGS else value) for name, value in headers]


def _with(etag: str, mark: str) -> str:
    return f'{etag[:-1]}-{mark}"' if etag.endswith('"') else f"{etag}-{mark}"
