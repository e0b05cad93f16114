"""Ollama, encode (conformance 48, 72 to 74; seeds S249; pains P57)."""

from __future__ import annotations

import json
import time
from itertools import count
from typing import Any

import pytest

from mitmcodex.wire.codec import Decoded, ReplyContext
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.ollama_reply import OllamaEncoder, encode_response
from mitmcodex.wire.ollama_request import OllamaReply
from mitmcodex.wire.writer import ResponseWriter, usage

SECOND = 1_000_000_000
GENERATE = OllamaReply(is_generate=True)


def context(*moments_s: float) -> ReplyContext:
    """Its clock shows these, and the last for ever."""
    left = [*moments_s] or [0]
    return ReplyContext(model="asked", now_ns=lambda: int((left.pop(0) if len(left) > 1 else left[0]) * SECOND))


def encoder(reply: OllamaReply | None = None, told: ReplyContext | None = None) -> OllamaEncoder:
    return OllamaEncoder(Decoded({}, reply=reply or OllamaReply()), told or context())


def writer() -> ResponseWriter:
    ids = count()
    return ResponseWriter("gpt-5.5", new_id=lambda: f"{next(ids):08x}")


def lines(data: bytes, reply: OllamaReply | None = None, told: ReplyContext | None = None) -> list[dict[str, Any]]:
    made = encoder(reply, told)
    return [json.loads(line) for line in (made.feed(data) + made.finish()).decode().splitlines()]


def call(made: ResponseWriter, name: str, arguments: str = "{}") -> bytes:
    return made.call_begin(name, f"call_{name}", name) + made.call_delta(name, arguments) + made.call_end(name)


def test_one_object_a_line():
    """conformance 2, 72: NDJSON, all but the last ``done: false``, each with model and time."""
    made = writer()
    got = lines(made.text("a") + made.text("b") + made.completed(None))
    assert [(line["message"]["content"], line["done"]) for line in got] == [("a", False), ("b", False), ("", True)]
    assert {(line["model"], line["created_at"]) for line in got} == {("asked", "1970-01-01T00:00:00.000000000Z")}
    assert encoder().content_type == "application/x-ndjson"


def test_generate_has_response():
    """conformance 72: /api/generate tells its text as ``response``, without a message."""
    made = writer()
    got = lines(made.reasoning("hm") + made.text("a") + made.completed(None), GENERATE)
    assert [line["response"] for line in got] == ["", "a", ""]
    assert got[0]["thinking"] == "hm"
    assert all("message" not in line for line in got)


def test_the_last_line():
    """conformance 72, seeds S249: done_reason, counts, and durations in nanoseconds."""
    made = writer()
    data = made.text("a") + made.completed(usage(12, 5))
    got = lines(data, told=context(10, 12, 15))[-1]
    assert (got["done_reason"], got["prompt_eval_count"], got["eval_count"]) == ("stop", 12, 5)
    durations = {key: value / SECOND for key, value in got.items() if key.endswith("duration")}
    assert durations == {"total_duration": 5, "load_duration": 0, "prompt_eval_duration": 2, "eval_duration": 3}


@pytest.mark.parametrize("reason, told", [("max_output_tokens", "length"), ("content_filter", "content_filter")])
def test_an_incomplete_answer(reason, told):
    """conformance 72, seeds S249: length for the token limit."""
    made = writer()
    assert lines(made.text("a") + made.incomplete(reason, None))[-1]["done_reason"] == told


def test_calls():
    """conformance 73, pains P57: arguments are an object; the reason is tool_calls (seeds S249)."""
    made = writer()
    got = lines(call(made, "a", '{"n":1}') + call(made, "b") + made.completed(None))
    functions = [line["message"]["tool_calls"][0]["function"] for line in got[:-1]]
    assert functions == [{"index": 0, "name": "a", "arguments": {"n": 1}}, {"index": 1, "name": "b", "arguments": {}}]
    assert got[-1]["done_reason"] == "tool_calls"


def test_broken_arguments_are_an_error():
    """conformance 73, 74: a call that can't be told ends the answer with an error, not with a call less."""
    made = writer()
    data = call(made, "a", "[1]") + made.completed(None)
    assert [*lines(data)[-1]] == ["error"]
    with pytest.raises(WireError, match="call of a"):
        encode_response(made.response, Decoded({}, reply=OllamaReply()), context())


def test_a_call_that_was_cut_is_not_told():
    """Its arguments are not whole: the token limit is the reason, no call."""
    made = writer()
    data = made.call_begin("a", "1", "a") + made.call_delta("a", '{"n":') + made.incomplete("max_output_tokens", None)
    got = lines(data)
    assert (len(got), got[0]["done_reason"]) == (1, "length")


@pytest.mark.parametrize("shows", [True, False])
def test_thinking(shows):
    """conformance 73: message.thinking, apart from the content; none for ``think: false``."""
    made = writer()
    got = lines(made.reasoning("hm") + made.text("a") + made.completed(None), OllamaReply(shows_thinking=shows))
    assert [line["message"].get("thinking") for line in got] == (["hm", None, None] if shows else [None, None])


def test_a_refusal_is_told():
    """Its text is content: there is no other place."""
    made = writer()
    assert lines(made.refusal("I can't.") + made.completed(None))[0]["message"]["content"] == "I can't."


@pytest.mark.parametrize("reply, has_place", [(GENERATE, True), (OllamaReply(), False)])
def test_an_image(reply, has_place):
    """/api/generate has a place for it; in a chat's answer it would break ollama-python (measured)."""
    made = writer()
    item = {"type": "image_generation_call", "status": "completed", "result": "UklG"}
    got = lines(made.item(item) + made.completed(None), reply)
    assert ([line.get("image") for line in got][0] == "UklG") is has_place
    assert len(got) == (2 if has_place else 1)


def test_a_cut_stream_ends_with_an_error():
    """conformance 74: an NDJSON line with ``error`` and no ``done: true``."""
    made = encoder()
    got = [json.loads(line) for line in (made.feed(writer().text("a")) + made.finish()).splitlines()]
    assert [*got[-1]] == ["error"]
    assert made.is_cut
    assert not any(line.get("done") for line in got)


@pytest.mark.parametrize("reply, key", [(OllamaReply(), "message"), (GENERATE, "response")])
def test_keep_alive(reply, key):
    """conformance 48: a ``done: false`` line with empty content, also before anything else; never a blank line."""
    line = json.loads(encoder(reply).idle())
    assert (line["done"], line["model"]) == (False, "asked")
    assert line[key] in ("", {"role": "assistant", "content": ""})


@pytest.mark.parametrize("text", ["a\u2028b\u2029c\u0085d", "\x0b\x0c\x1c\x1d\x1e", "\ud800"])
def test_texts_stay_on_their_line(text):
    """ollama-python splits lines like Python's splitlines (clients.md): such characters come as escapes."""
    made = writer()
    assert lines(made.text(text) + made.completed(None))[0]["message"]["content"] == text


def test_a_whole_answer():
    """One line with all of it; its duration by the response's own clock."""
    made = writer()
    made.response["created_at"] = 10
    for _ in (made.reasoning("hm"), made.text("a"), made.text("b"), call(made, "f"), made.completed(usage(1, 2))):
        pass
    got = encode_response(made.response, Decoded({}, reply=OllamaReply()), context(15))
    assert (got["message"]["content"], got["message"]["thinking"], got["done"]) == ("ab", "hm", True)
    assert len(got["message"]["tool_calls"]) == 1
    assert got["total_duration"] == 5 * SECOND


def test_speed_of_texts():
    """At least 50,000 texts a second on an idle core; a quarter of that is asked here, for machines that are shared."""
    made, by = encoder(), writer()
    events = [by.text(f"piece {index}") for index in range(5000)]
    started = time.process_time()
    for event in events:
        made.feed(event)
    assert 5000 / (time.process_time() - started) > 12_500
