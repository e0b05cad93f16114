"""Foreign exceptions become WireErrors here, by one table, and nowhere else (house.md section 7)."""

from __future__ import annotations

import traceback

from mitmcodex.state.credentials import CredentialError
from mitmcodex.upstream.transport import Blocked, Closed, ConnectFailed, TimedOut, TransportError
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.one_line import printable
from mitmcodex.wire.redact import scrub

KINDS: tuple[tuple[type[TransportError], str], ...] = (
    (ConnectFailed, "unreachable"),
    (TimedOut, "first_byte_timeout"),
    (Blocked, "blocked"),
    (Closed, "stream_incomplete"),
)


def as_wire_error(error: Exception, limit_s: float | None, what: str) -> WireError:
    """What the client is told. Our own exceptions show type and place, never their text: it may quote anything.

    ``what`` failed: "exchange 7".
    """
    match error:
        case WireError():
            return error
        case CredentialError():
            return WireError("credential", scrub(str(error)))
        case TransportError():
            kind = next((kind for cls, kind in KINDS if isinstance(error, cls)), "upstream_failed")
            return WireError(kind, scrub(error.message))
        case TimeoutError() if limit_s:
            return WireError("request_timeout", f"No end within request_timeout_s ({limit_s:g} s); 0 = no limit.")
    return WireError(
        "internal",
        f"mitmcodex failed on {what} ({_type_and_place(error)}); nothing more was sent upstream. "
        "The proxy's log has this line; please report it.",
    )


def describe(error: Exception) -> str:
    """For the log, by the same rule."""
    if isinstance(error, WireError):
        return f"{error.kind}: {scrub(printable(error.message))}"
    return _type_and_place(error)


def _type_and_place(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1] if error.__traceback__ else None
    place = f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" if frame else "?"
    return f"{type(error).__name__} at {place}"
