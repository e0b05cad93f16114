"""wire/responses_request.py: requests go as they came, but for what the provider demands."""

import json

import pytest

from mitmcodex.wire.codec import Asked
from mitmcodex.wire.responses_request import DEFAULT_INSTRUCTIONS, adapt_for, decode_request


def adapted(kind, body, is_codex=False):
    return adapt_for(kind, body, json.loads(body), is_codex)


@pytest.mark.parametrize(("stream", "wants"), [(True, True), (False, False), (None, False), ("true", False)])
def test_only_true_asks_for_a_stream(stream, wants):
    """Any other value of ``stream`` gets the folded answer."""
    decoded = decode_request({"model": "m", "stream": stream}, Asked())
    assert decoded.wants_stream is wants
    assert decoded.fields["model"] == "m"


def test_codex_is_never_changed():
    """What Codex sends goes to each kind as the very same object, but for a stream it did not ask for."""
    body = b'{ "model":"m","input":"hi","store":true,"stream":true}'
    for kind in ("chatgpt", "openai", "azure", "responses"):
        assert adapted(kind, body, is_codex=True) == (body, [])
    assert adapted("chatgpt", b'{"model":"m"}', is_codex=True)[0] == b'{"model":"m","stream":true}'


def test_other_kinds_get_the_stream_alone():
    """A provider that accepts the public API gets one key more and nothing else."""
    body = b'{"model":"m", "input":"hi", "store":true, "stream" : false}'
    expected = b'{"model":"m", "input":"hi", "store":true, "stream" : true}'
    assert adapted("openai", body) == (expected, [])


def test_chatgpt_demands_are_met():
    """store false, input a list, instructions present (protocol.md 2.2); the explicit store is a loss."""
    body = b'{"model":"m","input":"h\xc3\xa9","store":true,"stream":true,"tools":[ ]}'
    changed, losses = adapted("chatgpt", body)
    fields = json.loads(changed)
    assert fields["store"] is False
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hé"}]}
    assert fields["input"] == [message]
    assert fields["instructions"] == DEFAULT_INSTRUCTIONS
    assert b'"stream":true,"tools":[ ]' in changed
    assert [(loss.path, loss.what) for loss in losses] == [("store", "changed")]


def test_a_missing_store_is_no_loss():
    """A client that never said ``store: true`` loses nothing that it asked for."""
    changed, losses = adapted("chatgpt", b'{"instructions":"x","input":[],"stream":true}')
    assert changed == b'{"instructions":"x","input":[],"stream":true,"store":false}'
    assert losses == []


@pytest.mark.parametrize(
    ("items", "is_added"),
    [
        ([{"role": "developer", "content": "x"}], False),
        ([{"type": "additional_tools", "role": "developer", "tools": []}], False),
        ([{"role": "user", "content": "x"}], True),
        ([], True),
        (["odd"], True),
    ],
)
def test_a_leading_developer_item_stands_for_instructions(items, is_added):
    """Instructions are added only where nothing speaks for them."""
    body = json.dumps({"input": items, "store": False, "stream": True}).encode()
    changed, _ = adapted("chatgpt", body)
    assert ("instructions" in json.loads(changed)) is is_added
    assert (changed == body) is not is_added
