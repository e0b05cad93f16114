"""wire/body.py: what comes in is one JSON object, or the client is told why not."""

import pytest

from mitmcodex.wire.body import parsed
from mitmcodex.wire.errors import WireError


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "not JSON"),
        (b'{"a":1', "line 1, column 7"),
        (b"[1]", "must be a JSON object"),
        (b'{"a":"\xff"}', "byte 6"),
        (b'\xef\xbb\xbf{"a":1}', "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_body_that_is_no_object_is_refused_by_name(body, named):
    """The client is told what is wrong and where, with status 400."""
    with pytest.raises(WireError, match=named) as caught:
        parsed(body)
    assert caught.value.status_for(is_codex=False) == 400


def test_malformed_json_has_a_code_of_its_own():
    """seeds S84: invalid_json."""
    with pytest.raises(WireError) as caught:
        parsed(b"{")
    assert caught.value.as_object()["code"] == "invalid_json"
