"""Texts between us and libcurl: nothing is added, nothing leaks, every failure has its kind and remedy."""

from __future__ import annotations

import pytest

from mitmcodex.upstream.curl_forms import extension_order, failure, header_lines, response_head
from mitmcodex.upstream.transport import Closed, ConnectFailed

FRAME = "Failed to perform, curl: (%d) %s. See https://curl.se/libcurl/c/libcurl-errors.html first for more details."


def test_headers_keep_order_and_case_and_curl_adds_none() -> None:
    """What the request names goes out in its order, empty values too; what libcurl would add is switched off."""
    lines = header_lines((("X-B", "1"), ("x-a", ""), ("accept", "*/*"), ("x-b", "ü")))
    assert lines[:4] == [b"X-B: 1", b"x-a;", b"accept: */*", b"x-b: \xfc"]
    assert set(lines[4:]) == {b"content-type:", b"expect:", b"user-agent:"}


@pytest.mark.parametrize("pair", [("x", "s3cret\r\nevil: 1"), ("x\n", "s3cret"), ("x", "s3cret\0"), ("x", "s3cret €")])
def test_header_that_would_break_the_request_is_refused_without_its_value(pair: tuple[str, str]) -> None:
    """No header injection; the message names the header and not what it holds."""
    with pytest.raises(ConnectFailed, match="not sent: header 'x") as caught:
        header_lines((pair,))
    assert "s3cret" not in caught.value.message


def test_head_is_parsed_with_order_case_and_duplicates() -> None:
    """Response headers stay ordered pairs, decoded as latin-1."""
    head = response_head(
        [b"HTTP/1.1 429 Too Many Requests\r\n", b"X-A:1\r\n", b"set-cookie: a=b; c:d\r\n", b"x-a:\xfc\r\n"]
    )
    assert (head.http_version, head.status, head.reason) == ("HTTP/1.1", 429, "Too Many Requests")
    assert head.headers == (("X-A", "1"), ("set-cookie", "a=b; c:d"), ("x-a", "ü"))
    assert response_head([b"HTTP/2 200 \r\n"]).http_version == "HTTP/2"


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (6, "set resolve"),
        (7, "check base_url"),
        (28, "within 15 s"),
        (35, "TLS with"),
        (60, "set ca_file"),
        (77, "ca_file"),
    ],
)
def test_failure_before_the_upstream_is_connect_failed_with_its_remedy(code: int, remedy: str) -> None:
    """The message names the host, the remedy and libcurl's reason, without curl_cffi's link."""
    error = failure("api.test", code, FRAME % (code, "the reason"), head_seen=False)
    assert isinstance(error, ConnectFailed)
    assert "api.test" in error.message and remedy in error.message and f"curl {code}: the reason" in error.message
    assert "curl.se" not in error.message


@pytest.mark.parametrize("code", [16, 18, 52, 55, 56, 92, 999])
def test_any_other_failure_is_closed(code: int) -> None:
    """Whatever ends a call after the connection stood says whether the head was seen."""
    error = failure("api.test", code, FRAME % (code, "Recv failure"), head_seen=True)
    assert isinstance(error, Closed) and error.head_seen
    assert "Recv failure" in error.message


def test_order_of_extensions_is_drawn_and_never_ends_with_an_empty_one() -> None:
    """All extensions, in many orders, the last never 23 or 35 (BoringSSL would add padding)."""
    orders = {extension_order((0, 23, 35, 51)) for _ in range(300)}
    assert len(orders) == 12
    assert {tuple(sorted(order.split("-"))) for order in orders} == {("0", "23", "35", "51")}
    assert not any(order.endswith(("-23", "-35")) for order in orders)
