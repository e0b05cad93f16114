"""What each client needs to call the proxy, as Markdown for a terminal and the README; from config/clients.yaml."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from string import Template
from typing import Any

import yaml

from mitmcodex import paths
from mitmcodex.schema import Settings, SettingsError
from mitmcodex.setup_codex import KEY_VARIABLE, reachable
from mitmcodex.upstream.catalog import shipped

NO_KEY = "none"
"""What a client sends where no key is asked for: most refuse to start with an empty one."""
KEY_SHOWN = "YOUR-CLIENT-KEY"
"""Stands for a key that a file or window must hold itself."""
SHELLS = {"win32": ('$env:{name} = "{value}"', "$env:{variable}", "powershell")}
_SH = ("export {name}={value}", '"${variable}"', "sh")


@dataclass(frozen=True, slots=True)
class Values:
    """What the texts of clients.yaml are filled with."""

    origin: str
    ollama: str
    model: str
    variable: str = ""
    """The environment variable that holds the client key; "" = no key is in force."""

    @property
    def by_name(self) -> dict[str, str]:
        return {
            "origin": self.origin,
            "base": f"{self.origin}/v1",
            "ollama": self.ollama,
            "model": self.model,
            "variable": self.variable,
        }


@dataclass(frozen=True, slots=True)
class File:
    """A settings file. One of ``json`` and ``text`` is set."""

    path: Mapping[str, str]
    """By platform (``sys.platform``); linux stands for all that are not named."""
    json: Mapping[str, Any] | None = None
    text: str = ""
    key: str = ""
    """A reference to the key in the client's own words; "" = it knows none, and the key itself stands there."""
    no_key: str = NO_KEY


@dataclass(frozen=True, slots=True)
class Client:
    """An entry of clients.yaml."""

    name: str
    title: str
    shell: Mapping[str, str] = field(default_factory=dict)
    start: str = ""
    steps: tuple[str, ...] = ()
    file: File | None = None
    code: Mapping[str, str] = field(default_factory=dict)
    """language, text"""
    notes: tuple[str, ...] = ()


def clients() -> dict[str, Client]:
    """By name, in the order of the file."""
    entries = yaml.safe_load(paths.clients().read_text(encoding="utf-8"))
    return {name: _client(name, dict(entry)) for name, entry in entries.items()}


def find(name: str) -> Client:
    """Raises SettingsError, with the nearest name, for a client that is not known."""
    known = clients()
    if name in known:
        return known[name]
    names = ["codex", *known]
    close = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise SettingsError(f"there is no client {name!r}.{hint} Clients: {', '.join(names)}")


def values_of(settings: Settings) -> Values:
    """Raises SettingsError where the port is another at each start."""
    if not settings.listen.port:
        raise SettingsError("listen has port 0, which differs at each start: give it a port for clients to find it")
    variables = [ref.where for ref in settings.client_keys if ref.how == "env"]
    return Values(
        origin=f"http://{reachable(settings.listen)}",
        ollama=f"http://{reachable(settings.ollama.listen)}",
        model=settings.default_model or shipped(paths.model_catalog()).catalog.default_model,
        variable=[*variables, KEY_VARIABLE][0] if settings.client_keys else "",
    )


def text(client: Client, values: Values, platform: str) -> str:
    """All that a person needs, without the key. ``platform``: sys.platform."""
    key = KEY_SHOWN if values.variable else NO_KEY
    blocks = [f"### {client.title}"]
    if client.shell:
        blocks.append(_shell(client, values, platform))
    if client.steps:
        blocks.append("\n".join(f"{number}. {step}" for number, step in enumerate(_each(client.steps, values, key), 1)))
    if client.code:
        blocks.append(_fenced(client.code["language"], _filled(client.code["text"], values, key)))
    if client.file:
        where = f"{'Or in' if client.shell else 'In'} `{path_of(client.file, platform)}`"
        blocks.append(f"{where} (`mitmcodex setup {client.name} --write` puts it there):")
        blocks.append(_fenced("yml" if client.file.text else "json", content(client.file, values, key)))
    if client.notes:
        blocks.append("\n".join(f"- {note}" for note in _each(client.notes, values, key)))
    return "\n\n".join(blocks)


def path_of(file: File, platform: str) -> str:
    return file.path.get(platform) or file.path["linux"]


def content(file: File, values: Values, key: str) -> str:
    """The whole file. ``key``: what stands for the key where the client knows no reference to it."""
    if file.json is not None:
        return json.dumps(settings_in(file, values, key), indent=2, ensure_ascii=False) + "\n"
    return _filled(file.text, values, _key_in(file, values, key))


def settings_in(file: File, values: Values, key: str) -> dict[str, Any]:
    """Of a JSON file."""
    filled = _deep(file.json, values, _key_in(file, values, key))
    assert isinstance(filled, dict)
    return filled


def holds_key(file: File, values: Values) -> bool:
    """Whether the key itself stands in it."""
    return bool(values.variable) and not file.key


def _key_in(file: File, values: Values, key: str) -> str:
    if not values.variable:
        return file.no_key
    return Template(file.key).safe_substitute(values.by_name) if file.key else key


def _shell(client: Client, values: Values, platform: str) -> str:
    line, reference, language = SHELLS.get(platform, _SH)
    key = reference.format(variable=values.variable) if values.variable else NO_KEY
    lines = [line.format(name=name, value=_filled(value, values, key)) for name, value in client.shell.items()]
    return _fenced(language, "\n".join([*lines, *([_filled(client.start, values, key)] if client.start else [])]))


def _filled(template: str, values: Values, key: str) -> str:
    return Template(template).safe_substitute(values.by_name, key=key)


def _each(templates: Iterable[str], values: Values, key: str) -> list[str]:
    return [_filled(template, values, key) for template in templates]


def _deep(value: Any, values: Values, key: str) -> Any:
    if isinstance(value, str):
        return _filled(value, values, key)
    if isinstance(value, dict):
        return {_filled(name, values, key): _deep(held, values, key) for name, held in value.items()}
    return value


def _fenced(language: str, block: str) -> str:
    return f"```{language}\n{block.rstrip()}\n```"


def _client(name: str, entry: dict[str, Any]) -> Client:
    file = entry.pop("file", None)
    if file is not None:
        path = file.pop("path")
        file = File(path if isinstance(path, dict) else {"linux": path}, **file)
    steps, notes = tuple(entry.pop("steps", ())), tuple(entry.pop("notes", ()))
    return Client(name, file=file, steps=steps, notes=notes, **entry)
