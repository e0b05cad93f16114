"""No secret in the log, whoever writes it.

mitmproxy's parsers quote the line they refuse ("Invalid header line: b'…'"), before any hook could take a credential
off. A filter on a logger does not see its children's records, and handlers come and go (terminal, mitmweb's event log),
so the records are redacted where they are made.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable
from typing import Any

from mitmcodex.wire.redact import REDACTED, scrub

PARSERS = ("mitmproxy", "h2", "hpack", "h11", "wsproto")
"""Loggers that quote what a client sent as the repr of bytes: all of it goes, as no shape tells a secret there."""

WEB = ("mitmproxy.tools.web.master", "mitmproxy.tools.web.webaddons")
"""Loggers that print the address of mitmweb with its token, without which nobody can log in."""

_LITERAL = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_CUT_LITERAL = r"""(?:'(?:[^'\\\n]|\\.)*…|"(?:[^"\\\n]|\\.)*…)"""
"""What mitmproxy's ``proxy_debug`` leaves of a long one."""
_BYTES = re.compile(rf"\bb(?:{_LITERAL}|{_CUT_LITERAL})")
_QUOTES = re.compile(rf"(?<![\w'\"])b?{_LITERAL}")


def without_quotes(text: str) -> str:
    """A parser's message about a request without what it quotes (reprs of bytes and of text), scrubbed."""
    return scrub(_QUOTES.sub(f"'{REDACTED}'", text))


def _without_bytes(text: str) -> str:
    """For whole log records: text in quotes stays, as it is mostly a name or, in a traceback, a file."""
    return scrub(_BYTES.sub(f"b'{REDACTED}'", text))


def install() -> None:
    """Redact every log record of this process from now on. Idempotent."""
    current = logging.getLogRecordFactory()
    if not isinstance(current, RedactingFactory):
        logging.setLogRecordFactory(RedactingFactory(current))


def uninstall() -> None:
    current = logging.getLogRecordFactory()
    if isinstance(current, RedactingFactory):
        logging.setLogRecordFactory(current.inner)


class RedactingFactory:
    """A log record factory; ``inner`` makes the records."""

    def __init__(self, inner: Callable[..., logging.LogRecord]) -> None:
        self.inner = inner

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self.inner(*args, **kwargs)
        if record.name in WEB:
            return record
        redact = _without_bytes if record.name.partition(".")[0] in PARSERS else scrub
        message = _message(record)
        clean = redact(message)
        if record.exc_info and record.exc_info[0] is not None:
            trace = "".join(traceback.format_exception(*record.exc_info)).rstrip()
            clean_trace = redact(trace)
            if clean_trace != trace:
                # Handlers format exc_info themselves, so a traceback that holds a secret becomes text here.
                clean, record.exc_info = f"{clean}\n{clean_trace}", None
        if clean != message:
            record.msg, record.args = clean, ()
        return record


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        # Wrong number of arguments for the format: logging itself would print both to stderr.
        record.args = ()
        return str(record.msg)
