"""ollama-python, unmodified, by the Ollama listener, before a strict ChatGPT backend and a Chat Completions service.
One run of the SDK makes all calls of a kind."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from mitmcodex.upstream import retry
from support.answer_parts import PAIR
from support.ollama_cases import ADA, CASES, ODD
from support.play import Play, Stage
from support.tls import Authority

pytestmark = pytest.mark.clients
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PICTURE = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"

SCRIPT = f"""
import ollama
from pydantic import BaseModel
client = ollama.Client()
MODEL, PNG = "gpt-5.5", {PNG!r}
"""
SCRIPT += '''
def ask(prompt, model=MODEL, **more):
    return client.chat(model=model, messages=[{"role": "user", "content": prompt}], **more)
def durations(end):
    return [end.total_duration > 0, end.prompt_eval_duration >= 0, end.eval_duration >= 0, end.load_duration]
def streamed(prompt, **more):
    return [chunk.message.content for chunk in ask(prompt, stream=True, **more)]

def text(prompt):
    end = client.chat(model=MODEL, messages=[{"role": "system", "content": "Be brief."},
                                             {"role": "user", "content": prompt}],
                      options={"temperature": 0.5, "num_ctx": 4096}, keep_alive="5m")
    return [end.message.content, end.model, end.done, end.done_reason, end.prompt_eval_count, end.eval_count,
            durations(end)]
case("text", text)
def pieces(prompt):
    seen, said = [], []
    for chunk in ask(prompt, stream=True):
        seen.append(chunk.message.content)
        said.append(chunk.done)
        if len(seen) == 1:
            ask("case:open_gate")
    return [seen, said, chunk.done_reason, chunk.prompt_eval_count, chunk.eval_count]
case("pieces", pieces)
case("odd", lambda prompt: "".join(streamed(prompt)))
case("odd_whole", lambda prompt: ask(prompt).message.content)

def generated(prompt):
    end = client.generate(model=MODEL, prompt=prompt, system="Be brief.", images=[PNG])
    return [end.response, end.done_reason, end.prompt_eval_count, durations(end)]
case("generate", generated)
def generated_stream(prompt):
    chunks = [*client.generate(model=MODEL, prompt=prompt, stream=True, think=True)]
    return ["".join(c.response for c in chunks), "".join(c.thinking or "" for c in chunks), chunks[-1].done]
case("generate_stream", generated_stream)

def weather(city: str) -> str:
    """Tells the weather.

    Args:
      city: where
    """
    return "sun in " + city
def clock(zone: str) -> str:
    """Tells the time."""
    return "noon in " + zone
TOOLS = {"weather": weather, "clock": clock}
def loop(prompt, stream):
    messages = [{"role": "user", "content": prompt}]
    def turn():
        answer = client.chat(model=MODEL, messages=messages, tools=[weather, clock], stream=stream)
        chunks = [*answer] if stream else [answer]
        calls = [call for chunk in chunks for call in chunk.message.tool_calls or []]
        return "".join(chunk.message.content or "" for chunk in chunks), calls, chunks[-1].done_reason
    text, calls, reason = turn()
    messages.append({"role": "assistant", "content": text, "tool_calls": calls})
    for call in calls:
        output = TOOLS[call.function.name](**call.function.arguments)
        messages.append({"role": "tool", "tool_name": call.function.name, "content": output})
    return [[[call.function.name, call.function.arguments] for call in calls], reason, turn()[0]]
case("tools", lambda prompt: loop(prompt, False))
case("tools_stream", lambda prompt: loop(prompt, True))

def image(prompt):
    return client.chat(model=MODEL, messages=[{"role": "user", "content": prompt, "images": [PNG]}]).message.content
case("image", image)
def thinking(think):
    def run(prompt):
        end = ask(prompt, think=think)
        return [end.message.thinking, end.message.content]
    return run
case("think", thinking(True))
case("think_high", thinking("high"))
case("think_off", thinking(False))
case("think_stream", lambda prompt: [[chunk.message.thinking, chunk.message.content]
                                     for chunk in ask(prompt, think=True, stream=True)])
class Person(BaseModel):
    name: str
    age: int
def person(prompt):
    return Person.model_validate_json(ask(prompt, format=Person.model_json_schema()).message.content)
case("schema", person)
case("mode", lambda prompt: ask(prompt, format="json").message.content)

case("list", lambda prompt: [model.model for model in client.list().models])
def show_model(prompt):
    shown = client.show("gpt-5.5")
    length = [value for key, value in shown.modelinfo.items() if key.endswith(".context_length")]
    return [sorted(shown.capabilities), length]
case("show", show_model)
case("show_unknown", lambda prompt: client.show("no-such-model"))
case("ps", lambda prompt: client.ps().models)
case("embed", lambda prompt: client.embed(model=MODEL, input=prompt))
case("embeddings", lambda prompt: client.embeddings(model=MODEL, prompt=prompt))
case("pull", lambda prompt: client.pull(MODEL))

case("refusal", lambda prompt: ask(prompt).message.content)
def length(prompt):
    end = ask(prompt)
    return [end.message.content, end.done_reason]
case("length", length)
case("limit", ask)
case("limit_stream", streamed)
case("overflow", ask)
case("overloaded", ask)
case("unknown_model", lambda prompt: ask(prompt, "no-such-model"))
case("bad_request", lambda prompt: ask(prompt, logprobs=True, top_logprobs=2))
case("cut", streamed)
case("cut_whole", ask)
case("cut_at_once", streamed)
case("failed", streamed)
case("slow", streamed)
case("slow_start", streamed)
case("slow_failed", streamed)
def leave(prompt):
    chunks = ask(prompt, stream=True)
    first = next(chunks).message.content
    chunks.close()
    return first
case("left", leave)
case("refused_login", ask)
'''


@pytest.fixture(scope="module", params=CASES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def play(kind: str, ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    settings: dict[str, Any] = {"ollama": {"enabled": True}, "unknown_model": "reject"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "FIRST_DELAY_S", 0.01)
        with Stage(tmp_path_factory.mktemp("ollama"), kind, ca, CASES[kind](), **settings) as stage:
            stage.keep_alive(0.05)
            play = stage.python(SCRIPT, is_ollama=True)
            play.calls["left"][0].wait_aborted()
    yield play


def texts(kind: str, body: dict[str, Any]) -> list[tuple[str, Any]]:
    """(role, text) of what the upstream was told."""
    if kind == "chat":
        return [(message["role"], message["content"]) for message in body["messages"]]
    told = [(item["role"], item["content"][0]["text"]) for item in body["input"] if item["type"] == "message"]
    return [("system", body["instructions"]), *told]


def test_chat(play: Play, kind: str) -> None:
    """conformance 2, 72, 73: one object with durations and counts; what the system says goes with it, what sets up a
    local runner does not."""
    assert play.shown["text"] == ["hällo", "gpt-5.5", True, "stop", 17, 9, [True, True, True, 0]]
    [body] = play.sent("text")
    assert texts(kind, body) == [("system", "Be brief."), ("user", "case:text")]
    assert body.get("temperature") == (0.5 if kind == "chat" else None)
    assert "options" not in body and "keep_alive" not in body


def test_stream_arrives_in_pieces(play: Play) -> None:
    """conformance 72: the first line was with the client before the upstream was allowed to send the rest; the last
    one alone is done, with the counts."""
    seen, done, *end = play.shown["pieces"]
    assert [text for text in seen if text] == ["a", "b"] and done == [False] * (len(seen) - 1) + [True]
    assert end == ["stop", 17, 9]


def test_odd_characters_break_no_line(play: Play) -> None:
    """clients.md: the SDK splits lines as Python does, at U+2028, U+2029 and U+0085 too."""
    assert play.shown["odd"] == play.shown["odd_whole"] == ODD


def test_generate(play: Play, kind: str) -> None:
    """conformance 72, seeds S249: /api/generate, whole and streaming, with a picture, a system text, thoughts."""
    assert play.shown["generate"] == ["a dot", "stop", 17, [True, True, True, 0]]
    assert play.shown["generate_stream"] == ["so", "hmm", True]
    [body] = play.sent("generate")
    assert texts(kind, body)[0] == ("system", "Be brief.")
    assert PICTURE in json.dumps(body)


@pytest.mark.parametrize("case", ["tools", "tools_stream"])
def test_tools(play: Play, kind: str, case: str) -> None:
    """conformance 65's twin in 73: two calls whose arguments are objects; the results have names alone, and the
    upstream gets each at its call."""
    pair = [[call.name, call.arguments] for call in PAIR]
    assert play.shown[case] == [pair, "tool_calls", "both done"]
    first, second = play.sent(case)
    names = [(tool["function"] if kind == "chat" else tool)["name"] for tool in first["tools"]]
    assert names == ["weather", "clock"]
    outputs = {"weather": "sun in Zürich", "clock": "noon in CET"}
    assert dict(answered(kind, second)) == outputs


def answered(kind: str, body: dict[str, Any]) -> list[tuple[str, str]]:
    """(name of the call, its result) as the upstream reads the history."""
    if kind == "chat":
        calls = {call["id"]: call["function"]["name"] for call in body["messages"][1]["tool_calls"]}
        return [(calls[one["tool_call_id"]], one["content"]) for one in body["messages"] if one["role"] == "tool"]
    calls = {item["call_id"]: item["name"] for item in body["input"] if item["type"] == "function_call"}
    outputs = [item for item in body["input"] if item["type"] == "function_call_output"]
    return [(calls[item["call_id"]], item["output"]) for item in outputs]


def test_image(play: Play) -> None:
    """conformance 73: bare base64 becomes a data URL of the right type."""
    assert play.shown["image"] == "a dot"
    assert PICTURE in json.dumps(play.sent("image")[0])


def test_think(play: Play, kind: str) -> None:
    """conformance 73, seeds S250: thoughts apart from the text, whole and in the stream; a level is an effort; without
    them none come, nor are asked for."""
    assert play.shown["think"] == play.shown["think_high"] == ["hmm", "so"]
    assert play.shown["think_off"] == [None, "so"]
    thoughts, said = ("".join(filter(None, parts)) for parts in zip(*play.shown["think_stream"], strict=True))
    assert (thoughts, said) == ("hmm", "so")
    efforts = {"think": "medium", "think_high": "high", "think_off": None}
    for case, effort in efforts.items():
        [body] = play.sent(case)
        reasoning = body.get("reasoning", {})
        assert (body.get("reasoning_effort") if kind == "chat" else reasoning.get("effort")) == effort
        assert [value for key, value in reasoning.items() if key == "summary"] == (
            ["auto"] if kind == "chatgpt" and effort else []
        )


def test_format(play: Play, kind: str) -> None:
    """conformance 20, 73, seeds S250: a schema is held strictly; "json" brings the word that JSON mode wants."""
    assert play.shown["schema"] == ADA and json.loads(play.shown["mode"]) == ADA
    [schema], [mode] = play.sent("schema"), play.sent("mode")
    if kind == "chat":
        wanted = schema["response_format"]["json_schema"]
        assert mode["response_format"] == {"type": "json_object"}
    else:
        wanted = schema["text"]["format"]
        assert mode["text"]["format"] == {"type": "json_object"}
    assert (wanted["name"], wanted["strict"]) == ("ollama_schema", True)
    assert "Answer in JSON." in [text for _, text in texts(kind, mode)]


def test_what_there_is(play: Play, kind: str) -> None:
    """conformance 71, seeds S246 to S248: tags, one model, nothing loaded; the upstream is not asked."""
    capabilities, lengths = play.shown["show"]
    assert {"completion", "tools"} <= {*capabilities} and play.shown["ps"] == []
    if kind == "chatgpt":
        assert {"gpt-5.5", "gpt-5.5-high", "gpt-6.1-sol"} <= {*play.shown["list"]}
        assert {"thinking", "vision"} <= {*capabilities} and lengths == [272000]
    assert not play.calls[""]


def test_reasons_to_end(play: Play) -> None:
    """conformance 72: a limit is told; a refusal is text."""
    assert play.shown["length"] == ["too lo", "length"] and play.shown["refusal"] == "I won't"


ERRORS = {
    # case: status (-1 in a stream, where there is none), a part of the message, the number of posts
    "limit": (429, "usage limit", 1),
    "limit_stream": (429, "usage limit", 1),
    "overflow": (400, "context window", 1),
    "overloaded": (503, "Overloaded", 3),
    "refused_login": (401, "work refused the credential", 1),
    "bad_request": (400, "logprobs", 0),
    "embed": (501, "makes no embeddings", 0),
    "embeddings": (501, "makes no embeddings", 0),
    "pull": (501, "/api/tags", 0),
    "cut": (-1, "ended the call", 1),
    "cut_whole": (502, "ended the call", 2),
    "cut_at_once": (502, "before the response was complete", 2),
    "failed": (-1, "It broke.", 1),
    "slow_failed": (-1, "It broke.", 1),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(play: Play, case: str) -> None:
    """conformance 74: each is the SDK's own error, before a stream by its status, in it by a line; a cut is never a
    complete answer; what repeating can't mend is posted once."""
    code, message, posts = ERRORS[case]
    shown = play.shown[case]
    assert (shown["raised"], shown["code"]) == ("ResponseError", code)
    assert message in shown["message"]
    assert len(play.calls[case]) == posts


def test_unknown_model(play: Play, kind: str) -> None:
    """conformance 74: 404 by the catalog; a service without one is asked itself, and shown with what is known."""
    by_catalog = kind == "chatgpt"
    assert play.shown["unknown_model"]["code"] == 404
    assert len(play.calls["unknown_model"]) == (0 if by_catalog else 1)
    assert play.shown["show_unknown"].get("code") == (404 if by_catalog else None)


def test_keep_alives_do_no_harm(play: Play) -> None:
    """conformance 48: lines with empty content between those that say something, and before the first."""
    for case in ("slow", "slow_start"):
        assert "".join(play.shown[case]) == "half a word"
        assert play.shown[case].count("") > 2


def test_leaving_ends_the_call(play: Play) -> None:
    """conformance 84: the fixture has seen the upstream's stream aborted."""
    assert play.shown["left"] == "half" and play.calls["left"][0].is_aborted


def test_the_upstream_had_nothing_to_refuse(play: Play) -> None:
    """seeds S349: nothing is set but the host; all of it went on in the form that the strict upstream takes."""
    assert play.violations == []
