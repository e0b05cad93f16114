"""openai-python and openai-node on Chat Completions, unmodified, through the real proxy to a strict service of each
kind. One run of an SDK makes all calls (support/openai_chat.py)."""

from __future__ import annotations

import json

import pytest

from mitmcodex import translate
from mitmcodex.upstream import retry
from support import chat_cases, openai_chat
from support.play import Play, Stage
from support.tls import Authority

pytestmark = pytest.mark.clients

KINDS = ("chatgpt", "chat", "messages", "gemini")
SCRIPTS = {"python": openai_chat.PYTHON, "node": openai_chat.NODE}
RUNS = [(kind, language) for kind in KINDS for language in SCRIPTS]
Run = tuple[str, Play]
"""Kind of the service, and what the SDK and the service saw."""
CALLS = [["call_a", "weather", {"city": "Zürich"}], ["call_b", "clock", {"zone": "CET"}]]


@pytest.fixture(scope="module", params=RUNS, ids="-".join)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, ca: Authority) -> Run:
    kind, language = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "FIRST_DELAY_S", 0.01)
        patch.setattr(translate, "FIRST_DELAY_S", 0.01)
        folder = tmp_path_factory.mktemp("run")
        with Stage(folder, kind, ca, chat_cases.cases(kind, lambda: stage.backend)) as stage:
            play = stage.python(SCRIPTS[language]) if language == "python" else stage.node(SCRIPTS[language])
    return kind, play


def test_the_service_has_nothing_against_any_request(run: Run) -> None:
    """What reaches each kind of service is what it takes: keys, shapes, order, headers, credential."""
    assert run[1].violations == []


def usage(kind: str) -> list[int]:
    """Input, cached, output, reasoning, total; Messages counts no reasoning."""
    return [17, 4, 9, 0 if kind == "messages" else 2, 26]


def test_text(run: Run) -> None:
    """conformance 2, 9, 14: one object under the name that the client asked for, with the service's numbers (a service
    of the client's own protocol is passed on as it says it)."""
    kind, play = run
    model = "mock-chat" if kind == "chat" else "gpt-5.5"
    assert play.shown["text"] == [model, "chat.completion", [chat_cases.WORDS, "stop"], usage(kind)]


def test_only_a_service_of_its_own_protocol_gets_the_body_as_it_came(run: Run) -> None:
    """Nothing of it is changed where the model is the same; all others get what their protocol has for it."""
    kind, play = run
    [body] = play.sent("text")
    asked = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "case:text"}], "temperature": 0.5, "seed": 3}
    assert (body == asked) is (kind == "chat")


def test_stream_in_pieces(run: Run) -> None:
    """conformance 1, 2, 7, 8, 13: the first piece is there before the last is sent; one head, one end, one usage."""
    kind, play = run
    assert play.shown["pieces"] == [chat_cases.WORDS, True, 1, ["stop"], [usage(kind)]]
    assert len(play.calls["pieces"]) == len(play.calls["open"]) == 1


def test_no_usage_unless_it_was_asked_for(run: Run) -> None:
    """conformance 8: no chunk has it."""
    assert run[1].shown["no_usage"] == 0


def test_two_parallel_tools_and_their_results(run: Run) -> None:
    """conformance 3 to 5, 18: names, ids and arguments arrive, the results go back to their calls, in one loop (Node's
    is the SDK's own runTools over a stream)."""
    kind, play = run
    assert play.shown["tools"] == [CALLS, "all done"]
    first, second = play.sent("tools")
    assert chat_cases.results(kind, first) == []
    assert chat_cases.results(kind, second) == [("call_a", "sunny"), ("call_b", "noon")]


def test_the_stream_helper_parses_parallel_calls(run: Run) -> None:
    """conformance 3, 4: the SDK's helper parses the arguments of each call as soon as the next begins."""
    assert run[1].shown["tools_stream"] == CALLS


def test_structured_output(run: Run) -> None:
    """conformance 20: the parse helper has its object; the schema went upstream."""
    kind, play = run
    assert play.shown["parse"] == chat_cases.PERSON
    assert '"age"' in json.dumps(play.sent("parse")[0])


def test_length(run: Run) -> None:
    """conformance 7: finish_reason length, of which the parse helper makes its own error."""
    assert run[1].shown["length"] == ["too lo", "length"]
    assert run[1].shown["parse_length"]["raised"] == "LengthFinishReasonError"


def test_image(run: Run) -> None:
    """conformance 17: it reaches the service byte for byte."""
    kind, play = run
    assert play.shown["image"] == ["seen", "stop"]
    assert openai_chat.PNG in json.dumps(play.sent("image")[0])


def test_reasoning(run: Run) -> None:
    """conformance 11: as ``reasoning_content`` beside the text, whole and in a stream."""
    assert run[1].shown["thinking"] == [chat_cases.THOUGHT, "done", chat_cases.THOUGHT]


def test_refusal(run: Run) -> None:
    """conformance 7, 10: a refusal in its own field, content null; a service that has none stops by its filter."""
    kind, play = run
    by_filter = [None, chat_cases.REFUSAL, "content_filter"]
    assert play.shown["refusal"] == ([chat_cases.REFUSAL, None, "stop"] if kind in ("chatgpt", "chat") else by_filter)


def test_a_client_that_leaves_ends_the_upstream_call(run: Run) -> None:
    """conformance 84: the loop of the script ends once the service has seen it."""
    kind, play = run
    assert play.shown["abort"] == "Grüß"
    assert [call.is_aborted for call in play.calls["abort"]] == [True]


@pytest.mark.parametrize("case", ["cut", "fails"])
def test_a_broken_stream_is_an_error_and_never_an_answer(case: str, run: Run) -> None:
    """conformance 12, 29, 81: what came stays, no finish_reason, the SDK raises, and nothing is asked twice."""
    kind, play = run
    text, reasons, failure = play.shown[case]
    assert text and chat_cases.WORDS.startswith(text) and reasons == []
    assert failure is not None and len(play.calls[case]) == 1
    if case == "cut" and kind != "chat":
        assert failure == ["APIError", None, "stream_incomplete"]
