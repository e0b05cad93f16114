"""google-genai, unmodified, through the real proxy to a strict ChatGPT backend. One run of the SDK makes all calls."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from mitmcodex.upstream import retry
from support import chatgpt_answers as chatgpt
from support.answer_parts import PAIR
from support.answers import Answer, Cut, Data, Delay, Gate, Stall, overloaded, token_expired, usage_limit
from support.events import ev_failed, sse
from support.play import Play, Stage, opening
from support.records import Request
from support.tls import Authority

pytestmark = pytest.mark.clients
MODEL = "gemini-2.5-pro"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
CITED = {"type": "url_citation", "start_index": 0, "end_index": 2, "url": "https://example.test/", "title": "T"}
OVERFLOW = ev_failed("context_length_exceeded", "Your input exceeds the context window of this model.")

SCRIPT = f"""
import enum
from google import genai
from google.genai import types
from pydantic import BaseModel
client = genai.Client()
MODEL, PNG = {MODEL!r}, {PNG!r}
"""
SCRIPT += '''
def ask(prompt, model=MODEL, **config):
    return client.models.generate_content(model=model, contents=prompt, config=config or None)
def told(response):
    parts = response.candidates[0].content.parts if response.candidates[0].content else []
    return [[part.text, part.thought] for part in parts], response.candidates[0].finish_reason
def usage(response):
    count = response.usage_metadata
    return [count.prompt_token_count, count.cached_content_token_count, count.candidates_token_count,
            count.thoughts_token_count, count.total_token_count]
def streamed(prompt, **config):
    seen = []
    for chunk in client.models.generate_content_stream(model=MODEL, contents=prompt, config=config or None):
        seen.append(chunk.text)
    return seen

def text(prompt):
    response = ask(prompt, temperature=0.5, system_instruction="Be brief.")
    return [response.text, response.model_version, response.candidates[0].finish_reason, usage(response)]
case("text", text)

def pieces(prompt):
    chunks, seen = client.models.generate_content_stream(model=MODEL, contents=prompt), []
    for chunk in chunks:
        seen.append(chunk.text)
        if len(seen) == 1:
            ask("case:open_gate")
    return [seen, chunk.candidates[0].finish_reason, usage(chunk)]
case("pieces", pieces)

def weather(city: str) -> str:
    """Tells the weather."""
    return "sun in " + city
def clock(zone: str) -> dict:
    """Tells the time."""
    return {"time": "noon", "zone": zone}
def by_itself(prompt):
    response = ask(prompt, "gpt-5.5", tools=[weather, clock])
    return [response.text, len(response.automatic_function_calling_history)]
case("automatic", by_itself)
case("automatic_stream", lambda prompt: "".join(
    chunk.text or "" for chunk in client.models.generate_content_stream(
        model="gpt-5.5", contents=prompt, config={"tools": [weather, clock]})))

def by_hand(prompt):
    declared = [{"name": "weather", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}},
                {"name": "clock", "parameters_json_schema": {"type": "object"}}]
    config = {"tools": [{"function_declarations": declared}],
              "tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["clock"]}}}
    chunks = [*client.models.generate_content_stream(model=MODEL, contents=prompt, config=config)]
    calls = [part for chunk in chunks for part in chunk.candidates[0].content.parts if part.function_call]
    results = [types.Part.from_function_response(name=part.function_call.name, response={"n": number})
               for number, part in enumerate(calls)]
    history = [types.UserContent(prompt), types.ModelContent(calls), types.UserContent(results)]
    answer = ask(history, **config)
    shown = [[part.function_call.id, part.function_call.name, part.function_call.args] for part in calls]
    return [shown, [bool(part.thought_signature) for part in calls], answer.text]
case("by_hand", by_hand)

case("image", lambda prompt: ask([prompt, types.Part.from_bytes(data=PNG, mime_type="image/png")]).text)

class Person(BaseModel):
    name: str
    age: int
class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"
def schema(kind, mime="application/json"):
    return lambda prompt: ask(prompt, response_schema=kind, response_mime_type=mime).parsed
case("person", schema(Person))
case("people", schema(list[Person]))
case("colour", lambda prompt: schema(Colour, "text/x.enum")(prompt).value)
case("mode", lambda prompt: ask(prompt, response_mime_type="application/json").text)

case("thoughts", lambda prompt: told(ask(prompt, thinking_config={"include_thoughts": True, "thinking_budget": 4096})))
case("no_thoughts", lambda prompt: told(ask(prompt, thinking_config={"include_thoughts": False})))
def chat(prompt):
    talk = client.chats.create(model=MODEL, config={"thinking_config": {"include_thoughts": True}})
    first = "".join(chunk.text or "" for chunk in talk.send_message_stream(prompt))
    return [first, talk.send_message("and then?").text]
case("chat", chat)

def grounded(prompt):
    response = ask(prompt, "gpt-5.5", tools=[{"google_search": {}}])
    return [response.text, response.candidates[0].grounding_metadata.grounding_chunks[0].web.uri]
case("grounded", grounded)

case("count", lambda prompt: client.models.count_tokens(model=MODEL, contents=prompt).total_tokens)
case("list", lambda prompt: [model.name for model in client.models.list()])
def one(prompt):
    model = client.models.get(model="gpt-5.5")
    return [model.name, model.input_token_limit > 100000, model.supported_actions]
case("get", one)
case("get_unknown", lambda prompt: client.models.get(model="no-such-model"))
case("embed", lambda prompt: client.models.embed_content(model=MODEL, contents=prompt))

case("refusal", lambda prompt: told(ask(prompt)))
case("length", lambda prompt: told(ask(prompt)))
case("filtered", lambda prompt: told(ask(prompt)))
case("limit", ask)
case("overflow", ask)
case("overloaded", ask)
case("unknown_model", lambda prompt: ask(prompt, "no-such-model"))
case("bad_request", lambda prompt: ask(prompt, logprobs=3, response_logprobs=True))
case("cut", streamed)
case("cut_whole", ask)
case("cut_at_once", streamed)
case("failed", streamed)
case("slow", streamed)
case("slow_start", streamed)
case("slow_failed", streamed)
def leave(prompt):
    chunks = client.models.generate_content_stream(model=MODEL, contents=prompt)
    first = next(chunks).text
    chunks.close()
    return first
case("left", leave)
case("refused_login", ask)
'''


def calling(request: Request) -> Answer:
    """Two calls; with their results, a word."""
    outputs = [item for item in request.json["input"] if item["type"] == "function_call_output"]
    if outputs:
        return chatgpt.stream(chatgpt.text("both done"))
    return chatgpt.stream(chatgpt.thinking("first", chatgpt.calls(*PAIR, first=1)))


SILENCE = Delay(0.3)
"""Some keep-alives long."""


def cases() -> dict[str, Any]:
    gate = Gate()
    person = {"name": "Ada", "age": 36}
    thinking = chatgpt.stream(chatgpt.thinking("hmm", chatgpt.text("so", index=1)))
    failure = Data(sse([ev_failed("server_error", "It broke.")], 500))
    begun = chatgpt.said(chatgpt.text("half a word"))[:3]
    return {
        "text": chatgpt.stream(chatgpt.text("hällo\u2028you")),
        "pieces": chatgpt.gated(gate),
        "open_gate": opening(gate, chatgpt.stream(chatgpt.text("opened"))),
        "automatic": calling,
        "automatic_stream": calling,
        "by_hand": calling,
        "image": chatgpt.stream(chatgpt.text("a dot")),
        "person": chatgpt.stream(chatgpt.structured(person)),
        "people": chatgpt.stream(chatgpt.structured({"value": [person]})),
        "colour": chatgpt.stream(chatgpt.structured({"value": "blue"})),
        "mode": chatgpt.stream(chatgpt.structured(person)),
        "thoughts": thinking,
        "no_thoughts": thinking,
        "chat": thinking,
        "grounded": chatgpt.stream(chatgpt.text("so", [CITED])),
        "refusal": chatgpt.stream(chatgpt.refusal("I won't")),
        "length": chatgpt.stream(chatgpt.text("too lo"), "max_output_tokens"),
        "filtered": chatgpt.stream(chatgpt.text("bad"), "content_filter"),
        "limit": usage_limit(),
        "overflow": chatgpt.broken([], Data(sse([OVERFLOW], 500))),
        "overloaded": overloaded(),
        "cut": [*chatgpt.opened(), *begun, Cut()],
        "cut_whole": [*chatgpt.opened(), *begun, Cut()],
        "cut_at_once": [*chatgpt.opened(), Cut()],
        "failed": [*chatgpt.opened(), *begun, failure],
        "slow": [*chatgpt.opened(), *begun, SILENCE, *chatgpt.said(chatgpt.text("half a word"))[3:], *chatgpt.ended()],
        "slow_start": [*chatgpt.opened(), SILENCE, *chatgpt.said(chatgpt.text("hi")), *chatgpt.ended()],
        "slow_failed": [*chatgpt.opened(), SILENCE, failure],
        "left": [*chatgpt.opened(), *begun, Stall()],
        "refused_login": token_expired(),
    }


@pytest.fixture(scope="module")
def play(ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "FIRST_DELAY_S", 0.01)
        with Stage(tmp_path_factory.mktemp("gemini"), "chatgpt", ca, cases(), unknown_model="reject") as stage:
            stage.keep_alive(0.05)
            play = stage.python(SCRIPT)
            play.calls["left"][0].wait_aborted()
    yield play


def test_text(play: Play) -> None:
    """conformance 2, 64, 66, 68, seeds S69: text, the client's own name of the model, one reason to end, and the usage
    with what was cached and thought; the backend gets the model that the name stands for, and the system's text."""
    assert play.shown["text"] == ["hällo\u2028you", MODEL, "STOP", [17, 4, 7, 2, 26]]
    [body] = play.sent("text")
    assert body["model"] == "gpt-6.1-sol" and "temperature" not in body
    assert [(item["role"], item["content"][0]["text"]) for item in body["input"]] == [
        ("developer", "Be brief."),
        ("user", "case:text"),
    ]


def test_stream_arrives_in_pieces(play: Play) -> None:
    """conformance 64, 68: the first piece was with the client before the backend was allowed to send the rest."""
    assert play.shown["pieces"] == [["a", "b", ""], "STOP", [17, 4, 7, 2, 26]]


@pytest.mark.parametrize("case", ["automatic", "automatic_stream"])
def test_automatic_function_calling(play: Play, case: str) -> None:
    """conformance 65: the SDK runs both calls of a turn and gets the closing words; the backend gets each result at
    its call, and its own reasoning back before them."""
    assert play.shown[case] in ("both done", ["both done", 3])
    first, second = play.sent(case)
    assert [tool["name"] for tool in first["tools"]] == ["weather", "clock"]
    assert first["tools"][0]["parameters"]["properties"] == {"city": {"type": "string"}}
    outputs = {item["call_id"]: item["output"] for item in second["input"] if item["type"] == "function_call_output"}
    assert outputs == {"call_a": "sun in Zürich", "call_b": '{"time":"noon","zone":"CET"}'}
    kinds = [item["type"] for item in second["input"]]
    assert kinds == ["message", "reasoning", *["function_call"] * 2, *["function_call_output"] * 2]
    assert second["input"][1]["encrypted_content"] == chatgpt.ENCRYPTED


def test_calls_by_hand(play: Play) -> None:
    """conformance 65, 66, 67: two calls with their ids and one signature, answered without ids, in their order; an
    allowed function is a forced one, and the schema has lower-case types."""
    pair = [[call.call_id, call.name, call.arguments] for call in PAIR]
    assert play.shown["by_hand"] == [pair, [True, False], "both done"]
    first, second = play.sent("by_hand")
    assert first["tool_choice"] == {"type": "function", "name": "clock"}
    [namespace] = first["input"][0]["tools"]
    assert namespace["tools"][0]["parameters"] == {"type": "object", "properties": {"city": {"type": "string"}}}
    outputs = [(item["call_id"], item["output"]) for item in second["input"] if item["type"] == "function_call_output"]
    assert outputs == [("call_a", '{"n":0}'), ("call_b", '{"n":1}')]


def test_image(play: Play) -> None:
    """conformance 67: the picture goes as a data URL, byte for byte."""
    assert play.shown["image"] == "a dot"
    [body] = play.sent("image")
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert [part.get("image_url") for part in body["input"][-1]["content"]] == [None, url]


def test_structured_output(play: Play) -> None:
    """conformance 66, seeds S79: the SDK's own types come out, whatever the schema's root is."""
    ada = {"name": "Ada", "age": 36}
    assert [play.shown[case] for case in ("person", "people", "colour")] == [ada, [ada], "blue"]
    form = play.sent("person")[0]["text"]["format"]
    assert form["type"] == "json_schema" and form["strict"] is True
    assert form["schema"]["required"] == ["name", "age"] and form["schema"]["additionalProperties"] is False


def test_json_mode(play: Play) -> None:
    """conformance 20, seeds S79: without a schema; the backend wants the word JSON, which the client did not say."""
    assert play.shown["mode"] == '{"name": "Ada", "age": 36}'
    [body] = play.sent("mode")
    assert body["text"]["format"] == {"type": "json_object"}
    assert body["input"][0] == {
        "type": "message",
        "role": "developer",
        "content": [{"type": "input_text", "text": "Answer in JSON."}],
    }


def test_thoughts(play: Play) -> None:
    """conformance 58, 67: shown if asked for; else none come, nor are asked for."""
    assert play.shown["thoughts"] == [[["hmm", True], ["so", None]], "STOP"]
    assert play.shown["no_thoughts"] == [[["so", None]], "STOP"]
    assert play.sent("thoughts")[0]["reasoning"] == {"effort": "low", "summary": "auto", "context": "all_turns"}
    assert "summary" not in play.sent("no_thoughts")[0]["reasoning"]


def test_signatures_come_back(play: Play) -> None:
    """conformance 67: a chat of the SDK brings the reasoning back to the backend, before the words that came of it,
    and the thoughts aloud stay out; the cache's key is that of the first turn (pains P2)."""
    assert play.shown["chat"] == ["so", "so"]
    first, second = play.sent("chat")
    told = [(item["type"], item.get("role", item.get("encrypted_content"))) for item in second["input"]]
    reasoning = ("reasoning", chatgpt.ENCRYPTED)
    assert told == [("message", "user"), reasoning, ("message", "assistant"), ("message", "user")]
    assert second["input"][2]["content"] == [{"type": "output_text", "text": "so"}]
    assert first["prompt_cache_key"] == second["prompt_cache_key"]


def test_search(play: Play) -> None:
    """conformance 51's annotations as Gemini's grounding, from the backend's own search."""
    assert play.shown["grounded"] == ["so", "https://example.test/"]
    assert [tool["type"] for tool in play.sent("grounded")[0]["tools"]] == ["web_search"]


def test_count_and_models(play: Play) -> None:
    """conformance 69, seeds S68: answered here, in Gemini's shape; the backend is not asked."""
    assert 3 <= play.shown["count"] < 30
    assert {"models/gpt-5.5", "models/gpt-6.1-sol", "models/gpt-5.5-high"} <= {*play.shown["list"]}
    assert play.shown["get"] == ["models/gpt-5.5", True, ["generateContent", "streamGenerateContent", "countTokens"]]
    assert not play.calls["count"] and not play.calls[""]


ENDS = {"refusal": ("I won't", "SAFETY"), "length": ("too lo", "MAX_TOKENS"), "filtered": ("bad", "SAFETY")}


@pytest.mark.parametrize("case", ENDS)
def test_reasons_to_end(play: Play, case: str) -> None:
    """conformance 68: with what was said until then."""
    text, reason = ENDS[case]
    assert play.shown[case] == [[[text, None]], reason]


ERRORS = {
    # case: the SDK's exception, code, status, a part of the message, the number of posts
    "limit": ("ClientError", 429, "RESOURCE_EXHAUSTED", "usage limit", 1),
    "overflow": ("ClientError", 400, "INVALID_ARGUMENT", "context window", 1),
    "overloaded": ("ServerError", 503, "UNAVAILABLE", "Overloaded", 3),
    "refused_login": ("ClientError", 401, "UNAUTHENTICATED", "codex login", 1),
    "unknown_model": ("ClientError", 404, "NOT_FOUND", "no model 'no-such-model'", 0),
    "get_unknown": ("ClientError", 404, "NOT_FOUND", "no model 'no-such-model'", 0),
    "bad_request": ("ClientError", 400, "INVALID_ARGUMENT", "generationConfig.responseLogprobs", 0),
    "embed": ("ServerError", 501, "UNIMPLEMENTED", "makes no embeddings", 0),
    "cut": ("ServerError", 503, "UNAVAILABLE", "ended the call", 1),
    "cut_whole": ("ServerError", 503, "UNAVAILABLE", "ended the call", 2),
    "cut_at_once": ("ServerError", 503, "UNAVAILABLE", "before the response was complete", 2),
    "failed": ("ServerError", 503, "UNAVAILABLE", "It broke.", 1),
    "slow_failed": ("ServerError", 503, "UNAVAILABLE", "It broke.", 1),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(play: Play, case: str) -> None:
    """conformance 70: each is the SDK's own error with an integer code and Google's name, before a stream and in it;
    a cut is never a complete answer; what repeating can't mend is posted once."""
    kind, code, status, message, posts = ERRORS[case]
    shown = play.shown[case]
    assert (shown["raised"], shown["code"], shown["status"]) == (kind, code, status)
    assert message in shown["message"]
    assert len(play.calls[case]) == posts


def test_keep_alives_do_no_harm(play: Play) -> None:
    """conformance 48: the SDK reads a stream with blank lines between its events, and before the first."""
    assert "".join(play.shown["slow"]) == "half a word" and "".join(play.shown["slow_start"]) == "hi"


def test_leaving_ends_the_call(play: Play) -> None:
    """conformance 84: the fixture has seen the backend's stream aborted."""
    assert play.shown["left"] == "half" and play.calls["left"][0].is_aborted


def test_the_backend_had_nothing_to_refuse(play: Play) -> None:
    """All of it was in the form that the strict backend takes."""
    assert play.violations == []
