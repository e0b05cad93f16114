"""How many input tokens a request would take: ``/v1/responses/input_tokens``, ``/v1/messages/count_tokens`` and
Gemini's ``:countTokens``. Counted here, without upstream and credential; whatever the model, by the one tokenizer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mitmproxy import http

from mitmcodex.answering import answer
from mitmcodex.chain import whole_input
from mitmcodex.exchange import Admission
from mitmcodex.process import Process
from mitmcodex.resources import Resources
from mitmcodex.wire import codec_for
from mitmcodex.wire.body import parsed
from mitmcodex.wire.codec import Asked
from mitmcodex.wire.counting import Count as CountText
from mitmcodex.wire.counting import request_tokens
from mitmcodex.wire.shapes import Fields

REPLIES: dict[str, Callable[[int], Fields]] = {
    "responses": lambda tokens: {"object": "response.input_tokens", "input_tokens": tokens},
    "messages": lambda tokens: {"input_tokens": tokens},
    "gemini": lambda tokens: {"totalTokens": tokens},
}


class Count:
    def __init__(self, process: Process, resources: Resources, count: CountText) -> None:
        """``count``: tokens of a text."""
        self._process = process
        self._resources = resources
        self._count = count

    async def request(self, flow: http.HTTPFlow) -> None:
        admission = self._process.admissions.get(flow)
        if admission is not None and admission.call == "count" and flow.response is None:
            await answer(flow, admission, self._answer(admission))

    async def _answer(self, admission: Admission) -> Fields:
        # A long conversation takes a second; in a thread the streams of others go on.
        fields = await asyncio.to_thread(_canonical, admission)
        if fields.get("previous_response_id") is not None:
            fields["input"] = await whole_input(fields, self._resources.responses())
        tokens = await asyncio.to_thread(request_tokens, fields, self._count)
        return REPLIES[admission.protocol](tokens)


def _canonical(admission: Admission) -> Fields:
    """Raises WireError."""
    asked = Asked(admission.model, admission.action, admission.query, tuple(admission.headers))
    return codec_for(admission.protocol).decode_request(parsed(admission.body), asked).fields
