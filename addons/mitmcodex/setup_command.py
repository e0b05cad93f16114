"""The command ``mitmcodex setup CLIENT``: shows what a client needs, or puts it where the client looks."""

from __future__ import annotations

import os
import sys

from mitmcodex import client_keys, paths, setup_clients, setup_codex, setup_file
from mitmcodex.schema import Settings, SettingsError
from mitmcodex.setup_clients import Client, Values
from mitmcodex.setup_codex import Written


def names() -> list[str]:
    return ["codex", *setup_clients.clients()]


def run(name: str, settings: Settings, profile: str, writes: bool) -> int:
    """The exit code. ``profile``: of the Codex CLI. Raises SettingsError."""
    values = setup_clients.values_of(settings)
    return _codex(settings, profile, writes) if name == "codex" else _client(name, settings, values, writes)


def _codex(settings: Settings, profile: str, writes: bool) -> int:
    text = setup_codex.profile_text(settings.listen, settings.client_keys)
    path = setup_codex.profile_path(paths.codex_home(os.environ), profile)
    advice = f"Start Codex with: codex -p {profile}"
    if not writes:
        print(f"# {path} (--write puts it there)\n{text}\n# {advice}")
        return 0
    return _told(setup_codex.write(path, text), "change it, or take another --profile", advice)


def _client(name: str, settings: Settings, values: Values, writes: bool) -> int:
    client = setup_clients.find(name)
    if not writes:
        print(setup_clients.text(client, values, sys.platform))
        return 0
    return _told(_write(client, settings, values), "change it yourself", f"{client.title} reads it at its next start.")


def _write(client: Client, settings: Settings, values: Values) -> Written:
    file = client.file
    if file is None:
        raise SettingsError(f"{client.title} has no file to write: mitmcodex setup {client.name} shows what to set")
    path = paths.expanded(setup_clients.path_of(file, sys.platform))
    holds_key = setup_clients.holds_key(file, values)
    key = client_keys.read(settings.client_keys, os.environ)[0].decode() if holds_key else ""
    if file.json is None:
        return setup_codex.write(path, setup_clients.content(file, values, key))
    return setup_file.write(path, setup_clients.settings_in(file, values, key), holds_key)


def _told(written: Written, remedy: str, advice: str) -> int:
    if written.difference:
        print(written.difference, end="")
        print(f"mitmcodex: {written.path} differs and was left as it is: {remedy}", file=sys.stderr)
        return 1
    print(f"{written.path} {'written' if written.is_new else 'holds it already'}. {advice}")
    return 0
