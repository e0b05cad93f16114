"""What libcurl takes and gives: header lines, order of TLS extensions, heads, errors, facts. Pure; curl.py calls."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from mitmcodex.upstream.transport import Closed, ConnectFailed, TransportError, UpstreamHead

ADDED_BY_CURL = ("accept", "content-type", "expect", "user-agent")
CONNECT_TIMEOUT_S = 15
# Extensions without content: BoringSSL appends padding when one of them is the last (fingerprint.md 4.3).
NEVER_LAST = (23, 35)

FAILURES: dict[int, str] = {
    # Codes of libcurl that mean: nothing reached the upstream.
    3: "{host} can't be reached: base_url is not a valid URL ({why})",
    6: "the name {host} is not known: check base_url, or set resolve ({why})",
    7: "{host} can't be reached: check base_url and the network ({why})",
    28: f"{{host}} can't be reached: no connection within {CONNECT_TIMEOUT_S} s ({{why}})",
    35: "TLS with {host} failed: is base_url https, and nothing in between? ({why})",
    60: "the certificate of {host} is not trusted: set ca_file, or mend the name ({why})",
    77: "the authorities to check {host} with can't be read: check ca_file ({why})",
}


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """What the view of a call shows of its connection; durations count from the call's start, 0 when reused."""

    peer: tuple[str, int]
    local: tuple[str, int]
    alpn: str  # "" on plain HTTP
    is_reused: bool
    connect_ms: float
    tls_ms: float


def failure(host: str, code: int, text: str, head_seen: bool) -> TransportError:
    """``text`` is curl_cffi's message: libcurl's own words, which name hosts and ports but no header, in a frame."""
    match = re.search(r"curl: \(\d+\) (.*?)\.? See https", text, re.DOTALL)
    why = f"curl {code}: {match[1] if match else text}"
    if code in FAILURES:
        return ConnectFailed(FAILURES[code].format(host=host, why=why), head_seen=head_seen)
    return Closed(f"{host} ended the call before its end ({why})", head_seen=head_seen)


def response_head(lines: list[bytes]) -> UpstreamHead:
    """From the status line and the header lines, without the empty one."""
    version, _, rest = lines[0].decode("latin-1").strip().partition(" ")
    status, _, reason = rest.partition(" ")
    fields = (line.decode("latin-1").partition(":") for line in lines[1:])
    return UpstreamHead(version, int(status), reason, tuple((name.strip(), value.strip()) for name, _, value in fields))


def header_lines(headers: tuple[tuple[str, str], ...]) -> list[bytes]:
    """In libcurl's form: ``name;`` is an empty value, ``name:`` keeps libcurl from adding one of its own.

    Raises ConnectFailed for a header that would break the request.
    """
    lines = []
    for name, value in headers:
        if any(char in name + value for char in "\r\n\0"):
            raise ConnectFailed(f"not sent: header {name!r} holds a line break")
        lines.append(f"{name}: {value}" if value else f"{name};")
    present = {name.lower() for name, _ in headers}
    lines += [f"{name}:" for name in ADDED_BY_CURL if name not in present]
    try:
        return [line.encode("latin-1") for line in lines]
    except UnicodeEncodeError as error:
        name = error.object.partition(":")[0]
        raise ConnectFailed(f"not sent: header {name!r} holds characters beyond latin-1") from None


def extension_order(extensions: tuple[int, ...]) -> str:
    """One order per transport: rustls draws one per connection, but libcurl reuses no connection of another order."""
    order = random.sample(extensions, len(extensions))
    while order[-1] in NEVER_LAST:
        random.shuffle(order)
    return "-".join(map(str, order))


def upload_buffer_bytes(body_bytes: int) -> int:
    """How much libcurl keeps for an upload as long as its stream is open (64 kB by default).

    Room for the whole body and its head: then DATA frames are the real client's, 16384 bytes each but the last. Where a
    body does not fit, each refill ends in a shorter frame. libcurl takes 16 kB to 2 MB.
    """
    return min(body_bytes + 16384, 2 * 1024 * 1024)
