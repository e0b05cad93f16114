"""The conversation behind ``previous_response_id``, from the responses that are kept here (conformance 33)."""

from __future__ import annotations

from mitmcodex.state.responses import ResponseStore
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.stored_items import continued, items_of


async def whole_input(fields: Fields, store: ResponseStore) -> list[Fields]:
    """The input of a request, behind all that led to it. ``previous_response_id`` may be absent.

    Raises WireError (invalid_request, code previous_response_not_found) for a response that is not kept.
    """
    previous, items = fields.get("previous_response_id"), items_of(fields.get("input"))
    if previous is None:
        return items
    if not isinstance(previous, str):
        raise wrong("previous_response_id", "must be a text")
    record = await store.get(previous)
    if record is None:
        raise not_found(previous)
    return [*continued(record.input, record.response, record.account), *items]


def not_found(previous: str) -> WireError:
    text = f"Previous response with id '{previous[:100]}' not found. Send the whole conversation as input."
    code = "previous_response_not_found"
    return WireError("invalid_request", text, code=code, param="previous_response_id")
