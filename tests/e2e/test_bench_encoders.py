"""`make bench-encoders` runs and tells what it found. Nothing is timed here: its aims can neither hold nor fail."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mitmcodex.wire import CODECS, REVERSES
from mitmcodex.wire.codec import Decoded
from mitmcodex.wire.fold import Folder

BENCH = Path(__file__).parent.parent / "bench"
ROWS = (
    *(f"{name} encoder" for name in ("chat", "messages", "gemini", "ollama", "responses")),
    *(f"{kind} decoder" for kind in REVERSES),
    *("restore: names", "limits: stop", "sse splitter"),
    *(f"{client} → ChatGPT backend" for client in ("chat", "messages", "gemini", "responses")),
    *(f"responses → {kind}" for kind in REVERSES),
)


@pytest.fixture
def samples(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("samples")


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    tiny = ("--rounds", "1", "--events", "2", "4", "--turns", "1", "2")
    command = [sys.executable, str(BENCH / "encoders.py"), *tiny, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_each_part_of_the_protocol_code_has_a_row() -> None:
    """Two tables on stdout, progress on stderr, and without --check a miss is no failure."""
    done = bench()
    assert done.returncode == 0, done.stderr
    assert all(f"\n| {row} | " in done.stdout for row in ROWS)
    assert done.stdout.count("|---|") == 2 and "round 1: chat encoder" in done.stderr


@pytest.mark.parametrize(("share", "status"), [("1e9", 0), ("-1", 1)])
def test_a_miss_beyond_the_share_is_a_failure(share: str, status: int) -> None:
    """No cost is a milliard times its aim, and any is more than none."""
    assert bench("--only", "splitter", "--check", share).returncode == status


def test_a_row_that_is_not_there_is_told() -> None:
    """Else nothing measured would look like nothing missed."""
    done = bench("--only", "telegraph", "--check", "0.2")
    assert done.returncode == 1 and "telegraph" in done.stderr


@pytest.mark.parametrize("kind", [*REVERSES])
def test_the_decoders_are_given_whole_answers(samples: Any, kind: str) -> None:
    """What a decoder does not understand would cost it little."""
    decoder, folder = REVERSES[kind].decoder(Decoded({"model": "m"})), Folder()
    for event in samples.provider_stream(kind, 15):
        folder.feed(decoder.feed(event))
    folder.feed(decoder.finish())
    texts = [part["text"] for item in folder.result()["output"] for part in item["content"]]
    assert texts == ["".join((samples.WORDS * 2)[:15])]


@pytest.mark.parametrize("protocol", ["chat", "messages", "gemini", "responses"])
def test_a_conversation_grows_with_its_turns(samples: Any, protocol: str) -> None:
    """Each protocol's request has all items of the conversation."""
    sizes = []
    for turns in (0, 3):
        fields = samples.json.loads(samples.request_body(protocol, turns))
        decoded = CODECS[protocol].decode_request(fields, samples.GEMINI_ASKED)
        sizes.append(len([item for item in decoded.fields["input"] if item.get("role") not in ("system", "developer")]))
    assert sizes == [1, 1 + 3 * 4]
