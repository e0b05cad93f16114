"""coding.py: content codings of request bodies."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib

import brotli
import pytest
import zstandard

from mitmcodex.coding import CodingError, TooLarge, decode, encode_zstd

BODY = random.Random(7).randbytes(3000) + b"text " * 20000
LIMIT = 1 << 20


def _raw_deflate(data: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-15)
    return encoder.compress(data) + encoder.flush()


def _zstd_with_size(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


CODED = {
    "zstd without size": ("zstd", encode_zstd),
    "zstd with size": ("zstd", _zstd_with_size),
    "zstd frames": (
        "zstd",
        lambda data: encode_zstd(data[:10]) + _zstd_with_size(data[10:500]) + encode_zstd(data[500:]),
    ),
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "gzip members": ("gzip", lambda data: gzip.compress(data[:10]) + gzip.compress(data[10:])),
    "deflate zlib": ("deflate", zlib.compress),
    "deflate raw": ("deflate", _raw_deflate),
    "br": ("br", brotli.compress),
    "identity": ("identity", bytes),
    "none": ("", bytes),
    "upper case": (" GZIP ", gzip.compress),
    "stacked": ("gzip, zstd", lambda data: encode_zstd(gzip.compress(data))),
    "stacked with identity": ("br,identity , deflate", lambda data: zlib.compress(brotli.compress(data))),
}


@pytest.mark.parametrize("case", CODED)
def test_a_coded_body_is_decoded(case: str) -> None:
    """conformance 75: every known coding and stack of codings gives back the bytes."""
    header, encode = CODED[case]
    assert decode(encode(BODY), header, LIMIT) == BODY


UNCODED = ("identity", "none")
SEVERAL = ("zstd frames", "gzip members")
"""A cut between two of them can't be seen."""


@pytest.mark.parametrize("case", [case for case in CODED if case not in UNCODED + SEVERAL])
def test_a_truncated_body_is_an_error_at_every_length(case: str) -> None:
    """A body cut anywhere is never taken for a shorter or an empty one."""
    header, encode = CODED[case]
    coded = encode(b"some text, some text, some more text")
    for end in range(len(coded)):
        with pytest.raises(CodingError):
            decode(coded[:end], header, LIMIT)


@pytest.mark.parametrize("header", ["zstd", "gzip", "deflate", "br"])
@pytest.mark.parametrize("data", [b"", b"no such coding at all", b"\x00" * 40])
def test_garbage_is_an_error(header: str, data: bytes) -> None:
    """Bytes that are not what the header says are refused, an empty body too."""
    with pytest.raises(CodingError) as caught:
        decode(data, header, LIMIT)
    assert not isinstance(caught.value, TooLarge)


@pytest.mark.parametrize(
    ("header", "encode"),
    [("zstd", encode_zstd), ("gzip", gzip.compress), ("deflate", zlib.compress), ("br", brotli.compress)],
)
def test_rubbish_behind_the_body_is_an_error(header: str, encode) -> None:  # type: ignore[no-untyped-def]
    """What follows the end of the coded stream is not dropped silently."""
    with pytest.raises(CodingError):
        decode(encode(BODY) + b"rubbish", header, LIMIT)


def test_an_unknown_coding_is_named() -> None:
    """conformance 75: the message says which coding was not understood."""
    with pytest.raises(CodingError, match="'compress'"):
        decode(b"x", "gzip, compress", LIMIT)


def test_the_number_of_codings_is_limited() -> None:
    """A header with many codings can't make the proxy work for nothing."""
    with pytest.raises(CodingError, match="5 content codings"):
        decode(b"x", ",".join(["identity"] * 5), LIMIT)


@pytest.mark.parametrize("header", ["zstd", "gzip", "deflate", "br", ""])
def test_the_limit_is_exact(header: str) -> None:
    """conformance 75: a body of exactly the limit passes, one byte more does not."""
    encode = {"zstd": encode_zstd, "gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "": bytes}[
        header
    ]
    assert decode(encode(b"x" * 1000), header, 1000) == b"x" * 1000
    with pytest.raises(TooLarge, match="max_body_bytes"):
        decode(encode(b"x" * 1001), header, 1000)


def _brotli_fast(data: bytes) -> bytes:
    return brotli.compress(data, quality=1)


def _gzip_twice(data: bytes) -> bytes:
    return gzip.compress(gzip.compress(data, 1))


def _rle_bomb(blocks: int) -> bytes:
    """The densest zstd there is: each block of four bytes says "128 kB of zeros"."""
    block = ((131072 << 3) | 0b010).to_bytes(3, "little") + b"\x00"
    last = ((131072 << 3) | 0b011).to_bytes(3, "little") + b"\x00"
    return bytes.fromhex("28b52ffd0058") + block * blocks + last


@pytest.mark.parametrize("header", ["zstd", "gzip", "deflate", "br", "gzip, gzip"])
def test_a_bomb_is_not_expanded(header: str) -> None:
    """conformance 75: a few kB that stand for hundreds of MB cost little memory before they are refused."""
    if header == "zstd":
        bomb = _rle_bomb(4000)
    else:
        encode = {"gzip": gzip.compress, "deflate": zlib.compress, "br": _brotli_fast, "gzip, gzip": _gzip_twice}[
            header
        ]
        bomb = encode(b"\x00" * (100 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            decode(bomb, header, LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()


def test_zstd_is_written_as_the_client_writes_it() -> None:
    """Magic first, and a frame header without content size and checksum."""
    coded = encode_zstd(BODY)
    assert coded[:5] == bytes.fromhex("28b52ffd00")
    assert zstandard.get_frame_parameters(coded).content_size == zstandard.CONTENTSIZE_UNKNOWN
    assert encode_zstd(BODY, 9) != coded
