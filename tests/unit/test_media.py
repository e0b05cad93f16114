"""Images and files as base64."""

from __future__ import annotations

import base64

import pytest

from mitmcodex.wire.media import data_url, file_name, image_type, standard_base64


@pytest.mark.parametrize(
    "head, mime",
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x24\x00\x00\x00WEBP", "image/webp"),
        (b"RIFF\x24\x00\x00\x00WAVE", ""),
        (b"hello", ""),
    ],
)
def test_types_by_the_first_bytes(head, mime):
    """conformance 73: bare base64 tells its type by itself."""
    assert image_type(base64.b64encode(head + bytes(40)).decode()) == mime


@pytest.mark.parametrize("data", ["", "é", "a", "****"])
def test_what_is_no_base64_has_no_type(data):
    """Broken data is no image, not a crash."""
    assert image_type(data) == ""


@pytest.mark.parametrize("data, standard", [("a-_b", "a+/b"), ("YQ", "YQ=="), ("YQ==", "YQ=="), ("", "")])
def test_standard_base64(data, standard):
    """google-genai writes the alphabet for URLs (measured)."""
    assert standard_base64(data) == standard


def test_data_urls():
    """As the Responses API takes them."""
    assert data_url("image/png", "YQ==") == "data:image/png;base64,YQ=="


@pytest.mark.parametrize("mime, name", [("application/pdf", "pdf"), ("text/plain", "txt"), ("image/x-own", "x-own")])
def test_a_file_gets_a_name(mime, name):
    """The API wants one that tells the type."""
    assert file_name(mime) == f"document.{name}"
