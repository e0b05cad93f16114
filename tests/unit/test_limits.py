"""Limits kept by cutting: what passes, where it is cut, what the cut stream says (conformance 23, 63; beyond F25)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mitmcodex.wire import limits
from mitmcodex.wire.codec import STOP_KEY
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.fold import Folder
from mitmcodex.wire.limited_items import Items
from mitmcodex.wire.limits import Limiter, first_stop, longest_prefix, possible_beginning
from support.events import (
    JSON,
    ev_completed,
    ev_created,
    ev_function_call,
    ev_item_done,
    ev_message_added,
    ev_message_done,
    ev_reasoning,
    ev_text_delta,
    sse,
)

GOLDEN = sorted((Path(__file__).parent.parent / "golden" / "streams").glob("*.sse"))
PLACE = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
HEAD = [ev_created("resp_7", "gpt-x"), ev_message_added()]


def limiter(*stop: str, max_tokens: int | None = None) -> Limiter:
    """A token is a character, the request takes 42."""
    return Limiter(stop, max_tokens, len, lambda: 42)


def run(made: Limiter, data: bytes, size: int | None = None) -> bytes:
    step = size or len(data) or 1
    chunks = [data[at : at + step] for at in range(0, len(data), step)]
    return b"".join([*map(made.feed, chunks), made.finish()])


def events(data: bytes) -> list[JSON]:
    return [json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: ")]


def shown(data: bytes) -> str:
    """The text that its deltas tell."""
    return "".join(event["delta"] for event in events(data) if event["type"] == "response.output_text.delta")


def said(*pieces: str) -> bytes:
    """A whole answer in these deltas, as the public API tells it."""
    whole = "".join(pieces)
    part = {"type": "output_text", "text": whole, "annotations": []}
    ends: list[JSON] = [
        {"type": "response.output_text.done", **PLACE, "text": whole},
        {"type": "response.content_part.done", **PLACE, "part": part},
    ]
    terminal = ev_completed("resp_7")
    terminal["response"]["output"] = [ev_message_done(whole)["item"]]
    return sse([*HEAD, *map(ev_text_delta, pieces), *ends, ev_message_done(whole), terminal])


def folded(data: bytes) -> JSON:
    folder = Folder()
    folder.feed(data)
    return folder.result()


def text_of(response: JSON) -> str:
    return "".join(part["text"] for item in response["output"] for part in item.get("content", ()))


# -- what is not cut --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_what_is_within_the_limits_passes_byte_for_byte(path: Path) -> None:
    """Each golden stream, whole and byte by byte, with limits that it keeps."""
    data = path.read_bytes()
    for size in (None, 1):
        made = limiter("never said", max_tokens=10**9)
        assert run(made, data, size) == data
        assert not made.is_done


def test_a_beginning_that_leads_to_nothing_is_released() -> None:
    """What looked like a stop sequence comes byte for byte once it can't be one any more."""
    made = limiter("STOP")
    frames = [sse([event], number) for number, event in enumerate([*HEAD, *map(ev_text_delta, ("a ST", "O", "RE"))])]
    assert [made.feed(frame) for frame in frames] == [frames[0], frames[1], b"", b"", b"".join(frames[2:])]


def test_a_beginning_at_the_end_of_a_text_is_text() -> None:
    """The text's end decides at once, and so does the stream's."""
    data = sse([*HEAD, ev_text_delta("a ST")])
    ended = data + sse([{"type": "response.output_text.done", **PLACE, "text": "a ST"}], 3)
    assert run(limiter("STOP"), data) == data
    assert limiter("STOP").feed(ended) == ended


def test_what_follows_held_text_waits_behind_it() -> None:
    """Events of other items keep their order."""
    reasoning = ev_reasoning("hm", output_index=1)
    data = sse([*HEAD, ev_text_delta("ST"), reasoning, ev_text_delta("x")])
    made = limiter("STOP")
    assert made.feed(data[: data.index(b'"x"')]) == sse(HEAD)
    assert made.feed(data[data.index(b'"x"') :]) == data[len(sse(HEAD)) :]


def test_a_sequence_is_not_made_of_two_texts() -> None:
    """Each message is searched alone, also where they interleave."""
    second = [ev_message_added("msg_2", 1), ev_text_delta("OP", "msg_2", 1), ev_text_delta("x"), ev_completed()]
    data = sse([*HEAD, ev_text_delta("ST"), *second])
    assert run(limiter("STOP"), data) == data


def test_reasoning_is_neither_searched_nor_counted() -> None:
    """Only visible output is."""
    delta = {"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "output_index": 0, "delta": "STOP"}
    data = sse([ev_created(), delta, ev_reasoning("STOP"), ev_completed()])
    assert run(limiter("STOP", max_tokens=1), data) == data


# -- stop sequences ---------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.integers(0, 15), max_size=4), st.integers(1, 400))
def test_a_sequence_split_over_events_is_found_and_never_leaks(cuts: list[int], size: int) -> None:
    """However the text and the bytes are cut: the text before it, nothing of it, in no event (seeds S72)."""
    text, bounds = "Hello STOP more.", sorted({0, *cuts, 16})
    made = limiter("STOP")
    data = run(made, said(*(text[a:b] for a, b in zip(bounds, bounds[1:], strict=False))), size)
    assert shown(data) == text_of(folded(data)) == "Hello "
    assert made.is_done and folded(data)[STOP_KEY] == "STOP"
    told = data.replace(b'"mitmcodex_stop_sequence":"STOP"', b"")
    assert not any(leak in told for leak in (b"Hello S", b"STOP", b"more", b'"delta":""'))


def test_the_cut_stream_is_whole() -> None:
    """The open text, part and item end, then the response, which keeps its identity; the numbers go on rising."""
    made = limiter("STOP")
    told = events(run(made, said("Hello ", "STOP", " more")))
    assert [event["type"].removeprefix("response.") for event in told] == [
        "created",
        "output_item.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event["sequence_number"] for event in told] == [0, 1, 2, 3, 4, 5, 6]
    item, response = told[5]["item"], told[6]["response"]
    assert (item["id"], item["status"], item["content"][0]["text"]) == ("msg_1", "completed", "Hello ")
    assert (response["id"], response["model"], response["status"]) == ("resp_7", "gpt-x", "completed")
    assert response["output"] == [] and response["usage"]["input_tokens"] == 42
    assert response["usage"]["output_tokens"] == len("Hello ")


def test_what_has_ended_is_not_ended_again() -> None:
    """Of a message's two texts the first is told whole once; an item that never began ends without its parts."""
    second = {**ev_text_delta("b STOP"), "content_index": 1}
    first = [ev_text_delta("a"), {"type": "response.output_text.done", **PLACE, "text": "a"}]
    told = events(run(limiter("STOP"), sse([*HEAD, *first, second])))
    assert [event["text"] for event in told if event["type"] == "response.output_text.done"] == ["a", "b "]
    assert [part["text"] for part in told[-2]["item"]["content"]] == ["a", "b "]
    late = events(run(limiter("STOP"), sse([ev_created(), ev_message_done("a STOP")])))
    assert [event["type"] for event in late][1:] == ["response.output_item.done", "response.completed"]


def test_after_the_cut_nothing_passes() -> None:
    """What the upstream still says is not the client's any more."""
    made = limiter("STOP")
    assert run(made, said("STOP"))
    assert made.feed(said("again")) == b"" and made.finish() == b""


@pytest.mark.parametrize(
    ("stop", "text", "kept", "found"),
    [
        (("b", "ab"), "xaby", "x", "ab"),  # both end together: the longer
        (("bc", "abcd"), "xabcd", "xa", "bc"),  # complete first, as token by token
        (("abc", "bx"), "abbx", "ab", "bx"),
        (("aab",), "aaaab", "aa", "aab"),
        (("\u00e4\u00f6",), "z\u00e4\u00e4\u00f6", "z\u00e4", "\u00e4\u00f6"),
    ],
)
def test_the_earliest_sequence_wins(stop: tuple[str, ...], text: str, kept: str, found: str) -> None:
    """Whether the text comes at once or letter by letter."""
    for pieces in ([text], list(text)):
        data = run(limiter(*stop), said(*pieces))
        assert (text_of(folded(data)), folded(data)[STOP_KEY]) == (kept, found)


DONE_TEXT = {"type": "response.output_text.done", **PLACE, "text": "ab STOP"}
LATE = ev_completed()
LATE["response"]["output"] = [
    ev_function_call("c1", "f", {})["item"],
    ev_message_done("ab STOP")["item"],
    ev_message_done("never", "msg_9")["item"],
]


@pytest.mark.parametrize(
    "late",
    [
        [*HEAD, DONE_TEXT],
        [*HEAD, ev_text_delta("a"), DONE_TEXT],
        [*HEAD, ev_message_done("ab STOP")],
        [ev_message_done("ab STOP")],
        [ev_created(), LATE],
    ],
    ids=["text.done", "rest in text.done", "item.done", "item.done alone", "terminal event"],
)
def test_a_text_that_comes_whole_is_cut_too(late: list[JSON]) -> None:
    """Deltas may be missing: then the text's, the item's or the response's end has it."""
    data = run(limiter("STOP"), sse(late))
    assert text_of(folded(data)) == "ab " and folded(data)[STOP_KEY] == "STOP"
    assert b"ab STOP" not in data and b"never" not in data


def test_items_before_the_cut_in_a_terminal_event_are_told() -> None:
    """As that event does not pass, they come as finished items."""
    output = folded(run(limiter("STOP"), sse([ev_created(), LATE])))["output"]
    assert [item["type"] for item in output] == ["function_call", "message"]


def test_citations_of_the_cut_text_stay() -> None:
    """They are in the item that ends."""
    note = {"type": "url_citation", "url": "https://a.example"}
    cited = {"type": "response.output_text.annotation.added", **PLACE, "annotation": note}
    data = run(limiter("STOP"), sse([*HEAD, ev_text_delta("a"), cited, ev_text_delta("STOP")]))
    assert folded(data)["output"][0]["content"][0]["annotations"] == [note]


# -- token limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 1])
def test_a_token_limit_cuts_within_a_delta(size: int | None) -> None:
    """The text ends where the limit is, and the response says why (conformance 63)."""
    made = limiter(max_tokens=8)
    response = folded(data := run(made, said("Hello ", "world", "!"), size))
    assert shown(data) == text_of(response) == "Hello wo"
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert STOP_KEY not in response and response["output"][0]["status"] == "incomplete"
    assert made.cut == limits.Cut("", 42, 8) and response["usage"]["output_tokens"] == 8


def test_an_answer_that_is_as_long_as_its_limit_is_complete() -> None:
    """Only what goes beyond is cut."""
    data = said("Hello", " you")
    assert run(limiter(max_tokens=9), data) == data


def test_a_limit_of_one_token_ends_at_once() -> None:
    """The quota check of Claude Code, say (conformance 63)."""
    assert text_of(folded(run(limiter(max_tokens=1), said("#", " long")))) == "#"


def test_the_limit_counts_over_all_that_is_visible() -> None:
    """Refusals, texts and arguments together, also where they come without deltas."""
    refusal = {"type": "response.refusal.delta", **PLACE, "delta": "no"}
    call = ev_function_call("c1", "f", {}, 1)  # "{}"
    data = sse([*HEAD, refusal, call, ev_text_delta("abc", "msg_2", 2), ev_completed()])
    response = folded(run(limiter(max_tokens=6), data))
    assert response["usage"]["output_tokens"] == 6
    assert [item["content"] for item in response["output"] if item["type"] == "message"] == [
        [{"type": "refusal", "refusal": "no"}],
        [{"type": "output_text", "text": "ab", "annotations": [], "logprobs": []}],
    ]


@pytest.mark.parametrize("kind", ["function_call_arguments", "custom_tool_call_input"])
def test_a_cut_call_stays_unfinished(kind: str) -> None:
    """No event says that it is whole: clients run what is."""
    item = {"id": "fc_1", "type": "function_call", "call_id": "c1", "name": "f"}
    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    delta = {"type": f"response.{kind}.delta", "item_id": "fc_1", "output_index": 0, "delta": '{"a":1}'}
    done = {"type": f"response.{kind}.done", "item_id": "fc_1", "output_index": 0, "arguments": '{"a":1}{}'}
    for limit, pieces in ((4, ['{"a"']), (7, ['{"a":1}'])):
        made = limiter("a", max_tokens=limit)
        told = events(run(made, sse([ev_created(), added, delta, done, ev_item_done(item)])))
        assert [event["delta"] for event in told if "delta" in event] == pieces
        assert [event["type"] for event in told][-1] == "response.incomplete"
        assert not any(".done" in event["type"] for event in told)


def test_log_probabilities_of_what_was_cut_go() -> None:
    """They name the tokens."""
    delta = {**ev_text_delta("ab STOP"), "logprobs": [{"token": "STOP"}]}
    told = events(run(limiter("STOP"), sse([*HEAD, delta])))
    assert told[2]["delta"] == "ab " and told[2]["logprobs"] == []


@pytest.mark.parametrize(("limit", "stopped"), [(3, False), (6, True)])
def test_of_both_limits_the_first_counts(limit: int, stopped: bool) -> None:
    """What stands before a stop sequence may be too long already."""
    response = folded(run(limiter("STOP", max_tokens=limit), said("Hello STOP")))
    assert (response["status"] == "completed") == stopped
    assert text_of(response) == ("Hello " if stopped else "Hel")


# -- bounds -----------------------------------------------------------------------------------------


def test_no_delta_is_counted_twice() -> None:
    """The cost of an event does not grow with the stream: the counter sees each delta alone."""
    seen: list[str] = []

    def count(text: str) -> int:
        seen.append(text)
        return len(text)

    pieces = ["S"] * 50 + ["T"] * 50
    run(Limiter(("STOP",), 10**9, count, lambda: 1), said(*pieces))
    assert seen == pieces


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would take too much of it ends as an upstream's failure; finished items are not kept."""
    monkeypatch.setattr(limits, "LIMIT", 4000)
    made = limiter(max_tokens=10**9)
    for number in range(100):
        name = f"msg_{number}"
        made.feed(sse([ev_message_added(name, number), ev_text_delta("x" * 999, name, number)]))
        made.feed(sse([ev_message_done("x" * 999, name, number)]))
    with pytest.raises(WireError, match="larger than 4000 bytes"):
        for _ in range(9):
            made.feed(sse([ev_text_delta("x" * 999, "msg_100", 100)]))
    held = limiter("STOP")
    held.feed(sse([*HEAD, ev_text_delta("ST")]))
    with pytest.raises(WireError, match="larger than 4000 bytes"):
        held.feed(sse([ev_reasoning("x" * 999, output_index=1)] * 5))


def test_items_are_found_by_id_else_by_place() -> None:
    """Ids that change with each event, or none at all, make no new items (conformance 4)."""
    items = Items()
    first = items.of({"output_index": 0, "item": {"id": "a"}})
    assert items.of({"output_index": 0, "item_id": "other"}) is first is items.of({"item_id": "a"})
    assert items.of({"output_index": 1, "item_id": "a"}) is first
    assert items.of({"output_index": 1}) is not first and items.of({"item_id": "new"}) is not first


JSONS: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["id", "type", "content", "text", "arguments", "output"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from("item output_index content_index item_id delta text response annotation arguments".split())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(sorted(Limiter._READERS)), st.dictionaries(KEYS, JSONS)), max_size=6))
def test_any_event_is_survived(told: list[tuple[str, dict[str, Any]]]) -> None:
    """Whatever an upstream puts into its events."""
    data = sse([{**fields, "type": kind} for kind, fields in told])
    assert isinstance(run(limiter("ab", "b", max_tokens=3), data), bytes)


def test_the_rules_of_texts() -> None:
    """Where a sequence is, what may begin one, how much fits."""
    assert first_stop("abc", ()) is None and first_stop("abc", ("c",)) == (2, 3, "c")
    assert possible_beginning("xaab", ("aabaab", "bb")) == "aab"
    assert possible_beginning("xyz", ("zyx", "yzz")) == "yz" and possible_beginning("", ("a",)) == ""
    assert [longest_prefix("hello", tokens, len) for tokens in (0, 3, 9)] == [0, 3, 5]
