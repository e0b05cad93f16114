"""The ClientHello parser reads the real captures as the capture tool read them."""

import json
from pathlib import Path

import pytest

from support import clienthello

CAPTURES = sorted((Path(__file__).parent.parent / "fixtures" / "fingerprints").glob("*.json"))


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_capture_is_read_field_by_field(path: Path) -> None:
    """Each field of each real capture comes out as it was recorded, and no other."""
    capture = json.loads(path.read_text())
    assert clienthello.parse(bytes.fromhex(capture["client_hello_hex"])) == capture["client_hello"]


def test_three_captures_are_there() -> None:
    """The parametrised test above can't pass for want of files."""
    assert len(CAPTURES) == 3


def test_every_shorter_piece_asks_for_more() -> None:
    """A hello that has not fully arrived is Incomplete at every length, never half a result."""
    raw = bytes.fromhex(json.loads(CAPTURES[1].read_text())["client_hello_hex"])
    for size in range(len(raw)):
        with pytest.raises(clienthello.Incomplete):
            clienthello.parse(raw[:size])


def test_other_bytes_are_refused() -> None:
    """Plain HTTP on a TLS port is named as no handshake instead of being waited for."""
    with pytest.raises(ValueError, match="not a TLS handshake"):
        clienthello.parse(b"GET / HTTP/1.1\r\n\r\n")


def test_grease_is_seen() -> None:
    """A GREASE number is recognised (its two bytes are equal and end in 0xA), a neighbour is not."""
    assert clienthello.is_grease(0x4A4A)
    assert not clienthello.is_grease(0x4A5A)
