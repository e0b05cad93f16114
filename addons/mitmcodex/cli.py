"""The console script ``mitmcodex``: thin over mitmproxy's own programs and the rooms below."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Sequence

from mitmproxy.tools import main as programs

import mitmcodex
from mitmcodex import configuration, listeners, paths, setup_command, start
from mitmcodex.schema import KEYS, Settings, SettingsError
from mitmcodex.wire import redact


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code; a fault is one line on stderr and 1 (2: wrong usage)."""
    parser = _parser()
    args, further = parser.parse_known_args(arguments)
    if further and args.command is not _run:
        parser.error(f"unrecognized arguments: {' '.join(further)}")
    try:
        return int(args.command(args, further))
    except SettingsError as error:
        print(f"mitmcodex: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    # Without abbreviations: `run` hands what it doesn't know to mitmproxy.
    about = "A local proxy: any client of a language model, with your Codex account or key."
    parser = argparse.ArgumentParser("mitmcodex", description=about, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"mitmcodex {mitmcodex.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="start the proxy; further arguments go to mitmproxy", allow_abbrev=False)
    interface = run.add_mutually_exclusive_group()
    interface.add_argument("--web", action="store_true", help="with mitmweb's pages")
    interface.add_argument("--console", action="store_true", help="with mitmproxy's console")
    _add_set(run)
    run.set_defaults(command=_run)

    setup = commands.add_parser("setup", help="what a client needs to come here")
    setup.add_argument("client", metavar="CLIENT", help=", ".join(setup_command.names()))
    setup.add_argument("--profile", default="mitmcodex", metavar="NAME", help="of codex: start it with codex -p NAME")
    setup.add_argument("--write", action="store_true", help="put it into the client's settings file, if it has one")
    _add_set(setup)
    setup.set_defaults(command=_setup)

    secure = commands.add_parser("secure", help="strict proxy for one URL; the API key is read from stdin")
    secure.add_argument("--port", type=_port, default=0, help="on 127.0.0.1; a free one when left out")
    secure.add_argument("--server-info", metavar="FILE", help='gets {"port":N,"pid":N}')
    secure.add_argument("--http-shutdown", action="store_true", help="GET /shutdown ends it")
    secure.add_argument("--upstream-url", metavar="URL", help="whole URL, its query included")
    secure.add_argument("--dump-dir", metavar="DIR", help="a pair of files per request")
    secure.set_defaults(command=_secure)

    config = commands.add_parser("config", help="the settings").add_subparsers(required=True, metavar="WHAT")
    for name, command, text in (("check", _check, "are they right?"), ("show", _show, "what holds, and from where")):
        _add_set(sub := config.add_parser(name, help=text))
        sub.set_defaults(command=command)
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)


def _add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--set", action="append", default=[], metavar="codex_NAME=VALUE", help="as for mitmproxy")


def _settings(args: argparse.Namespace) -> Settings:
    """As start.prepare() will find them."""
    return configuration.load(_sets(args), os.environ)


def _sets(args: argparse.Namespace) -> dict[str, object]:
    """``--set`` in the form that mitmproxy gives it."""
    sets: dict[str, object] = {}
    for spec in args.set:
        name, equals, value = spec.partition("=")
        if name.startswith("codex_"):
            values = sets.setdefault(name.removeprefix("codex_"), [])
            assert isinstance(values, list)
            values += [value] if equals else []
        elif args.command is not _run:
            raise SettingsError(f"--set {name}: here it takes settings of mitmcodex only, like codex_listen=HOST:PORT")
    return sets


def _run(args: argparse.Namespace, further: list[str]) -> int:
    """mitmproxy's own program, with the listener named at once: no second start (start.py)."""
    settings = _settings(args)
    program = programs.mitmweb if args.web else programs.mitmproxy if args.console else programs.mitmdump
    given = [part for spec in args.set for part in ("--set", spec)]
    modes = [] if start.names_mode(further) or start.NO_LISTENER & set(further) else start.modes(settings)
    listen = [part for mode in modes for part in ("--mode", mode)]
    program(["-s", str(paths.script()), *listen, *given, *further])
    return 0


def _setup(args: argparse.Namespace, _: list[str]) -> int:
    return setup_command.run(args.client, _settings(args), args.profile, args.write)


def _secure(args: argparse.Namespace, _: list[str]) -> int:
    if os.environ.get("OPENAI_API_KEY"):
        print("mitmcodex: OPENAI_API_KEY is set in the environment too: use env -u OPENAI_API_KEY", file=sys.stderr)
    listen = f"127.0.0.1:{args.port}"
    values = {"listen": listen, "secure": "true", "http_shutdown": str(args.http_shutdown).lower()}
    named = {"server_info": args.server_info, "upstream_url": args.upstream_url, "dump_dir": args.dump_dir}
    values |= {name: value for name, value in named.items() if value is not None}
    args.set = [f"codex_{name}={value}" for name, value in values.items()]
    args.web = args.console = False
    return _run(args, ["-q"])


def _check(args: argparse.Namespace, _: list[str]) -> int:
    settings = _settings(args)
    listeners.check_reach(settings, listeners.wanted(settings))
    print(f"The settings are right. Upstream: {settings.provider.name}, {settings.provider.credential}.")
    return 0


def _show(args: argparse.Namespace, _: list[str]) -> int:
    settings = _settings(args)
    print(f"# settings file: {configuration.user_file(_sets(args), os.environ) or 'none'}")
    for key in KEYS:
        print(f"{key.name}: {settings.values[key.name]!r}  # {settings.origins[key.name]}")
    keys = ", ".join(str(ref) for ref in settings.client_keys) or "none in force"
    print(f"client_keys: {keys}  # {settings.origins['client_keys']}")
    for name, table in _tables(settings).items():
        print(f"{name}: {json.dumps(table, ensure_ascii=False)}  # {settings.origins[name]}")
    for provider in settings.providers.values():
        chosen = " (in use)" if provider == settings.provider else ""
        url = redact.url(provider.base_url)
        print(f"provider {provider.name}{chosen}: {provider.kind} at {url}, {provider.credential}")
    return 0


def _tables(settings: Settings) -> dict[str, object]:
    """As they could stand in the settings file; of a custom model its name."""
    naming, ollama = settings.naming, settings.ollama
    return {
        "ollama": {**dataclasses.asdict(ollama), "listen": str(ollama.listen)},
        "aliases": dict(naming.aliases),
        "custom_models": [entry.slug for entry in naming.custom_models],
        "routing": dict(naming.routing),
    }
