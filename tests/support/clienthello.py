"""A raw TLS ClientHello as a dict with the keys of the captures in tests/fixtures/fingerprints. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

JSON = dict[str, Any]
HANDSHAKE, CLIENT_HELLO = 22, 1
SERVER_NAME, ALPN = 0, 16
TLS_NAMES = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10"}


class Incomplete(ValueError):
    """More bytes are needed."""


@dataclass(slots=True)
class Cursor:
    data: bytes
    at: int = 0

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise Incomplete(f"{size} bytes wanted at {self.at}, {len(self.data)} there")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def vector(self, length_size: int) -> bytes:
        return self.take(self.number(length_size))

    @property
    def is_at_end(self) -> bool:
        return self.at >= len(self.data)


def parse(raw: bytes) -> JSON:
    """The ClientHello at the start of a connection. Raises Incomplete, and ValueError when it is none."""
    hello, record_version, records = _handshake_bytes(raw)
    body = Cursor(hello, 4)
    fields: JSON = {"record_version": record_version, "nrecords": records, "hello_len": len(hello)}
    fields["legacy_version"] = body.number(2)
    body.take(32)
    fields["session_id_len"] = len(body.vector(1))
    fields["ciphers"] = _numbers(body.vector(2))
    fields["compression"] = list(body.vector(1))
    fields |= _extensions(b"" if body.is_at_end else body.vector(2))
    fields["grease"] = _grease(fields)
    fields["fp"] = fingerprints(fields)
    return fields


def _handshake_bytes(raw: bytes) -> tuple[bytes, int, int]:
    cursor, hello, records, version = Cursor(raw), b"", 0, 0
    while len(hello) < 4 or len(hello) < 4 + int.from_bytes(hello[1:4]):
        if cursor.number(1) != HANDSHAKE:
            raise ValueError("not a TLS handshake record")
        record_version = cursor.number(2)
        version = version or record_version
        hello += cursor.vector(2)
        records += 1
    if hello[0] != CLIENT_HELLO:
        raise ValueError("not a ClientHello")
    return hello, version, records


def _numbers(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2)]


def _names(data: bytes) -> list[str]:
    cursor, names = Cursor(Cursor(data).vector(2)), []
    while not cursor.is_at_end:
        names.append(cursor.vector(1).decode("ascii"))
    return names


def _key_shares(data: bytes) -> list[list[int]]:
    cursor, shares = Cursor(Cursor(data).vector(2)), []
    while not cursor.is_at_end:
        shares.append([cursor.number(2), len(cursor.vector(2))])
    return shares


# number: (key, what its bytes mean)
EXTENSIONS: dict[int, tuple[str, Callable[[bytes], Any]]] = {
    SERVER_NAME: ("sni", lambda data: data[5:].decode("ascii")),
    5: ("status_request", lambda data: data.hex()),
    10: ("groups", lambda data: _numbers(data[2:])),
    11: ("ec_point_formats", lambda data: list(data[1:])),
    13: ("sig_algs", lambda data: _numbers(data[2:])),
    ALPN: ("alpn", _names),
    35: ("session_ticket_len", len),
    43: ("supported_versions", lambda data: _numbers(data[1:])),
    45: ("psk_modes", lambda data: list(data[1:])),
    51: ("key_share", _key_shares),
    65281: ("renegotiation_info", lambda data: data.hex()),
}


def _extensions(data: bytes) -> JSON:
    cursor = Cursor(data)
    order: list[int] = []
    lengths: dict[str, int] = {}
    fields: JSON = {"ext_order": order, "ext_lens": lengths}
    while not cursor.is_at_end:
        number, content = cursor.number(2), cursor.vector(2)
        order.append(number)
        lengths[str(number)] = len(content)
        if number in EXTENSIONS:
            key, meaning = EXTENSIONS[number]
            fields[key] = meaning(content)
    return fields


def is_grease(number: int) -> bool:
    return number & 0x0F0F == 0x0A0A and number >> 8 == number & 0xFF


def _grease(fields: JSON) -> JSON:
    shares = [group for group, _ in fields.get("key_share", [])]
    lists = {
        "cipher": fields["ciphers"],
        "ext": fields["ext_order"],
        "group": fields.get("groups", []),
        "version": fields.get("supported_versions", []),
        "key_share": shares,
    }
    return {name: any(is_grease(number) for number in numbers) for name, numbers in lists.items()}


def fingerprints(fields: JSON) -> JSON:
    """JA3, JA3N (extensions sorted) and JA4 of parsed fields."""
    ciphers = [number for number in fields["ciphers"] if not is_grease(number)]
    extensions = [number for number in fields["ext_order"] if not is_grease(number)]
    ja3, ja3n = (_ja3(fields, ciphers, order) for order in (extensions, sorted(extensions)))
    prefix = _ja4_prefix(fields, ciphers, extensions)
    counted = sorted(number for number in extensions if number not in (SERVER_NAME, ALPN))
    signatures = ",".join(f"{number:04x}" for number in fields.get("sig_algs", []))
    part_b, part_c = _hex(sorted(ciphers)), f"{_hex(counted)}_{signatures}".removesuffix("_")
    return {
        "ja3": ja3,
        "ja3_hash": hashlib.md5(ja3.encode(), usedforsecurity=False).hexdigest(),
        "ja3n": ja3n,
        "ja3n_hash": hashlib.md5(ja3n.encode(), usedforsecurity=False).hexdigest(),
        "ja4": f"{prefix}_{_sha12(part_b)}_{_sha12(part_c)}",
        "ja4_r": f"{prefix}_{part_b}_{part_c}",
        "ja4_ro": f"{prefix}_{_hex(ciphers)}_{_hex(extensions)}_{signatures}".removesuffix("_"),
    }


def _ja3(fields: JSON, ciphers: list[int], extensions: list[int]) -> str:
    groups = [number for number in fields.get("groups", []) if not is_grease(number)]
    lists = (ciphers, extensions, groups, fields.get("ec_point_formats", []))
    return ",".join([str(fields["legacy_version"]), *("-".join(map(str, numbers)) for numbers in lists)])


def _ja4_prefix(fields: JSON, ciphers: list[int], extensions: list[int]) -> str:
    versions = [number for number in fields.get("supported_versions", []) if not is_grease(number)]
    version = TLS_NAMES.get(max(versions, default=fields["legacy_version"]), "00")
    alpn = fields.get("alpn", [])
    ends = alpn[0][0] + alpn[0][-1] if alpn else "00"
    named = "d" if SERVER_NAME in extensions else "i"
    return f"t{version}{named}{min(len(ciphers), 99):02}{min(len(extensions), 99):02}{ends}"


def _hex(numbers: list[int]) -> str:
    return ",".join(f"{number:04x}" for number in numbers)


def _sha12(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12
