"""An upstream's answer that is one object and no stream, read to its end."""

from __future__ import annotations

from collections.abc import AsyncIterator

from mitmcodex.wire.body import parsed
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.fold import FOLD_LIMIT
from mitmcodex.wire.shapes import Fields


async def read_whole(body: AsyncIterator[bytes], limit: int = FOLD_LIMIT) -> bytes:
    """Raises WireError (upstream_failed) for more than ``limit`` bytes."""
    data = bytearray()
    async for piece in body:
        data += piece
        if len(data) > limit:
            raise WireError("upstream_failed", f"The upstream's answer is larger than {limit} bytes.")
    return bytes(data)


def answer_of(data: bytes) -> Fields:
    """Raises WireError (upstream_failed) for what is no JSON object: it is not the client's request that is wrong."""
    try:
        return parsed(data)
    except WireError:
        raise WireError("upstream_failed", "The upstream's answer is no JSON object. Check its base_url.") from None
