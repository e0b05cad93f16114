"""wire/history.py: what both protocols owe to it. What each makes of its items stands in golden/upstream_KIND."""

from __future__ import annotations

import pytest

from mitmcodex.wire.codec import Loss
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.history import Call, HistoryEncoder, Media, Piece, Turn
from mitmcodex.wire.reading import Reading
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.toolbox import Toolbox

HI = {"role": "user", "content": "Hi"}
USER, ASSISTANT = "user", "assistant"


class PlainHistory(HistoryEncoder):
    """Writes parts as short as can be."""

    def text(self, text: str) -> Fields:
        return {"text": text}

    def media(self, media: Media) -> Fields:
        return {"media": (media.mime, media.data or media.url, media.name, media.is_image)}

    def call(self, call: Call) -> Fields:
        return {"call": (call.call_id, call.name, call.arguments)}

    def result(self, turn: Turn, call_id: str, name: str, pieces: list[Piece]) -> None:
        turn.results.append({"result": (call_id, name, *map(str, pieces))})

    def thoughts(self, encrypted: object) -> list[Fields] | None:
        return [{"thought": encrypted}] if encrypted == "ours" else None


def encoded(items: object, **fields: object) -> tuple[PlainHistory, list[Loss]]:
    losses: list[Loss] = []
    history = PlainHistory(Toolbox({}, []), losses)
    with Reading({"input": items, **fields}, "", losses) as asked:
        history.encode(asked)
    return history, losses


def turns(items: object) -> list[tuple[str, list[Fields]]]:
    return [(turn.role, turn.results + turn.parts) for turn in encoded(items)[0].turns]


def call(call_id: str) -> Fields:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}"}


def output(call_id: str, text: str = "done") -> Fields:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def test_neighbours_of_one_side_are_one_turn():
    """Roles alternate: texts of one side, and an assistant's text and calls, are joined in their order."""
    said = {"type": "message", "role": ASSISTANT, "content": [{"type": "output_text", "text": "I look."}]}
    assert turns([HI, HI, said, call("a"), output("a")]) == [
        (USER, [{"text": "Hi"}, {"text": "Hi"}]),
        (ASSISTANT, [{"text": "I look."}, {"call": ("a", "f", {})}]),
        (USER, [{"result": ("a", "f", "done")}]),
    ]


def test_results_come_first_right_after_their_call():
    """pains.md P27: wherever the client put them."""
    assert turns([HI, call("a"), HI, call("b"), output("b"), output("a")]) == [
        (USER, [{"text": "Hi"}]),
        (ASSISTANT, [{"call": ("a", "f", {})}]),
        (USER, [{"result": ("a", "f", "done")}, {"text": "Hi"}]),
        (ASSISTANT, [{"call": ("b", "f", {})}]),
        (USER, [{"result": ("b", "f", "done")}]),
    ]


def test_an_id_may_be_used_again():
    """conformance 18: a result belongs to the last call of its id."""
    assert turns([HI, call("a"), output("a", "1"), call("a"), output("a", "2")])[2::2] == [
        (USER, [{"result": ("a", "f", "1")}]),
        (USER, [{"result": ("a", "f", "2")}]),
    ]


def test_calls_and_results_match():
    """pains.md P27, conformance 55: a call without a result gets one, a result without a call is what the user says."""
    history, losses = encoded([HI, output("nobody"), call("a"), HI])
    assert [turn.role for turn in history.turns] == [USER, ASSISTANT, USER]
    assert "done" in [part["text"] for part in history.turns[0].parts]
    assert history.turns[2].results == [{"result": ("a", "f", "[interrupted]")}]
    assert [(loss.path, loss.what) for loss in losses] == [("input[1]", "changed"), ("input[2]", "changed")]


def test_a_search_result_without_a_call_is_a_loss():
    """It can't be sent, and it does not vanish in silence."""
    _, losses = encoded([HI, {"type": "tool_search_output", "call_id": "nobody", "tools": []}])
    assert [(loss.path, loss.what) for loss in losses] == [("input[1]", "dropped")]


def test_leading_system_texts_are_kept_apart():
    """conformance 16: instructions, then system and developer texts in their order; a later one goes as the user's."""
    items = [{"role": "system", "content": "b"}, {"role": "developer", "content": "c"}, HI]
    history, losses = encoded([*items, {"role": "developer", "content": "d"}], instructions="a")
    assert history.system == ["a", "b", "c"]
    assert history.turns[0].parts[1] == {"text": "<developer>\nd\n</developer>"}
    assert [(loss.path, loss.what) for loss in losses] == [("input[3]", "changed")]


def test_reasoning_of_the_provider_goes_back_in_place():
    """And that of another service is a hint: it has no effect on the answer."""
    history, losses = encoded(
        [HI, {"type": "reasoning", "summary": [], "encrypted_content": "ours"}, call("a"), output("a")]
        + [{"type": "reasoning", "encrypted_content": "theirs", "mitmcodex_account": "x"}]
    )
    assert history.turns[1].parts[0] == {"thought": "ours"}
    assert [(loss.path, loss.is_hint) for loss in losses] == [("input[4]", True)]


@pytest.mark.parametrize(
    ("part", "media"),
    [
        ({"type": "input_image", "image_url": "data:image/png;base64,aGk="}, ("image/png", "aGk=", "", True)),
        ({"type": "input_image", "image_url": "https://example.test/a"}, ("", "https://example.test/a", "", True)),
        ({"type": "input_file", "file_data": "data:text/csv;charset=x;base64,aGk="}, ("text/csv", "aGk=", "", False)),
        ({"type": "input_file", "filename": "a.pdf", "file_data": "aGk="}, ("", "aGk=", "a.pdf", False)),
        ({"type": "input_file", "file_url": "http://example.test/a"}, ("", "http://example.test/a", "", False)),
        ({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}, ("audio/wav", "aGk=", "", False)),
    ],
)
def test_media(part, media):
    """Content or an address, with all that is known of it."""
    assert turns([{"role": USER, "content": [part]}]) == [(USER, [{"media": media}])]


@pytest.mark.parametrize(
    ("items", "path"),
    [
        ([], "input"),
        (5, "input"),
        ([5], "input[0]"),
        ([{"role": 5, "content": "x"}], "input[0].role"),
        ([{"role": "robot", "content": "x"}], "input[0].role"),
        ([{"role": USER, "content": 5}], "input[0].content"),
        ([{"role": USER, "content": [{"type": "input_text"}]}], "input[0].content[0].text"),
        ([{"role": USER, "content": [{"type": "input_image"}]}], "input[0].content[0].image_url"),
        ([{"role": USER, "content": [{"type": "input_image", "file_id": "f"}]}], "input[0].content[0].file_id"),
        ([HI, {"type": "function_call", "name": "f"}], "input[1].call_id"),
        ([HI, {"type": "compaction_trigger"}], "input[1]"),
    ],
)
def test_what_cannot_be_sent_names_its_place(items, path):
    """A WireError with the path, for each thing that is no conversation or that the provider can't read."""
    with pytest.raises(WireError) as caught:
        encoded(items)
    assert caught.value.kind == "invalid_request" and caught.value.param == path


def test_a_user_begins():
    """Both services demand it; what is put there is a loss."""
    history, losses = encoded([{"role": ASSISTANT, "content": "Hello"}])
    assert [turn.role for turn in history.turns] == [USER, ASSISTANT]
    assert [(loss.path, loss.what) for loss in losses] == [("input", "changed")]
    assert turns([{"role": "system", "content": "Say hi."}]) == [(USER, [{"text": "Say hi."}])]
