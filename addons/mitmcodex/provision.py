"""The table ``providers:`` → checked Provider objects, and which of them ``upstream`` comes to (house.md section 8)."""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import re
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mitmcodex import paths
from mitmcodex.schema import SettingsError, is_loopback
from mitmcodex.state import credentials
from mitmcodex.upstream.providers import AUTH_HEADERS, KINDS, CredentialRef, Provider
from mitmcodex.wire.redact import CREDENTIAL_HEADERS

DEMO = Provider("demo", "demo", "http://demo.invalid/v1")
PASSTHROUGH = "passthrough"
UNBUILT_FIELDS: dict[str, object] = {"transport": "curl", "websocket": False, "proxy": None}
"""Known fields of an entry whose work is not built yet, with the one value that works."""
TEXT_FIELDS = ("kind", "base_url", "resolve", "auth_header", "profile", "ca_file")
FIELDS = (*TEXT_FIELDS, "credential", "headers", "http_version", "first_byte_timeout_s", *UNBUILT_FIELDS)
KEY_HEADERS = {"azure": "api-key", "messages": "x-api-key", "gemini": "x-goog-api-key"}
"""Where a kind takes its key, when it is not ``authorization``."""
SERVICES: dict[str, dict[str, str]] = {
    "anthropic": {"kind": "messages", "base_url": "https://api.anthropic.com/v1"},
    "gemini": {"kind": "gemini", "base_url": "https://generativelanguage.googleapis.com/v1beta"},
    "openrouter": {"kind": "chat", "base_url": "https://openrouter.ai/api/v1"},
}
"""What an entry of the user's by one of these names need not say (seeds S202). They are no providers by themselves: a
``claude*`` goes to one that has the real model as soon as there is one."""
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
REFERENCES = ("codex", "env", "file", "stdin", "store")


def providers(built_in: object, own: object, environ: Mapping[str, str]) -> dict[str, Provider]:
    """All providers, the user's first; an entry of theirs replaces single fields of a built-in one."""
    own_table, table = _table(own, "providers"), _table(built_in, "providers")
    names = [*own_table, *(name for name in table if name not in own_table)]
    merged = {name: {**SERVICES.get(name, {}), **table.get(name, {}), **own_table.get(name, {})} for name in names}
    if {"demo", "auto"} & merged.keys():
        raise SettingsError("providers: demo and auto are values of upstream, an entry needs another name")
    return {name: _provider(name, entry, environ) for name, entry in merged.items()}


def choose(upstream: str, table: Mapping[str, Provider], own: Iterable[str], environ: Mapping[str, str]) -> Provider:
    """What ``upstream`` comes to.

    ``auto`` is the first of the user's own entries whose credential exists, else chatgpt, else openai, else the demo.
    A provider chosen by name must have its credential: the demo never stands in for one that fails.
    """
    if upstream == "demo":
        return DEMO
    if upstream == "auto":
        candidates = [*own, *(name for name in ("chatgpt", "openai") if name not in own)]
        found = [table[name] for name in candidates if credentials.exists(table[name].credential, table[name].kind)]
        return found[0] if found else DEMO
    if upstream not in table:
        close = difflib.get_close_matches(upstream, [*table, "auto", "demo"], n=1)
        hint = f": did you mean {close[0]}?" if close else f" (there are auto, demo, {', '.join(table)})"
        if upstream in SERVICES:
            hint = f": it needs an entry under providers, like {upstream}: {{credential: {{env: NAME}}}}"
        raise SettingsError(f"upstream: no provider {upstream!r}{hint}")
    chosen = table[upstream]
    if not credentials.exists(chosen.credential, chosen.kind):
        raise SettingsError(f"provider {chosen.name}: {_missing(chosen)}")
    return chosen


def reference(
    raw: object, what: str, environ: Mapping[str, str], allowed: tuple[str, ...] = REFERENCES
) -> CredentialRef:
    """One secret's reference. Messages never show ``raw``: somebody may have put the secret itself there."""
    if raw is None or raw == "none":
        return CredentialRef("none")
    if not isinstance(raw, dict) or len(raw) != 1 or next(iter(raw)) not in allowed:
        forms = " | ".join("{stdin: true}" if how == "stdin" else f"{{{how}: …}}" for how in allowed if how != "store")
        raise SettingsError(f"{what}: must be a reference ({forms}), never the secret itself")
    how, where = next(iter(raw.items()))
    if how == "store":
        raise SettingsError(f"{what}: {{store: …}} is not built yet")
    if how == "stdin":
        if where is not True:
            raise SettingsError(f"{what}: write {{stdin: true}}")
        return CredentialRef("stdin")
    if not isinstance(where, str) or not where:
        raise SettingsError(f"{what}: {{{how}: …}} needs a {'variable name' if how == 'env' else 'path'}")
    if how == "env" and not VARIABLE.fullmatch(where):
        raise SettingsError(f"{what}: {{env: …}} takes the name of a variable, never the secret itself")
    return CredentialRef(how, where if how == "env" else str(_path(where, environ)))


def check_url(url: str, what: str) -> None:
    """https with a host, or http on loopback: over plain http a key would be readable on the way."""
    try:
        # urlsplit drops line breaks; a blank would end the request's first line.
        if not all("!" <= ch <= "~" for ch in url):
            raise ValueError
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise SettingsError(f"{what}: not a URL") from None
    if parts.username is not None or parts.password is not None:
        raise SettingsError(f"{what}: no user or password in the URL; use credential:")
    if not host or parts.fragment or parts.scheme not in ("http", "https"):
        raise SettingsError(f"{what}: must be like https://HOST/PATH")
    if parts.scheme == "http" and not is_loopback(host):
        raise SettingsError(f"{what}: must be https, http is for loopback only (it would show the key on the way)")


def _table(raw: object, what: str) -> dict[str, dict[str, Any]]:
    if raw is None:
        return {}
    if isinstance(raw, dict) and all(isinstance(name, str) for name in raw):
        # An entry with nothing in it is YAML's None: fine for a built-in one.
        entries = {name: {} if entry is None else entry for name, entry in raw.items()}
        if all(isinstance(entry, dict) for entry in entries.values()):
            return entries
    raise SettingsError(f"{what} must map names to entries like {{kind: responses, base_url: https://HOST/v1}}")


def _provider(name: str, entry: Mapping[str, Any], environ: Mapping[str, str]) -> Provider:
    what = f"provider {name}"
    _check_fields(entry, what)
    kind = entry.get("kind", "")
    if kind not in KINDS or kind == "demo":
        raise SettingsError(f"{what}: kind must be one of {', '.join(KINDS[:-1])}")
    check_url(entry.get("base_url") or "", f"{what}: base_url")
    ref = reference(entry.get("credential"), f"{what}: credential", environ)
    if kind == "chatgpt" and ref.how in ("env", "stdin"):
        raise SettingsError(f"{what}: kind chatgpt takes {{codex: PATH}} or {{file: PATH}} with the CLI's login")
    base = Provider(name, kind, entry["base_url"], ref, headers=_headers(entry.get("headers"), what))
    return dataclasses.replace(
        base,
        resolve=_address(entry.get("resolve"), what),
        auth_header=_auth_header(entry.get("auth_header"), kind, what),
        profile=_profile(entry.get("profile"), what),
        http_version=_http_version(entry.get("http_version"), what),
        ca_file=_ca_file(entry.get("ca_file"), what, environ),
        first_byte_timeout_s=_seconds(entry.get("first_byte_timeout_s"), what, base.first_byte_timeout_s),
    )


def _check_fields(entry: Mapping[str, Any], what: str) -> None:
    for field, value in entry.items():
        if field not in FIELDS:
            close = difflib.get_close_matches(str(field), FIELDS, n=1)
            hint = f": did you mean {close[0]}?" if close else f" (there are {', '.join(FIELDS)})"
            raise SettingsError(f"{what}: unknown field {field}{hint}")
        if field in UNBUILT_FIELDS and value not in (None, UNBUILT_FIELDS[field]):
            raise SettingsError(f"{what}: {field} is not built yet, only its default works")
        if field in TEXT_FIELDS and value is not None and not isinstance(value, str):
            raise SettingsError(f"{what}: {field} must be text")


def _headers(raw: object, what: str) -> tuple[tuple[str, str], ...]:
    pairs = raw or []
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair) for pair in pairs
    ):
        raise SettingsError(f'{what}: headers must be [name, "value"] pairs')
    for name, value in pairs:
        if not HEADER_NAME.fullmatch(name) or not all(" " <= ch <= "~" or ch == "\t" for ch in value):
            raise SettingsError(f"{what}: headers must be printable ASCII, and a name one word")
        if name.lower() in CREDENTIAL_HEADERS:
            raise SettingsError(f"{what}: headers: a secret like {name} goes by credential: and auth_header:")
    return tuple((name, value) for name, value in pairs)


def _address(raw: str | None, what: str) -> str:
    try:
        return str(ipaddress.ip_address(raw)) if raw else ""
    except ValueError:
        raise SettingsError(f"{what}: resolve must be an IP address, not {raw!r}") from None


def _auth_header(raw: str | None, kind: str, what: str) -> str:
    header = raw or KEY_HEADERS.get(kind, "authorization")
    if header not in AUTH_HEADERS:
        raise SettingsError(f"{what}: auth_header must be one of {', '.join(AUTH_HEADERS)}")
    return header


def _profile(raw: str | None, what: str) -> str:
    known = sorted(file.stem for file in paths.fingerprints().glob("*.yaml"))
    if raw and raw != PASSTHROUGH and raw not in known:
        close = difflib.get_close_matches(raw, known, n=1)
        hint = f": did you mean {close[0]}?" if close else f" (there are {', '.join(known)})"
        raise SettingsError(f"{what}: no profile {raw!r}{hint}")
    return raw or ""


def _http_version(raw: object, what: str) -> str:
    version = "auto" if raw is None else str(raw)  # YAML reads 1.1 as a number
    if version not in ("auto", "1.1"):
        raise SettingsError(f'{what}: http_version must be auto or "1.1"')
    return version


def _ca_file(raw: str | None, what: str, environ: Mapping[str, str]) -> str:
    if not raw:
        return ""
    path = _path(raw, environ)
    if not path.is_file():
        raise SettingsError(f"{what}: there is no ca_file {path}")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError:
        raise SettingsError(f"{what}: the ca_file {path} can't be read, or holds no PEM certificate") from None
    return str(path)


def _seconds(raw: object, what: str, default: float) -> float:
    if raw is None:
        return default
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not 0 <= raw < float("inf"):
        raise SettingsError(f"{what}: first_byte_timeout_s must be a number of seconds, 0 for none")
    return float(raw)


def _path(text: str, environ: Mapping[str, str]) -> Path:
    return paths.expanded(text.replace("$CODEX_HOME", str(paths.codex_home(environ)), 1)).absolute()


def _missing(provider: Provider) -> str:
    """What is not there, and the remedy."""
    ref = provider.credential
    if ref.how == "env":
        return f"the environment variable {ref.where} is not set"
    if provider.kind == "chatgpt":
        return f"no ChatGPT login in {ref.where}: run `codex login`"
    if ref.how == "codex":
        return f"no API key in {ref.where}: run `codex login --with-api-key`, or name one by credential: {{env: NAME}}"
    return f"there is no key file {ref.where}"
