"""Addon: what Ollama says of itself, on its own listener (seeds S244-S248, S255; conformance 71, 74)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mitmproxy import http

from mitmcodex.answering import answer
from mitmcodex.catalogs import Catalogs
from mitmcodex.exchange import Admission
from mitmcodex.process import Process
from mitmcodex.wire import model_lists
from mitmcodex.wire.body import parsed
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.shapes import Fields

GREETING = b"Ollama is running"


class Ollama:
    def __init__(self, process: Process, catalogs: Catalogs) -> None:
        self._process = process
        self._catalogs = catalogs
        self._answers: dict[str, Callable[[Admission], Awaitable[Fields]]] = {
            "tags": self._tags,
            "show": self._show,
            "ps": self._ps,
            "version": self._version,
        }

    async def request(self, flow: http.HTTPFlow) -> None:
        admission = self._process.admissions.get(flow)
        if admission is None or admission.call != "ollama" or flow.response is not None:
            return
        if admission.action == "root":
            flow.response = http.Response.make(200, GREETING, [(b"content-type", b"text/plain; charset=utf-8")])
            return
        await answer(flow, admission, self._answers[admission.action](admission))

    async def _tags(self, _: Admission) -> Fields:
        return model_lists.ollama_tags(await self._catalogs.rows())

    async def _show(self, admission: Admission) -> Fields:
        """Raises WireError."""
        fields = parsed(admission.body)
        name = fields.get("model") or fields.get("name")
        if not isinstance(name, str):
            raise WireError("invalid_request", "Missing model")
        row = await self._catalogs.row(name)
        return model_lists.ollama_show(row, self._process.current.ollama.disable_vision)

    async def _ps(self, _: Admission) -> Fields:
        return model_lists.ollama_ps()

    async def _version(self, _: Admission) -> Fields:
        return model_lists.ollama_version(self._process.current.ollama.version)
