"""wire/__init__.py: the registry of client protocols."""

import pytest

from mitmcodex.wire import CODECS, codec_for
from mitmcodex.wire.errors import ENCODERS, WireError


def test_each_codec_is_found_by_its_name():
    """The name is what Admission.protocol holds, and errors have a form for it."""
    assert "responses" in CODECS
    for name in CODECS:
        assert codec_for(name).name == name
        assert name in ENCODERS


def test_an_unknown_protocol_is_named():
    """A client of a protocol that is not built is told so."""
    with pytest.raises(WireError, match="'nothing'") as caught:
        codec_for("nothing")
    assert caught.value.status_for(is_codex=False) == 501


def test_a_codec_makes_the_parts_of_one_exchange():
    """A new encoder and folder each time: their state is that of one stream."""
    codec = codec_for("responses")
    assert codec.decode_request(b'{"stream":true}').wants_stream
    assert codec.folder() is not codec.folder()
    broken, other = codec.encoder(True, "m"), codec.encoder(True, "m")
    broken.fail(WireError("internal", "m"))
    assert (broken.terminal, other.terminal) == ("response.failed", "")
