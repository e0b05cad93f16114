"""The seal. What egress does with an exchange is tested whole: tests/e2e/test_fail_closed.py and test_errors.py."""

from __future__ import annotations

from typing import Any, cast

import pytest
from mitmproxy.test import tflow

from mitmcodex.egress import Unsealed, check_sealed
from mitmcodex.exchange import Admission, ClientLeg, Exchange

PARTS = ("canonical", "adapted", "form", "credential", "identity", "request")


def sealed() -> Exchange:
    exchange: Any = Exchange(tflow.tflow(), Admission(), cast(ClientLeg, None))
    for part in PARTS:
        setattr(exchange, part, b"")  # empty counts: a GET has no body to adapt
    return cast(Exchange, exchange)


def test_a_whole_exchange_may_leave() -> None:
    """Each stage has set its part."""
    check_sealed(sealed())


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_keeps_it_here(part: str) -> None:
    """The error names the part, and so the stage that is not in the list."""
    exchange = sealed()
    setattr(exchange, part, None)
    with pytest.raises(Unsealed, match=part):
        check_sealed(exchange)
