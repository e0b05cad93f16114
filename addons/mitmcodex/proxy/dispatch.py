"""Flow hooks go straight to the addons that have them.

mitmproxy asks each of some forty addons, at each of the ten or so hooks of a request, whether it has that hook; that is
a quarter of what a request costs (mitmproxy.md 2.3). Here the answer is kept until an addon is added or removed. What a
hook does, its order and what happens when it raises stay as they were.
"""

from __future__ import annotations

import inspect
from dataclasses import fields
from functools import cache
from typing import Any

from mitmproxy import exceptions, flow, hooks
from mitmproxy.addonmanager import AddonManager, safecall, traverse

PER_FLOW = frozenset(
    (
        "client_connected",
        "client_disconnected",
        "next_layer",
        "requestheaders",
        "request",
        "responseheaders",
        "response",
        "error",
        "update",
    )
)
"""Only these: others are triggered while a script is being exchanged, when the list of addons is not whole."""


class IndexedAddons(AddonManager):
    _groups: dict[str, list[list[Any]]]

    @classmethod
    def adopt(cls, manager: AddonManager) -> None:
        """Turn mitmproxy's addon manager into this one; again is harmless."""
        manager.__class__ = cls
        assert isinstance(manager, cls)
        manager._groups = {}

    def register(self, addon: Any) -> Any:
        self._groups.clear()
        return super().register(addon)

    def remove(self, addon: Any) -> None:
        self._groups.clear()
        super().remove(addon)

    def clear(self) -> None:
        self._groups.clear()
        super().clear()

    async def handle_lifecycle(self, event: hooks.Hook) -> None:
        """As mitmproxy's own, but no update of a flow is made where nobody listens."""
        message = _arguments(event)[0]
        await self.trigger_event(event)
        if isinstance(message, flow.Flow) and self._listening("update"):
            await self.trigger_event(hooks.UpdateHook([message]))

    async def trigger_event(self, event: hooks.Hook) -> None:
        name = event.name
        if name not in PER_FLOW:
            return await super().trigger_event(event)
        groups, arguments = self._listening(name), _arguments(event)
        for group in groups:
            try:
                with safecall():
                    for addon in group:
                        result = getattr(addon, name)(*arguments)
                        if result is not None and inspect.isawaitable(result):
                            await result
            except exceptions.AddonHalt:
                return

    def _listening(self, name: str) -> list[list[Any]]:
        if name not in self._groups:
            self._groups[name] = self._find(name)
        return self._groups[name]

    def _find(self, name: str) -> list[list[Any]]:
        """The addons with this hook, by entry of the chain: an exception ends its entry (all scripts are one)."""
        found = [[addon for addon in traverse([entry]) if callable(getattr(addon, name, None))] for entry in self.chain]
        return [group for group in found if group]


def _arguments(event: hooks.Hook) -> list[Any]:
    """``event.args()`` looks the names up each time, which alone is 4 % of what a request costs."""
    return [getattr(event, name) for name in _names(event.name)]


@cache
def _names(hook: str) -> tuple[str, ...]:
    return tuple(field.name for field in fields(hooks.all_hooks[hook]))  # type: ignore[arg-type]
