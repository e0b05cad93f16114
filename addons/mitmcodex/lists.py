"""Addon: the model lists, answered here in the shape of whoever asks (seeds S63-S68; conformance 69, 83).

Codex's own list is the ChatGPT backend's and goes there; of any other provider Codex gets a list in its shape from
here, as none has one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from mitmproxy import http

from mitmcodex.answering import answer
from mitmcodex.catalogs import Catalogs
from mitmcodex.exchange import Admission
from mitmcodex.process import Process
from mitmcodex.wire import model_lists
from mitmcodex.wire.model_lists import Listed
from mitmcodex.wire.shapes import Fields

SHAPES: dict[str, tuple[Callable[[list[Listed]], Fields], Callable[[Listed], Fields]]] = {
    "responses": (model_lists.openai_list, model_lists.openai_entry),
    "messages": (model_lists.messages_list, model_lists.messages_entry),
    "gemini": (model_lists.gemini_list, model_lists.gemini_entry),
}
"""By protocol: the list, one model of it."""
CATALOG = "catalog"
"""``GET /v1/models/catalog`` is a list, too."""


class Lists:
    def __init__(self, process: Process, catalogs: Catalogs) -> None:
        self._process = process
        self._catalogs = catalogs

    async def request(self, flow: http.HTTPFlow) -> None:
        admission = self._process.admissions.get(flow)
        if admission is None or flow.response is not None:
            return
        if admission.call == "listing":
            await answer(flow, admission, self._listing(admission))
        elif admission.call == "models" and self._process.current.provider.kind != "chatgpt":
            await self._answer_codex(flow, admission)

    async def _listing(self, admission: Admission) -> Fields | list[Fields]:
        """Raises WireError."""
        of_list, of_one = SHAPES[admission.protocol]
        name = admission.model
        if not name:
            return of_list(await self._catalogs.rows())
        if name == CATALOG and not admission.action:
            return model_lists.catalog_list(await self._catalogs.rows())
        row = await self._catalogs.row(name)
        return model_lists.catalog_entry(row) if admission.action == "info" else of_one(row)

    async def _answer_codex(self, flow: http.HTTPFlow, admission: Admission) -> None:
        await answer(flow, admission, self._codex_list())
        if flow.response is not None:
            flow.response.headers["etag"] = etag_of(flow.response.content or b"")

    async def _codex_list(self) -> Fields:
        return model_lists.codex_list(await self._catalogs.rows())


def etag_of(body: bytes) -> str:
    return f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'
