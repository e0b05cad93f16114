"""The shape of the settings: one frozen object, made and checked before any bind (house.md section 8)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mitmcodex.upstream.providers import CredentialRef, Provider


class SettingsError(Exception):
    """One line for a person: what is wrong, where, and the remedy."""


@dataclass(frozen=True, slots=True)
class Listen:
    host: str = "127.0.0.1"
    port: int = 8787

    @property
    def is_loopback(self) -> bool:
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the built parts read. Secrets are references here, never values."""

    listen: Listen = Listen()
    server_info: Path | None = None
    provider: Provider = Provider("demo", "demo", "http://demo.invalid/v1")
    """What ``upstream`` came to."""
    providers: dict[str, Provider] = field(default_factory=dict)
    state_dir: Path = Path()
    dump_dir: Path | None = None
    client_keys: tuple[CredentialRef, ...] = ()
    max_body_bytes: int = 268435456
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    max_concurrency: int = 0
    max_queue: int = 64
    dump_max_bytes: int = 1073741824
    request_timeout_s: float = 0
    keepalive_s: float = 15
    secure: bool = False
    http_shutdown: bool = False
    upstream_url: str = "https://api.openai.com/v1/responses"
    origins: dict[str, str] = field(default_factory=dict)
    """Where each value comes from: default | file | environment | --set."""
