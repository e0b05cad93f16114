"""The shape of the settings: one frozen object, made and checked before any bind (house.md section 8)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mitmcodex.upstream.catalog import ModelEntry
from mitmcodex.upstream.providers import CredentialRef, Provider
from mitmcodex.upstream.resolution import Names

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
    choices: tuple[str, ...] = ()
    """The only texts that are taken ("" = left empty); none = any."""

    @property
    def option(self) -> str:
        return f"codex_{self.name}"

    @property
    def choice(self) -> str:
        """The choices for a person; "" = any text."""
        return ", ".join(choice or "empty" for choice in self.choices)

    @property
    def variable(self) -> str:
        return f"MITMCODEX_{self.name.upper()}"


REASONING_OUT = ("reasoning_content", "reasoning", "think", "off")
TIERS = ("fast", "priority", "flex", "")

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
    Key("default_model", str, "The model when a request names none; empty means the catalog's default.", True),
    Key("force_model", str, "The model whatever a request names.", True),
    Key("unknown_model", str, "What becomes of a name that nobody knows.", True, ("pass", "default", "reject")),
    Key("default_effort", str, "Reasoning effort when a request names none.", True),
    Key("default_tier", str, "Service tier when a request names none.", True, TIERS),
    Key("strict", bool, "A field that can't be carried over is a 400.", True),
    Key("emulate", bool, "Stop sequences and token limits that a provider refuses are kept here.", True),
    Key("reasoning_out", str, "Where Chat Completions puts reasoning.", True, REASONING_OUT),
    Key("responses_lite", str, "The Lite form of requests.", True, ("auto", "on", "off")),
    Key("response_store", bool, "Keep responses for previous_response_id where the provider refuses to.", True),
    Key("response_store_max_bytes", int, "Size of that store; the oldest are dropped first.", True),
    Key("list_variants", bool, "Model lists show models with each effort as a suffix.", True),
    Key("list_aliases", bool, "Model lists show aliases.", True),
    Key("models_refresh_s", int, "Age at which the provider is asked for its models again; 0 means never asked.", True),
    Key("image_n", str, "More images than one in a request.", True, ("parallel", "error")),
    Key("free_plan_images", str, "Images on an account that is known to have none.", True, ("error", "warn")),
    Key("extra_instructions", str, "File with a text that is added to each client's instructions but Codex's."),
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
class Ollama:
    """The listener for Ollama's clients, which know no key."""

    enabled: bool = False
    listen: Listen = Listen(port=11434)
    allow_remote: bool = False
    """An address that others can reach opens the whole API to them without a key."""
    version: str = "0.18.3"
    disable_vision: bool = False


@dataclass(frozen=True, slots=True)
class Naming:
    """The user's names of models, as the settings file has them; read again when it changes."""

    aliases: Mapping[str, str] = field(default_factory=dict)
    custom_models: tuple[ModelEntry, ...] = ()
    routing: Mapping[str, str] = field(default_factory=dict)
    """Model → provider."""


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
    default_model: str = ""
    force_model: str = ""
    unknown_model: str = "pass"
    default_effort: str = ""
    default_tier: str = ""
    strict: bool = False
    emulate: bool = True
    reasoning_out: str = "reasoning_content"
    responses_lite: str = "auto"
    response_store: bool = True
    response_store_max_bytes: int = 268435456
    list_variants: bool = True
    list_aliases: bool = True
    models_refresh_s: float = 300
    image_n: str = "parallel"
    free_plan_images: str = "error"
    extra_instructions: str = ""
    """The text of the file."""
    ollama: Ollama = Ollama()
    naming: Naming = Naming()
    secure: bool = False
    http_shutdown: bool = False
    upstream_url: str = "https://api.openai.com/v1/responses"
    values: Mapping[str, Value] = field(default_factory=dict)
    """The scalars as they were written, by name: what the options show."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where each value comes from: default | file | environment | --set."""

    @property
    def names(self) -> Names:
        """What they say of models' names."""
        return Names(
            aliases=self.naming.aliases,
            custom_models=self.naming.custom_models,
            routing=self.naming.routing,
            providers={name: provider.kind for name, provider in self.providers.items()},
            default_model=self.default_model,
            force_model=self.force_model,
            unknown_model=self.unknown_model,
            default_effort=self.default_effort,
            default_tier=self.default_tier,
        )


def is_loopback(host: str) -> bool:
    """``localhost`` or a loopback address; no other name is looked up, as what it resolves to can change."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
