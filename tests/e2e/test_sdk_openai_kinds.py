"""openai-python on the Responses API, unmodified, through the real proxy to services of other kinds: what it asks and
gets goes by the codec of the service's protocol, in both directions."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from mitmcodex import translate
from mitmcodex.upstream import retry
from support import chat_answers as chat
from support import chat_cases, openai_chat, openai_responses
from support import gemini_answers as gemini
from support import messages_answers as messages
from support.answer_parts import PAIR
from support.answers import Answer
from support.play import Cases, Play, Stage
from support.records import Request
from support.tls import Authority

pytestmark = pytest.mark.clients

Run = tuple[str, Play]
"""Kind of the service, and what the SDK and the service saw."""
CALLS = [["call_a", "weather", {"city": "Zürich"}], ["call_b", "clock", {"zone": "CET"}]]
VLLM = "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens."
ANTHROPIC = "prompt is too long: 210000 tokens > 200000 maximum"
GOOGLE = "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576)."
FAILURES: dict[str, dict[str, Answer]] = {
    "chat": {
        "overflow": chat.fail(400, VLLM),
        "limit": chat.fail(429, "Slow down.", "requests", "rate_limit_exceeded"),
        "login": chat.fail(401, "Wrong key.", code="invalid_api_key"),
        "busy": chat.fail(503, "Overloaded", "service_unavailable_error"),
    },
    "messages": {
        "overflow": messages.fail(400, ANTHROPIC),
        "limit": messages.fail(429, "Slow down."),
        "login": messages.fail(401, "invalid x-api-key"),
        "busy": messages.fail(529, "Overloaded"),
    },
    "gemini": {
        "overflow": gemini.fail(400, GOOGLE),
        "limit": gemini.fail(429, "Resource has been exhausted."),
        "login": gemini.fail(401, "API key not valid."),
        "busy": gemini.fail(503, "The model is overloaded."),
    },
}
THOUGHTFUL: dict[str, tuple[Callable[[], Answer], str]] = {
    "chat": (
        lambda: chat.stream([*chat.thinking("a plan", "")[:-1], *chat.calls(*PAIR)[1:]]),
        '"reasoning_content": "a plan"',
    ),
    "messages": (lambda: messages.stream(messages.calls(*PAIR, thought="a plan")), '"signature": "sig-1"'),
    "gemini": (lambda: gemini.stream(gemini.calls(*PAIR)), f'"thoughtSignature": "{gemini.SIGNATURE}"'),
}
"""Calls with what is signed before or at them, and what the service must see again of it."""


def cases(kind: str, stage: Callable[[], Stage]) -> Cases:
    def thoughtful(request: Request) -> Answer:
        if b"sunny" in request.body:
            return chat_cases.say(kind, request, "all done")
        return THOUGHTFUL[kind][0]()

    told = chat_cases.cases(kind, lambda: stage().backend)
    failures = {name + form: answer for name, answer in FAILURES[kind].items() for form in ("", "_chat")}
    words = {"helper": told["text"], "chain": told["text"], "thoughtful_tools": thoughtful}
    return {**told, **words, **failures}


@pytest.fixture(scope="module", params=FAILURES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, ca: Authority) -> Run:
    kind = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "FIRST_DELAY_S", 0.01)
        patch.setattr(translate, "FIRST_DELAY_S", 0.01)
        with Stage(tmp_path_factory.mktemp("run"), kind, ca, cases(kind, lambda: stage)) as stage:
            return kind, stage.python(openai_responses.PYTHON)


def test_the_service_has_nothing_against_any_request(run: Run) -> None:
    """What reaches each kind of service is what it takes."""
    assert run[1].violations == []


def test_text(run: Run) -> None:
    """conformance 2, 30, 31: a whole response under the client's name of the model, with the service's numbers."""
    kind, play = run
    usage = [17, 4, 9, 0 if kind == "messages" else 2, 26]
    assert play.shown["text"] == ["gpt-5.5", chat_cases.WORDS, ["completed", None], usage]
    assert "Be brief." in json.dumps(play.sent("text")[0])


def test_stream(run: Run) -> None:
    """conformance 26, 28, 29: pieces as they come, numbered upwards, from created to completed; the SDK's helper, which
    raises for anything odd, has the whole."""
    ends = ["response.created", "response.completed"]
    assert run[1].shown["pieces"] == [chat_cases.WORDS, True, True, ends]
    assert run[1].shown["helper"] == chat_cases.WORDS


def test_two_parallel_tools_and_their_results(run: Run) -> None:
    """conformance 18, 65: the output goes back as it came, with the results; the service gets each with its call."""
    kind, play = run
    assert play.shown["tools"] == [CALLS, "all done"]
    assert chat_cases.results(kind, play.sent("tools")[1]) == [("call_a", "sunny"), ("call_b", "noon")]


def test_reasoning_comes_back_to_its_service(run: Run) -> None:
    """conformance 34, 46, 67: what the service signed is encrypted reasoning to the client, and itself again later."""
    kind, play = run
    assert play.shown["thoughtful_tools"] == [CALLS, "all done"]
    first, second = (json.dumps(body) for body in play.sent("thoughtful_tools"))
    signed = THOUGHTFUL[kind][1]
    assert signed not in first and signed in second


def test_previous_response(run: Run) -> None:
    """conformance 33: kept here, so that the service gets the whole conversation."""
    kind, play = run
    assert play.shown["chain"] == chat_cases.WORDS
    second = json.dumps(play.sent("chain")[1], ensure_ascii=False)
    assert second.index("case:chain") < second.index(chat_cases.WORDS) < second.index("and then?")


def test_structured_output(run: Run) -> None:
    """conformance 20, 66: the parse helper has its object."""
    assert run[1].shown["parse"] == chat_cases.PERSON


def test_length(run: Run) -> None:
    """conformance 29: incomplete, and why."""
    assert run[1].shown["length"] == [["too lo"], ["incomplete", "max_output_tokens"]]


def test_refusal(run: Run) -> None:
    """conformance 10: a refusal where the service has one, else what its filter left."""
    kind, play = run
    ended = ["completed", None] if kind == "chat" else ["incomplete", "content_filter"]
    assert play.shown["refusal"] == [[chat_cases.REFUSAL], ended]


def test_reasoning(run: Run) -> None:
    """conformance 11: as the summary of a reasoning item, before the text."""
    assert run[1].shown["thinking"] == [[chat_cases.THOUGHT], "done"]


def test_image(run: Run) -> None:
    """conformance 17, 67: it reaches the service byte for byte."""
    assert run[1].shown["image"] == "seen"
    assert openai_chat.PNG in json.dumps(run[1].sent("image")[0])


@pytest.mark.parametrize("case", ["cut", "fails"])
def test_a_broken_stream_is_a_failure_and_never_an_answer(case: str, run: Run) -> None:
    """conformance 29, 81: what came stays, the end is response.failed, and nothing is asked twice."""
    text, end, code = run[1].shown[case]
    assert text and chat_cases.WORDS.startswith(text) and end == "response.failed"
    assert code == "stream_incomplete" if case == "cut" else code
    assert len(run[1].calls[case]) == 1


SEEN = {
    "overflow": ["BadRequestError", 400, "context_length_exceeded"],
    "limit": ["RateLimitError", 429, "rate_limit_exceeded"],
    "login": ["AuthenticationError", 401, "credential"],
    "busy": ["InternalServerError", 503, "server_is_overloaded"],
}


@pytest.mark.parametrize("case", SEEN)
def test_the_service_refuses(case: str, run: Run) -> None:
    """protocol.md 5.6, pains P31: in the words of any service, the same class, status and code in both API forms; what
    a service of the client's own protocol refuses comes as it says it: here without a code."""
    kind, play = run
    own_words = {"overflow": ["BadRequestError", 400, None]} if kind == "chat" else {}
    assert play.shown[case] == SEEN[case]
    assert play.shown[f"{case}_chat"] == own_words.get(case, SEEN[case])
