"""Gemini's contents in canonical form (conformance 65, 67)."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.codec import ACCOUNT_KEY, Asked, Decoded
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.gemini_request import decode_request
from mitmcodex.wire.gemini_signature import Signature, signed

PNG = "iVBORw0KGgo"
CALL_A = {"functionCall": {"name": "a", "args": {"n": 1}}}
CALL_B = {"functionCall": {"name": "b"}}


def turns(*contents: tuple[str, list[dict[str, Any]]]) -> Decoded:
    body = {"contents": [{"role": role, "parts": parts} for role, parts in contents]}
    return decode_request(body, Asked("m", "generateContent"))


def kinds(got: Decoded) -> list[str]:
    return [item.get("role") or item["type"] for item in got.fields["input"]]


def calls(got: Decoded) -> dict[str, str]:
    """Output → name of the call that it answers."""
    names = {item["call_id"]: item["name"] for item in got.fields["input"] if item["type"] == "function_call"}
    return {item["output"]: names[item["call_id"]] for item in got.fields["input"] if "output" in item}


def answer(name: str, output: str, **further: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": {"result": output}, **further}}


def test_the_order_of_a_turn_is_kept():
    """Text, calls, answers and what the user says after them stay in their order."""
    got = turns(
        ("user", [{"text": "Go"}]),
        ("model", [{"text": "I look."}, CALL_A]),
        ("user", [answer("a", "1"), {"text": "?"}]),
    )
    assert kinds(got) == ["user", "assistant", "function_call", "function_call_output", "user"]


def test_answers_go_by_id():
    """conformance 65: an id counts more than order and name, and is kept as it came."""
    first, second = ({"functionCall": {"id": one, "name": "a", "args": {"n": one}}} for one in ("x", "y"))
    got = turns(("model", [first, second]), ("user", [answer("a", "for y", id="y"), answer("a", "for x", id="x")]))
    assert [item["call_id"] for item in got.fields["input"]] == ["x", "y", "y", "x"]


def test_answers_without_id_go_by_name_then_order():
    """conformance 65: the first open call of that name is meant."""
    second_a = {"functionCall": {"name": "a", "args": {"n": 2}}}
    got = turns(
        ("model", [CALL_A, CALL_B, second_a]), ("user", [answer("b", "B"), answer("a", "A1"), answer("a", "A2")])
    )
    assert calls(got) == {"B": "b", "A1": "a", "A2": "a"}
    assert [item["call_id"] for item in got.fields["input"]][3:] == ["call_0_1", "call_0_0", "call_0_2"]


def test_made_up_ids_are_the_same_each_time():
    """conformance 65: the history that grows keeps its ids, or no cache would hold."""
    short = turns(("model", [CALL_A]), ("user", [answer("a", "1")]))
    longer = turns(("model", [CALL_A]), ("user", [answer("a", "1")]), ("model", [CALL_A]))
    assert longer.fields["input"][:2] == short.fields["input"]
    assert len({item["call_id"] for item in longer.fields["input"]}) == 2


def test_an_answer_without_its_call_stays_an_orphan():
    """It gets an id that no call has: adapt repairs and reports it."""
    got = turns(("user", [answer("z", "1")]))
    assert got.fields["input"] == [{"type": "function_call_output", "call_id": "call_0_0", "output": "1"}]


@pytest.mark.parametrize(
    "response, output",
    [({"result": "42"}, "42"), ({"output": {"a": 1}}, '{"a":1}'), ({"error": "no"}, '{"error":"no"}'), ({}, "{}")],
)
def test_outputs(response, output):
    """What is nothing but a wrapper is taken off, all else goes on as JSON."""
    got = turns(("user", [{"functionResponse": {"name": "a", "response": response}}]))
    assert got.fields["input"][0]["output"] == output


def test_answers_with_media():
    """Images and files of an answer follow its text."""
    parts = [{"inlineData": {"mimeType": "image/png", "data": PNG}}]
    got = turns(("user", [answer("a", "done", parts=parts)]))
    assert [part["type"] for part in got.fields["input"][0]["output"]] == ["input_text", "input_image"]


def test_a_call_needs_a_name():
    """The error names the place."""
    with pytest.raises(WireError) as caught:
        turns(("model", [{"functionCall": {"name": ""}}]))
    assert caught.value.param == "contents[0].parts[0].functionCall.name"


def test_an_image_of_the_model_goes_on_as_the_users():
    """An assistant's message can't hold one, and the next turn may ask to change it: reported as changed."""
    got = turns(
        ("model", [{"text": "A dot."}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]),
        ("user", [{"text": "Bluer"}]),
    )
    assert kinds(got) == ["assistant", "user", "user"]
    assert [loss.what for loss in got.losses] == ["changed"]


def test_thoughts_of_the_history_are_dropped():
    """conformance 67: what the model thought aloud is not sent again; a hint, every client sends it back."""
    got = turns(("model", [{"text": "hm", "thought": True}, {"text": "Hi"}]))
    assert got.fields["input"][0]["content"] == [{"type": "output_text", "text": "Hi"}]
    assert [(loss.path, loss.is_hint) for loss in got.losses] == [("contents[0].parts[0]", True)]


def test_our_signature_is_reasoning_again():
    """conformance 67: it stands before the text that led to its part, with the account that it belongs to."""
    part = {**CALL_A, "thoughtSignature": signed(Signature("acct", "secret", True))}
    got = turns(("user", [{"text": "Go"}]), ("model", [{"text": "I look."}, part, CALL_B]))
    assert kinds(got) == ["user", "reasoning", "assistant", "function_call", "function_call"]
    assert got.fields["input"][1] == {
        "type": "reasoning",
        "summary": [],
        "encrypted_content": "secret",
        ACCOUNT_KEY: "acct",
    }
    assert got.losses == []


def test_each_signature_stands_before_its_own_part():
    """Two reasonings of one turn keep their order among what they led to."""
    first, second = signed(Signature("a", "1", True)), signed(Signature("a", "2"))
    parts = [{"text": "One", "thoughtSignature": first}, {**CALL_A, "thoughtSignature": second}]
    assert kinds(turns(("model", parts))) == ["reasoning", "assistant", "reasoning", "function_call"]


def test_a_thought_behind_a_text_stays_there():
    """protocol.md 2.4: reasoning is replayed in place."""
    here = signed(Signature("a", "b"))
    got = turns(("model", [{"text": "One"}, {**CALL_A, "thoughtSignature": here}]))
    assert kinds(got) == ["assistant", "reasoning", "function_call"]
    got = turns(("model", [{"text": "One", "thoughtSignature": here}, {"text": "Two"}]))
    assert kinds(got) == ["assistant", "reasoning", "assistant"]


@pytest.mark.parametrize(
    "role, signature", [("model", "c2lnLTE="), ("model", "no base64!"), ("user", signed(Signature("a", "b")))]
)
def test_foreign_signatures_are_dropped(role, signature):
    """conformance 67: Google's own, broken ones and those that no model made: a hint."""
    got = turns((role, [{"text": "Hi", "thoughtSignature": signature}]))
    assert kinds(got) == ["assistant" if role == "model" else "user"]
    assert [loss.is_hint for loss in got.losses] == [True]


def test_chunks_of_a_stream_are_one_turn():
    """google-genai's chats send each chunk back as a content; the text is one, the signature before all of it."""
    got = turns(
        ("model", [{"text": "Hel"}]),
        ("model", [{"text": "lo"}]),
        ("model", [{"text": "", "thoughtSignature": signed(Signature("a", "b", True))}]),
    )
    assert kinds(got) == ["reasoning", "assistant"]
    assert got.fields["input"][1]["content"] == [{"type": "output_text", "text": "Hello"}]


def test_an_empty_text_says_nothing():
    """google-genai sends it back after a stream (capture google-genai-py/08)."""
    got = turns(("model", [CALL_A, {"text": ""}]))
    assert (kinds(got), got.losses) == (["function_call"], [])


def test_what_ran_at_google_is_lost():
    """Code that ran there has no counterpart: reported."""
    got = turns(("model", [{"executableCode": {"code": "1"}}, {"text": "ok", "videoMetadata": {"fps": 1}}]))
    assert [loss.path for loss in got.losses] == [
        "contents[0].parts[0].executableCode",
        "contents[0].parts[1].videoMetadata",
    ]


def test_roles_are_checked():
    """A system role is refused with the place where it belongs."""
    with pytest.raises(WireError, match="systemInstruction"):
        turns(("system", [{"text": "x"}]))


def test_one_object_is_a_list_of_it():
    """Google's examples write one content or part without brackets."""
    got = decode_request({"contents": {"parts": {"text": "Hi"}}}, Asked("m", "generateContent"))
    assert got.fields["input"][0]["content"] == [{"type": "input_text", "text": "Hi"}]
