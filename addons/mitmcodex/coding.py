"""Content codings of request bodies, never expanded beyond a limit.

mitmproxy's own decoding has no limit and takes a truncated zstd body for an empty one (mitmproxy.md 2.5).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import cache

import brotli
import zstandard

MAX_CODINGS = 4
_ZSTD_STEP = 256
"""zstandard can't bound its output. A block of 128 kB takes at least 4 bytes, so a step makes no more than 8 MB."""
_PIECE = 1 << 20


class CodingError(Exception):
    """The body is not what its content-encoding says, or the coding is unknown. The message names the coding."""


class TooLarge(CodingError):
    """The decoded body would be larger than the limit, in bytes."""


def decode(data: bytes, content_encoding: str, limit: int) -> bytes:
    """Undo the codings of a ``content-encoding`` value (RFC 9110 8.4), the last one first.

    Raises TooLarge when a result exceeds ``limit`` bytes, CodingError for an unknown coding and for a body that is
    malformed, truncated or followed by something else.
    """
    names = [name.strip().lower() for name in content_encoding.split(",") if name.strip()]
    if len(names) > MAX_CODINGS:
        raise CodingError(f"The body has {len(names)} content codings; {MAX_CODINGS} are the limit.")
    for name in reversed(names):
        if name not in _DECODERS:
            raise CodingError(f"Unknown content-encoding {name!r}; known are {', '.join(sorted(_DECODERS))}.")
        data = _collected(_DECODERS[name], name, data, limit)
    if len(data) > limit:
        raise TooLarge(_too_large(limit))
    return data


def encode_zstd(data: bytes, level: int = 3) -> bytes:
    """One zstd frame without a content size: written as a stream, as the Codex client does (fingerprint.md 2)."""
    encoder = _zstd_compressor(level).compressobj()
    return encoder.compress(data) + encoder.flush()


@cache
def _zstd_compressor(level: int) -> zstandard.ZstdCompressor:
    """Its tables cost ten times what a small body does. One thread at a time: ours is the event loop's."""
    return zstandard.ZstdCompressor(level=level)


def _too_large(limit: int) -> str:
    return f"The decoded body is larger than {limit} bytes. Raise max_body_bytes or send less."


def _collected(decoder: Callable[[bytes], Iterator[bytes]], name: str, data: bytes, limit: int) -> bytes:
    pieces, size = [], 0
    try:
        for piece in decoder(data):
            size += len(piece)
            if size > limit:
                raise TooLarge(_too_large(limit))
            pieces.append(piece)
    except (zlib.error, zstandard.ZstdError, brotli.error, EOFError) as error:
        raise CodingError(f"The body is no valid {name}: {error}.") from error
    return b"".join(pieces)


def _identity(data: bytes) -> Iterator[bytes]:
    yield data


def _zstd(data: bytes) -> Iterator[bytes]:
    position = 0
    while True:
        decoder = zstandard.ZstdDecompressor().decompressobj()
        while not decoder.eof:
            if position >= len(data):
                raise EOFError("it is truncated")
            yield decoder.decompress(data[position : position + _ZSTD_STEP])
            position += _ZSTD_STEP
        position = min(position, len(data)) - len(decoder.unused_data)
        if position == len(data):
            return


def _zlib(data: bytes, window_bits: int) -> Iterator[bytes]:
    """One member after another (gzip allows several; for the others a second one is an error of its own)."""
    while True:
        decoder = zlib.decompressobj(window_bits)
        while not decoder.eof:
            piece = decoder.decompress(data, _PIECE)
            data = decoder.unconsumed_tail
            if not piece and not data and not decoder.eof:
                raise EOFError("it is truncated")
            yield piece
        data = decoder.unused_data
        if not data:
            return


def _gzip(data: bytes) -> Iterator[bytes]:
    return _zlib(data, zlib.MAX_WBITS | 16)


def _deflate(data: bytes) -> Iterator[bytes]:
    """RFC 9110 means zlib's format; some clients send the bare deflate stream."""
    is_zlib = len(data) >= 2 and data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
    return _zlib(data, zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)


def _brotli(data: bytes) -> Iterator[bytes]:
    decoder = brotli.Decompressor()
    yield decoder.process(data, output_buffer_limit=_PIECE)
    while not decoder.is_finished():
        if decoder.can_accept_more_data():
            raise EOFError("it is truncated")
        yield decoder.process(b"", output_buffer_limit=_PIECE)


_DECODERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "identity": _identity,
    "zstd": _zstd,
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
}
