"""Where clients connect, in mitmproxy's words (``--mode``) and in ours (Listen); and whether that can be had."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from typing import NamedTuple

from mitmproxy.proxy.mode_specs import ProxyMode

from mitmcodex import configuration
from mitmcodex.schema import Listen, Settings, SettingsError

MODE = "reverse:http://codex.invalid@"
"""The target can't exist: a script that failed to load must leak nothing (mitmproxy.md 2.5)."""
OLLAMA_MODE = "reverse:http://ollama.invalid@"
"""The target tells this listener from the other, whatever their ports."""

OTHER_PORT = "--set codex_listen=HOST:PORT takes another, `mitmcodex setup codex` then tells Codex"
OTHER_OLLAMA_PORT = "ollama.listen in the settings file takes another"


class Listening(NamedTuple):
    """Where clients connect, by listener."""

    main: list[Listen]
    ollama: list[Listen]


def name_of(mode: ProxyMode) -> str:
    """The listener (``Admission.listener``) that a client came by: main | ollama."""
    return "ollama" if mode.full_spec.startswith(OLLAMA_MODE) else "main"


def wanted(settings: Settings) -> Listening:
    """What the settings ask for. The secure mode serves one path to one client."""
    has_ollama = settings.ollama.enabled and not settings.secure
    return Listening([settings.listen], [settings.ollama.listen] if has_ollama else [])


def modes(listen: Listen, *, both_families: bool, mode: str = MODE) -> list[str]:
    """The ``--mode`` values for a listener; with ``both_families`` also ::1, as "localhost" may resolve to it.

    Two listeners need a fixed port, and one that can't bind would end the whole start: so ::1 is tried first.
    A free port is chosen here, as mitmproxy would look for one on all interfaces. Raises SettingsError.
    """
    found = [Listen(listen.host, listen.port or check_free(listen))]
    if both_families and listen.host == "127.0.0.1" and listen.port:
        try:
            _probe(Listen("::1", listen.port))
            found.append(Listen("::1", listen.port))
        except OSError:
            pass
    return [f"{mode}{one.host}:{one.port}" for one in found]


def of_modes(values: Sequence[str]) -> Listening:
    """What given modes listen on; raises SettingsError for any that is not ours, or has no host (all interfaces)."""
    found = Listening([], [])
    for value in values:
        listener = found.ollama if value.startswith(OLLAMA_MODE) else found.main
        target, at, place = value.partition("@")
        host, colon, port = place.rpartition(":")
        if target + at not in (MODE, OLLAMA_MODE) or not colon or not host or not port.isdigit():
            raise SettingsError(f"mitmcodex can't run in mode {value!r}: leave --mode out, or use {MODE}127.0.0.1:8787")
        bare = host.strip("[]")
        listener.append(configuration.listen(f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"))
    if not found.main:
        raise SettingsError(f"mitmcodex has nothing to listen on: leave --mode out, or use {MODE}127.0.0.1:8787")
    return found


def check_reach(settings: Settings, found: Listening) -> None:
    """Raises SettingsError when others than this machine could connect without a key."""
    _check_ollama(settings, found.ollama)
    for listen in found.main:
        if listen.is_loopback:
            continue
        if settings.secure:
            raise SettingsError("secure mode listens on loopback only")
        if not settings.client_keys:
            raise SettingsError(
                f"{listen} can be reached by others, and no client key is set: "
                "set MITMCODEX_CLIENT_KEY, or listen on 127.0.0.1"
            )


def _check_ollama(settings: Settings, found: Sequence[Listen]) -> None:
    is_wanted = bool(wanted(settings).ollama)
    if is_wanted != bool(found):
        said = "is enabled, and no mode is" if is_wanted else "is not enabled, and a mode is"
        raise SettingsError(f"ollama {said} {OLLAMA_MODE}HOST:PORT: leave --mode out, then both agree")
    for listen in found:
        if not listen.is_loopback and not settings.ollama.allow_remote:
            raise SettingsError(f"ollama: {listen} can be reached by others, without a key: set ollama.allow_remote")


def check_free(listen: Listen, remedy: str = OTHER_PORT) -> int:
    """The port, for port 0 a free one; raises SettingsError when the address can't be bound."""
    try:
        return _probe(listen)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(f"port {listen.port} on {listen.host} is in use: {remedy}") from None
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise SettingsError(f"can't listen on {listen}: {reason}: {remedy}") from None


def _probe(listen: Listen) -> int:
    """Binds as asyncio will (SO_REUSEADDR but on Windows, where that would take over a port in use), and lets go."""
    port = listen.port
    for family, kind, protocol, _, address in socket.getaddrinfo(
        listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(address)
            port = port or probe.getsockname()[1]
    return port
