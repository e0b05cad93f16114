"""inlineData and fileData by their MIME type (conformance 67)."""

from __future__ import annotations

import pytest

from mitmcodex.wire.codec import Loss
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.gemini_media import inline_part, linked_part
from mitmcodex.wire.gemini_reading import GeminiReading


@pytest.mark.parametrize(
    "blob, part",
    [
        ({"mimeType": "image/png", "data": "a-_b"}, {"type": "input_image", "image_url": "data:image/png;base64,a+/b"}),
        (
            {"mimeType": "application/pdf", "data": "JVBERg", "displayName": "p.pdf"},
            {"type": "input_file", "filename": "p.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
        ),
        (
            {"mime_type": "Text/CSV", "data": "YSxi"},
            {"type": "input_file", "filename": "document.csv", "file_data": "data:text/csv;base64,YSxi"},
        ),
    ],
)
def test_data(blob, part):
    """conformance 67: images, PDFs, other files by their name; google-genai's base64 alphabet is made standard."""
    assert inline_part(GeminiReading(blob, "", [])) == part


@pytest.mark.parametrize(
    "link, part",
    [
        (
            {"mimeType": "image/png", "fileUri": "https://a.example/b"},
            {"type": "input_image", "image_url": "https://a.example/b"},
        ),
        ({"fileUri": "http://a.example/b"}, {"type": "input_file", "file_url": "http://a.example/b"}),
    ],
)
def test_addresses(link, part):
    """A public address goes on as it is; what is no image is a file."""
    assert linked_part(GeminiReading(link, "", [])) == part


def test_the_name_of_what_has_none_is_a_hint():
    """Only a file that is sent along has a name in canonical form."""
    losses: list[Loss] = []
    with GeminiReading({"mimeType": "image/png", "data": "YQ==", "displayName": "x"}, "at", losses) as blob:
        inline_part(blob)
    assert [(loss.path, loss.is_hint) for loss in losses] == [("at.displayName", True)]


@pytest.mark.parametrize("mime", ["audio/wav", "video/mp4", "png", ""])
@pytest.mark.parametrize("read, key", [(inline_part, "data"), (linked_part, "fileUri")])
def test_types_that_can_not_be_carried(mime, read, key):
    """Sound, films and what says no type are refused by their path; only a link may say none."""
    body = {"mimeType": mime, key: "https://a.example/b"}
    if read is linked_part and not mime:
        assert read(GeminiReading(body, "", []))["type"] == "input_file"
        return
    with pytest.raises(WireError) as caught:
        read(GeminiReading(body, "at", []))
    assert caught.value.param == "at.mimeType"


@pytest.mark.parametrize("uri", ["gs://bucket/a", "files/abc", "http://[::1", ""])
def test_what_is_kept_at_google(uri):
    """It reaches no other model: refused."""
    with pytest.raises(WireError, match="fileUri"):
        linked_part(GeminiReading({"mimeType": "image/png", "fileUri": uri}, "", []))
