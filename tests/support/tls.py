"""A certificate authority for tests and the server contexts that it signs."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme

NAMES = ("codex-backend.test", "chatgpt.com", "localhost", "127.0.0.1")


class Authority:
    """Signs a leaf for NAMES; ``pem`` is the file that clients must trust."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._leaf = self._ca.issue_cert(*NAMES)
        self.pem = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.pem)

    def server_context(self, alpn: tuple[str, ...] = ("h2", "http/1.1")) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        self._leaf.configure_cert(context)
        return context

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.pem))
