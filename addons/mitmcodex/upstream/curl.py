"""Calls over libcurl with a profile's TLS, HTTP/2 and header order; the only importer of curl_cffi.

It drives ``Curl`` and ``AsyncCurl`` itself: the session of curl_cffi answers with the first body byte only, leaks a
call that is cancelled before it, and buffers without bound (fingerprint.md 5). libcurl's callbacks run inside libcurl,
so they only store and wake. Nothing may call back into libcurl from there.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from curl_cffi import AsyncCurl, Curl, CurlError, CurlHttpVersion, CurlInfo, CurlMOpt, CurlOpt, CurlSslVersion
from curl_cffi.aio import ffi, lib
from curl_cffi.curl import CURL_WRITEFUNC_ERROR, CURL_WRITEFUNC_PAUSE, CURLPAUSE_CONT, DEFAULT_CACERT

from mitmcodex.upstream import curl_forms
from mitmcodex.upstream.curl_forms import CONNECT_TIMEOUT_S, extension_order, failure, header_lines, response_head
from mitmcodex.upstream.fingerprint import Profile, with_host
from mitmcodex.upstream.transport import (
    Closed,
    ConnectFailed,
    ConnectTarget,
    TimedOut,
    TransportError,
    UpstreamHead,
    UpstreamRequest,
)

log = logging.getLogger(__name__)

HIGH_WATER_BYTES = 256 * 1024
MAX_STREAMS = 1000
MAX_SPARE_HANDLES = 32
DROPPED = frozenset({16, 52, 55, 56})
"""curl codes of a pooled connection that had died."""
STALE_S = 2.0
"""A dead connection is noticed within about a round trip. What breaks later may have been at work on the answer."""


class _Multi(AsyncCurl):
    """curl_cffi wakes ten times a second to look for signals that it missed: here once, and only while calls run."""

    def __init__(self) -> None:
        self._work = asyncio.Event()
        super().__init__()
        # AsyncCurl.setopt hands libcurl the address of the number, which counts as the default: 100 streams.
        lib.curl_multi_setopt(self._curlm, CurlMOpt.MAX_CONCURRENT_STREAMS, ffi.cast("void *", MAX_STREAMS))

    async def _force_timeout(self) -> None:
        while True:
            self._work.clear()
            if not self._curl2future:
                await self._work.wait()
            await asyncio.sleep(1)
            self.process_data(-1, 0)

    def add_handle(self, curl: Curl) -> asyncio.Future[None]:
        self._work.set()
        future: asyncio.Future[None] = super().add_handle(curl)
        return future

    def resume(self, curl: Curl) -> None:
        curl.pause(CURLPAUSE_CONT)
        self.process_data(-1, 0)


class CurlCall:
    """One running call (transport.UpstreamCall). ``facts`` must be asked for before ``close``."""

    head: UpstreamHead

    def __init__(self, curl: Curl, multi: _Multi, host: str, release: Callable[[CurlCall], None]) -> None:
        self.curl, self._multi, self._host, self._release = curl, multi, host, release
        self.has_head = False
        self._lines: list[bytes] = []
        self._chunks: list[bytes] = []
        self._size = 0
        self._is_paused = self._is_closed = False
        self._wake = asyncio.Event()
        curl.setopt(CurlOpt.HEADERFUNCTION, self._on_header)
        curl.setopt(CurlOpt.WRITEFUNCTION, self._on_body)
        self._result = multi.add_handle(curl)
        self._result.add_done_callback(lambda _: self._wake.set())

    def _on_header(self, line: bytes) -> int:
        if self.has_head:
            return len(line)  # A trailer: the form of UpstreamCall has no place for it, and no backend sends any.
        if line.strip():
            self._lines.append(line)
            return len(line)
        head, self._lines = response_head(self._lines), []
        if head.status >= 200 or head.status == 101:
            self.head, self.has_head = head, True
            self._wake.set()
        return len(line)

    def _on_body(self, data: bytes) -> int:
        if self._is_closed:
            return int(CURL_WRITEFUNC_ERROR)
        if self._size >= HIGH_WATER_BYTES:
            self._is_paused = True
            return int(CURL_WRITEFUNC_PAUSE)  # libcurl keeps the data and gives it again.
        self._chunks.append(data)
        self._size += len(data)
        self._wake.set()
        return len(data)

    async def settle(self) -> None:
        """Wait for the head or the failure, whichever comes first."""
        while not self.has_head and not self.is_over:
            self._wake.clear()
            await self._wake.wait()

    async def read(self) -> bytes:
        """All that has arrived since the last read, b"" at the end. Raises Closed when the call broke."""
        while not self._chunks:
            if self.is_over:
                if not self.is_whole:
                    raise self.failure()
                return b""
            self._wake.clear()
            await self._wake.wait()
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        if self._is_paused and not self.is_over:
            self._is_paused = False
            self._multi.resume(self.curl)
        return data

    @property
    def is_over(self) -> bool:
        return self._result.done()

    @property
    def is_whole(self) -> bool:
        """The whole answer came; False also for a call that was closed before its end."""
        is_done = self._result.done() and not self._result.cancelled()
        return is_done and self._result.exception() is None and self.has_head

    @property
    def curl_code(self) -> int:
        """libcurl's code of the failure, 0 while there is none."""
        if not self._result.done() or self._result.cancelled():
            return 0
        error = self._result.exception()
        return int(error.code) if isinstance(error, CurlError) else 0

    def failure(self) -> TransportError:
        """Why the call is over and not whole."""
        if self._result.cancelled():
            return Closed(f"the call to {self._host} was closed", head_seen=self.has_head)
        error = self._result.exception()
        return failure(self._host, self.curl_code, str(error or "no answer"), self.has_head)

    @property
    def is_reused(self) -> bool:
        return bool(self.curl.getinfo(CurlInfo.NUM_CONNECTS) == 0)

    @property
    def facts(self) -> curl_forms.ConnectionFacts:
        info: Callable[[CurlInfo], Any] = self.curl.getinfo
        alpn = "h2" if self.head.http_version == "HTTP/2" else "http/1.1"
        return curl_forms.ConnectionFacts(
            peer=(info(CurlInfo.PRIMARY_IP).decode(), info(CurlInfo.PRIMARY_PORT)),
            local=(info(CurlInfo.LOCAL_IP).decode(), info(CurlInfo.LOCAL_PORT)),
            alpn=alpn if info(CurlInfo.SCHEME).lower() == b"https" else "",
            is_reused=self.is_reused,
            connect_ms=info(CurlInfo.CONNECT_TIME) * 1000,
            tls_ms=info(CurlInfo.APPCONNECT_TIME) * 1000,
        )

    def close(self) -> None:
        """Abort if it still runs (HTTP/2: RST_STREAM, HTTP/1.1: close); idempotent, immediate."""
        if self._is_closed:
            return
        self._is_closed = True
        self._chunks.clear()
        if not self._result.done():
            self._multi.remove_handle(self.curl)
        elif not self._result.cancelled():
            self._result.exception()  # Asked for, else asyncio reports a failure that nobody read.
        self._release(self)


class CurlTransport:
    """Connections to one provider for one account (transport.Transport); multiplexed over one where HTTP/2 allows.

    libcurl itself sends a request once more when a pooled connection dies before any byte of the answer; ``open``
    does the same for the case that libcurl gives up (fingerprint.md 5, code 16), but only within ``STALE_S``. Nothing
    is sent again once a response byte was seen.
    """

    def __init__(self, profile: Profile, target: ConnectTarget) -> None:
        self._profile, self._target = profile, target
        self._order = extension_order(profile.tls.extensions)
        self._http1_only = target.http_version == "1.1"
        self._answered_http1 = False
        self._answered_http2 = False
        self._multi: _Multi | None = None
        self._authorities = ""
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._running: set[CurlCall] = set()
        # By method, whether there is a body, and HTTP/1.1 alone.
        self._spare: defaultdict[tuple[str, bool, bool], list[Curl]] = defaultdict(list)
        self._is_closed = False

    async def open(self, request: UpstreamRequest, first_byte_timeout_s: float) -> CurlCall:
        """Send the request and wait for the response head; 0 = no limit. Cancelling it aborts the call at once.

        Raises ConnectFailed, TimedOut, Closed.
        """
        host = urlsplit(request.url).hostname or "?"
        try:
            async with asyncio.timeout(first_byte_timeout_s or None):
                call = await self._open(request, host)
        except TimeoutError:
            raise TimedOut(f"{host} sent no answer within first_byte_timeout_s ({first_byte_timeout_s:g} s)") from None
        if not call.has_head:
            raise call.failure()
        self._answered_http1 = call.head.http_version != "HTTP/2"
        self._answered_http2 |= not self._answered_http1
        return call

    async def _open(self, request: UpstreamRequest, host: str) -> CurlCall:
        loop = asyncio.get_running_loop()
        sent_at = loop.time()
        call, was_reused = await self._attempt(request, host, self._http1_only)
        if call.has_head:
            return call
        if was_reused and call.curl_code in DROPPED and loop.time() - sent_at < STALE_S:
            return (await self._attempt(request, host, self._http1_only))[0]
        # Where HTTP/2 has worked before it is this one call that failed.
        may_fall_back = not (self._http1_only or self._answered_http2) and request.url.startswith("https:")
        if may_fall_back and _is_http2_fault(call):
            retried, _ = await self._attempt(request, host, True)
            if retried.has_head:
                self._http1_only = True
                log.warning("%s: HTTP/2 failed, going on with HTTP/1.1 (%s)", host, call.failure())
                return retried
        return call

    async def _attempt(self, request: UpstreamRequest, host: str, http1_only: bool) -> tuple[CurlCall, bool]:
        """A call that has its head, or has failed and is closed; and whether it went over a pooled connection."""
        call = self._start(request, host, http1_only)
        try:
            await call.settle()
        except asyncio.CancelledError:
            call.close()
            raise
        if call.has_head:
            return call, False
        was_reused = call.is_reused
        call.close()
        return call, was_reused

    def _start(self, request: UpstreamRequest, host: str, http1_only: bool) -> CurlCall:
        if self._is_closed:
            raise ConnectFailed(f"{host} can't be reached: the proxy is shutting down")
        is_http1 = http1_only or self._answered_http1 or request.url.startswith("http:")
        netloc = urlsplit(request.url).netloc.rpartition("@")[2]
        lines = header_lines(with_host(self._profile, request.headers, netloc, is_http1))
        if self._multi is None:
            self._authorities = self._authorities_file()
            self._multi = _Multi()
        # A handle keeps what is the same in each request of its kind: setting it all anew costs 100 µs.
        spare = self._spare[request.method, bool(request.body), http1_only]
        curl = spare.pop() if spare else self._new_handle(request, http1_only)
        for option, value in self._request_options(request):
            curl.setopt(option, value)
        curl.setopt(CurlOpt.HTTPHEADER, lines)
        call = CurlCall(curl, self._multi, host, partial(self._release, spare))
        self._running.add(call)
        return call

    def _new_handle(self, request: UpstreamRequest, http1_only: bool) -> Curl:
        curl = _Handle()
        curl.setopt(CurlOpt.HTTP_VERSION, int(CurlHttpVersion.V1_1 if http1_only else CurlHttpVersion.V2TLS))
        own = ((CurlOpt.CAINFO, self._authorities), (CurlOpt.TLS_EXTENSION_ORDER, self._order))
        for option, value in (*FIXED_OPTIONS, *own, *_profile_options(self._profile), *_method_options(request)):
            curl.setopt(option, value)
        return curl

    def _request_options(self, request: UpstreamRequest) -> Iterator[tuple[CurlOpt, Any]]:
        yield CurlOpt.URL, request.url
        # As it is: libcurl would rewrite dots and the case of percent escapes.
        yield CurlOpt.REQUEST_TARGET, urlsplit(request.url)._replace(scheme="", netloc="").geturl() or "/"
        if request.body:
            yield CurlOpt.UPLOAD_BUFFERSIZE, curl_forms.upload_buffer_bytes(len(request.body))
            yield CurlOpt.POSTFIELDSIZE_LARGE, len(request.body)
            yield CurlOpt.POSTFIELDS, request.body
        if self._target.resolve:
            parts, ip = urlsplit(request.url), self._target.resolve.strip("[]")
            port = parts.port or (443 if parts.scheme == "https" else 80)
            yield CurlOpt.RESOLVE, [f"{parts.hostname}:{port}:{f'[{ip}]' if ':' in ip else ip}"]

    def _authorities_file(self) -> str:
        """The system's authorities, with ``ca_file`` after them in a private file: libcurl takes one file only."""
        if not self._target.ca_file:
            return str(DEFAULT_CACERT)
        try:
            ours = Path(self._target.ca_file).expanduser().read_bytes()
            system = Path(DEFAULT_CACERT).read_bytes()
        except OSError as error:
            raise ConnectFailed(f"ca_file can't be read: {error.filename}: {error.strerror}") from error
        self._folder = tempfile.TemporaryDirectory(prefix="mitmcodex-")
        merged = Path(self._folder.name) / "authorities.pem"
        merged.touch(0o600)
        merged.write_bytes(system + b"\n" + ours)
        return str(merged)

    def _release(self, spare: list[Curl], call: CurlCall) -> None:
        self._running.discard(call)
        if self._is_closed or len(spare) >= MAX_SPARE_HANDLES:
            call.curl.close()
            return
        call.curl.clean_handles_and_buffers()
        spare.append(call.curl)

    async def aclose(self) -> None:
        """Abort what runs, close the connections. Calls are taken off libcurl first: closing under them crashes."""
        self._is_closed = True
        for call in list(self._running):
            call.close()
        for curl in chain.from_iterable(self._spare.values()):
            curl.close()
        self._spare.clear()
        multi, self._multi = self._multi, None
        if multi is not None:
            await multi.close()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _is_http2_fault(call: CurlCall) -> bool:
    """A failure of the protocol itself; a stream that the backend resets for its own reasons is none."""
    return call.curl_code == 16 or (call.curl_code == 92 and "PROTOCOL_ERROR" in str(call.failure()))


class _Handle(Curl):
    _WS_RECV_BUFFER_SIZE = 1  # else 128 KiB in each handle that only WebSockets need


FIXED_OPTIONS: tuple[tuple[CurlOpt, Any], ...] = (
    (CurlOpt.PROTOCOLS_STR, "http,https"),
    (CurlOpt.DISALLOW_USERNAME_IN_URL, 1),
    (CurlOpt.FOLLOWLOCATION, 0),
    # Else libcurl takes a proxy from the environment: ourselves, when the user exports HTTPS_PROXY for Codex.
    (CurlOpt.PROXY, ""),
    (CurlOpt.CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_S * 1000),
    (CurlOpt.PIPEWAIT, 1),  # wait for a connection that is being made rather than opening another
    (CurlOpt.SSL_SESSIONID_CACHE, 0),  # Codex never resumes a TLS session
    (CurlOpt.SSL_ENABLE_ALPN, 1),
    (CurlOpt.SSL_ENABLE_ALPS, 0),
    (CurlOpt.SSL_CERT_COMPRESSION, ""),
    (CurlOpt.SSL_PERMUTE_EXTENSIONS, 0),
    (CurlOpt.TLS_GREASE, 0),
    (CurlOpt.TLS_SIGNED_CERT_TIMESTAMPS, 0),
    (CurlOpt.TLS_STATUS_REQUEST, 1),
    (CurlOpt.HTTP2_NO_PRIORITY, 1),
)
TLS_VERSIONS = {"1.2": CurlSslVersion.TLSv1_2, "1.3": CurlSslVersion.TLSv1_3}


def _profile_options(profile: Profile) -> Iterator[tuple[CurlOpt, Any]]:
    tls, http2 = profile.tls, profile.http2
    yield CurlOpt.SSLVERSION, TLS_VERSIONS[tls.min_version] | CurlSslVersion.MAX_DEFAULT
    yield CurlOpt.SSL_CIPHER_LIST, ":".join(tls.ciphers)
    yield CurlOpt.SSL_EC_CURVES, ":".join(tls.groups)
    yield CurlOpt.TLS_KEY_SHARES_LIMIT, tls.key_shares
    yield CurlOpt.SSL_SIG_HASH_ALGS, ",".join(tls.signature_algorithms)
    yield CurlOpt.SSL_ENABLE_TICKET, int(tls.session_ticket)
    yield CurlOpt.HTTP2_SETTINGS, http2.settings
    yield CurlOpt.HTTP2_WINDOW_UPDATE, http2.window_update
    yield CurlOpt.HTTP2_PSEUDO_HEADERS_ORDER, http2.pseudo_headers.replace(",", "")


def _method_options(request: UpstreamRequest) -> Iterator[tuple[CurlOpt, Any]]:
    if request.method == "HEAD":
        yield CurlOpt.NOBODY, 1
    elif request.body or request.method == "POST":
        yield CurlOpt.POST, 1
        yield CurlOpt.POSTFIELDSIZE_LARGE, 0
    if request.method not in ("GET", "HEAD", "POST") or (request.method == "GET" and request.body):
        yield CurlOpt.CUSTOMREQUEST, request.method
