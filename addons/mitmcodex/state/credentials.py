"""Credentials on disk, read-only: the Codex CLI's auth.json, key files, environment references.

The store is asynchronous so that another one (own login with refresh, a shared server) can take its place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class CredentialError(Exception):
    """A credential is missing or unusable. The message names the file or variable and the command to run."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What pays for a call. ``repr`` shows no secret."""

    kind: str
    """bearer (ChatGPT tokens) | key (API key) | none"""
    secret: str = field(default="", repr=False)
    account_id: str = field(default="", repr=False)
    """The chatgpt-account-id; empty for API keys."""
    account: str = ""
    """An opaque name of the account for ConnectionKey: a short hash, no secret."""
    is_fedramp: bool = False
    source: str = ""
    """What a person is told: "codex: ~/.codex/auth.json", "env: NAME"."""
    remedy: str = ""
    """The command that mends it when it is refused: "codex login" …"""
    expires_at: float = 0.0
    """Unix seconds of the access token's ``exp``; 0 = unknown."""


class CredentialStore(Protocol):
    async def current(self) -> Credential:
        """The credential to use now; raises CredentialError."""

    async def refused(self, credential: Credential) -> Credential | None:
        """The upstream answered 401 to it: a different one to try once, or None."""
