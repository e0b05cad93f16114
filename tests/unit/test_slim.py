"""What is taken out of mitmdump, and what stays because somebody asked for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest
from mitmproxy import master, options
from mitmproxy.tools.dump import DumpMaster

from mitmcodex.slim import CHATTY, UNUSED, Slim


@pytest.fixture(autouse=True)
def _level() -> Iterator[None]:
    log = logging.getLogger(CHATTY)
    level = log.level
    log.setLevel(logging.NOTSET)
    yield
    log.setLevel(level)


def addons_after(kind: type[master.Master], **chosen: object) -> set[str]:
    """The names of the addons that are left when a master with these options runs."""

    async def run() -> set[str]:
        owner = DumpMaster(options.Options(), with_termlog=False, with_dumper=False)
        owner.options.add_option("termlog_verbosity", str, "info", "")  # the log's own addon would stay installed
        owner.options.update(**chosen)
        if kind is not DumpMaster:
            owner.__class__ = kind  # type: ignore[assignment]
        Slim().running()
        return set(owner.addons.lookup)

    return asyncio.run(run())


class Web(master.Master):
    """Stands for mitmweb and the console."""


def test_what_nobody_asked_for_goes() -> None:
    """Under mitmdump each addon of the list is gone; what a reverse proxy needs stays."""
    left = addons_after(DumpMaster)
    assert not left & UNUSED.keys()
    assert {"proxyserver", "nextlayer", "tlsconfig", "core"} <= left


def test_what_an_option_asks_for_stays() -> None:
    """Whoever sets an option keeps the addon that carries it out."""
    assert "modifyheaders" in addons_after(DumpMaster, modify_headers=["/~q/x/y"])
    assert "modifybody" not in addons_after(DumpMaster, modify_headers=["/~q/x/y"])


def test_where_options_are_edited_nothing_goes() -> None:
    """mitmweb and the console can switch each addon on while they run."""
    assert UNUSED.keys() <= addons_after(Web)


def test_each_option_is_known_to_mitmproxy() -> None:
    """Of an option that mitmproxy renames nobody would see that it was set."""

    async def known() -> set[str]:
        return set(DumpMaster(options.Options(), with_termlog=False, with_dumper=False).options.keys())

    assert {name for wanted in UNUSED.values() for name in wanted} <= asyncio.run(known())


def test_the_talk_of_connections_is_off_unless_debugging() -> None:
    """Each of those records would be a hook for all addons."""
    addons_after(DumpMaster, termlog_verbosity="debug")
    assert logging.getLogger(CHATTY).level != logging.WARNING
    addons_after(DumpMaster)
    assert logging.getLogger(CHATTY).level == logging.WARNING
