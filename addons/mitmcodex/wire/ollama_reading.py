"""Ollama, decode: one object of a request, read key by key."""

from __future__ import annotations

from typing import ClassVar

from mitmcodex.wire.nested_reading import NestedReading

_RUNNER = "it sets up a local runner"


class OllamaReading(NestedReading):
    hints: ClassVar = {
        "keep_alive": "no model is loaded here",
        **dict.fromkeys(
            (
                "num_ctx",
                "num_batch",
                "num_gpu",
                "main_gpu",
                "num_thread",
                "num_keep",
                "numa",
                "low_vram",
                "f16_kv",
                "logits_all",
                "vocab_only",
                "use_mmap",
                "use_mlock",
                "embedding_only",
            ),
            _RUNNER,
        ),
    }
