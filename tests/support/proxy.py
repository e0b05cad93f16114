"""The real proxy, with its real stack, in a thread of the test's process (about 60 ms to start)."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Coroutine, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import yaml
from mitmproxy import options
from mitmproxy.tools.dump import DumpMaster

from mitmcodex import listeners, stack
from mitmcodex.process import Process
from mitmcodex.schema import Listen
from mitmcodex.slim import CHATTY

WAIT_S = 20.0


@cache
def authority() -> TemporaryDirectory[str]:
    """mitmproxy's own folder, with its certificates: made once a process, as its keys take longer than a test."""
    return TemporaryDirectory(prefix="mitmcodex-test-")


_one_at_a_time = threading.Lock()
"""mitmproxy's ``ctx`` is one a process: an addon of a proxy that still runs would read the options of the next one."""


class Proxy:
    """``config`` is the user's settings file; ``extra`` are addons of a user's own, added behind ours; ``mitm_options``
    are mitmproxy's own. With ``ollama: {enabled: true}`` its listener has the port ``ollama_port``."""

    def __init__(
        self,
        folder: Path,
        config: dict[str, Any],
        extra: Sequence[Any] = (),
        mitm_options: dict[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        config = {"state_dir": str(folder / "state"), **config}
        self.config_file = folder / "mitmcodex.yaml"
        self.config_file.write_text(yaml.safe_dump(config, sort_keys=False))
        self._extra = extra
        self._mitm_options = {"confdir": authority().name, **(mitm_options or {})}
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy under test", daemon=True)
        self._error: BaseException | None = None
        self.loop: asyncio.AbstractEventLoop
        self.master: DumpMaster
        self.process: Process
        self.addons: list[Any] = []
        self.port = self.ollama_port = 0
        self._modes = ["reverse:http://codex.invalid@127.0.0.1:0"]
        if config.get("ollama", {}).get("enabled"):
            self._modes += listeners.modes(Listen(port=0), both_families=False, mode=listeners.OLLAMA_MODE)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def addon(self, kind: type) -> Any:
        return next(x for x in self.addons if isinstance(x, kind))

    def call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run something in the proxy's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(WAIT_S)

    def wait_idle(self) -> None:
        """Until no exchange runs: what observers write is whole by then."""
        self.call(self._idle())

    async def _idle(self) -> None:
        while running := self.process.running:
            await asyncio.wait([exchange.task for exchange in running if exchange.task])

    def __enter__(self) -> Self:
        assert _one_at_a_time.acquire(blocking=False), "another proxy still runs in this process"
        try:
            return self._begun()
        except BaseException:
            _one_at_a_time.release()
            raise

    def _begun(self) -> Self:
        self._logging = logging.getLogRecordFactory(), logging.getLogger(CHATTY).level
        self._umask = os.umask(0o022)
        os.umask(self._umask)
        self._thread.start()
        assert self._started.wait(WAIT_S), "the proxy did not start"
        if self._error is not None:
            raise self._error
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.master.shutdown)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the proxy did not stop"
        # The proxy sets these for its process, which is ours.
        logging.setLogRecordFactory(self._logging[0])
        logging.getLogger(CHATTY).setLevel(self._logging[1])
        os.umask(self._umask)
        _one_at_a_time.release()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the test's thread
            self._error = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        chosen = options.Options(mode=self._modes)
        chosen.set(f"codex_config={self.config_file}", defer=True)
        self.master = DumpMaster(chosen, with_termlog=True, with_dumper=False)
        quiet = {"termlog_verbosity": "error"}  # as -q does
        chosen.update(**{**quiet, **self._mitm_options})
        self.addons = stack.build()
        own = [*self.addons, *self._extra]
        self.master.addons.add(*own)
        # Where scripts stand: before what saves and shows flows.
        mitmproxys = [addon for addon in self.master.addons.chain if addon not in own]
        place = mitmproxys.index(self.master.addons.get("scriptloader"))
        self.master.addons.chain[:] = [*mitmproxys[:place], *own, *mitmproxys[place:]]
        self.process = Process.of(self.master)
        self.master.addons.add(_Running(self))
        await self.master.run()
        # mitmproxy leaves its sockets to the end of the process.
        await self.master.addons.get("proxyserver").servers.update([])


class _Running:
    """The last addon: when it hears ``running``, all others have, and the sockets listen."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def running(self) -> None:
        main, *others = self._proxy.master.addons.get("proxyserver").listen_addrs()
        self._proxy.port = main[1]
        self._proxy.ollama_port = others[0][1] if others else 0
        self._proxy._started.set()
