"""One whole call to the proxy, for tests of what arrives and not of when; headers are pairs on both ways."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

from support.answers import Pairs
from support.proxy import Proxy

WAIT_S = 20.0
UUID7 = "01a1fa9e-a7b2-72d3-9b4c-639ac3d9163b"
CODEX_VERSION = "0.170.1"
CODEX_AGENT = f"codex_cli_rs/{CODEX_VERSION} (Ubuntu 24.4.0; x86_64) xterm-256color"
AS_CODEX: Pairs = [
    ("x-codex-beta-features", "remote_compaction_v2"),
    ("x-codex-window-id", f"{UUID7}:0"),
    ("x-codex-turn-metadata", f'{{"session_id":"{UUID7}"}}'),
    ("x-client-request-id", UUID7),
    ("session-id", UUID7),
    ("thread-id", UUID7),
    ("accept", "text/event-stream"),
    ("content-type", "application/json"),
    ("originator", "codex_cli_rs"),
    ("user-agent", CODEX_AGENT),
]
"""What Codex sends to a custom provider, names and order as captured; a version that no profile has."""
CODEX_BODY: dict[str, Any] = {
    "model": "gpt-5.5",
    "input": [{"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]}],
    "store": False,
    "stream": True,
}
"""The least that the strict backends take from a Codex client."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Pairs
    body: bytes

    def first(self, name: str) -> str:
        """The first value of a header, "" when absent."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(proxy: Proxy, method: str, path: str, headers: Pairs | None = None, body: bytes | None = None) -> Reply:
    """Nothing is sent but ``headers``, ``host`` and, with a body, ``content-length``."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=WAIT_S)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in [*(headers or []), *([] if body is None else [("content-length", str(len(body)))])]:
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return Reply(answer.status, answer.getheaders(), answer.read())
    finally:
        connection.close()


def generate(proxy: Proxy, headers: Pairs | None = None, **fields: Any) -> Reply:
    """POST /v1/responses; the least of a body but for ``fields``."""
    body = {"model": "gpt-5.5", "input": "hi", "stream": True, **fields}
    return call(proxy, "POST", "/v1/responses", headers, json.dumps(body).encode())


def as_codex(proxy: Proxy, headers: Pairs | None = None, **fields: Any) -> Reply:
    """The same by a Codex client; ``headers`` are added."""
    return generate(proxy, [*AS_CODEX, *(headers or [])], **{**CODEX_BODY, **fields})
