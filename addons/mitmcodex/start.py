"""What happens before anything listens: settings checked, the command run again with our listener, process secured.

mitmproxy opens its listener before a script can choose one (mitmproxy.md 1.4): ``mitmdump -s addons/main.py`` would
be a forward proxy on all interfaces. So the first import of the script runs the same command once more, with
``--mode`` added.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from mitmproxy import ctx
from mitmproxy.tools.dump import DumpMaster

from mitmcodex import client_keys, configuration, hardening, listeners
from mitmcodex.process import Process
from mitmcodex.schema import KEYS, Settings, SettingsError
from mitmcodex.wire import redact

logger = logging.getLogger(__name__)

PREFIX = "codex_"
PROGRAMS = ("mitmdump", "mitmweb", "mitmproxy")
LISTINGS = {"--options", "--commands"}
NO_LISTENER = {*LISTINGS, "--version", "-n", "--no-server"}
"""Arguments with which mitmproxy opens no listener."""


def prepare() -> Settings:
    """Checked settings; the first thing ``stack.build()`` does.

    At the first load a fault ends the process with one line on stderr and exit code 1, before any bind. On a reload
    the old settings stay and a warning says why.
    """
    process = Process.of(ctx.master)
    if process.settings is not None:
        return reread(process)
    try:
        process.settings = _first(process)
    except (SettingsError, hardening.KeyInputError) as error:
        sys.exit(f"mitmcodex: {error}")
    except Exception:  # noqa: BLE001 - mitmproxy would log it and go on, as a forward proxy on all interfaces
        sys.exit(f"mitmcodex: a fault of its own, nothing was started:\n{redact.scrub(traceback.format_exc())}")
    _show(process.settings)
    return process.settings


def reread(process: Process) -> Settings:
    """The settings after another look at their sources: what can change while it runs is taken, the rest stays."""
    process.settings = _reloaded(process, process.current)
    _show(process.settings)
    return process.settings


def settings_file(process: Process) -> Path | None:
    """The user's file, None while there is none; raises SettingsError."""
    return configuration.user_file(_sets_in_force(process), os.environ)


def _first(process: Process) -> Settings:
    sets = _sets()
    process.set_names = set(sets)
    settings = configuration.load(sets, os.environ)
    if not listens():
        return settings
    process.client_keys = client_keys.read(settings.client_keys, os.environ)
    settings = _placed(settings)
    process.user_umask = os.umask(0o077)
    _close_flow_file()
    if settings.secure:
        for shortfall in hardening.harden():
            print(f"mitmcodex: {shortfall}", file=sys.stderr)  # this mode is quiet, a log line would not show
    if settings.provider.credential.how == "stdin":
        process.stdin_key = hardening.read_key_from_stdin()
    return settings


def _reloaded(process: Process, old: Settings) -> Settings:
    try:
        new = configuration.load(_sets_in_force(process), os.environ)
        keys = client_keys.read(new.client_keys, os.environ)
        if listens():
            listeners.check_reach(dataclasses.replace(new, ollama=old.ollama), listeners.of_modes(ctx.options.mode))
    except SettingsError as error:
        logger.warning("mitmcodex keeps its settings: %s", error)
        return old
    process.client_keys = keys
    changed = [key.name for key in KEYS if not key.is_live and new.values[key.name] != old.values[key.name]]
    changed += [name for name in ("provider", "providers", "ollama") if getattr(new, name) != getattr(old, name)]
    leads_to_new = not old.providers.keys() >= {*new.naming.routing.values()}
    if leads_to_new:
        changed.append("routing")
    if changed:
        logger.warning("mitmcodex: a change of %s needs a restart", ", ".join(changed))
    live = [key.name for key in KEYS if key.is_live]
    return dataclasses.replace(
        old,
        client_keys=new.client_keys,
        naming=old.naming if leads_to_new else new.naming,
        values={**old.values, **{name: new.values[name] for name in live}},
        origins={**old.origins, **{name: new.origins[name] for name in live}},
        **{name: getattr(new, name) for name in live},
    )


def _sets_in_force(process: Process) -> dict[str, object]:
    """What came by ``--set`` or was edited live lies in the options, once they are declared."""
    return {name: getattr(ctx.options, PREFIX + name) for name in process.set_names}


def _sets() -> dict[str, object]:
    """What came by ``--set`` or mitmproxy's own config.yaml, without the prefix; no option of ours is declared yet."""
    deferred = {name: value for name, value in ctx.options.deferred.items() if name.startswith(PREFIX)}
    # The wrapper around texts that mitmproxy has yet to convert holds them as ``val``.
    return {name.removeprefix(PREFIX): getattr(value, "val", value) for name, value in deferred.items()}


def _show(settings: Settings) -> None:
    """The options get the values in force, as mitmweb shows and edits them.

    Those declared later (settings.py, at the first load) take theirs from ``deferred``; a known setting that has no
    option leaves it, as what stays there would look like a typo.
    """
    for name in [name for name in ctx.options.deferred if name.startswith(PREFIX)]:
        del ctx.options.deferred[name]
    ctx.options.update_defer(**{key.option: settings.values[key.name] for key in KEYS})


def listens() -> bool:
    """False for `--options`, `--commands` and for reading flow files without a server (-n)."""
    return bool(ctx.options.server) and not LISTINGS & set(sys.argv)


def modes(settings: Settings) -> list[str]:
    """The ``--mode`` values to start mitmproxy with, after all that can be checked before it binds."""
    wanted = listeners.wanted(settings)
    listeners.check_reach(settings, wanted)
    listeners.check_free(settings.listen)
    found = listeners.modes(settings.listen, both_families=not settings.secure)
    for listen in wanted.ollama:
        listeners.check_free(listen, listeners.OTHER_OLLAMA_PORT)
        found += listeners.modes(listen, both_families=True, mode=listeners.OLLAMA_MODE)
    return found


def names_mode(arguments: Sequence[str]) -> bool:
    return any(argument.startswith(("--mode", "-m")) for argument in arguments)


def _placed(settings: Settings) -> Settings:
    """Settings with the listener that mitmproxy opens; starts the command anew when that is not ours yet.

    When it is, mitmproxy may have bound it already, so only the first start can look whether the port is free.
    """
    if settings.secure:
        _refuse_onlookers()
    options = ctx.options
    if options.listen_host or options.listen_port is not None:
        raise SettingsError("instead of -p, --listen-port and --listen-host use --set codex_listen=HOST:PORT")
    if Path(sys.argv[0]).stem in PROGRAMS and list(options.mode) == ["regular"] and not names_mode(sys.argv[1:]):
        _run_again(modes(settings))
    found = listeners.of_modes(options.mode)
    listeners.check_reach(settings, found)
    return dataclasses.replace(settings, listen=found.main[0])


def _close_flow_file() -> None:
    """The file of -w holds prompts and answers; mitmproxy made it readable for all before any script was loaded."""
    save = ctx.master.addons.get("save")
    path = Path(save.current_path) if save is not None and save.current_path else None
    if path is not None and path.is_file():  # not a device or a pipe
        path.chmod(0o600)


def _refuse_onlookers() -> None:
    """Secure mode: nobody but the caller may see the traffic, now or later."""
    if not isinstance(ctx.master, DumpMaster):
        raise SettingsError("secure mode runs under mitmdump alone: mitmweb and the console would show the traffic")
    if ctx.options.save_stream_file or getattr(ctx.options, "hardump", ""):
        raise SettingsError("secure mode saves no flows: leave -w, --save-stream-file and hardump out")


def _run_again(named: list[str]) -> NoReturn:
    """stdin and ``--set`` survive it, process hardening does not: that comes after (mitmproxy.md 1.4)."""
    sys.stdout.flush()
    sys.stderr.flush()
    added = [part for mode in named for part in ("--mode", mode)]
    command = [sys.executable, *sys.orig_argv[1:], *added]
    if os.name == "nt":  # execv there starts a second process and ends this one, so that the shell would go on
        sys.exit(subprocess.call(command))
    os.execv(sys.executable, command)
