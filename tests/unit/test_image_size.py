import struct
import zlib

import pytest

from mitmcodex.wire.image_size import image_size

EXIF = b"\xff\xe1" + struct.pack(">H", 2 + 3000) + bytes(3000)
FRAME = b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, 480, 640, 1) + bytes(3)


def png(width: int, height: int) -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


def webp(chunk: bytes, data: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + 8 + len(data)) + b"WEBP" + chunk + struct.pack("<I", len(data)) + data


HEADS = {
    "png": png(640, 480),
    "gif": b"GIF89a" + struct.pack("<HH", 640, 480) + b"\xf7\x00\x00",
    "webp-extended": webp(b"VP8X", bytes(4) + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")),
    "webp-lossless": webp(b"VP8L", b"\x2f" + struct.pack("<I", 639 | 479 << 14)),
    "webp-lossy": webp(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", 640 | 1 << 14, 480)),
    "jpeg": b"\xff\xd8\xff\xe0" + struct.pack(">H", 16) + bytes(14) + EXIF + b"\xff\xff\xc4\x00\x02" + FRAME,
}


@pytest.mark.parametrize("form", HEADS)
def test_each_form_says_its_size(form: str) -> None:
    """Width before height, whatever order the form has; a JPEG's metadata, padding and tables are skipped."""
    assert image_size(HEADS[form] + b"rest") == (640, 480)


@pytest.mark.parametrize("form", HEADS)
def test_a_head_cut_anywhere_is_survived(form: str) -> None:
    """Too little data is no size, never an error."""
    whole = HEADS[form]
    for length in range(len(whole)):
        assert image_size(whole[:length]) in (None, (640, 480))
    assert image_size(whole[:16]) is None or form == "gif"


@pytest.mark.parametrize(
    "data",
    [b"", b"%PDF-1.7", b"<svg/>", png(0, 7), webp(b"ALPH", bytes(20)), b"\xff\xd8\xff\xda\x00\x02\x00"],
)
def test_what_is_no_picture_has_no_size(data: bytes) -> None:
    """Another form, an empty picture, an odd chunk, a JPEG without a frame."""
    assert image_size(data) is None
