"""A strict fake backend on a real loopback socket: TLS with HTTP/2 or HTTP/1.1, or plain HTTP, in a thread of its own.

    with Backend(tls=authority.server_context(), strictness=Strictness(bearer="…", account_id="…")) as backend:
        backend.queue(say("hi"))
        …
        call = backend.wait_for_call()
        call.wait_aborted()
    assert backend.violations == []

An answer is, in this order: the refusal of a strict rule, the next of ``queue``, the script, else what the CodexBrain
says. It has a thread and a loop of its own so that whatever is tested can't starve it.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Self

import h2.exceptions

from support.answers import Answer, Cut, Data, Delay, End, Flood, Head, Pause, Stall, Step, server_error
from support.backend_http1 import Http1Session, Http1Stream, Malformed
from support.backend_http2 import Http2Session, Http2Stream
from support.brain import CodexBrain
from support.records import Call, Connection, NotSeen, Request
from support.sockets import PlainSocket, TlsSocket
from support.strictness import Strictness

Script = Callable[[Request], Answer]
Stream = Http1Stream | Http2Stream
HOST = "127.0.0.1"
BASES = {"chatgpt": "/backend-api/codex", "gemini": "/v1beta"}
"""Path of the base URL by the kind of the service; /v1 for all others."""


class Backend:
    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        strictness: Strictness | None = None,
        max_streams: int = 256,
        name: str = "",
    ) -> None:
        """``strictness`` None only records. ``name`` is the host in ``base_url``, by default the IP."""
        self._tls, self._strictness, self._max_streams = tls, strictness, max_streams
        self._host = name or HOST
        self.port = 0
        self.calls: list[Call] = []
        self.connections: list[Connection] = []
        self.violations: list[str] = []
        """What no request may do; the ``backend`` fixture fails when a test leaves some here."""
        self._answers: deque[Answer] = deque()
        self._script: Script = CodexBrain()
        self._changed = threading.Condition()
        self._writers: set[asyncio.StreamWriter] = set()
        self._listening: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="fake backend", daemon=True)

    # --- life

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.result(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the fake backend does not stop"

    def _run(self) -> None:
        # All in this thread: the caller's may be running a loop of its own.
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._accept, HOST, 0, backlog=512))
        self.port = self._server.sockets[0].getsockname()[1]
        self._listening.set_result(None)
        self._loop.run_forever()
        self._loop.run_until_complete(self._shut_down())
        self._loop.close()

    async def _shut_down(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()  # close() would wait for a peer that does not read
        await asyncio.sleep(0)  # the turn of the loop in which the aborted sockets are closed

    @property
    def origin(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self._host}:{self.port}"

    @property
    def base_url(self) -> str:
        """Where a provider of this kind has its base."""
        return self.origin + BASES.get(self._strictness.kind if self._strictness else "", "/v1")

    # --- script and records

    def queue(self, *answers: Answer) -> None:
        """Answers for the next calls, in order, before the script is asked."""
        self._answers.extend(answers)

    def script(self, script: Script) -> None:
        """Answers every call from now on; it runs in the backend's thread."""
        self._script = script

    @property
    def requests(self) -> list[Request]:
        return [call.request for call in self.calls]

    def wait_for_call(self, number: int = 1, timeout_s: float = 5.0) -> Call:
        """The call of this number, counted from 1, as soon as its whole request is here. Raises NotSeen."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.calls) >= number, timeout_s):
                raise NotSeen(f"{len(self.calls)} calls after {timeout_s} s, {number} expected")
            return self.calls[number - 1]

    # --- one connection

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(len(self.connections) + 1, time.monotonic())
        self.connections.append(connection)
        self._writers.add(writer)
        wire = PlainSocket(reader, writer)
        try:
            if self._tls is not None:
                wire = await self._accept_tls(reader, writer, connection)
            if wire.alpn == "h2":
                await Http2Session(wire, connection, self._note, self._play).run(self._max_streams)
            else:
                await Http1Session(wire, connection, self._note, self._play).run()
        except (h2.exceptions.ProtocolError, Malformed) as error:
            self.violations.append(f"connection {connection.number}: {type(error).__name__}: {error}")
        except (ConnectionError, ssl.SSLError):
            pass  # The peer is gone, or refused our certificate: nothing of ours to tell.
        finally:
            writer.close()
            connection.closed.set()

    async def _accept_tls(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Connection
    ) -> TlsSocket:
        assert self._tls is not None
        wire = TlsSocket(reader, writer, self._tls)
        await wire.accept(connection)
        return wire

    def _note(self, request: Request) -> Call:
        call = Call(request)
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()
        return call

    # --- one answer

    async def _play(self, call: Call, stream: Stream) -> None:
        try:
            for step in self._answer(call.request):
                await self._step(step, call, stream)
                if isinstance(step, (End, Cut)):
                    return
            await stream.end()
        finally:
            if not call.is_aborted:
                call.finished.set()

    def _answer(self, request: Request) -> Answer:
        refusal: Answer | None = None
        for text, answer in self._strictness.check(request) if self._strictness else ():
            self.violations.append(f"{request.method} {request.path}: {text}")
            refusal = refusal or answer
        if refusal is not None:
            return refusal
        if self._answers:
            return self._answers.popleft()
        try:
            return self._script(request)
        except Exception as error:  # noqa: BLE001 - a test's own script broke: the test must fail, not hang
            self.violations.append(f"the script failed: {error!r}")
            return server_error()

    async def _step(self, step: Step, call: Call, stream: Stream) -> None:
        match step:
            case Head(status, headers):
                await stream.head(status, headers)
            case Data(data):
                await self._send(data, call, stream)
            case Flood(total_bytes, chunk_bytes):
                for start in range(0, total_bytes, chunk_bytes):
                    await self._send(bytes(min(chunk_bytes, total_bytes - start)), call, stream)
            case Pause(gate):
                await gate.wait()
            case Delay(seconds):
                await asyncio.sleep(seconds)
            case Stall():
                await asyncio.Event().wait()
            case Cut(how):
                await stream.cut(how)
            case End():
                await stream.end()

    async def _send(self, data: bytes, call: Call, stream: Stream) -> None:
        await stream.data(data)
        call.accepted_bytes += len(data)
