"""Listeners as --mode values and as addresses that can be had."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from mitmcodex import listeners
from mitmcodex.schema import Listen, SettingsError


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on 127.0.0.1 that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_fixed_port_also_listens_on_the_ipv6_loopback() -> None:
    """"localhost" may resolve to ::1: a mode for each family, if ::1 can be bound; not for other hosts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    both = listeners.modes(Listen("127.0.0.1", port), both_families=True)
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            expected = [f"reverse:http://codex.invalid@{host}:{port}" for host in ("127.0.0.1", "::1")]
    except OSError:
        expected = [f"reverse:http://codex.invalid@127.0.0.1:{port}"]
    assert both == expected
    assert listeners.modes(Listen("127.0.0.1", port), both_families=False) == expected[:1]
    assert len(listeners.modes(Listen("0.0.0.0", port), both_families=True)) == 1


def test_port_zero_becomes_a_free_port() -> None:
    """mitmproxy would look for a free port on all interfaces, so the mode names one already."""
    (mode,) = listeners.modes(Listen("127.0.0.1", 0), both_families=True)
    (found,) = listeners.of_modes([mode])
    assert found.host == "127.0.0.1" and found.port > 0


def test_a_port_in_use_is_named(taken: int) -> None:
    """The message names port and remedy."""
    with pytest.raises(SettingsError, match=f"port {taken} on 127.0.0.1 is in use: --set codex_listen="):
        listeners.check_free(Listen("127.0.0.1", taken))


def test_an_address_that_is_not_ours_is_named() -> None:
    """An address of no interface is a SettingsError, too."""
    with pytest.raises(SettingsError, match="can't listen on 192.0.2.1:0"):
        listeners.check_free(Listen("192.0.2.1", 0))


def test_modes_are_read_back() -> None:
    """What modes() makes, of_modes() reads, IPv6 too."""
    values = ["reverse:http://codex.invalid@127.0.0.1:1", "reverse:http://codex.invalid@::1:1"]
    assert listeners.of_modes(values) == [Listen("127.0.0.1", 1), Listen("::1", 1)]


@pytest.mark.parametrize(
    "mode",
    [
        "regular",
        "socks5",
        "reverse:https://chatgpt.com@127.0.0.1:1",
        "reverse:http://codex.invalid",
        "reverse:http://codex.invalid@8787",
        "reverse:http://codex.invalid@:8787",
    ],
)
def test_other_modes_are_refused(mode: str) -> None:
    """No forward proxy, no other target, no listener on all interfaces by omission."""
    with pytest.raises(SettingsError, match="can't run in mode"):
        listeners.of_modes([mode])


def test_no_mode_at_all_is_refused() -> None:
    """An empty mode list would listen nowhere and say nothing."""
    with pytest.raises(SettingsError, match="nothing to listen on"):
        listeners.of_modes([])
