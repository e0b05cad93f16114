"""The tables ``aliases``, ``custom_models``, ``routing`` and ``ollama`` of the settings file, checked."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from mitmcodex.schema import Listen, Naming, Ollama, SettingsError
from mitmcodex.upstream.catalog import ModelEntry, entry_of

TEXTS = {
    "display_name": "display_name",
    "description": "description",
    "default_reasoning_effort": "default_reasoning_level",
}
"""Ours → Codex's ModelInfo."""
LISTS = ("supported_reasoning_efforts", "input_modalities", "output_modalities")
LIMITS = ("context_window", "max_context_window", "max_output_tokens", "truncation_policy_limit")
CUSTOM_FIELDS = ("id", *TEXTS, *LISTS, *LIMITS, "supports_personality")
OLLAMA_SWITCHES = ("enabled", "allow_remote", "disable_vision")
OLLAMA_FIELDS = ("listen", "version", *OLLAMA_SWITCHES)


def naming(tables: Mapping[str, object], providers: Collection[str]) -> Naming:
    """From the tables by name; raises SettingsError for what can't be (seeds S126, S132)."""
    return Naming(_aliases(tables["aliases"]), _custom_models(tables["custom_models"]), _routing(tables, providers))


def ollama(raw: object, listen: Listen) -> Ollama:
    """``listen`` is the table's own, parsed; raises SettingsError."""
    table = _mapping(raw, "ollama")
    _refuse_unknown(table, OLLAMA_FIELDS, "ollama")
    for name in OLLAMA_SWITCHES:
        if not isinstance(table.get(name, False), bool):
            raise SettingsError(f"ollama: {name} must be true or false")
    version = str(table.get("version") or "")
    if not 1 <= len(version) <= 64:
        raise SettingsError("ollama: version must have 1 to 64 characters")
    flags = {name: table.get(name, False) for name in OLLAMA_SWITCHES}
    found = Ollama(listen=listen, version=version, **flags)
    if found.enabled and not listen.is_loopback and not found.allow_remote:
        raise SettingsError(f"ollama: {listen} can be reached by others, and no key is asked there: set allow_remote")
    return found


def _routing(tables: Mapping[str, object], providers: Collection[str]) -> dict[str, str]:
    routing = _texts(tables["routing"], "routing")
    for model, provider in routing.items():
        if provider not in providers:
            close = difflib.get_close_matches(provider, providers, n=1)
            hint = f": did you mean {close[0]}?" if close else f" (there are {', '.join(providers)})"
            raise SettingsError(f"routing: {model}: there is no provider {provider!r}{hint}")
    return routing


def _aliases(raw: object) -> dict[str, str]:
    aliases = _texts(raw, "aliases")
    for name, target in aliases.items():
        if name == target:
            raise SettingsError(f"aliases: {name} leads to itself")
    return aliases


def _custom_models(raw: object) -> tuple[ModelEntry, ...]:
    if not isinstance(raw, list):
        raise SettingsError("custom_models must be a list of names or {id: …}")
    found = [_custom_model(entry) for entry in raw]
    names = [entry.slug for entry in found]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise SettingsError(f"custom_models: {twice} is there twice")
    return tuple(found)


def _custom_model(raw: object) -> ModelEntry:
    plain: dict[str, Any] = {"id": raw, "default_reasoning_effort": "medium", "input_modalities": ["text"]}
    table = plain if isinstance(raw, str) else _mapping(raw, "custom_models")
    name = table.get("id")
    if not isinstance(name, str) or not name.strip():
        raise SettingsError("custom_models: an entry needs an id")
    what = f"custom_models: {name}"
    _refuse_unknown(table, CUSTOM_FIELDS, what)
    for key, value in table.items():
        _check_custom(key, value, what)
    info: dict[str, Any] = {"slug": name.strip()}
    info |= {known: table[key] for key, known in TEXTS.items() if key in table}
    info |= {key: table[key] for key in (*LISTS[1:], *LIMITS[:3], "supports_personality") if key in table}
    if "supported_reasoning_efforts" in table:
        info["supported_reasoning_levels"] = [{"effort": one} for one in table["supported_reasoning_efforts"]]
    if "truncation_policy_limit" in table:
        info["truncation_policy"] = {"mode": "tokens", "limit": table["truncation_policy_limit"]}
    return entry_of(info)


def _check_custom(key: str, value: object, what: str) -> None:
    if key in TEXTS and not isinstance(value, str):
        raise SettingsError(f"{what}: {key} must be text")
    if key in LISTS and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
        raise SettingsError(f"{what}: {key} must be a list of texts")
    if key in LIMITS and not (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        raise SettingsError(f"{what}: {key} must be a positive whole number")
    if key == "supports_personality" and not isinstance(value, bool):
        raise SettingsError(f"{what}: {key} must be true or false")


def _texts(raw: object, what: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in _mapping(raw, what).items():
        if not isinstance(value, str) or not name.strip() or not value.strip():
            raise SettingsError(f"{what}: {name!r} must lead to a name")
        if name.strip() in found:
            raise SettingsError(f"{what}: {name.strip()} is there twice")
        found[name.strip()] = value.strip()
    return found


def _mapping(raw: object, what: str) -> dict[str, Any]:
    if isinstance(raw, dict) and all(isinstance(name, str) for name in raw):
        return raw
    raise SettingsError(f"{what} must map names to values")


def _refuse_unknown(table: Mapping[str, object], known: tuple[str, ...], what: str) -> None:
    for name in table:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f": did you mean {close[0]}?" if close else f" (there are {', '.join(known)})"
            raise SettingsError(f"{what}: unknown field {name}{hint}")
