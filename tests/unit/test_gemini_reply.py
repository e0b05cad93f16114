"""Gemini, encode (conformance 2, 48, 64, 65, 67, 68, 70)."""

from __future__ import annotations

import dataclasses
import json
import time
from itertools import count
from typing import Any

import pytest

from mitmcodex.wire.codec import Decoded, ReplyContext
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.gemini_config import GeminiReply
from mitmcodex.wire.gemini_reply import GeminiEncoder, encode_response
from mitmcodex.wire.gemini_signature import unsigned
from mitmcodex.wire.writer import ResponseWriter, usage
from support import fold_gemini

CONTEXT = ReplyContext(model="asked", account=lambda: "acct", choice=0)


def encoder(reply: GeminiReply | None = None, context: ReplyContext = CONTEXT) -> GeminiEncoder:
    return GeminiEncoder(Decoded({}, reply=reply or GeminiReply(shows_thoughts=True)), context)


def writer() -> ResponseWriter:
    ids = count()
    return ResponseWriter("gpt-5.5", new_id=lambda: f"{next(ids):08x}")


def chunks(data: bytes, reply: GeminiReply | None = None) -> list[dict[str, Any]]:
    made = encoder(reply)
    return fold_gemini.events(made.feed(data) + made.finish())


def parts(data: bytes, reply: GeminiReply | None = None) -> list[dict[str, Any]]:
    return [part for chunk in chunks(data, reply) for part in chunk["candidates"][0]["content"]["parts"]]


def call(made: ResponseWriter, name: str, arguments: str = "{}") -> bytes:
    return made.call_begin(name, f"call_{name}", name) + made.call_delta(name, arguments) + made.call_end(name)


def test_every_chunk_names_model_and_response():
    """conformance 2: the model that the client asked for and one id, in each chunk."""
    made = writer()
    got = chunks(made.text("Hi") + made.completed(None))
    assert {(chunk["modelVersion"], chunk["responseId"]) for chunk in got} == {("asked", "resp_00000000")}


def test_the_end_is_told_once():
    """conformance 68: finishReason and usageMetadata stand in the last chunk alone."""
    made = writer()
    got = chunks(made.text("a") + made.text("b") + made.completed(usage(12, 5, cached=4, reasoning=2)))
    assert ["finishReason" in chunk["candidates"][0] for chunk in got] == [False, False, True]
    assert ["usageMetadata" in chunk for chunk in got] == [False, False, True]
    assert got[-1]["candidates"][0]["finishReason"] == "STOP"
    made = writer()
    got = chunks(made.text("a") + call(made, "f") + made.completed(usage(1, 1)))
    assert ["finishReason" in chunk["candidates"][0] for chunk in got] == [False, False, True]


def test_usage():
    """conformance 68: the prompt with what was cached, the candidates without the thoughts."""
    made = writer()
    got = chunks(made.text("a") + made.completed(usage(12, 5, cached=4, reasoning=2)))
    assert got[-1]["usageMetadata"] == {
        "promptTokenCount": 12,
        "cachedContentTokenCount": 4,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 2,
        "totalTokenCount": 17,
    }


@pytest.mark.parametrize(
    "reason, told", [("max_output_tokens", "MAX_TOKENS"), ("content_filter", "SAFETY"), ("x", "OTHER")]
)
def test_an_incomplete_answer(reason, told):
    """conformance 68: why the answer is not whole."""
    made = writer()
    assert chunks(made.text("a") + made.incomplete(reason, None))[-1]["candidates"][0]["finishReason"] == told


def test_a_refusal():
    """conformance 68: its text is told, the reason is SAFETY."""
    made = writer()
    got = chunks(made.refusal("I can't.") + made.completed(None))
    assert got[0]["candidates"][0]["content"]["parts"] == [{"text": "I can't."}]
    assert got[-1]["candidates"][0]["finishReason"] == "SAFETY"


def test_a_call_comes_whole():
    """conformance 65: one part with id, name and arguments as an object."""
    made = writer()
    got = parts(call(made, "a", '{"n":1}') + made.completed(None))
    assert got[0] == {"functionCall": {"id": "call_a", "name": "a", "args": {"n": 1}}}


def test_parallel_calls_keep_their_order():
    """conformance 65: the order in which they began, whichever is done first."""
    made = writer()
    begun = made.call_begin("a", "1", "a") + made.call_begin("b", "2", "b")
    got = parts(begun + made.call_end("b") + made.call_end("a") + made.completed(None))
    assert [part["functionCall"]["name"] for part in got[:-1]] == ["a", "b"]


@pytest.mark.parametrize("arguments", ["{", "[1]", '{"a":NaN}'])
def test_broken_arguments(arguments):
    """conformance 68: MALFORMED_FUNCTION_CALL, and the call is not told."""
    made = writer()
    got = chunks(call(made, "a", arguments) + made.completed(None))
    assert len(got) == 1
    assert got[0]["candidates"][0]["finishReason"] == "MALFORMED_FUNCTION_CALL"
    assert "a" in got[0]["candidates"][0]["finishMessage"]


def test_a_call_that_was_cut_is_not_told():
    """Its arguments are not whole: the token limit is the reason, no call."""
    made = writer()
    begun = made.call_begin("a", "1", "a") + made.call_delta("a", '{"n":')
    got = chunks(begun + made.incomplete("max_output_tokens", None))
    assert len(got) == 1
    assert got[0]["candidates"][0]["finishReason"] == "MAX_TOKENS"


@pytest.mark.parametrize("shows", [True, False])
def test_thoughts_only_for_those_who_asked(shows):
    """conformance 67: includeThoughts decides; the signature comes either way."""
    made = writer()
    stream = made.reasoning("hm") + made.reasoning_done("enc") + made.text("Hi") + made.completed(None)
    got = parts(stream, GeminiReply(shows_thoughts=shows))
    assert ({"text": "hm", "thought": True} in got) is shows
    assert [unsigned(part["thoughtSignature"]) for part in got if "thoughtSignature" in part] == [
        ("acct", "enc", True)
    ]


def test_the_signature_rides_on_the_first_call():
    """conformance 67: of parallel calls one carries it, and the text before them does not."""
    made = writer()
    stream = (
        made.reasoning_done("enc") + made.text("I look.") + call(made, "a") + call(made, "b") + made.completed(None)
    )
    assert ["thoughtSignature" in part for part in parts(stream)] == [False, True, False, False]


def test_no_signature_is_lost():
    """Two reasonings without a call: both come, each on a part of its own, told to stand before its text."""
    made = writer()
    stream = (
        made.reasoning_done("1") + made.text("a") + made.reasoning_done("2") + made.text("b") + made.completed(None)
    )
    got = [unsigned(part["thoughtSignature"]) for part in parts(stream) if "thoughtSignature" in part]
    assert got == [("acct", "1", True), ("acct", "2", True)]


@pytest.mark.parametrize(
    "is_enum, text, told", [(False, '{"value": ["é"]}', '["é"]'), (True, '{"value":"yes"}', "yes")]
)
def test_a_wrapped_answer_is_taken_out(is_enum, text, told):
    """A list or an enum that was asked for inside an object comes as the client wanted it."""
    made = writer()
    got = parts(
        made.text(text[:3]) + made.text(text[3:]) + made.completed(None), GeminiReply(is_wrapped=True, is_enum=is_enum)
    )
    assert got == [{"text": told}, {"text": ""}]


def test_the_array_is_json_at_every_end():
    """conformance 64: without alt=sse one JSON array, with keep-alives inside."""
    made, made_by = encoder(GeminiReply(is_array=True)), writer()
    assert made.content_type.startswith("application/json")
    sent = (
        made.idle()
        + made.feed(made_by.text("a"))
        + made.idle()
        + made.feed(made_by.text("b") + made_by.completed(None))
    )
    assert len(json.loads(sent + made.finish())) == 3


@pytest.mark.parametrize("text", ["", "a"])
def test_a_cut_array_is_closed_by_an_error(text):
    """conformance 70: the last element is the error, its code an integer."""
    made = encoder(GeminiReply(is_array=True))
    got = json.loads(made.feed(writer().text(text)) + made.finish())
    assert got[-1]["error"]["code"] == 503
    assert made.is_cut


def test_a_cut_stream_ends_with_an_error():
    """conformance 70: never a finishReason, and the code is an integer (a text kills google-genai)."""
    made = encoder()
    got = fold_gemini.events(made.feed(writer().text("a")) + made.finish())
    assert got[-1]["error"] == {"code": 503, "message": got[-1]["error"]["message"], "status": "UNAVAILABLE"}
    assert made.fail(WireError("internal", "x")) == b""


@pytest.mark.parametrize("is_array, alive", [(False, b"\n"), (True, b" ")])
def test_keep_alive(is_array, alive):
    """conformance 48: a blank line, or a space in the array; also before anything else."""
    assert encoder(GeminiReply(is_array=is_array)).idle() == alive


def test_an_image():
    """What the image tool drew is inline data."""
    made = writer()
    item = {"type": "image_generation_call", "status": "completed", "output_format": "webp", "result": "UklG"}
    assert parts(made.item(item) + made.completed(None))[0] == {
        "inlineData": {"mimeType": "image/webp", "data": "UklG"}
    }


def test_which_of_several_answers():
    """Each of candidateCount answers carries its index."""
    made = encoder(context=dataclasses.replace(CONTEXT, choice=2))
    made_by = writer()
    got = fold_gemini.events(made.feed(made_by.text("a") + made_by.completed(None)))
    assert {chunk["candidates"][0]["index"] for chunk in got} == {2}


def test_the_last_chunk_has_a_part():
    """google-genai's chats forget a turn whose last chunk has none; an empty answer too has one."""
    assert parts(writer().completed(None)) == [{"text": ""}]


@pytest.mark.parametrize("text", ["a\u2028b\u2029c\u0085d", "\ud800", '\x1f"\\'])
def test_texts_stay_on_their_line(text):
    """Readers that split like Python's splitlines get each text whole."""
    made = writer()
    assert parts(made.text(text) + made.completed(None))[0]["text"] == text


def test_a_whole_answer():
    """One candidate with all its parts, neighbouring texts joined."""
    made = writer()
    for _ in (made.text("a"), made.text("b"), call(made, "f"), made.completed(usage(1, 2))):
        pass
    got = encode_response(made.response, Decoded({}, reply=GeminiReply()), CONTEXT)
    assert [[*part] for part in got["candidates"][0]["content"]["parts"]] == [["text"], ["functionCall"]]
    assert got["usageMetadata"]["totalTokenCount"] == 3


def test_speed_of_texts():
    """At least 50,000 texts a second on an idle core; a quarter of that is asked here, for machines that are shared."""
    made = encoder(GeminiReply(is_array=False))
    by = writer()
    events = [by.text(f"piece {index}") for index in range(5000)]
    started = time.process_time()
    for event in events:
        made.feed(event)
    assert 5000 / (time.process_time() - started) > 12_500
