"""Reading and deleting kept responses: ``GET|DELETE /v1/responses/{id}``, ``…/input_items``, ``…/cancel``.

A response that is kept here is answered from here; any other is asked of a provider that keeps responses itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from mitmproxy import http

from mitmcodex.answering import answer
from mitmcodex.exchange import Admission
from mitmcodex.process import Process
from mitmcodex.resources import Resources
from mitmcodex.state.responses import StoredResponse
from mitmcodex.upstream.providers import STORING_KINDS
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.stored_items import page

Answer = Callable[[Admission, StoredResponse], Awaitable[Fields]]


class Stored:
    def __init__(self, process: Process, resources: Resources) -> None:
        self._process = process
        self._resources = resources
        self._answers: dict[tuple[str, str], Answer] = {
            ("GET", ""): self._get,
            ("DELETE", ""): self._delete,
            ("GET", "input_items"): self._input_items,
            ("POST", "cancel"): self._cancel,
        }

    async def request(self, flow: http.HTTPFlow) -> None:
        admission = self._process.admissions.get(flow)
        if admission is not None and admission.call == "stored" and flow.response is None:
            await answer(flow, admission, self._answer(flow.request.method, admission))

    async def _answer(self, method: str, admission: Admission) -> Fields | None:
        settings = self._process.current
        record = await self._resources.responses().get(admission.path) if settings.response_store else None
        if record is not None:
            return await self._answers[method, admission.action](admission, record)
        if settings.provider.kind in STORING_KINDS:
            return None
        reason = "" if settings.response_store else " No responses are kept: response_store is off."
        raise WireError("not_found", f"Response with id '{admission.path[:100]}' not found.{reason}")

    async def _get(self, admission: Admission, record: StoredResponse) -> Fields:
        if parse_qs(admission.query).get("stream") == ["true"]:
            text = "stream: a kept response is given whole. Ask for it without stream."
            raise WireError("invalid_request", text, param="stream")
        return record.response

    async def _delete(self, admission: Admission, _: StoredResponse) -> Fields:
        await self._resources.responses().delete(admission.path)
        return {"id": admission.path, "object": "response", "deleted": True}

    async def _input_items(self, admission: Admission, record: StoredResponse) -> Fields:
        return page(admission.path, record.input, admission.query)

    async def _cancel(self, admission: Admission, _: StoredResponse) -> Fields:
        text = f"Response '{admission.path[:100]}' is complete: no response runs in the background here."
        raise WireError("invalid_request", text)
