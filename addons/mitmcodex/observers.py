"""The observers of an exchange: told of each step, unable to change anything."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from mitmcodex.exchange import Exchange

log = logging.getLogger(__name__)


class Observers:
    """Tells each observer of one exchange's steps; one that fails is switched off for the rest of that exchange.

    An observer has any of ``exchange_started``, ``upstream_requested``, ``upstream_responded``, ``upstream_data``,
    ``upstream_ended``, ``client_head``, ``client_data``, ``exchange_ended``, all sync; the exchange is the first
    argument. ``exchange_started`` may return False: no interest in this exchange.
    """

    def __init__(self, observers: Sequence[Any], exchange: Exchange) -> None:
        self._exchange = exchange
        self._active: list[Any] = []
        for observer in observers:
            if self._call(observer, "exchange_started", ()) is not False:
                self._active.append(observer)

    def tell(self, step: str, *args: Any) -> None:
        for observer in tuple(self._active):
            self._call(observer, step, args)

    def _call(self, observer: Any, step: str, args: tuple[Any, ...]) -> Any:
        method = getattr(observer, step, None)
        if method is None:
            return None
        try:
            return method(self._exchange, *args)
        except Exception as error:  # noqa: BLE001 - whatever breaks in an observer must not touch the client's answer
            name = type(observer).__name__
            if observer in self._active:
                self._active.remove(observer)
            log.warning(f"{name} is off for exchange {self._exchange.number}: {type(error).__name__} in {step}")
            self._exchange.flow.marked = ":warning:"
            self._exchange.flow.comment = f"{name} failed in {step}: the recording of this exchange is not whole"
            return False
