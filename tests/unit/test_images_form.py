"""The body of an image request: JSON as it is, a form as the JSON that says the same."""

from __future__ import annotations

import pytest

from mitmcodex.wire.errors import WireError
from mitmcodex.wire.images_form import parsed, parts

FORM = 'multipart/form-data; boundary="b-1"'
PNG = b"\x89PNG\r\n\x1a\n\x00\r\n--b-2\r\n\x00\r"
PNG_URL = "data:image/png;base64,iVBORw0KGgoADQotLWItMg0KAA0="


def form(*parts: tuple[str, str, bytes]) -> bytes:
    """Parts of (content-disposition, content-type, data)."""
    body = b""
    for disposition, mime, data in parts:
        told = f"content-disposition: form-data; {disposition}\r\n" + (f"Content-Type: {mime}\r\n" if mime else "")
        body += b"--b-1\r\n" + told.encode() + b"\r\n" + data + b"\r\n"
    return body + b"--b-1--\r\n"


def test_json_is_taken_as_it_is() -> None:
    """Whatever the client calls it: curl -d says that it is a form."""
    assert parsed(b'{"prompt": "x", "n": 2}', "application/x-www-form-urlencoded") == {"prompt": "x", "n": 2}
    assert parsed(b'{"prompt": "x"}', "") == {"prompt": "x"}


def test_a_form_is_the_json_that_says_the_same() -> None:
    """Images become data URLs byte for byte, line ends and half boundaries in them too; numbers become numbers."""
    body = form(
        ('name="prompt"', "", "ein roter Punkt – süß".encode()),
        ('name="image[]"; filename="a.png"', "image/png", PNG),
        ('name="image[]"; filename="b"', "application/octet-stream", PNG),
        ('name="mask"; filename="m.png"', "image/png", PNG),
        ('name="n"', "", b"2"),
        ('name="stream"', "", b"true"),
        ('name="partial_images"', "", b"0"),
        ('name="size"', "text/plain", b"1024x1024"),
    )
    assert parsed(body, FORM) == {
        "prompt": "ein roter Punkt – süß",
        "images": [{"image_url": PNG_URL}, {"image_url": PNG_URL}],
        "mask": {"image_url": PNG_URL},
        "n": 2,
        "stream": True,
        "partial_images": 0,
        "size": "1024x1024",
    }


def test_one_image_is_a_list_of_one() -> None:
    """``image`` and ``image[]`` are the two names that SDKs use."""
    assert parsed(form(('name="image"; filename="a"', "", PNG)), FORM) == {"images": [{"image_url": PNG_URL}]}


def test_what_is_no_image_keeps_its_type() -> None:
    """So that who reads it can say what it is not; without a type it is any bytes."""
    body = form(('name="image"; filename="a"', "image/heic", b"ftyp"), ('name="mask"; filename="a"', "", b"ftyp"))
    got = parsed(body, FORM)
    assert got["images"][0]["image_url"] == "data:image/heic;base64,ZnR5cA=="
    assert got["mask"]["image_url"] == "data:application/octet-stream;base64,ZnR5cA=="


@pytest.mark.parametrize(
    ("disposition", "data", "param"),
    [
        ('name="n"', b"two", "n"),
        ('name="n"', b"-1", "n"),
        ('name="stream"', b"1", "stream"),
        ('name="p"', b"\xff", "p"),
    ],
)
def test_a_wrong_value_names_its_part(disposition: str, data: bytes, param: str) -> None:
    """400 with the parameter, as in JSON."""
    with pytest.raises(WireError) as caught:
        parsed(form((disposition, "", data)), FORM)
    assert (caught.value.kind, caught.value.param) == ("invalid_request", param)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (form(('name="p"', "", b"x")), "multipart/form-data"),
        (form(('name="p"', "", b"x"))[:-6], FORM),
        (form(('name="p"', "", b"x")).replace(b"form-data; name", b"form-data; mane"), FORM),
        (b"junk" + form(('name="p"', "", b"x")), FORM),
        (b"--b-1\r\nno end of the header\r\n--b-1--", FORM),
        (b"", FORM),
        (b"--b-1--", FORM),
        (b'{"prompt": "x"}', FORM),
        (b"\xff\xfe", FORM),
        (b"[]", "application/json"),
    ],
)
def test_what_is_no_form_is_refused(body: bytes, content_type: str) -> None:
    """No boundary, no end, no name, nothing in it: 400, never an exception of another kind."""
    with pytest.raises(WireError) as caught:
        parsed(body, content_type)
    assert caught.value.kind == "invalid_request"


def test_any_cut_of_a_form_is_refused() -> None:
    """A body that broke off is never taken for a whole one."""
    body = form(('name="image"; filename="a.png"', "image/png", PNG), ('name="prompt"', "", b"x"))
    for end in range(len(body) - 4):
        with pytest.raises(WireError):
            [*parts(body[:end], FORM)]
