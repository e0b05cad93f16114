"""Errors in Ollama's form: a text (conformance 74)."""

from __future__ import annotations

from mitmcodex.wire.errors import WireError
from mitmcodex.wire.shapes import Fields


def error_body(error: WireError) -> Fields:
    """Before a stream the whole body, inside one its last line."""
    return {"error": error.message}
