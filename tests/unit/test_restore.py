"""wire/restore.py: the way back (seeds S80, conformance 52)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mitmcodex.wire.restore import Changed, Restore
from mitmcodex.wire.sse import FrameSplitter, event_of, format_event

PAIR = {"type": "object", "properties": {"p": {"prefixItems": [{"type": "integer"}, {"type": "string"}]}}}
FOLDED, UNFOLDED = '{"p":{"0":1,"1":"ü"}}', '{"p":[1,"ü"]}'
NAMES = Changed(names={"a_b_1": "a.b"})
LITE = Changed(has_namespace=True)
TUPLES = Changed(schemas={"f": PAIR})
FORMAT = Changed(format=PAIR)


def stream(*events: dict[str, Any]) -> bytes:
    return b"".join(format_event({"sequence_number": number, **event}) for number, event in enumerate(events))


def call(name: str = "f", arguments: str = FOLDED, **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": "c", "name": name, "arguments": arguments, **more}


def called(item: dict[str, Any], *deltas: str, index: int = 0) -> list[dict[str, Any]]:
    """The events of one call."""
    place = {"output_index": index, "item_id": "fc"}
    kind = "response.function_call_arguments"
    return [
        {"type": "response.output_item.added", **place, "item": {**item, "arguments": ""}},
        *({"type": f"{kind}.delta", **place, "delta": delta} for delta in deltas),
        {"type": f"{kind}.done", **place, "arguments": item["arguments"], "name": item["name"]},
        {"type": "response.output_item.done", **place, "item": item},
    ]


def ended(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    response = {"id": "resp_1", "status": "completed", "output": [*items], **more}
    return {"type": "response.completed", "response": response}


def through(changed: Changed, data: bytes) -> list[dict[str, Any]]:
    restore = Restore(changed)
    return events_of(restore.feed(data) + restore.finish())


def events_of(data: bytes) -> list[dict[str, Any]]:
    found = [event_of(frame) for frame in FrameSplitter().feed(data)]
    return [event for event in found if event is not None]


def test_names_come_back_wherever_they_stand() -> None:
    """conformance 52: in the item's events, with the finished arguments, at the end; other names stay."""
    calls = [*called(call("a_b_1", "{}"), "{}"), *called(call("g", "{}"), index=1)]
    data = stream(*calls, ended(call("a_b_1"), call("g")))
    found = through(NAMES, data)
    assert [event["item"]["name"] for event in found if "item" in event] == ["a.b", "a.b", "g", "g"]
    assert [event["name"] for event in found if event["type"].endswith("arguments.done")] == ["a.b", "g"]
    assert [item["name"] for item in found[-1]["response"]["output"]] == ["a.b", "g"]


def test_the_namespace_of_the_lite_form_is_removed() -> None:
    """Another namespace is the client's own; a name of one that was changed comes back."""
    inner, other = call(namespace="functions"), call(namespace="clock")
    found = through(LITE, stream(*called(inner), *called(other, index=1), ended(inner, other)))
    assert [event["item"].get("namespace") for event in found if "item" in event] == [None, None, "clock", "clock"]
    assert found[-1]["response"]["output"] == [call(), other]
    custom = {"type": "custom_tool_call", "name": "exec", "namespace": "a_b_1", "input": "x"}
    assert Restore(NAMES).whole(ended(custom)["response"])["output"][0]["namespace"] == "a.b"


def test_frames_that_need_no_change_pass_byte_for_byte() -> None:
    """Also comments, other line ends, and what is no JSON."""
    text = b'event: response.output_text.delta\r\ndata: {"delta":"namespace",  "type":"x"}\r\n\r\n'
    odd = b": comment\n\ndata: [DONE]\n\nevent: response.output_item.done\ndata: {broken\n\n"
    data = text + odd + stream({"type": "response.output_item.done", "item": {"type": "message", "name": 1}})
    data += stream(*called(call("g", '{ "x":1 }'), "{ ", '"x":1 }'), ended())
    for changed in (NAMES, LITE, TUPLES):
        restore = Restore(changed)
        assert restore.feed(data) + restore.finish() == data


@pytest.mark.parametrize("changed", [NAMES, LITE, TUPLES, FORMAT], ids=["names", "lite", "tuples", "format"])
def test_any_cut_of_the_bytes_gives_the_same(changed: Changed) -> None:
    """House.md section 3, law of cuts; the last frame may lack its blank line."""
    calls = called(call(namespace="functions"), FOLDED[:5], FOLDED[5:])
    data = stream(*calls, *said(FOLDED), ended(call("a_b_1")))[:-1]
    whole = Restore(changed)
    expected = whole.feed(data) + whole.finish()
    for at in range(len(data)):
        restore = Restore(changed)
        assert restore.feed(data[:at]) + restore.feed(data[at:]) + restore.finish() == expected


def test_tuples_of_arguments_come_whole() -> None:
    """seeds S80: the deltas are held and come as one, numbers still rising; item and end agree with it."""
    data = stream(*called(call(), FOLDED[:5], FOLDED[5:]), ended(call()))
    found = through(TUPLES, data)
    kinds = [event["type"].removeprefix("response.") for event in found]
    delta, done = "function_call_arguments.delta", "function_call_arguments.done"
    assert kinds == ["output_item.added", delta, done, "output_item.done", "completed"]
    assert found[1]["delta"] == found[2]["arguments"] == found[3]["item"]["arguments"] == UNFOLDED
    assert found[4]["response"]["output"][0]["arguments"] == UNFOLDED
    numbers = [event["sequence_number"] for event in found]
    assert numbers == sorted({*numbers})


def test_numbers_rise_with_parallel_calls_too() -> None:
    """conformance 28: a delta whose number is past is left to the event that says all."""
    first, second = called(call(), FOLDED), called(call("g", "{}"), "{}", index=1)
    mixed = [first[0], second[0], first[1], second[1], *first[2:], *second[2:]]
    found = through(TUPLES, stream(*mixed))
    numbers = [event["sequence_number"] for event in found]
    assert numbers == sorted({*numbers})
    arguments = [event["arguments"] for event in found if event["type"].endswith("arguments.done")]
    assert arguments == [UNFOLDED, "{}"]
    assert [event["delta"] for event in found if "delta" in event] == ["{}"]


def test_an_alias_with_tuples_is_both() -> None:
    """The schema is known by the client's name, the stream by the alias."""
    changed = Changed(names={"a_b_1": "a.b"}, schemas={"a.b": PAIR})
    found = through(changed, stream(*called(call("a_b_1"), FOLDED)))
    assert found[1]["delta"] == UNFOLDED and found[2]["name"] == "a.b" and found[3]["item"]["arguments"] == UNFOLDED


def said(text: str) -> list[dict[str, Any]]:
    place = {"output_index": 2, "content_index": 0}
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"type": "message", "role": "assistant", "content": [part, {"type": "refusal", "refusal": "n"}]}
    return [
        {"type": "response.output_text.delta", **place, "delta": text[:3]},
        {"type": "response.output_text.delta", **place, "delta": text[3:]},
        {"type": "response.output_text.done", **place, "text": text},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 2, "item": item},
        ended(item),
    ]


def test_tuples_of_structured_output_come_back() -> None:
    """seeds S80: in each event that says the text."""
    found = through(FORMAT, stream(*said(FOLDED)))
    assert [event["type"].removeprefix("response.") for event in found][:2] == ["output_text.delta", "output_text.done"]
    texts = [found[0]["delta"], found[1]["text"], found[2]["part"]["text"], found[3]["item"]["content"][0]["text"]]
    assert [*texts, found[4]["response"]["output"][0]["content"][0]["text"]] == [UNFOLDED] * 5


def test_text_that_is_no_json_is_left() -> None:
    """What a model says before its structured answer comes as it is, in one piece."""
    found = through(FORMAT, stream(*said("thinking")))
    assert found[0]["delta"] == found[1]["text"] == "thinking"


def test_a_response_repeats_what_the_client_asked() -> None:
    """Tools by their own names, in each event that holds them, and nothing that was not there."""
    tools = [{"type": "function", "name": "a.b"}]
    changed = Changed(names={"a_b_1": "a.b"}, echo={"tools": tools, "text": {}})
    created = {"type": "response.created", "response": {"id": "r", "tools": [{"name": "a_b_1"}], "output": []}}
    assert through(changed, stream(created))[0]["response"] == {"id": "r", "tools": tools, "output": []}


def test_a_whole_response_is_restored() -> None:
    """For a provider that answers without streaming; it is not changed in place."""
    response = ended(call("a_b_1"))["response"]
    assert Restore(NAMES).whole(response)["output"] == [call("a.b")]
    assert response["output"] == [call("a_b_1")]


def test_a_frame_beyond_the_limit_passes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never collected, and the frames around it are restored."""
    monkeypatch.setattr("mitmcodex.wire.restore.FRAME_LIMIT", 400)
    image = {"type": "image_generation_call", "result": "A" * 999}
    large = stream({"type": "response.output_item.done", "item": image})
    around = stream({"type": "response.output_item.done", "item": call("a_b_1")})
    expected = around.replace(b'"a_b_1"', b'"a.b"')
    restore, data, sent = Restore(NAMES), around + large + around, b""
    for at in range(0, len(data), 150):
        sent += restore.feed(data[at : at + 150])
    assert sent + restore.finish() == expected + large + expected


def test_nothing_changed_is_false() -> None:
    """Then no Restore is made: every byte passes."""
    assert not Changed(echo={"tools": []})
    assert all((NAMES, LITE, TUPLES, FORMAT))


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [1], {"a": 1}, {"type": "function_call", "name": [1]}])
def test_any_json_is_survived(value: Any) -> None:
    """An upstream may say anything."""
    changed = Changed({"a_b_1": "a.b"}, True, {"f": PAIR}, PAIR)
    text = {"type": "response.output_text.done", "text": value, "output_index": [1], "x": "a_b_1"}
    item = {"type": "response.output_item.done", "item": value, "x": "a_b_1"}
    delta = {"type": "response.output_text.delta", "delta": value, "output_index": value}
    part = {"type": "response.content_part.done", "part": value}
    end = {"type": "response.completed", "response": value if not isinstance(value, dict) else {"output": value}}
    data = stream(*called(call()), text, item, delta, part, end)
    assert json.dumps(through(changed, data))
