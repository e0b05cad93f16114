"""Addon: the settings as mitmproxy options, shown by ``--options`` and edited live in mitmweb and the console."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mitmproxy import ctx
from mitmproxy.addonmanager import Loader
from mitmproxy.exceptions import OptionsError

from mitmcodex import configuration, listeners, start
from mitmcodex.process import Process
from mitmcodex.schema import KEYS, Key, SettingsError, Value


class Settings:
    """Declares the options and carries an edit of one into ``process.settings``; what can't be is rolled back."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def load(self, loader: Loader) -> None:
        defaults = configuration.default_values()
        for key in KEYS:
            # mitmproxy's own annotation asks for a class; a Sequence is what its option types expect.
            kind: Any = Sequence[str] if key.kind == list[str] else key.kind
            choice = f" One of {key.choice}." if key.choices else ""
            loader.add_option(key.option, kind, defaults[key.name], f"{key.help}{choice}")

    def configure(self, updated: set[str]) -> None:
        """Raises OptionsError: mitmproxy shows it and puts the old values back."""
        if "mode" in updated:
            self._check_mode()
        settings = self._process.current
        values = {key: self._value(key) for key in KEYS if key.option in updated}
        edits = {key: value for key, value in values.items() if value != settings.values[key.name]}
        for key in edits:
            if not key.is_live:
                raise OptionsError(f"{key.option} needs a restart with --set {key.option}=…")
        if not edits:
            return
        try:
            self._process.settings = configuration.edited(settings, {key.name: value for key, value in edits.items()})
        except SettingsError as error:
            raise OptionsError(str(error)) from None
        self._process.set_names |= {key.name for key in edits}

    def _check_mode(self) -> None:
        """An edit to another mode would make us a forward proxy, or let others in."""
        try:
            if start.listens():
                listeners.check_reach(self._process.current, listeners.of_modes(ctx.options.mode))
        except SettingsError as error:
            raise OptionsError(str(error)) from None

    def _value(self, key: Key) -> Value:
        value = getattr(ctx.options, key.option)
        return list(value) if key.kind == list[str] else value
