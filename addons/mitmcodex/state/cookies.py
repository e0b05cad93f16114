"""The cookies that the real client keeps, and no others (protocol.md 10), one jar per ConnectionKey.

Unlike the real client they are kept on disk between runs, session cookies too: a short-lived proxy would otherwise meet
Cloudflare as a stranger each time. A jar never outlives its key: another account, profile or egress has another jar.
"""

from __future__ import annotations

import email.message
import logging
import urllib.request
import warnings
from http.cookiejar import Cookie, DefaultCookiePolicy, LoadError, LWPCookieJar
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from mitmcodex.state.files import write_private

NAMES = frozenset(
    (
        *("__cf_bm", "__cflb", "__cfruid", "__cfseq", "__cfwaitingroom", "_cfuvid"),
        *("cf_clearance", "cf_ob_info", "cf_use_ob", "__oailb"),
    )
)
NAME_PREFIX = "cf_chl_"
HOSTS = frozenset(("chatgpt.com", "chat.openai.com", "chatgpt-staging.com"))
HOST_SUFFIXES = (".chatgpt.com", ".chatgpt-staging.com")

logger = logging.getLogger(__name__)


class CookieJar:
    """Keeps what a response sets, hands out what a request sends, by the usual rules of domain, path and expiry.

    ``base_url`` is that of a provider of kind chatgpt: its host is treated like the real ones, https alone. A file that
    can't be read or written is a warning: the jar works in memory.
    """

    def __init__(self, path: Path, base_url: str = "") -> None:
        self._path = path
        self._cookies = LWPCookieJar(policy=_Policy((urlsplit(base_url).hostname or "").lower()))
        self._saved = ""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # of a file that it can't make sense of, http.cookiejar prints a traceback
                self._cookies.load(str(path), ignore_discard=True)
            self._saved = self._text()
        except FileNotFoundError:
            pass
        except (LoadError, OSError, ValueError) as error:
            # The error's text may quote the file.
            logger.warning("cookies in %s can't be read (%s): starting without", path, type(error).__name__)

    def header(self, url: str) -> str:
        """The value of the one ``cookie`` header for this URL, "" when there is none to send."""
        request = urllib.request.Request(url)
        self._cookies.add_cookie_header(request)
        return request.get_header("Cookie") or ""

    def store(self, url: str, set_cookie_values: list[str]) -> None:
        """Take the ``set-cookie`` values of a response to this URL, and write the file when that changed something."""
        if not set_cookie_values:
            return
        answer = _Answer(set_cookie_values)
        self._cookies.extract_cookies(cast("urllib.request._UrlopenRet", answer), urllib.request.Request(url))
        text = self._text()
        if text != self._saved:
            self._saved = text
            try:
                write_private(self._path, f"#LWP-Cookies-2.0\n{text}".encode("ascii"))
            except OSError as error:
                logger.warning("cookies can't be written to %s (%s)", self._path, error.strerror)

    def drop(self) -> None:
        """Forget all of them, on disk too: after a Cloudflare challenge they do more harm than good."""
        self._cookies.clear()
        self._saved = ""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("cookies in %s can't be removed (%s)", self._path, error.strerror)

    def _text(self) -> str:
        return self._cookies.as_lwp_str(ignore_discard=True)


class _Answer:
    """What ``extract_cookies`` wants of a response."""

    def __init__(self, set_cookie_values: list[str]) -> None:
        self._message = email.message.Message()
        for value in set_cookie_values:
            self._message["Set-Cookie"] = value

    def info(self) -> email.message.Message:
        return self._message


class _Policy(DefaultCookiePolicy):
    """The usual rules, for the names and hosts of the real client only."""

    def __init__(self, extra_host: str) -> None:
        host_only = DefaultCookiePolicy.DomainStrictNonDomain  # without it a cookie goes to subdomains, too
        super().__init__(secure_protocols=("https", "wss"), strict_ns_domain=host_only)
        self._extra_host = extra_host

    def set_ok(self, cookie: Cookie, request: urllib.request.Request) -> bool:
        return self._is_ours(cookie, request) and super().set_ok(cookie, request)

    def return_ok(self, cookie: Cookie, request: urllib.request.Request) -> bool:
        return self._is_ours(cookie, request) and super().return_ok(cookie, request)

    def _is_ours(self, cookie: Cookie, request: urllib.request.Request) -> bool:
        host = (urlsplit(request.full_url).hostname or "").lower()
        is_host = host in HOSTS or host.endswith(HOST_SUFFIXES) or (host != "" and host == self._extra_host)
        is_name = cookie.name in NAMES or cookie.name.startswith(NAME_PREFIX)
        value = cookie.value or ""
        return request.type in ("https", "wss") and is_host and is_name and value.isascii() and value.isprintable()
