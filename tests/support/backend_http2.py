"""HTTP/2 of the fake backend: the h2 library, with the client's frames recorded before it sees them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import hyperframe.frame

from support.answers import Pairs
from support.records import Call, Connection, Request
from support.sockets import PlainSocket

PREFACE_BYTES = 24
FRAME_HEAD_BYTES = 9
Codes = h2.settings.SettingCodes


class FrameLog:
    """Reads the client's frames from a copy of its bytes, in the form of tests/fixtures/fingerprints."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._buffer = connection, b""

    def feed(self, data: bytes) -> None:
        self._buffer += data
        if not self._connection.frames:
            if len(self._buffer) < PREFACE_BYTES:
                return
            preface, self._buffer = self._buffer[:PREFACE_BYTES], self._buffer[PREFACE_BYTES:]
            self._add({"preface": preface.decode("latin-1")})
        while len(self._buffer) >= FRAME_HEAD_BYTES:
            frame, size = hyperframe.frame.Frame.parse_frame_header(memoryview(self._buffer[:FRAME_HEAD_BYTES]))
            if len(self._buffer) < FRAME_HEAD_BYTES + size:
                return
            frame.parse_body(memoryview(self._buffer[FRAME_HEAD_BYTES : FRAME_HEAD_BYTES + size]))
            self._buffer = self._buffer[FRAME_HEAD_BYTES + size :]
            self._add(_described(frame, size))

    def _add(self, entry: dict[str, Any]) -> None:
        self._connection.frames.append({"t": round(time.monotonic() - self._connection.opened_at, 4), **entry})


def _described(frame: hyperframe.frame.Frame, size: int) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": type(frame).__name__, "stream": frame.stream_id}
    entry |= {"flags": sorted(frame.flags), "len": size}
    if isinstance(frame, hyperframe.frame.SettingsFrame):
        entry["settings"] = [[key, value] for key, value in frame.settings.items()]
    elif isinstance(frame, hyperframe.frame.WindowUpdateFrame):
        entry["increment"] = frame.window_increment
    elif isinstance(frame, (hyperframe.frame.GoAwayFrame, hyperframe.frame.RstStreamFrame)):
        entry["error"] = frame.error_code
    return entry


class Http2Stream:
    """Where one answer goes."""

    def __init__(self, session: Http2Session, number: int) -> None:
        self._session, self.number = session, number
        self.is_cut = False

    async def head(self, status: int, headers: Pairs) -> None:
        pairs = [(":status", str(status)), *((name.lower(), value) for name, value in headers)]
        self._session.h2.send_headers(self.number, pairs)
        await self._session.flush()

    async def data(self, data: bytes) -> None:
        session = self._session
        while data:
            room = min(session.h2.local_flow_control_window(self.number), session.h2.max_outbound_frame_size)
            if room <= 0:
                await session.wait_for_room()
                continue
            session.h2.send_data(self.number, data[:room])
            data = data[room:]
            await session.flush()

    async def end(self) -> None:
        self._session.h2.end_stream(self.number)
        await self._session.flush()

    async def cut(self, how: str) -> None:
        self.is_cut = True
        if how == "reset":
            self._session.h2.reset_stream(self.number, h2.errors.ErrorCodes.INTERNAL_ERROR)
            await self._session.flush()
        else:
            self._session.wire.close()


Play = Callable[[Call, Http2Stream], Awaitable[None]]


class Http2Session:
    """The streams of one connection."""

    def __init__(self, wire: PlainSocket, connection: Connection, note: Callable[[Request], Call], play: Play) -> None:
        self.wire, self._connection, self._note, self._play = wire, connection, note, play
        self._log = FrameLog(connection)
        self._heads: dict[int, Pairs] = {}
        self._bodies: dict[int, list[bytes]] = {}
        self._playing: dict[int, tuple[Call, asyncio.Task[None]]] = {}
        self._room = asyncio.Event()
        # Not normalised: the list must be what the client sent, cookie crumbs and all.
        config = h2.config.H2Configuration(False, "utf-8", normalize_inbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)

    async def run(self, max_streams: int) -> None:
        """Ends when the client closes. Raises h2.exceptions.ProtocolError when it breaks the protocol."""
        initial = {Codes.MAX_CONCURRENT_STREAMS: max_streams, Codes.INITIAL_WINDOW_SIZE: 1 << 20}
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values=initial)
        self.h2.initiate_connection()
        await self.flush()
        try:
            while data := await self.wire.read():
                self._log.feed(data)
                for event in self.h2.receive_data(data):
                    self._take(event)
                await self.flush()
        finally:
            for call, task in list(self._playing.values()):
                call.note_abort()
                task.cancel()

    async def flush(self) -> None:
        if data := self.h2.data_to_send():
            self.wire.write(data)
        await self.wire.drain()

    async def wait_for_room(self) -> None:
        """Until the client has opened some window."""
        self._room.clear()
        await self._room.wait()

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=number, headers=headers):
                self._heads[number] = [(_text(name), _text(value)) for name, value in headers]
                self._bodies[number] = []
                self._name_frame(number)
            case h2.events.DataReceived(stream_id=number, data=data, flow_controlled_length=size):
                self._bodies[number].append(data)
                self.h2.acknowledge_received_data(size, number)
            case h2.events.StreamEnded(stream_id=number):
                self._start(number)
            case h2.events.StreamReset(stream_id=number, remote_reset=True):
                self._abort(number)
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                self._room.set()

    def _name_frame(self, number: int) -> None:
        for frame in reversed(self._connection.frames):
            if frame.get("type") == "HeadersFrame" and frame["stream"] == number:
                frame["headers"] = [list(pair) for pair in self._heads[number]]
                return

    def _start(self, number: int) -> None:
        head, body = self._heads.pop(number), b"".join(self._bodies.pop(number))
        fields = dict(head)
        call = self._note(Request(fields[":method"], fields[":path"], head, body, "HTTP/2", self._connection))
        task = asyncio.ensure_future(self._run_play(call, number))
        self._playing[number] = (call, task)

    async def _run_play(self, call: Call, number: int) -> None:
        try:
            await self._play(call, Http2Stream(self, number))
        except ConnectionError:
            call.note_abort()
        finally:
            self._playing.pop(number, None)

    def _abort(self, number: int) -> None:
        self._heads.pop(number, None)
        self._bodies.pop(number, None)
        if number in self._playing:
            call, task = self._playing[number]
            call.note_abort()
            task.cancel()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
