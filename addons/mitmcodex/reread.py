"""Addon: the settings file is read again when it changes, so that an edited alias holds for the next request (S126)."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from mitmcodex import start
from mitmcodex.process import Process
from mitmcodex.schema import SettingsError

log = logging.getLogger(__name__)

POLL_S = 1.0

_State = tuple[Path, int, int, int]


class Reread:
    def __init__(self, process: Process) -> None:
        self._process = process
        self._watch: asyncio.TimerHandle | None = None
        self._seen: _State | None = None

    def load(self, _loader: object) -> None:
        """The options, one of which may name the file, are declared by now."""
        self._seen = self._state()

    def running(self) -> None:
        """Called again on each reload, with a new addon."""
        if not self._process.current.secure:
            self._look()

    def done(self) -> None:
        if self._watch is not None:
            self._watch.cancel()

    def _look(self) -> None:
        self._watch = asyncio.get_running_loop().call_later(POLL_S, self._look)
        state = self._state()
        if state in (None, self._seen):  # None: an editor may be about to put it there again
            return
        self._seen = state
        before = self._process.current
        if start.reread(self._process) != before:
            log.info("mitmcodex: the changed settings file holds now")

    def _state(self) -> _State | None:
        """Which file it is, and what changes with its content: an editor may write it in place or put another there."""
        try:
            path = start.settings_file(self._process)
            if path is None:
                return None
            status = path.stat()
        except (OSError, SettingsError):
            return None
        return path, status.st_mtime_ns, status.st_size, status.st_ino
