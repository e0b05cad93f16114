"""wire/chat_options.py: limits, format, sampling, effort."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.chat_options import decode_options
from mitmcodex.wire.chat_reading import ChatReading
from mitmcodex.wire.codec import Decoded, Extra
from mitmcodex.wire.errors import WireError


def decoded(**body: Any) -> Decoded:
    got = Decoded({})
    with ChatReading(body, "", got.losses) as reading:
        decode_options(reading, got)
    return got


def losses(got: Decoded) -> list[tuple[str, str, bool]]:
    return [(loss.path, loss.what, loss.is_hint) for loss in got.losses]


def test_nothing_is_made_up():
    """What the client left out stays out."""
    got = decoded()
    assert (got.fields, got.losses, got.extras, got.stop, got.n) == ({}, [], {}, (), 1)


@pytest.mark.parametrize("key", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_each_name_of_the_limit_is_understood(key):
    """conformance 23, seeds S72: canonical max_output_tokens, with the name that the client used."""
    got = decoded(**{key: 50})
    assert got.fields == {"max_output_tokens": 50} and got.path("max_output_tokens") == key
    assert got.losses == []


def test_of_several_limits_one_counts():
    """conformance 23: the others are losses, hints when they say the same."""
    got = decoded(max_tokens=10, max_completion_tokens=20, max_output_tokens=20)
    assert got.fields == {"max_output_tokens": 20} and got.path("max_output_tokens") == "max_completion_tokens"
    assert losses(got) == [("max_output_tokens", "dropped", True), ("max_tokens", "dropped", False)]


def test_stop_is_a_text_or_texts():
    """conformance 23: handed to who emulates it."""
    assert decoded(stop="END").stop == ("END",)
    assert decoded(stop=["a", "b"]).stop == ("a", "b")
    assert decoded(stop=[]).stop == decoded(stop="").stop == ()


def test_parameters_without_a_canonical_name_are_extras():
    """conformance 23: seed 0 counts, a penalty of 0 and an empty bias say nothing."""
    got = decoded(seed=0, top_k=5, frequency_penalty=0, presence_penalty=-1.5, logit_bias={})
    assert got.extras == {
        "seed": Extra("seed", 0),
        "top_k": Extra("top_k", 5),
        "presence_penalty": Extra("presence_penalty", -1.5),
    }
    assert decoded(logit_bias={"1": -100}).extras == {"logit_bias": Extra("logit_bias", {"1": -100})}


@pytest.mark.parametrize("n", [1, 8])
def test_choices_are_counted(n):
    """conformance 23: as many exchanges."""
    assert decoded(n=n).n == n


@pytest.mark.parametrize("n", [0, 9, -1, True, 1.5])
def test_too_many_choices_are_refused(n):
    """conformance 23."""
    with pytest.raises(WireError, match="n: must be") as raised:
        decoded(n=n)
    assert raised.value.param == "n"


@pytest.mark.parametrize("body", [{"logprobs": True}, {"top_logprobs": 3}, {"logprobs": True, "top_logprobs": 0}])
def test_logprobs_are_refused(body):
    """conformance 23: a client would wait for them in vain."""
    with pytest.raises(WireError, match="logprobs are not supported"):
        decoded(**body)
    assert decoded(logprobs=False, top_logprobs=0).losses == []


@pytest.mark.parametrize("body", [{"modalities": ["text", "audio"]}, {"audio": {"voice": "alloy"}}])
def test_audio_is_refused(body):
    """A client would wait for it in vain."""
    with pytest.raises(WireError, match="Audio is not supported"):
        decoded(**body)
    assert decoded(modalities=["text"]).losses == []


def test_a_schema_is_flat():
    """conformance 20, seeds S79: name, schema and strict beside the type; strict as told."""
    schema = {"name": "person", "schema": {"type": "object"}, "strict": False}
    got = decoded(response_format={"type": "json_schema", "json_schema": schema})
    assert got.fields == {"text": {"format": {"type": "json_schema", **schema}}}
    del schema["strict"]
    got = decoded(response_format={"type": "json_schema", "json_schema": schema})
    assert "strict" not in got.fields["text"]["format"] and got.path("text") == "response_format"


def test_any_json_and_verbosity_share_a_place():
    """conformance 20, seeds S79."""
    got = decoded(response_format={"type": "json_object"}, verbosity="low")
    assert got.fields == {"text": {"format": {"type": "json_object"}, "verbosity": "low"}}


def test_the_effort_has_an_order_of_precedence():
    """conformance 24: reasoning_effort, reasoning.effort, then the words of other services; the rest are losses."""
    everything = {
        "reasoning_effort": "low",
        "reasoning": {"effort": "high"},
        "thinking": {"type": "disabled"},
        "enable_thinking": True,
    }
    left = list(everything)
    for wanted in ("low", "high", "none"):
        got = decoded(**{key: everything[key] for key in left})
        assert got.fields["reasoning"] == {"effort": wanted}
        assert got.path("reasoning").startswith(left[0])
        assert {path.partition(".")[0] for path, _, _ in losses(got)} >= {*left[1:]}
        del left[0]


@pytest.mark.parametrize(
    ("body", "effort"),
    [
        ({"enable_thinking": False}, "none"),
        ({"thinking": {"type": "disabled"}}, "none"),
        ({"thinking": {"type": "enabled", "budget_tokens": 4096}}, "low"),
        ({"reasoning": {"max_tokens": 4097}}, "medium"),
        ({"reasoning": {"enabled": False}}, "none"),
    ],
)
def test_other_words_for_an_effort_are_mapped(body, effort):
    """conformance 24: with an entry."""
    got = decoded(**body)
    assert got.fields["reasoning"] == {"effort": effort}
    assert [(what, is_hint) for _, what, is_hint in losses(got)] == [("mapped", False)]


@pytest.mark.parametrize(
    "body", [{"enable_thinking": True}, {"thinking": {"type": "enabled"}}, {"reasoning": {"enabled": True}}]
)
def test_thinking_without_a_measure_is_left_to_the_model(body):
    """conformance 24: no effort is made up."""
    got = decoded(**body)
    assert "reasoning" not in got.fields
    assert [(what, is_hint) for _, what, is_hint in losses(got)] == [("mapped", True)]


def test_a_summary_is_asked_for():
    """Beside the effort."""
    got = decoded(reasoning={"summary": "detailed", "exclude": True}, reasoning_effort="high")
    assert got.fields["reasoning"] == {"summary": "detailed", "effort": "high"}
    assert got.losses == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "10"}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"stop": 1}, "stop"),
        ({"stop": ["a", 1]}, "stop"),
        ({"seed": 1.5}, "seed"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.name"),
        ({"thinking": {"type": "much"}}, "thinking.type"),
        ({"reasoning": "high"}, "reasoning"),
    ],
)
def test_wrong_values_are_refused_by_path(body, param):
    """400 that says where."""
    with pytest.raises(WireError) as raised:
        decoded(**body)
    assert raised.value.param == param
