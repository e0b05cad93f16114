"""What secure mode does to its own process, and how a key comes in (protocol.md 9, seeds S43-S47).

What Python can't do: the header needs the key as ``str``, which is immutable and which the interpreter may copy, so
neither that text, nor the header list of each running call, nor libcurl's own buffers of it can be locked or wiped:
they may go to swap, and stay in freed memory until it is used again. The buffer that stdin was read into is wiped, and
the bytes that are kept for a reload are locked where RLIMIT_MEMLOCK allows it. With no core dump and no debugger all
copies stay inside the process. Root, a debugger that root runs, and a machine that hibernates are out of reach.
"""

from __future__ import annotations

import ctypes
import io
import os
import re
import sys
from collections.abc import Callable
from typing import Protocol

KEY_BUFFER = 1024
"""Bytes, with ``Bearer `` in front of the key."""
_CAPACITY = KEY_BUFFER - len(b"Bearer ")
_KEY = re.compile(rb"[A-Za-z0-9_-]+")

_PR_SET_DUMPABLE = 4
_PT_DENY_ATTACH = 31


class KeyInputError(Exception):
    """The key on stdin can't be used; the text never holds any of it."""


class ReadInto(Protocol):
    def readinto(self, buffer: memoryview, /) -> int | None: ...


def harden() -> list[str]:
    """Keep other processes of this user from reading ours; one line for each thing that can't be done here."""
    drop_loader_variables()
    attempts = (_forbid_debugging(), _forbid_core_dumps())
    return [problem for problem in attempts if problem]


def drop_loader_variables() -> None:
    """Remove what would load foreign code into a program started by us."""
    for name in [name for name in os.environ if name.startswith(("LD_", "DYLD_"))]:
        del os.environ[name]


def _forbid_debugging() -> str:
    if sys.platform == "linux":
        failed = _library_call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)
    elif sys.platform == "darwin":
        failed = _library_call("ptrace", _PT_DENY_ATTACH, 0, None, 0)
    else:
        return f"hardening: other processes can't be kept from debugging this one on {sys.platform}"
    return f"hardening: other processes can't be kept from debugging this one ({failed})" if failed else ""


def _forbid_core_dumps() -> str:
    try:
        import resource
    except ImportError:
        return f"hardening: core dumps can't be switched off on {sys.platform}"
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError) as error:
        return f"hardening: core dumps can't be switched off ({error})"
    return ""


def read_key_from_stdin(stream: ReadInto | None = None) -> bytearray:
    """The key: up to a newline or the end, CR and LF at its end removed. Raises KeyInputError, texts of protocol.md 9.

    Reads descriptor 0 without Python's buffers, which would keep a copy. The result is locked where that is possible;
    ``wipe`` it when it is no longer needed, and never resize it (it would move).
    """
    buffer = bytearray(_CAPACITY)
    lock_memory(buffer)
    try:
        length = _fill(buffer, stream or io.FileIO(0, closefd=False))
        while length and buffer[length - 1] in b"\r\n":
            length -= 1
        if length == 0:
            example = "printenv OPENAI_API_KEY | env -u OPENAI_API_KEY mitmcodex secure"
            raise KeyInputError(f"API key must be provided via stdin (e.g. {example})")
        with memoryview(buffer) as view, view[:length] as part:
            if _KEY.fullmatch(part) is None:
                raise KeyInputError("API key may only contain ASCII letters, numbers, '-' or '_'")
            key = bytearray(length)
            lock_memory(key)
            key[:] = part
        return key
    finally:
        wipe(buffer)


def _fill(buffer: bytearray, stream: ReadInto) -> int:
    """Read until a newline (included) or the end; the number of bytes that count."""
    length = 0
    with memoryview(buffer) as view:
        while length < len(buffer):
            try:
                with view[length:] as rest:
                    count = stream.readinto(rest)
            except OSError as error:
                raise KeyInputError(f"API key can't be read from stdin: {error.strerror}") from None
            if not count:
                return length
            newline = buffer.find(b"\n", length, length + count)
            if newline >= 0:
                return newline + 1
            length += count
    raise KeyInputError(f"API key is too large to fit in the {KEY_BUFFER}-byte buffer")


def lock_memory(buffer: bytearray) -> bool:
    """Keep the buffer out of swap; False where the system can't or won't (Windows, RLIMIT_MEMLOCK)."""
    if os.name != "posix" or not buffer:
        return False
    view = (ctypes.c_char * len(buffer)).from_buffer(buffer)
    return not _library_call("mlock", ctypes.c_void_p(ctypes.addressof(view)), ctypes.c_size_t(len(buffer)))


def wipe(buffer: bytearray) -> None:
    """Overwrite the buffer in place with zeros."""
    buffer[:] = bytes(len(buffer))


def _library_call(name: str, *arguments: object) -> str:
    """Call a function of the C library; "" or what it says went wrong."""
    function: Callable[..., int] | None = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if function is None:
        return f"no {name} here"
    return "" if function(*arguments) == 0 else f"{name}: {os.strerror(ctypes.get_errno())}"
