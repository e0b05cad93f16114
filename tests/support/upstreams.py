"""Settings that lead the proxy under test to a fake backend: one entry under ``providers``, and it alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.auth import API_KEY
from support.backend import Backend
from support.tls import Authority

Config = dict[str, Any]


def to(**provider: Any) -> Config:
    """Its models are not asked for, so that a backend sees the calls of a test alone."""
    return {"upstream": "work", "providers": {"work": provider}, "models_refresh_s": 0}


def to_chatgpt(backend: Backend, ca: Authority, auth_file: Path, **provider: Any) -> Config:
    """ChatGPT credentials read from ``auth_file``; ``provider`` adds to the entry or overrides it."""
    return to(**{"kind": "chatgpt", "credential": {"codex": str(auth_file)}, **_reach(backend, ca), **provider})


def to_api(backend: Backend, ca: Authority, folder: Path, kind: str = "openai", **provider: Any) -> Config:
    """``API_KEY`` from a key file below ``folder``."""
    key_file = folder / "api.key"
    key_file.write_text(API_KEY)
    return to(**{"kind": kind, "credential": {"file": str(key_file)}, **_reach(backend, ca), **provider})


def _reach(backend: Backend, ca: Authority) -> Config:
    return {"base_url": backend.base_url, "resolve": "127.0.0.1", "ca_file": str(ca.pem)}
