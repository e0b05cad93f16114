"""The one choke point of redaction: what is written, logged or shown goes through here first.

Each rule is a *mark* of bounded length that says where a secret begins, and the set of characters that the secret runs
over. Both stay within a line. So a stream can be scrubbed as it comes: a line's end is a safe boundary, in a longer
line all but the last ``LOOKAHEAD`` characters are decided, and a secret that runs on is swallowed by its character set
(``Scrubber``). Cutting the text anywhere can't change the output.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit, urlunsplit

REDACTED = "[redacted]"

CREDENTIAL_HEADERS = (
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "chatgpt-account-id",
    "x-oai-attestation",
)
"""What the gate takes off a request (house.md section 1), names in lower case."""

_HEADER_PARTS = ("authorization", "cookie", "api-key", "apikey", "account-id", "attestation", "secret")
"""A header whose name contains one of these is masked; so is one with a word ``token`` (``…-tokens`` is a quota)."""

_QUERY_KEYS = ("key", "token", "sig", "signature", "code", "password", "auth")
"""Query keys that are too ordinary to be masked outside a query."""

_SECRET_KEYS = (
    *("access_token", "refresh_token", "id_token", "api_key", "apikey", "openai_api_key", "client_secret"),
    *("account_id", "chatgpt_account_id", "personal_access_token", "authorization", "cookie", "set_cookie"),
)
"""JSON keys (``-`` read as ``_``, any case) and form fields whose text is a secret. Not ``token``: logprobs have it."""

Pairs = list[tuple[str, str]]
LOOKAHEAD = 4200
"""No mark is longer: characters that may be needed to tell whether a secret begins."""
_PATIENCE = 4 * LOOKAHEAD
"""A line longer than this is scrubbed before its end has come."""
_LOOKBEHIND = 8


def _spelled(names: Iterable[str]) -> str:
    """The names as they may stand in a URL: each character plain or percent-encoded; ``_`` stands for ``-`` too."""
    return "|".join(
        "".join("(?:[_-]|%5f|%2d)" if ch == "_" else f"(?:{ch}|%{ord(ch):02x}|%{ord(ch.upper()):02x})" for ch in name)
        for name in sorted(names, key=len, reverse=True)
    )


_QUOTE = r"\\{0,3}[\"']"
_NAME = r"authorization|api-?key|chatgpt-account-id|x-oai-attestation"
_KEYS = "|".join(name.replace("_", "[_-]") for name in _SECRET_KEYS)
_LINE_START = r"(?:(?m:^)|(?<=[\"'])|(?<=\\r\\n))"
_NO_WORD = r"(?=[a-z.~-]{0,64}[A-Z0-9_+/])"
"""Tells a secret from an English word: "Bearer tokens", "Authorization failed"."""
_VALUE = r"[^\"'\\\r\n]"
_BLANKS = r"(?:\+|%20){0,8}"
_QUERY_VALUE = r"[^&#\s\"'\\<>]"

# name: (mark, characters that the secret runs over). The first that matches at a place wins.
_RULES: dict[str, tuple[str, str]] = {
    # header lines, also with a blank before the colon, in quotes, in bytes' repr
    "header": (rf"(?i:(?:{_NAME})(?:{_QUOTE})?[ \t]{{0,8}}[:=][ \t]{{0,8}}(?:{_QUOTE})?)", _VALUE),
    "cookie": (rf"(?i:cookie(?:{_QUOTE})?[ \t]{{0,8}}:[ \t]{{0,8}}(?:{_QUOTE})?)", _VALUE),
    # … and without a colon, as in a line that a parser refused
    "scheme": (r"(?i:authorization[ \t]{1,8}(?:bearer|basic|token|digest)[ \t]{1,8})", _VALUE),
    "line": (rf"(?i:{_LINE_START}(?:proxy-|x-|x-goog-|set-)?(?:{_NAME}|cookie)[ \t]{{1,8}}){_NO_WORD}", _VALUE),
    "bearer": (rf"(?i:bearer)(?:[ \t]|%20){{1,8}}{_NO_WORD}", r"[A-Za-z0-9_.~+/=-]"),
    "json": (
        rf"(?i:(?<=[\"'])(?:{_KEYS}){_QUOTE}[ \t]{{0,8}}:[ \t]{{0,8}}{_QUOTE})",
        _VALUE,
    ),
    "query": (rf"(?i:(?<=[?&]){_BLANKS}(?:{_spelled((*_QUERY_KEYS, *_SECRET_KEYS))}){_BLANKS}=)", _QUERY_VALUE),
    "form": (rf"(?i:(?<!-)(?:{_spelled(_SECRET_KEYS)})=)", _QUERY_VALUE),
    "userinfo": (r"(?<=://)(?=[^\s/@\"']{1,512}@)", r"[^\s/@\"']"),
    "jwt": (r"(?<!-)(?=eyJ[A-Za-z0-9_-]{2,4096}\.[A-Za-z0-9_-])", r"[A-Za-z0-9_.-]"),
    "sk": (r"(?<!-)(?=sk-[A-Za-z0-9_-]{8})", r"[A-Za-z0-9_-]"),
    "rt": (r"(?<!-)(?=rt_[A-Za-z0-9_-]{12})", r"[A-Za-z0-9_.-]"),
}
# No secret begins inside a word (an escaped line end or tab is none): told first, as most places are inside one.
_SECRET = re.compile(
    r"(?:(?<![A-Za-z0-9_])|(?<=\\[nrt]))(?:"
    + "|".join(f"(?:(?P<{name}>{mark}){run}+)" for name, (mark, run) in _RULES.items())
    + ")"
)
_RUNS = {name: re.compile(f"{run}*") for name, (_, run) in _RULES.items()}
_HINTS = (
    *("authorization", "api-key", "apikey", "api_key", "account", "attestation", "cookie", "bearer", "token"),
    *("secret", "://", "sk-", "rt_", "eyj", "?", "&", "%"),
)
"""Every match of ``_SECRET`` contains one of these, or begins behind one; quicker to look for, and rare."""


class Scrubber:
    """``scrub`` for a text that comes in pieces; what is held back is bounded by a line and ``_PATIENCE``."""

    def __init__(self) -> None:
        self._held = ""
        self._before = ""
        """The last characters before ``_held``, for look-behinds."""
        self._running: re.Pattern[str] | None = None
        """Set while a secret runs on past the end of what was seen."""

    def feed(self, text: str) -> str:
        """What is safe to show by now."""
        self._held += text
        decided = self._held.rfind("\n") + 1
        if len(self._held) - decided > _PATIENCE:
            decided = len(self._held) - LOOKAHEAD
        return self._advance(decided) if decided else ""

    def finish(self) -> str:
        """The rest."""
        return self._advance(len(self._held))

    def _advance(self, decided: int) -> str:
        """Scrub what begins before ``decided``, a position in ``_held``."""
        text, start = self._before + self._held, len(self._before)
        decided += start
        if self._running is None and not _may_hold_secret(text):
            self._before, self._held = text[max(0, decided - _LOOKBEHIND) : decided], text[decided:]
            return text[start:decided]
        out: list[str] = []
        at = self._swallow(text, start)
        while (match := _SECRET.search(text, at)) is not None and match.start() < decided:
            name = match.lastgroup or ""
            out += (text[at : match.end(name)], REDACTED)
            self._running = _RUNS[name]
            at = self._swallow(text, match.end())
        if at < decided:
            out.append(text[at:decided])
            at = decided
        self._before, self._held = text[max(0, at - _LOOKBEHIND) : at], text[at:]
        return "".join(out)

    def _swallow(self, text: str, at: int) -> int:
        """The end of the secret that runs at ``at``; it stays open while it reaches the end of the text."""
        if self._running is None:
            return at
        run = self._running.match(text, at)
        end = run.end() if run else at
        if end < len(text):
            self._running = None
        return end


def _may_hold_secret(text: str) -> bool:
    lowered = text.lower()
    return any(hint in lowered for hint in _HINTS)


def scrub(text: str) -> str:
    """The text with what looks like a credential masked; ordinary text, base64 and uuids stay."""
    if not _may_hold_secret(text):
        return text
    scrubber = Scrubber()
    return scrubber.feed(text) + scrubber.finish()


def is_credential_header(name: str) -> bool:
    """Whether a header's value is a secret, whatever it looks like. The name may have blanks around it."""
    name = name.strip().lower()
    if name in CREDENTIAL_HEADERS or any(part in name for part in _HEADER_PARTS):
        return True
    return "token" in name.replace("_", "-").split("-")


def headers(pairs: Iterable[tuple[str, str]]) -> Pairs:
    """The pairs in their order, duplicates and names kept, secrets masked."""
    return [(name, REDACTED if is_credential_header(name) else scrub(value)) for name, value in pairs]


def url(text: str) -> str:
    """A URL or request target with its user info and the values of credential-like query keys masked."""
    head, mark, query = text.partition("?")
    if "@" in head and "://" in head:
        parts = urlsplit(head)
        head = urlunsplit(parts._replace(netloc=f"{REDACTED}@{parts.netloc.rpartition('@')[2]}"))
    return scrub(head) + mark + "&".join(_query_part(part) for part in query.split("&"))


def _query_part(part: str) -> str:
    name, equals, _ = part.partition("=")
    key = unquote(name).lower().replace("-", "_").strip()
    return f"{name}={REDACTED}" if equals and key in (*_QUERY_KEYS, *_SECRET_KEYS) else scrub(part)


def json_value(value: object) -> object:
    """A copy of a JSON value: the texts of credential-like keys masked, all other texts scrubbed.

    Raises RecursionError for a value that is nested too deeply.
    """
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, list):
        return [json_value(item) for item in value]
    if isinstance(value, dict):
        return {
            key: REDACTED if isinstance(item, str) and item and _is_secret_key(key) else json_value(item)
            for key, item in value.items()
        }
    return value


def _is_secret_key(key: object) -> bool:
    return isinstance(key, str) and key.lower().replace("-", "_") in _SECRET_KEYS
