"""The shape of the settings: one frozen object, made and checked before any bind (house.md section 8)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mitmcodex.upstream.providers import CredentialRef, Provider

Value = str | int | bool | list[str]
"""What a scalar setting can be; the same as a mitmproxy option."""


class SettingsError(Exception):
    """One line for a person: what is wrong, where, and the remedy."""


@dataclass(frozen=True, slots=True)
class Key:
    """A scalar setting: ``--set codex_NAME``, ``MITMCODEX_NAME``, NAME in YAML. Its default stands in default.yaml."""

    name: str
    kind: type[str] | type[int] | type[bool] | type[list[str]]
    help: str
    is_live: bool = False
    """A change takes effect while it runs; the others need a restart."""

    @property
    def option(self) -> str:
        return f"codex_{self.name}"

    @property
    def variable(self) -> str:
        return f"MITMCODEX_{self.name.upper()}"


KEYS = (
    Key("config", str, "The settings file; empty means mitmcodex/config.yaml in $XDG_CONFIG_HOME."),
    Key("listen", str, "Where clients connect, host:port. Port 0 takes a free one."),
    Key("server_info", str, "File that gets the port and process id as JSON once it listens."),
    Key("upstream", str, "auto, demo, or the name of a provider."),
    Key("state_dir", str, "Folder of cookies and other state."),
    Key("dump_dir", str, "Folder that gets the requests and responses of each exchange. Empty means none.", True),
    Key("max_body_bytes", int, "Largest request body after decoding.", True),
    Key("allowed_hosts", list[str], "Host names besides loopback ones under which clients may reach us.", True),
    Key("allowed_origins", list[str], "Web origins whose pages may call us.", True),
    Key("max_concurrency", int, "Exchanges at once; 0 means no limit.", True),
    Key("max_queue", int, "Exchanges that may wait for their turn.", True),
    Key("dump_max_bytes", int, "Size of all dumps together; the oldest are dropped first.", True),
    Key("request_timeout_s", int, "Limit of a whole exchange in seconds; 0 means none.", True),
    Key("secure", bool, "Strict proxy: exactly POST /v1/responses, key from stdin, process hardened."),
    Key("http_shutdown", bool, "With secure: GET /shutdown ends the process."),
    Key("upstream_url", str, "With secure: the only URL that is ever contacted."),
    Key("keepalive_s", int, "Seconds of silence after which a client gets a keep-alive; 0 means never.", True),
)


@dataclass(frozen=True, slots=True)
class Listen:
    host: str = "127.0.0.1"
    port: int = 8787

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the built parts read. Secrets are references here, never values."""

    listen: Listen = Listen()
    server_info: Path | None = None
    provider: Provider = Provider("demo", "demo", "http://demo.invalid/v1")
    """What ``upstream`` came to."""
    providers: Mapping[str, Provider] = field(default_factory=dict)
    state_dir: Path = Path()
    dump_dir: Path | None = None
    client_keys: tuple[CredentialRef, ...] = ()
    """The references in force: an environment variable that is not set is left out."""
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
    values: Mapping[str, Value] = field(default_factory=dict)
    """The scalars as they were written, by name: what the options show."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where each value comes from: default | file | environment | --set."""


def is_loopback(host: str) -> bool:
    """``localhost`` or a loopback address; no other name is looked up, as what it resolves to can change."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
