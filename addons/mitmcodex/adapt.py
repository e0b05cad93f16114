"""Stage: to what the chosen provider accepts. Changes the least; every change is a loss that is reported."""

from __future__ import annotations

import logging

from mitmcodex.exchange import Exchange, Loss
from mitmcodex.wire.responses_request import adapt_for

log = logging.getLogger(__name__)

LOSSES_HEADER = "x-mitmcodex-losses"


class Adapt:
    def upstream_request(self, exchange: Exchange) -> None:
        canonical, provider = exchange.canonical, exchange.provider
        assert canonical is not None and provider is not None
        if canonical.call != "responses" or exchange.admission.is_raw:
            exchange.adapted = canonical.body
            return
        exchange.adapted, losses = adapt_for(provider.kind, canonical.body, canonical.fields, exchange.is_codex)
        canonical.losses = [Loss(*loss) for loss in losses]

    def upstream_response(self, exchange: Exchange) -> None:
        assert exchange.reply is not None and exchange.canonical is not None
        if losses := exchange.canonical.losses:
            told = ", ".join(f"{loss.path} {loss.what}" for loss in losses)
            exchange.reply.headers.append((LOSSES_HEADER, told))
            why = "; ".join(f"{loss.path} {loss.what}: {loss.why}" for loss in losses)
            log.info(f"exchange {exchange.number}: {why}")
