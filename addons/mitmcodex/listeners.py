"""Where clients connect, in mitmproxy's words (``--mode``) and in ours (Listen); and whether that can be had."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence

from mitmcodex import configuration
from mitmcodex.schema import Listen, Settings, SettingsError

MODE = "reverse:http://codex.invalid@"
"""The target can't exist: a script that failed to load must leak nothing (mitmproxy.md 2.5)."""


def modes(listen: Listen, *, both_families: bool) -> list[str]:
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
    return [f"{MODE}{one.host}:{one.port}" for one in found]


def of_modes(values: Sequence[str]) -> list[Listen]:
    """What given modes listen on; raises SettingsError for any that is not ours, or has no host (all interfaces)."""
    found = []
    for value in values:
        host, colon, port = value.removeprefix(MODE).rpartition(":")
        if not value.startswith(MODE) or not colon or not host or not port.isdigit():
            raise SettingsError(f"mitmcodex can't run in mode {value!r}: leave --mode out, or use {MODE}127.0.0.1:8787")
        bare = host.strip("[]")
        found.append(configuration.listen(f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"))
    if not found:
        raise SettingsError(f"mitmcodex has nothing to listen on: leave --mode out, or use {MODE}127.0.0.1:8787")
    return found


def check_reach(settings: Settings, found: Sequence[Listen]) -> None:
    """Raises SettingsError when others than this machine could connect without a key."""
    for listen in found:
        if listen.is_loopback:
            continue
        if settings.secure:
            raise SettingsError("secure mode listens on loopback only")
        if not settings.client_keys:
            raise SettingsError(
                f"{listen} can be reached by others, and no client key is set: "
                "set MITMCODEX_CLIENT_KEY, or listen on 127.0.0.1"
            )


def check_free(listen: Listen) -> int:
    """The port, for port 0 a free one; raises SettingsError when the address can't be bound."""
    try:
        return _probe(listen)
    except OSError as error:
        remedy = "--set codex_listen=HOST:PORT takes another, `mitmcodex setup codex` then tells Codex"
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
