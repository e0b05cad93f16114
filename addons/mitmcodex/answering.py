"""How an addon answers a call without an upstream."""

from __future__ import annotations

import json
from collections.abc import Awaitable

from mitmproxy import http

from mitmcodex.exchange import Admission
from mitmcodex.wire.error_replies import reply_for
from mitmcodex.wire.errors import ErrorReply, WireError
from mitmcodex.wire.shapes import Fields

Answer = Fields | list[Fields] | None


async def answer(flow: http.HTTPFlow, admission: Admission, answering: Awaitable[Answer]) -> None:
    """Sets ``flow.response`` to the JSON that is awaited, or to its WireError in the form of the caller's protocol.

    None leaves the flow without a response: it goes to the provider.
    """
    try:
        found = await answering
    except WireError as error:
        flow.response = _response(reply_for(error, admission.protocol, admission.is_codex))
        return
    if found is not None:
        body = json.dumps(found, ensure_ascii=False).encode("utf-8", "backslashreplace")
        flow.response = _response(ErrorReply(200, [("content-type", "application/json")], body))


def _response(reply: ErrorReply) -> http.Response:
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
    return http.Response.make(reply.status, reply.body, [*fields, (b"cache-control", b"no-store")])
