"""Answers that need no upstream."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from datetime import UTC, datetime

from mitmproxy import http

import mitmcodex
from mitmcodex.exchange import Admission


class Local:
    """Answers the calls that the gate admitted as ``local``: GET and HEAD of /health and /healthz, HEAD of /."""

    def __init__(self, admissions: MutableMapping[http.HTTPFlow, Admission]) -> None:
        self._admissions = admissions

    def request(self, flow: http.HTTPFlow) -> None:
        admission = self._admissions.get(flow)
        if admission is None or admission.call != "local" or flow.response is not None:
            return
        if admission.action == "root":  # "is anybody there?": Claude Code asks before its first call
            flow.response = http.Response.make(200)
            return
        body = {"status": "ok", "version": mitmcodex.__version__, "timestamp": datetime.now(UTC).isoformat()}
        flow.response = http.Response.make(
            200, json.dumps(body).encode(), [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        )
