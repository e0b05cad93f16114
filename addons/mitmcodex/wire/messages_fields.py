"""Messages, decode: one object of a request, read key by key."""

from __future__ import annotations

from typing import ClassVar

from mitmcodex.wire.reading import Reading


class Block(Reading):
    """The body, a message, a content block, a tool … ``cache_control`` and its like may stand in any of them."""

    hints: ClassVar = {
        "cache_control": "the provider caches by itself",
        "caller": "calls are the model's own",
        "eager_input_streaming": "arguments are streamed as they come",
        "defer_loading": "the tool is shown from the start",
        "anthropic_version": "one form of the protocol is spoken",
        "anthropic_beta": "no beta changes what is carried over",
        "betas": "no beta changes what is carried over",
    }
