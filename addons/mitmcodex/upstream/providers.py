"""A provider: where requests go, what it speaks, how it is paid. URLs are made here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

KINDS = ("chatgpt", "openai", "azure", "responses", "chat", "messages", "gemini", "demo")
AUTH_HEADERS = ("authorization", "api-key", "x-api-key", "x-goog-api-key")


@dataclass(frozen=True, slots=True)
class CredentialRef:
    """Where a secret lies; never the secret. ``how`` is codex | env | file | stdin | none."""

    how: str
    where: str = ""

    def __str__(self) -> str:
        return {"none": "no credential", "stdin": "key from stdin"}.get(self.how, f"{self.how}: {self.where}")


@dataclass(frozen=True, slots=True)
class Provider:
    """One entry of ``providers:`` (house.md section 8), checked."""

    name: str
    kind: str
    base_url: str
    credential: CredentialRef = CredentialRef("none")
    resolve: str = ""
    auth_header: str = "authorization"
    headers: tuple[tuple[str, str], ...] = ()
    profile: str = ""
    transport: str = "curl"
    http_version: str = "auto"
    ca_file: str = ""
    first_byte_timeout_s: float = 300.0


STORING_KINDS = ("openai", "azure", "responses", "demo")
"""Those that are asked to keep responses themselves; what the others can't is done here (conformance 33)."""

SUFFIXES = {
    "responses": "/responses",
    "compact": "/responses/compact",
    "models": "/models",
    "images/generations": "/images/generations",
    "images/edits": "/images/edits",
}
OTHER_SUFFIXES = {"chat": "/chat/completions", "messages": "/messages", "gemini": "/models/{model}:{action}"}
"""Of a generation, for kinds that don't speak the Responses API."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a call asks of the base URL."""

    call: str
    """responses (a generation) | compact | stored | models | images/generations | images/edits | side"""
    side_path: str = ""
    """Of ``side``, and the response's id of ``stored``."""
    query: str = ""
    model: str = ""
    action: str = ""
    """Of a Gemini generation, and of ``stored``."""


def upstream_url(provider: Provider, target: Target) -> str | None:
    """The URL of one call, None when this provider has no such call (the client gets a 404).

    A base path that ends in ``/responses`` is taken whole for that call (compact appends ``/compact``, other calls do
    not exist); otherwise the call's path is appended. The base's query is kept, the client's is appended to it.
    ``side`` calls go to the base less its last segment ``/codex``, for kind chatgpt alone. The scheme, host and
    base path come from the provider alone: ``side_path`` must be a plain absolute path.
    """
    parts = urlsplit(provider.base_url)
    path = _path(provider.kind, parts.path.rstrip("/"), target)
    if path is None:
        return None
    joined = "&".join(part for part in (parts.query, target.query) if part)
    return urlunsplit((parts.scheme, parts.netloc, path, joined, ""))


def _path(kind: str, base: str, target: Target) -> str | None:
    call = target.call
    if base.endswith("/responses"):
        return base + SUFFIXES[call].removeprefix("/responses") if call in ("responses", "compact") else None
    if call == "stored":
        return _stored_path(base, target) if kind in STORING_KINDS else None
    if call == "side":
        is_allowed = kind == "chatgpt" and _is_plain_path(target.side_path)
        return base.removesuffix("/codex") + target.side_path if is_allowed else None
    if kind in OTHER_SUFFIXES and call != "models":
        if call != "responses":
            return None
        names = {"model": quote(target.model, safe=""), "action": quote(target.action, safe="")}
        return base + OTHER_SUFFIXES[kind].format(**names)
    return base + SUFFIXES[call] if call in SUFFIXES else None


def _stored_path(base: str, target: Target) -> str | None:
    """A client's id may be anything: quoted it is one segment, and a dot segment is none."""
    if target.side_path in (".", ".."):
        return None
    action = f"/{quote(target.action, safe='')}" if target.action else ""
    return f"{base}/responses/{quote(target.side_path, safe='')}{action}"


def _is_plain_path(path: str) -> bool:
    """Printable ASCII that can't leave the base: no dot segments (encoded ones too), no second host, no backslash."""
    if not path.startswith("/") or path.startswith("//"):
        return False
    lowered = path.lower()
    if "%2f" in lowered or "%5c" in lowered or not all("!" <= ch <= "~" and ch not in "?#@\\" for ch in path):
        return False
    return not any(segment.replace("%2e", ".") in (".", "..") for segment in lowered.split("/"))
