"""What outlives a reload of the script: one Process per mitmproxy master (house.md section 6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from mitmproxy import http, master

from mitmcodex.conversation import Conversations
from mitmcodex.exchange import Admission, Exchange
from mitmcodex.schema import Settings
from mitmcodex.slots import Slots
from mitmcodex.upstream.retry import BlockedUpstreams

if TYPE_CHECKING:
    from mitmcodex.catalogs import LiveCatalog
    from mitmcodex.state.cookies import CookieJar
    from mitmcodex.state.credentials import CredentialStore
    from mitmcodex.upstream.providers import CredentialRef
    from mitmcodex.upstream.transport import ConnectionKey, ConnectTarget, Transport

ATTRIBUTE = "mitmcodex_process"


def _no_egress(exchange: Exchange) -> None:
    raise RuntimeError("no egress was built")


@dataclass(eq=False)
class Process:
    """Shared by the addons that ``stack.build()`` makes; a reload builds new addons around the same Process."""

    settings: Settings | None = None
    """None until ``start.prepare()`` has checked them."""
    set_names: set[str] = field(default_factory=set)
    """Settings that came by ``--set`` or were edited live: a reload takes them from the options."""
    stdin_key: bytearray | None = field(default=None, repr=False)
    client_keys: tuple[bytes, ...] = field(default=(), repr=False)
    """The values behind ``client_keys:``; none = no key is asked for."""
    transports: dict[tuple[ConnectionKey, ConnectTarget], Transport] = field(default_factory=dict)
    jars: dict[tuple[ConnectionKey, str], CookieJar] = field(default_factory=dict)
    """With the base URL, whose host is in a jar's rules."""
    stores: dict[tuple[CredentialRef, str], CredentialStore] = field(default_factory=dict)
    """With the provider's kind, which says what is taken from a file."""
    catalogs: dict[str, LiveCatalog] = field(default_factory=dict)
    """What each account lists, by the name of the file that keeps it."""
    conversations: Conversations = field(default_factory=Conversations)
    blocked: BlockedUpstreams = field(default_factory=BlockedUpstreams)
    begin: Callable[[Exchange], None] = _no_egress
    """How the seam starts an exchange: the egress of the newest build, also for connections that are open already."""
    running: set[Exchange] = field(default_factory=set)
    slots: Slots = field(default_factory=Slots)
    admissions: WeakKeyDictionary[http.HTTPFlow, Admission] = field(default_factory=WeakKeyDictionary)
    numbers_given: int = 0
    is_announced: bool = False
    user_umask: int = 0o022
    """What held before ``start`` made every new file private."""

    @classmethod
    def of(cls, owner: master.Master) -> Process:
        """The one of this master, made when there is none yet."""
        found = getattr(owner, ATTRIBUTE, None)
        if found is None:
            found = cls()
            setattr(owner, ATTRIBUTE, found)
        return found

    async def aclose(self) -> None:
        """mitmproxy goes down: end what runs, so that upstreams and dump files learn of it, then close connections."""
        tasks = [exchange.task for exchange in self.running if exchange.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for transport in self.transports.values():
            await transport.aclose()

    def next_number(self) -> int:
        """The number of a new exchange, from 1; names its dump files."""
        self.numbers_given += 1
        return self.numbers_given

    @property
    def current(self) -> Settings:
        """The settings in force. Addons read them here each time, so that a live edit reaches them."""
        assert self.settings is not None, "start.prepare() runs before any addon is built"
        return self.settings
