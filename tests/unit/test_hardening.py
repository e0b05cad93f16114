import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mitmcodex import hardening
from mitmcodex.hardening import KeyInputError, harden, lock_memory, read_key_from_stdin, wipe

EMPTY = r"^API key must be provided via stdin \("
INVALID = r"^API key may only contain ASCII letters, numbers, '-' or '_'$"
LARGE = r"^API key is too large to fit in the 1024-byte buffer$"
SOURCES = Path(hardening.__file__).parents[1]


class Pieces(io.RawIOBase):
    """A stream that gives one piece a read, and must not be read after its end."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = [*pieces, b""]

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self.pieces.pop(0)
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.mark.parametrize(
    ("pieces", "key"),
    [
        ((b"sk-a_B9",), b"sk-a_B9"),
        ((b"sk-a\n",), b"sk-a"),
        ((b"sk-a\r\r\n",), b"sk-a"),
        ((b"sk", b"-", b"a\nrest"), b"sk-a"),
        ((b"a" * 1016,), b"a" * 1016),
        ((b"a" * 1016 + b"\n",), b"a" * 1016),
    ],
)
def test_the_key_is_read_up_to_a_newline_or_the_end(pieces: tuple[bytes, ...], key: bytes) -> None:
    """Short reads are put together; CR and LF at the end go; what follows a newline is not read as key."""
    assert read_key_from_stdin(Pieces(*pieces)) == key


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ((), EMPTY),
        ((b"\n",), EMPTY),
        ((b"\nsk-a",), EMPTY),
        ((b"sk.a",), INVALID),
        ((b" sk-a",), INVALID),
        ((b"sk-a\rb",), INVALID),
        ((b"\xff\xfe",), INVALID),
        ((b"a" * 1017,), LARGE),
        ((b"a" * 1000, b"a" * 17 + b"\n"), LARGE),
    ],
)
def test_a_bad_key_is_refused_with_the_texts_of_the_real_proxy(pieces: tuple[bytes, ...], text: str) -> None:
    """The limits and texts are those of codex responses-api-proxy 0.169, and no part of the key is in them."""
    pieces = tuple(piece[: 1017 - sum(map(len, pieces[:index]))] for index, piece in enumerate(pieces))
    with pytest.raises(KeyInputError, match=text):
        read_key_from_stdin(Pieces(*pieces))


def test_an_unreadable_stdin_is_an_error_of_one_line() -> None:
    """A read error is told in words."""

    class Broken(Pieces):
        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            raise IsADirectoryError(21, "Is a directory")

    with pytest.raises(KeyInputError, match="Is a directory"):
        read_key_from_stdin(Broken())


def test_the_buffer_that_was_read_into_is_wiped() -> None:
    """After a good key and after a bad one nothing of it is left where it was read."""
    seen: list[memoryview] = []

    class Kept(Pieces):
        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            seen.append(memoryview(buffer.obj))
            return super().readinto(buffer)

    read_key_from_stdin(Kept(b"sk-a"))
    with pytest.raises(KeyInputError):
        read_key_from_stdin(Kept(b"sk.a"))
    assert seen and all(not any(view) for view in seen)


def test_wipe_overwrites_in_place() -> None:
    """The same memory holds zeros afterwards."""
    buffer = bytearray(b"secret")
    view = memoryview(buffer)
    wipe(buffer)
    assert bytes(view) == bytes(6)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is locked on Linux alone")
def test_memory_is_locked() -> None:
    """A locked buffer counts in the kernel's VmLck, and locking leaves it usable."""
    buffer = bytearray(b"k" * 100_000)
    locked = lock_memory(buffer)
    size = int(re.findall(r"VmLck:\s+(\d+) kB", Path("/proc/self/status").read_text())[0])
    assert locked == (size >= 97) and buffer == b"k" * 100_000
    assert not lock_memory(bytearray())


def _python(code: str, stdin: bytes = b"", **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=stdin,
        capture_output=True,
        timeout=30,
        check=True,
        env={**os.environ, "PYTHONPATH": str(SOURCES), **environment},
    )
    return done.stdout.decode().strip()


def test_descriptor_0_is_read_to_the_newline() -> None:
    """Without a stream the key comes from the process's stdin, past Python's buffers."""
    code = "from mitmcodex.hardening import *; print(read_key_from_stdin().decode())"
    assert _python(code, b"sk-a\n") == "sk-a"


@pytest.mark.skipif(sys.platform != "linux", reason="PR_GET_DUMPABLE is Linux's")
def test_a_hardened_process_is_not_dumpable_and_starts_no_foreign_code() -> None:
    """No debugger, no core file, no LD_ or DYLD_ variable, for itself and for what it starts."""
    code = (
        "import ctypes, os, resource\n"
        "from mitmcodex.hardening import harden\n"
        "problems = harden()\n"
        "print(problems, ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE),\n"
        "      [n for n in os.environ if n.startswith(('LD_', 'DYLD_'))], os.system('test -z \"$LD_X$DYLD_Y\"'))\n"
    )
    assert _python(code, LD_X="1", DYLD_Y="2") == "[] 0 (0, 0) [] 0"


def test_what_a_platform_cannot_do_is_said_in_one_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is neither prctl nor setrlimit, start goes on and says so."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(os, "environ", {"LD_X": "1", "PATH": "p"})
    lines = harden()
    assert len(lines) == 2 and all("win32" in line and "\n" not in line for line in lines)
    assert os.environ == {"PATH": "p"}


def test_a_refused_limit_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that refuses a step is no crash."""
    resource = pytest.importorskip("resource")

    def refuse(which: int, limits: tuple[int, int]) -> None:
        raise ValueError("not allowed")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    monkeypatch.setattr(hardening, "_library_call", lambda *arguments: "prctl: no")
    monkeypatch.setattr(os, "environ", {})
    assert [("no" in line) for line in harden()] == [True, True]
