"""logfilter.py: no secret in the log, whoever writes it."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
from mitmproxy.log import MitmFormatter

from mitmcodex import logfilter

SECRET = "canary-4711-secret"


class Shown(logging.Handler):
    """What mitmproxy's handlers (terminal, event log) would show."""

    def __init__(self) -> None:
        super().__init__()
        self.out = io.StringIO()
        self.formatter = MitmFormatter(colorize=False)

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=self.out)


@pytest.fixture
def shown() -> Iterator[Shown]:
    """A handler that is added after the filter."""
    logfilter.install()
    handler = Shown()
    root = logging.getLogger()
    root.addHandler(handler)
    level = root.level
    root.setLevel(logging.DEBUG)
    yield handler
    root.setLevel(level)
    root.removeHandler(handler)
    logfilter.uninstall()


@pytest.mark.parametrize(
    "message",
    [
        f"Invalid header line: b'Authorization Bearer {SECRET}'",
        f"Bad HTTP request line: b'GET /?key={SECRET} BAD'",
        f"Client closed connection before completing request headers: b'GET / HTTP/1.1\\r\\nx: \"it\\'s {SECRET}'",
        f"Unknown: b\"it's {SECRET}\" and bytearray(b'{SECRET}')",
    ],
)
def test_what_a_parser_quotes_is_not_shown(shown: Shown, message: str) -> None:
    """Records of mitmproxy's loggers lose every quoted byte, whatever it looks like, and keep the rest."""
    logging.getLogger("mitmproxy.proxy.server").info(message, extra={"client": ("127.0.0.1", 5)})
    text = shown.out.getvalue()
    assert SECRET not in text
    assert message.split(":")[0] in text and "[127.0.0.1:5]" in text


def test_arguments_are_redacted_too(shown: Shown) -> None:
    """A secret that comes by an argument of the format is masked, by the rules of wire.redact, for every logger."""
    logging.getLogger("some.library").warning("sent %s to %s", f"Authorization: Bearer {SECRET}", "host")
    assert SECRET not in shown.out.getvalue()


def test_a_traceback_that_quotes_a_secret_is_redacted(shown: Shown) -> None:
    """The text of an exception and of its cause is shown without the secret, with its type and place."""
    try:
        raise ValueError(f"Authorization: Bearer {SECRET}")
    except ValueError:
        logging.getLogger("mitmproxy.proxy").exception("mitmproxy has crashed!")
    text = shown.out.getvalue()
    assert SECRET not in text
    assert "ValueError" in text and "test_logfilter.py" in text and "mitmproxy has crashed!" in text


def test_other_records_are_left_as_they_are(shown: Shown, caplog: pytest.LogCaptureFixture) -> None:
    """Message, arguments and exception of a harmless record are untouched, so that other handlers can use them."""
    try:
        raise KeyError("name")
    except KeyError:
        logging.getLogger("mitmproxy.addons").exception("opened 'file' %d times", 3)
    record = caplog.records[-1]
    assert (record.msg, record.args) == ("opened 'file' %d times", (3,))
    assert record.exc_info is not None and "KeyError: 'name'" in shown.out.getvalue()


def test_a_wrong_format_does_not_stop_the_program(shown: Shown) -> None:
    """A record whose arguments don't fit is shown by its format alone."""
    logging.getLogger("some.library").info("%d and %d", SECRET)
    assert shown.out.getvalue().endswith("%d and %d\n")


def test_installing_twice_is_the_same_as_once() -> None:
    """A reload of the script stacks no filters, and uninstalling gives the former factory back."""
    before = logging.getLogRecordFactory()
    logfilter.install()
    once = logging.getLogRecordFactory()
    logfilter.install()
    assert logging.getLogRecordFactory() is once is not before
    logfilter.uninstall()
    assert logging.getLogRecordFactory() is before


def test_a_message_loses_what_it_quotes() -> None:
    """Reprs of text and bytes go, an apostrophe inside a word starts no quote."""
    message = f"Client's request: invalid content-length header: '{SECRET}', b'{SECRET}'; mitmproxy's limit"
    clean = "Client's request: invalid content-length header: '[redacted]', '[redacted]'; mitmproxy's limit"
    assert logfilter.without_quotes(message) == clean


def test_the_token_of_mitmweb_is_shown(shown: Shown) -> None:
    """Without it nobody could log in to mitmweb on a machine without a browser."""
    logging.getLogger("mitmproxy.tools.web.master").info("Web server listening at http://127.0.0.1:8081/?token=0af1")
    assert "?token=0af1" in shown.out.getvalue()


def test_a_data_record_that_was_cut_is_redacted_to_its_end(shown: Shown) -> None:
    """``proxy_debug`` cuts long records, so that the closing quote is missing."""
    logging.getLogger("mitmproxy.proxy.server").info(f">> DataReceived(client, b'POST / x: 1\\r\\n {SECRET} y…")
    assert SECRET not in shown.out.getvalue() and "DataReceived" in shown.out.getvalue()
