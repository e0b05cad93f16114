"""From the four layers (default.yaml, user file, environment, ``--set``) to checked, frozen Settings.

Pure of mitmproxy: ``start`` hands in what came by ``--set``. Nothing here reads a secret, it only looks whether a
reference leads to one. Every fault is a SettingsError with one line.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from mitmcodex import naming, paths, provision
from mitmcodex.schema import KEYS, Key, Listen, Ollama, Settings, SettingsError, Value, is_loopback
from mitmcodex.upstream.providers import CredentialRef, Provider

TABLES = ("client_keys", "providers", "ollama", "aliases", "custom_models", "routing")
"""What a mitmproxy option can't hold: YAML only."""

KEYS_BY_NAME = {key.name: key for key in KEYS}
SWITCHES = {"true": True, "1": True, "false": False, "0": False}
"""How a text says yes or no."""
SECURE_NAME = "secure"


def load(sets: Mapping[str, object], environ: Mapping[str, str]) -> Settings:
    """The settings in force.

    ``sets`` maps names without the prefix to what came by ``--set``: a list of texts, or a value of the right type.
    Raises SettingsError.
    """
    defaults = _read_yaml(paths.default_config())
    file = user_file(sets, environ)
    own = _read_yaml(file) if file else {}
    _refuse_unknown(own, [*defaults], str(file))
    _refuse_unknown(sets, [*KEYS_BY_NAME, *defaults], "--set", prefix="codex_")
    _refuse_tables(sets, environ)
    layers: list[tuple[str, Mapping[str, object]]] = [
        ("default", defaults),
        ("file", own),
        ("environment", _environment(environ, defaults)),
        ("--set", sets),
    ]
    _refuse_unbuilt(defaults, layers)
    values, origins = _scalars(layers)
    tables = {name: own.get(name, defaults[name]) for name in TABLES}
    origins |= {name: "file" if name in own else "default" for name in TABLES}
    ollama_variables = _ollama_variables(environ)
    origins |= {"ollama": "environment"} if ollama_variables else {}
    fields = {name: _field(KEYS_BY_NAME[name], value) for name, value in values.items() if name != "config"}
    upstream = str(fields.pop("upstream"))
    fields["state_dir"] = fields["state_dir"] or paths.state_folder(environ)
    main = listen(str(values["listen"]))
    providers = provision.providers(defaults["providers"], own.get("providers"), environ)
    settings = Settings(
        **fields,  # type: ignore[arg-type]  # _field gives each name the type that Settings asks for
        providers=providers,
        client_keys=_client_keys(tables["client_keys"], environ),
        ollama=_ollama({**_ollama_table(defaults), **_ollama_table(tables), **ollama_variables}, main),
        naming=naming.naming(tables, providers),
        values=values,
        origins=origins,
    )
    own_table = own.get("providers")
    own_names = [*own_table] if isinstance(own_table, dict) else []
    return dataclasses.replace(settings, provider=_provider(settings, upstream, own_names, environ))


def _ollama_table(layer: Mapping[str, object]) -> dict[str, object]:
    raw = layer["ollama"]
    if not isinstance(raw, dict):
        raise SettingsError("ollama must map names to values, like {enabled: true}")
    return raw


def _ollama(table: dict[str, object], main: Listen) -> Ollama:
    found = naming.ollama(table, listen(str(table["listen"]), "ollama.listen"))
    if found.enabled and found.listen.port and found.listen == main:
        raise SettingsError(f"ollama.listen: {main} is that of listen, and each needs its own")
    return found


def _ollama_variables(environ: Mapping[str, str]) -> dict[str, object]:
    """The one table that a container may set by its environment: one variable a field, an empty one counts as unset."""
    given = {name: environ.get(_variable(f"ollama_{name}"), "") for name in naming.OLLAMA_FIELDS}
    switches = {name: SWITCHES.get(given[name].lower(), given[name]) for name in naming.OLLAMA_SWITCHES}
    return {name: value for name, value in {**given, **switches}.items() if value != ""}


def default_values() -> dict[str, Value]:
    """The scalars of default.yaml by name."""
    return _scalars([("default", _read_yaml(paths.default_config()))])[0]


def edited(settings: Settings, edits: Mapping[str, Value]) -> Settings:
    """Settings with live edits (names of keys that are ``is_live``) applied; raises SettingsError."""
    keys = {name: KEYS_BY_NAME[name] for name in edits}
    fields = {name: _field(key, _typed(key, edits[name], key.option)) for name, key in keys.items()}
    origins = {**settings.origins, **dict.fromkeys(edits, "--set")}
    return dataclasses.replace(
        settings,
        **fields,  # type: ignore[arg-type]  # as in load()
        values={**settings.values, **edits},
        origins=origins,
    )


def listen(text: str, what: str = "listen") -> Listen:
    """``host:port``, IPv6 in brackets; raises SettingsError, which names ``what``."""
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or not bare or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise SettingsError(f"{what} must be host:port, like 127.0.0.1:8787, not {text!r}")
    if (":" in bare) != host.startswith("["):
        raise SettingsError(f"{what}: an IPv6 address stands in brackets, like [::1]:8787, not {text!r}")
    return Listen(bare, int(port))


def user_file(sets: Mapping[str, object], environ: Mapping[str, str]) -> Path | None:
    """The named file, which must exist, or the usual one if it does."""
    named = environ.get("MITMCODEX_CONFIG", "")
    if "config" in sets:
        named = str(_typed(KEYS_BY_NAME["config"], sets["config"], "--set codex_config"))
    if named:
        return paths.expanded(named)
    usual = paths.user_config(environ)
    return usual if usual.exists() else None


def _read_yaml(file: Path) -> dict[str, object]:
    try:
        with file.open("rb") as source:
            content = yaml.safe_load(source)
    except OSError as error:
        raise SettingsError(f"can't read the settings file {file}: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        # The mark's snippet would quote the file, which may hold what should not be there.
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SettingsError(f"{file}{line}: not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise SettingsError(f"{file}: not valid YAML: it holds bytes that are no text") from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise SettingsError(f"{file}: must be a mapping of settings, like `listen: 127.0.0.1:8787`")
    return content


def _refuse_unknown(names: Iterable[str], known: list[str], where: str, prefix: str = "") -> None:
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f": did you mean {prefix}{close[0]}?" if close else " (config/default.yaml lists all)"
            raise SettingsError(f"{where}: unknown setting {prefix}{name}{hint}")


def _refuse_tables(sets: Mapping[str, object], environ: Mapping[str, str]) -> None:
    """A client key that somebody believes to have set would leave the door open in silence."""
    for name in TABLES:
        given = [f"codex_{name}"] if name in sets else [*{_variable(name)} & environ.keys()]
        if given:
            raise SettingsError(f"{given[0]}: {name} is a table, which stands in the settings file only")


def _variable(name: str) -> str:
    return f"MITMCODEX_{name.upper()}"


def _environment(environ: Mapping[str, str], defaults: Mapping[str, object]) -> dict[str, object]:
    """Scalars by variable; an empty variable counts as unset. ``config`` was read by user_file().

    Other variables may begin like ours (a key's, say), so that only near misses are refused.
    """
    scalars = [name for name, value in defaults.items() if name in KEYS_BY_NAME or not isinstance(value, (dict, list))]
    scalars.append("config")
    known = [*scalars, *(f"ollama_{name}" for name in naming.OLLAMA_FIELDS)]
    for variable in environ:
        name = variable.removeprefix("MITMCODEX_").lower()
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
        if variable.startswith("MITMCODEX_") and name not in known and close:
            raise SettingsError(f"unknown variable {variable}: did you mean {_variable(close[0])}?")
    return {name: environ[_variable(name)] for name in scalars if environ.get(_variable(name))}


def _refuse_unbuilt(defaults: Mapping[str, object], layers: list[tuple[str, Mapping[str, object]]]) -> None:
    """A key whose work is not built is known; a value other than its default would be ignored in silence."""
    for origin, layer in layers[1:]:
        for name, value in layer.items():
            if name in KEYS_BY_NAME or name in TABLES or _same(value, defaults[name]):
                continue
            raise SettingsError(f"{name} ({origin}): not built yet, only its default works")


def _same(value: object, default: object) -> bool:
    """Equal to the default, in YAML's type or as the text of an environment variable or ``--set``."""
    if isinstance(value, list) and not isinstance(default, list):
        value = value[-1] if value else "true"  # --set NAME alone
    shown = str(default).lower() if isinstance(default, bool) else str("" if default is None else default)
    return value is None or value == default or value == shown


def _scalars(layers: list[tuple[str, Mapping[str, object]]]) -> tuple[dict[str, Value], dict[str, str]]:
    values: dict[str, Value] = {}
    origins: dict[str, str] = {}
    for key in KEYS:
        values[key.name], origins[key.name] = "" if key.kind is str else 0, "default"
        for origin, layer in layers:
            raw = layer.get(key.name)
            if raw is not None:
                values[key.name], origins[key.name] = _typed(key, raw, f"{key.name} ({origin})"), origin
    return values, origins


def _typed(key: Key, raw: object, what: str) -> Value:
    """One value as its key's type; texts (environment, ``--set``) are read, other types must fit."""
    if key.kind == list[str]:
        items = [part.strip() for part in raw.split(",")] if isinstance(raw, str) else raw
        if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) for item in items):
            raise SettingsError(f"{what} must be a list of texts")
        return [str(item) for item in items if item]
    if isinstance(raw, list):  # --set gives each value as a list; a name without "=" as an empty one
        if len(raw) > 1 or (not raw and key.kind is not bool):
            raise SettingsError(f"{what} takes one value")
        raw = raw[0] if raw else True
    if key.kind is bool:
        raw = SWITCHES.get(raw.lower(), raw) if isinstance(raw, str) else raw
        if isinstance(raw, bool):
            return raw
        raise SettingsError(f"{what} must be true or false, not {raw!r}")
    if key.kind is int:
        raw = int(raw) if isinstance(raw, str) and raw.isascii() and raw.isdigit() else raw
        if isinstance(raw, int) and not isinstance(raw, bool) and raw >= 0:
            return raw
        raise SettingsError(f"{what} must be a whole number from 0 up, not {raw!r}")
    if key.choices and isinstance(raw, bool):  # what YAML makes of a bare on or off
        raw = "on" if raw else "off"
    if isinstance(raw, str):
        return raw
    raise SettingsError(f"{what} must be text, not {raw!r}")


def _field(key: Key, value: Value) -> object:
    """A scalar as the field of Settings with its name."""
    if key.name == "listen":
        return listen(str(value))
    if key.name in ("server_info", "state_dir", "dump_dir"):
        path = paths.expanded(str(value)).absolute() if value else None
        if path and key.name != "state_dir":  # without it everything works, but for this run alone
            _check_writable(path if key.name == "dump_dir" else path.parent, key.name)
        return path
    if key.name == "extra_instructions" and value:
        return _read_text(paths.expanded(str(value)), key.name)
    if key.choices and value not in key.choices:
        raise SettingsError(f"{key.name} must be one of {key.choice}, not {value!r}")
    if key.name == "max_body_bytes" and value == 0:
        raise SettingsError("max_body_bytes must be more than 0")
    return tuple(value) if isinstance(value, list) else value


def _read_text(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{what}: {path} can't be read ({type(error).__name__})") from None


def _check_writable(folder: Path, what: str) -> None:
    """Looks at the nearest folder that exists and makes none: at the first request it would be too late to say so."""
    nearest = next(path for path in (folder, *folder.parents) if os.path.lexists(path) or path == path.parent)
    if not os.path.isdir(nearest) or not os.access(nearest, os.W_OK | os.X_OK):
        raise SettingsError(f"{what}: {nearest} is no folder that can be written to")


def _client_keys(raw: object, environ: Mapping[str, str]) -> tuple[CredentialRef, ...]:
    if not isinstance(raw, list):
        raise SettingsError("client_keys must be a list of {env: NAME} or {file: PATH}")
    found = []
    for entry in raw:
        ref = provision.reference(entry, "client_keys", environ, ("env", "file"))
        if ref.how == "none":
            raise SettingsError("client_keys: no key is asked for when the list is empty ([]), none is no entry of it")
        if ref.how == "env" and not environ.get(ref.where, "").strip():
            continue
        if ref.how == "file" and not Path(ref.where).is_file():
            raise SettingsError(f"client_keys: there is no file {ref.where}")
        found.append(ref)
    return tuple(found)


def _provider(settings: Settings, upstream: str, own: list[str], environ: Mapping[str, str]) -> Provider:
    if not settings.secure:
        return provision.choose(upstream, settings.providers, own, environ)
    provision.check_url(settings.upstream_url, "upstream_url")
    if not is_loopback(settings.listen.host):
        raise SettingsError("secure mode listens on loopback only")
    provider = Provider(SECURE_NAME, "responses", settings.upstream_url, CredentialRef("stdin"), profile="passthrough")
    return dataclasses.replace(provider, first_byte_timeout_s=0)  # this mode has no time limit (protocol.md 9)
