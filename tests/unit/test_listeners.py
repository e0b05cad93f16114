"""Listeners as --mode values and as addresses that can be had."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
from mitmproxy.proxy.mode_specs import ProxyMode

from mitmcodex import listeners
from mitmcodex.listeners import Listening
from mitmcodex.schema import Listen, Ollama, Settings, SettingsError
from mitmcodex.upstream.providers import CredentialRef


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
    (found,) = listeners.of_modes([mode]).main
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
    """What modes() makes, of_modes() reads, IPv6 too; the target tells whose listener it is."""
    values = ["reverse:http://codex.invalid@127.0.0.1:1", "reverse:http://codex.invalid@::1:1"]
    assert listeners.of_modes(values).main == [Listen("127.0.0.1", 1), Listen("::1", 1)]
    both = listeners.of_modes([*values, "reverse:http://ollama.invalid@127.0.0.1:2"])
    assert both.ollama == [Listen("127.0.0.1", 2)] and len(both.main) == 2


@pytest.mark.parametrize(
    "mode",
    [
        "regular",
        "socks5",
        "reverse:https://chatgpt.com@127.0.0.1:1",
        "reverse:http://codex.invalid",
        "reverse:http://codex.invalid@8787",
        "reverse:http://codex.invalid@:8787",
        "reverse:http://ollama.invalid@11434",
        "reverse:http://ollama.invalid.example@127.0.0.1:1",
    ],
)
def test_other_modes_are_refused(mode: str) -> None:
    """No forward proxy, no other target, no listener on all interfaces by omission."""
    with pytest.raises(SettingsError, match="can't run in mode"):
        listeners.of_modes([mode])


def test_no_mode_at_all_is_refused() -> None:
    """An empty mode list would listen nowhere and say nothing."""
    for modes in ([], ["reverse:http://ollama.invalid@127.0.0.1:1"]):
        with pytest.raises(SettingsError, match="nothing to listen on"):
            listeners.of_modes(modes)


MAIN = [Listen("127.0.0.1", 1)]


def test_the_name_of_a_listener() -> None:
    """The mode that a connection came by tells it; a port would not, where one is chosen at the start (seeds S244)."""
    spec = "reverse:http://{}.invalid@127.0.0.1:1"
    assert [listeners.name_of(ProxyMode.parse(spec.format(name))) for name in ("codex", "ollama")] == ["main", "ollama"]
    assert listeners.name_of(ProxyMode.parse("regular")) == "main"


def test_what_is_wanted() -> None:
    """Ollama's listener is off by default (seeds S244), and never in the secure mode, which serves one path."""
    enabled = Settings(ollama=Ollama(enabled=True))
    assert listeners.wanted(Settings()).ollama == []
    assert listeners.wanted(enabled) == ([Listen()], [Listen(port=11434)])
    assert listeners.wanted(replace(enabled, secure=True)).ollama == []


def test_ollamas_listener_for_others_needs_a_second_setting() -> None:
    """Whoever reaches it needs no key (seeds S253): an address that others reach is refused without ``allow_remote``,
    whatever client keys there are."""
    others = Listening(MAIN, [Listen("0.0.0.0", 1)])
    keys = (CredentialRef("env", "KEY"),)
    with pytest.raises(SettingsError, match="without a key: set ollama.allow_remote"):
        listeners.check_reach(Settings(ollama=Ollama(enabled=True), client_keys=keys), others)
    listeners.check_reach(Settings(ollama=Ollama(enabled=True, allow_remote=True)), others)


def test_modes_and_settings_agree_on_ollama() -> None:
    """A mode alone opens no listener without a key, and one that is enabled is not left out in silence."""
    with pytest.raises(SettingsError, match="ollama is not enabled, and a mode is"):
        listeners.check_reach(Settings(), Listening(MAIN, MAIN))
    with pytest.raises(SettingsError, match="ollama is enabled, and no mode is"):
        listeners.check_reach(Settings(ollama=Ollama(enabled=True)), Listening(MAIN, []))
