"""The official Anthropic SDKs, unmodified, through the real proxy to a strict ChatGPT backend: one run a language."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mitmcodex.upstream import retry
from support import chatgpt_answers as chatgpt
from support.answer_parts import PAIR
from support.answers import (
    Answer,
    Cut,
    Data,
    Delay,
    Gate,
    Pause,
    Stall,
    detail,
    overloaded,
    server_error,
    token_expired,
    usage_limit,
)
from support.events import ev_failed, sse
from support.messages_scripts import NODE, PDF, PNG, PYTHON
from support.play import Cases, Play, Stage
from support.records import Request
from support.tls import Authority

pytestmark = pytest.mark.clients
CITED = {"type": "url_citation", "start_index": 0, "end_index": 2, "url": "https://example.test/", "title": "T"}
OVERFLOW = ev_failed("context_length_exceeded", "Your input exceeds the context window of this model.")
SEARCH = {"id": "ws_0", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
SILENCE = Delay(0.3)
"""Some keep-alives long."""


def calling(request: Request) -> Answer:
    """A thought and two calls; with their results, a word."""
    if any(item["type"] == "function_call_output" for item in request.json["input"]):
        return chatgpt.stream(chatgpt.text("both done"))
    return chatgpt.stream(chatgpt.thinking("first", chatgpt.calls(*PAIR, first=1)))


def piecewise(gate: Gate) -> Answer:
    first, last = chatgpt.said(chatgpt.text("ab"))[:3], chatgpt.said(chatgpt.text("ab"))[3:]
    return [*chatgpt.opened(), *first, Pause(gate), *last, *chatgpt.ended()]


def opening(gate: Gate) -> Any:
    def answer(_: Request) -> Answer:
        gate.open()
        return chatgpt.stream(chatgpt.text("opened"))

    return answer


def once(first: Answer) -> Any:
    """That, then a word for whoever asks again."""
    answers = iter([first])
    return lambda _: next(answers, chatgpt.stream(chatgpt.text("at last")))


def searching() -> Answer:
    added = {"type": "response.output_item.added", "output_index": 0, "item": {**SEARCH, "status": "in_progress"}}
    done = {"type": "response.output_item.done", "output_index": 0, "item": SEARCH}
    return chatgpt.stream([added, done, *chatgpt.text("so it is", [CITED], index=1)])


def cases() -> Cases:
    gate = Gate()
    thinking = chatgpt.stream(chatgpt.thinking("hmm", chatgpt.text("so", index=1)))
    failure = Data(sse([ev_failed("server_error", "It broke.")], 500))
    begun = chatgpt.said(chatgpt.text("half a word"))[:3]
    overflow = chatgpt.broken([], Data(sse([OVERFLOW], 500)))
    endless = [*chatgpt.opened(), *chatgpt.said(chatgpt.text("ab E" + "ND and so on"))[:5], Stall()]
    return {
        "text": chatgpt.stream(chatgpt.text("hällo\u2028you")),
        "pieces": piecewise(gate),
        "open_gate": opening(gate),
        "tools": calling,
        "runner": calling,
        "seen": chatgpt.stream(chatgpt.text("a dot")),
        "person": chatgpt.stream(chatgpt.structured({"name": "Ada", "age": 36})),
        "thoughts": thinking,
        "thoughts_omitted": thinking,
        "thoughts_off": thinking,
        "foreign": chatgpt.stream(chatgpt.text("so")),
        "search": searching(),
        "stop": endless,
        "stop_whole": endless,
        "limit_here": [*chatgpt.opened(), *chatgpt.said(chatgpt.text("one two three four five six"))[:5], Stall()],
        "refusal": chatgpt.stream(chatgpt.refusal("I won't")),
        "length": chatgpt.stream(chatgpt.text("too lo"), "max_output_tokens"),
        "filtered": chatgpt.stream(chatgpt.text("bad"), "content_filter"),
        "limit_short": once(usage_limit(1)),
        "limit_long": usage_limit(),
        "overflow": overflow,
        "overflow_stream": overflow,
        "overloaded": overloaded(),
        "broken": server_error(),
        "refused": detail(400, "no such thing"),
        "refused_login": token_expired(),
        "cut": [*chatgpt.opened(), *begun, Cut()],
        "cut_whole": [*chatgpt.opened(), *begun, Cut()],
        "cut_at_once": [*chatgpt.opened(), Cut()],
        "failed": [*chatgpt.opened(), *begun, failure],
        "slow": [*chatgpt.opened(), *begun, SILENCE, *chatgpt.said(chatgpt.text("half a word"))[3:], *chatgpt.ended()],
        "slow_start": [*chatgpt.opened(), SILENCE, *chatgpt.said(chatgpt.text("hi")), *chatgpt.ended()],
        "slow_failed": [*chatgpt.opened(), SILENCE, failure],
        "left": [*chatgpt.opened(), *begun, Stall()],
    }


@pytest.fixture(scope="module", params=["python", "node"])
def play(request: pytest.FixtureRequest, ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "FIRST_DELAY_S", 0.01)
        folder = tmp_path_factory.mktemp(f"messages-{request.param}")
        with Stage(folder, "chatgpt", ca, cases(), unknown_model="reject") as stage:
            stage.keep_alive(0.05)
            play = stage.python(PYTHON) if request.param == "python" else stage.node(NODE)
            for case in ("left", "stop", "stop_whole", "limit_here"):
                play.calls[case][0].wait_aborted()
    yield play


def texts(items: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(role, text) of the messages."""
    messages = [item for item in items if item["type"] == "message"]
    return [(item["role"], part["text"]) for item in messages for part in item["content"] if "text" in part]


def test_no_rule_of_the_backend_was_broken(play: Play) -> None:
    """All that the SDK sends reaches the backend in a form that it takes."""
    assert play.violations == []


def test_text(play: Play) -> None:
    """conformance 2, 50, 54, seeds S77, S78, S83: text, usage with cached input and thoughts apart, the name of the
    model that was asked for; what can't be carried over is counted in a header."""
    *told, losses, usage = play.shown["text"]
    assert told == ["hällo\u2028you", "end_turn", None, "claude-sonnet-4-6", "assistant", "message", "msg_"]
    assert usage == [13, 4, 0, 9, 2]
    (sent,) = play.sent("text")
    assert sent["model"] == "gpt-6-sol"
    assert texts(sent["input"]) == [("developer", "Be brief."), ("user", "case:text")]
    assert losses == "5", "model, cache_control, temperature, top_k, max_tokens"


def test_a_stream_arrives_in_pieces(play: Play) -> None:
    """conformance 43: the first piece is read before the last is sent, and the usage is the last event's."""
    assert play.shown["pieces"] == [["a", "b"], "end_turn", 13, 9]


def test_two_calls_and_their_results(play: Play) -> None:
    """conformance 44 to 46, 52, 55, 57, seeds S81: parallel calls come nested; results go out in order, with an image
    and an error; the thought comes back as the encrypted reasoning that it was."""
    calls = [[call.call_id, call.name, call.arguments] for call in PAIR]
    assert play.shown["tools"] == ["thinking", "first", True, calls, "tool_use", ["both done", "end_turn", None]]
    thought, first, second, *results = play.sent("tools")[1]["input"][2:]
    assert (thought["type"], thought["encrypted_content"]) == ("reasoning", chatgpt.ENCRYPTED)
    assert [(call["type"], call["call_id"], call["name"]) for call in (first, second)] == [
        ("function_call", "call_a", "weather"),
        ("function_call", "call_b", "clock"),
    ]
    assert [(result["type"], result["call_id"]) for result in results] == [
        ("function_call_output", "call_b"),
        ("function_call_output", "call_a"),
    ]
    assert "no clock" in results[0]["output"] and "error" in results[0]["output"]
    assert results[1]["output"][0] == {"type": "input_text", "text": "sun"}
    assert results[1]["output"][1]["image_url"] == f"data:image/png;base64,{PNG}"


def test_the_tool_runner(play: Play) -> None:
    """The SDK's own loop, which would leave the history to the service, sends it whole; the results are the tools'."""
    assert play.shown["runner"] == [[], ["both done"]]
    first, second = play.sent("runner")
    results = [item for item in second["input"] if item["type"] == "function_call_output"]
    assert [item["output"] for item in results] == ["sun in Zürich", "noon in CET"]
    assert second["input"][: len(first["input"])] == first["input"]


@pytest.mark.parametrize("case", ["tools", "runner"])
def test_turns_of_a_conversation_share_their_ids(play: Play, case: str) -> None:
    """pains P2: cache key and session ids are the same in both turns, and another conversation's are others."""
    keys = [body["prompt_cache_key"] for body in play.sent(case)]
    ids = [call.request.first("session-id") for call in play.calls[case]]
    assert keys[0] == keys[1] != play.sent("text")[0]["prompt_cache_key"]
    assert ids[0] == ids[1] != play.calls["text"][0].request.first("session-id")
    assert ids[0]


def test_images_and_documents_go_in(play: Play) -> None:
    """conformance 56: an image as data and by URL, a PDF with its name, a document of text."""
    assert play.shown["seen"] == ["a dot", "end_turn", None]
    (sent,) = play.sent("seen")
    assert sent["input"][-1]["content"][2:] == [
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
        {"type": "input_image", "image_url": "https://example.test/a.png"},
        {"type": "input_file", "filename": "d.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
        {"type": "input_text", "text": "words"},
    ]


def test_structured_output(play: Play) -> None:
    """seeds S79: the SDK's parse helper gets its object; the backend got the schema, strict."""
    assert play.shown["person"] == ["Ada", 36]
    form = play.sent("person")[0]["text"]["format"]
    assert (form["type"], form["strict"], form["schema"]["required"]) == ("json_schema", True, ["name", "age"])


def test_thinking_is_shown_as_asked(play: Play) -> None:
    """conformance 46, 57, 58: with its text, with the signature alone, or not at all."""
    assert play.shown["thoughts"] == [["thinking", "hmm", True], ["text", None, False]]
    assert play.shown["thoughts_omitted"] == [["thinking", "", True], ["text", None, False]]
    assert play.shown["thoughts_off"] == [["text", None, False]]
    assert play.sent("tools")[0]["reasoning"]["effort"] == "low"
    assert play.sent("thoughts_off")[0]["reasoning"].get("summary") is None


def test_foreign_thoughts_stay_here(play: Play) -> None:
    """conformance 57: a signature that is not ours is not told to the backend; the rest of its turn is."""
    assert play.shown["foreign"] == ["so", "end_turn", None]
    (sent,) = play.sent("foreign")
    assert {item["type"] for item in sent["input"]} == {"message"}
    assert texts(sent["input"]) == [("user", "case:foreign"), ("assistant", "yes"), ("user", "and?")]


def test_web_search(play: Play) -> None:
    """conformance 51: the server tool goes out as the backend's own; its call is paired with a result, pages cited."""
    page = "https://example.test/"
    assert play.shown["search"] == [3, "web_search", "srvtoolu_", True, [page], "so it is", [[page, "so"]], 1]
    (tool,) = play.sent("search")[0]["tools"]
    assert (tool["type"], tool["filters"]) == ("web_search", {"allowed_domains": ["example.test"]})


def test_stops_and_limits_are_kept_here(play: Play) -> None:
    """conformance 47, 63: a stop sequence split over events leaks nothing; both end the call upstream."""
    assert play.shown["stop"] == play.shown["stop_whole"] == ["ab ", "stop_sequence", "END"]
    text, reason, sequence = play.shown["limit_here"]
    assert "one two three".startswith(text.strip()) and text
    assert (reason, sequence) == ("max_tokens", None)


def test_why_an_answer_ends(play: Play) -> None:
    """conformance 47: refusal, length and filter are answers, not errors."""
    assert play.shown["refusal"] == ["I won't", "refusal", None]
    assert play.shown["length"] == ["too lo", "max_tokens", None]
    assert play.shown["filtered"] == ["bad", "refusal", None]


def test_counting(play: Play) -> None:
    """conformance 60: system and tools count; nothing is generated for it."""
    assert 500 < play.shown["count"] < 700
    assert play.calls["count"] == []


def test_models(play: Play) -> None:
    """conformance 61, seeds S63: the list and one entry in Anthropic's shape, with efforts as suffixes."""
    kind, ids, has_more, is_first = play.shown["models"]
    assert (kind, has_more, is_first) == ("model", False, True)
    assert {"gpt-5.5", "gpt-5.5-high"} <= {*ids}
    assert play.shown["model"] == "gpt-5.5"


ERRORS = {
    "model_unknown": (404, "not_found_error", "no-such-model", "false", None, 0),
    "unknown_model": (404, "not_found_error", "no-such-model", "false", None, 0),
    "batch": (501, "invalid_request_error", "POST /v1/messages", "false", None, 0),
    "invalid": (400, "invalid_request_error", "max_tokens", "false", None, 0),
    "refused": (400, "invalid_request_error", "no such thing", "false", None, 1),
    "refused_login": (401, "authentication_error", "codex login", "false", None, 1),
    "limit_long": (429, "rate_limit_error", "usage limit", "false", "3600", 1),
    "overflow": (413, "request_too_large", "prompt is too long", "false", None, 1),
    "overflow_stream": (413, "request_too_large", "prompt is too long", "false", None, 1),
    "overloaded": (529, "overloaded_error", "Overloaded", None, None, 3),
    "broken": (500, "api_error", "had an error", None, None, 3),
    "cut_whole": (500, "api_error", "before its end", None, None, 2),
    "cut_at_once": (500, "api_error", "before the response was complete", None, None, 2),
}
"""Status, type, a part of the message, x-should-retry, retry-after, calls of the backend."""


@pytest.mark.parametrize("case", ERRORS)
def test_errors(play: Play, case: str) -> None:
    """conformance 49, 80, 81, pains P31: each failure has its class; what repeating can't mend comes once."""
    status, kind, message, *headers, posts = ERRORS[case]
    assert [play.shown[case][0], play.shown[case][1], *play.shown[case][3:]] == [status, kind, *headers]
    assert str(message) in play.shown[case][2]
    assert len(play.calls[case]) == posts


def test_a_short_limit_is_waited_for(play: Play) -> None:
    """conformance 80: a limit that ends in a second costs one more call, not an error."""
    assert play.shown["limit_short"] == ["at last", "end_turn", None]
    assert len(play.calls["limit_short"]) == 2


@pytest.mark.parametrize(
    ("case", "message"), [("cut", "before its end"), ("failed", "It broke."), ("slow_failed", "It broke.")]
)
def test_a_broken_stream_is_an_error(play: Play, case: str, message: str) -> None:
    """conformance 49: an error event after the head is an exception of the SDK, never a whole answer; after a
    keep-alive too. Nothing is sent again."""
    _, kind, told, *_ = play.shown[case]
    assert kind == "api_error" and message in told
    assert len(play.calls[case]) == 1


def test_keep_alives_are_no_part_of_the_answer(play: Play) -> None:
    """conformance 48: pings in the silence before the first word and amid words; the SDK reads the whole answer."""
    assert play.shown["slow_start"] == [[True, True, 1, "message_stop"], ["hi", "end_turn", None]]
    assert play.shown["slow"] == [[True, False, 1, "message_stop"], ["half a word", "end_turn", None]]


def test_who_leaves_ends_the_call(play: Play) -> None:
    """conformance 84: the backend sees that the client is gone (the fixture waits for it)."""
    assert play.shown["left"] == "half"
    assert [call.is_aborted for call in play.calls["left"]] == [True]
