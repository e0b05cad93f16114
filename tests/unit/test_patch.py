"""wire/patch.py: named top-level keys change, every other byte stays."""

import json

import pytest

from mitmcodex.wire.patch import REMOVE, set_top_level

ODD = (
    b'\r\n{ "model" : "m\\u00e9", "n":1.50e3,\t"nested":{"stream":false,"b":[ 1 , {"stream":0}]} ,'
    + '"é":"\u2028" }\n'.encode()
)


def test_no_change_is_the_same_bytes():
    """White space, escapes and number forms stay as they came."""
    assert set_top_level(ODD, {}) == ODD


def test_one_value_changes_and_nothing_else():
    """Only the value's own bytes differ; nested keys of the same name are left."""
    assert set_top_level(ODD, {"n": 2}) == ODD.replace(b"1.50e3", b"2")


def test_new_keys_go_to_the_end_in_order():
    """A key that is not there is appended; the order of the others is kept."""
    changed = set_top_level(ODD, {"stream": True, "store": False})
    assert changed == ODD.replace(b" }\n", b' ,"stream":true,"store":false}\n')
    assert list(json.loads(changed)) == ["model", "n", "nested", "é", "stream", "store"]


def test_duplicates_and_escaped_keys_are_all_changed():
    """Which of two keys a server reads is not known, so both change; a key may hide behind escapes."""
    body = b'{"stream":1,"str\\u0065am" : 2 ,"x":3}'
    assert set_top_level(body, {"stream": True}) == b'{"stream":true,"str\\u0065am" : true ,"x":3}'


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (b'{"a":1,"b":2,"c":3}', b'{"a":1,"c":3}'),
        (b'{"b":2, "c":3}', b'{ "c":3}'),
        (b'{"a":1, "b":2}', b'{"a":1}'),
        (b'{"b":1,"b":2}', b"{}"),
        (b"{}", b"{}"),
    ],
)
def test_a_removed_key_takes_one_comma_along(body, left):
    """What is left is JSON again, wherever the key stood."""
    assert set_top_level(body, {"b": REMOVE}) == left


@pytest.mark.parametrize("body", [b"{}", b" { } ", b"{\n}"])
def test_an_empty_object_gets_its_first_key(body):
    """No comma comes before the only key."""
    assert json.loads(set_top_level(body, {"a": [1]})) == {"a": [1]}


def test_values_need_no_utf8_form():
    """A lone surrogate in a value or key is written as an escape."""
    assert json.loads(set_top_level(b"{}", {"a\ud800": "é\ud800"})) == {"a\ud800": "é\ud800"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"a"',
        b"{",
        b'{"a"}',
        b'{"a":}',
        b'{"a":1',
        b'{"a":1,}',
        b"{a:1}",
        b'{"a":1 "b":2}',
        b'{"a":1} x',
        b'{"a":1}{}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xff"}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":' + b"[" * 100_000,
    ],
)
def test_what_is_no_json_object_is_refused(body):
    """Half-read text is never rewritten."""
    with pytest.raises(ValueError):
        set_top_level(body, {"a": 2})
