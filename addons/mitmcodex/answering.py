"""How an addon answers a call without an upstream."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable

from mitmproxy import http

from mitmcodex.exchange import Admission
from mitmcodex.failures import as_wire_error, describe
from mitmcodex.wire.error_replies import reply_for
from mitmcodex.wire.errors import ErrorReply
from mitmcodex.wire.shapes import Fields

log = logging.getLogger(__name__)

Answer = Fields | list[Fields] | None


async def answer(flow: http.HTTPFlow, admission: Admission, answering: Awaitable[Answer]) -> None:
    """Sets ``flow.response`` to the JSON that is awaited, or to the error in the form of the caller's protocol.

    An error that is none of ours is told too: mitmproxy would log it whole and go on, and the call would go upstream.
    None leaves the flow without a response: it goes to the provider.
    """
    try:
        found = await answering
    except Exception as error:  # noqa: BLE001 - a call without an exchange ends here, and must say so to its client
        log.warning(f"{admission.call}: {describe(error)}")
        told = as_wire_error(error, None, f"this call ({admission.call})")
        flow.response = _response(reply_for(told, admission.protocol, admission.is_codex))
        return
    if found is not None:
        body = json.dumps(found, ensure_ascii=False).encode("utf-8", "backslashreplace")
        flow.response = _response(ErrorReply(200, [("content-type", "application/json")], body))


def _response(reply: ErrorReply) -> http.Response:
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
    return http.Response.make(reply.status, reply.body, [*fields, (b"cache-control", b"no-store")])
