"""The real tokenizer behind one function: o200k_base, which all models since GPT-4o count by.

splintr-rs carries the vocabulary in its wheel, so nothing is fetched. It takes about 0.2 s and 42 MB to load, which the
first counts pay and not the proxy's start; then common text is counted at 30 to 60 MB/s.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from mitmcodex.wire.counting import BYTES_PER_TOKEN, Count

EXACT_CHARACTERS = 4 << 20
"""A longer text is estimated: it overflows every model's window anyway, and the tokenizer, some 4 MB/s at its worst
(one letter repeated), would hold up all else for seconds."""

logger = logging.getLogger(__name__)


class TokenCounter:
    """Counts the tokens of a text; the name of a special token counts as the plain text that it is. Never raises.

    Without splintr-rs it estimates, and says so once in the log.
    """

    def __init__(self) -> None:
        self._count: Count | None = None
        self._is_exact = True

    @property
    def is_exact(self) -> bool:
        """False where the tokenizer can't be loaded; asking loads it."""
        self._loaded()
        return self._is_exact

    def __call__(self, text: str) -> int:
        return estimate(text) if len(text) > EXACT_CHARACTERS else self._loaded()(text)

    def _loaded(self) -> Count:
        if self._count is None:
            try:
                self._count = _exact_count()
            except (ImportError, AttributeError, OSError, RuntimeError, ValueError) as error:
                self._is_exact = False
                self._count = estimate
                logger.warning(
                    "token counts are estimates: splintr-rs can't be loaded (%s); reinstall it", type(error).__name__
                )
        return self._count


def estimate(text: str) -> int:
    """Tokens by the text's length in UTF-8; 0 for an empty one."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def _exact_count() -> Callable[[str], int]:
    from splintr import Tokenizer

    encode = Tokenizer.from_pretrained("o200k_base").encode_ordinary

    def count(text: str) -> int:
        try:
            return len(encode(text))
        except UnicodeEncodeError:  # a lone surrogate, which JSON can hold
            return len(encode(text.encode("utf-8", "replace").decode()))

    return count
