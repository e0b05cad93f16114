"""A request body as a JSON object."""

from __future__ import annotations

import json

from mitmcodex.wire.errors import WireError
from mitmcodex.wire.shapes import Fields


def parsed(body: bytes) -> Fields:
    """Raises WireError (invalid_request, code invalid_json) when it is no JSON object in UTF-8."""
    try:
        fields = json.loads(body.decode())
    except UnicodeDecodeError as error:
        raise _invalid(f"The request body is not UTF-8: byte {error.start}.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _invalid(f"The request body is not JSON: {error.msg} ({where}).") from None
    except RecursionError:
        raise _invalid("The request body is nested too deeply.") from None
    if not isinstance(fields, dict):
        raise WireError("invalid_request", "The request body must be a JSON object.")
    return fields


def _invalid(text: str) -> WireError:
    return WireError("invalid_request", text, code="invalid_json")
