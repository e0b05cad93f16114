"""wire/responses_request.py: requests are canonical as they stand."""

import pytest

from mitmcodex.wire.codec import Asked
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.responses_request import decode_request


@pytest.mark.parametrize(("stream", "wants"), [(True, True), (False, False), (None, False), ("true", False)])
def test_only_true_asks_for_a_stream(stream, wants):
    """Any other value of ``stream`` gets the folded answer."""
    decoded = decode_request({"model": "m", "stream": stream}, Asked())
    assert decoded.wants_stream is wants
    assert decoded.fields["model"] == "m"


@pytest.mark.parametrize("value", [None, 1, 1.5, "x", True, [], {}, [1], {"a": 1}, [{"type": [1]}], [None]])
@pytest.mark.parametrize(
    "key",
    ["model", "input", "tools", "instructions", "metadata", "previous_response_id", "store", "include", "text", "user"],
)
def test_any_value_is_survived(key, value):
    """A value of the wrong type is a 400 that names the place; nothing else is ever raised."""
    try:
        decoded = decode_request({"model": "m", "input": "hi", key: value}, Asked())
    except WireError as error:
        assert error.kind == "invalid_request" and str(error.param).startswith(key)
    else:
        assert decoded.fields[key] == value


@pytest.mark.parametrize(
    ("fields", "path"),
    [({"input": [{}, 1]}, "input[1]"), ({"tools": ["f"]}, "tools[0]"), ({"input": {"role": "user"}}, "input")],
)
def test_what_is_wrong_is_named(fields, path):
    """The SDKs show ``param``."""
    with pytest.raises(WireError) as caught:
        decode_request({"model": "m", **fields}, Asked())
    assert (caught.value.param, caught.value.status_for(is_codex=False)) == (path, 400)


def test_nothing_is_invented():
    """conformance 32: what the client left out stays out; keys that nobody here knows stay in."""
    fields = {"model": "m", "input": [{"role": "user", "content": "hi"}], "shiny_new": [1]}
    assert decode_request(fields, Asked()).fields is fields
    assert fields == {"model": "m", "input": [{"role": "user", "content": "hi"}], "shiny_new": [1]}


def test_a_response_will_repeat_what_the_client_wrote():
    """metadata and the like; where it wrote no instructions and no cache key, those that a provider gets are ours."""
    asked = {"model": "m", "input": "hi", "metadata": {"a": "b"}, "user": None, "temperature": 0.3}
    added = {"instructions": None, "prompt_cache_key": None}
    assert decode_request(asked, Asked()).reply == {**added, "metadata": {"a": "b"}}
    assert decode_request({**asked, "instructions": "x"}, Asked()).reply["instructions"] == "x"
