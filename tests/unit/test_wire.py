"""wire/__init__.py: the registry of client protocols."""

import pytest

from mitmcodex.wire import CODECS, codec_for
from mitmcodex.wire.codec import Asked, ReplyContext
from mitmcodex.wire.error_replies import FORMS
from mitmcodex.wire.errors import WireError


def test_each_codec_is_found_by_its_name():
    """The name is what Admission.protocol holds, and errors have a form for it."""
    assert "responses" in CODECS
    for name in CODECS:
        assert codec_for(name).name == name
        assert name in FORMS


def test_an_unknown_protocol_is_named():
    """A client of a protocol that is not built is told so."""
    with pytest.raises(WireError, match="'nothing'") as caught:
        codec_for("nothing")
    assert caught.value.status_for(is_codex=False) == 501


def test_a_codec_makes_an_encoder_for_each_stream():
    """Its state is that of one stream."""
    codec = codec_for("responses")
    decoded = codec.decode_request({"stream": True}, Asked())
    broken, other = codec.encoder(decoded, ReplyContext()), codec.encoder(decoded, ReplyContext())
    broken.fail(WireError("internal", "m"))
    assert (broken.is_cut, other.is_cut) == (True, False)
