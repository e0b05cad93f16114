"""A provider of kind gemini: google-genai passes unchanged; openai and anthropic are translated, there and back."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from mitmcodex.upstream import retry
from support import gemini_answers as gemini
from support.answer_parts import PAIR, cut
from support.answers import Answer, Gate, Pause
from support.play import Cases, Play, Stage, opening
from support.records import Request
from support.tls import Authority

pytestmark = pytest.mark.clients
MODEL, BASE = "gemini-2.5-pro", "/v1beta/models/"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ADA = {"name": "Ada", "age": 36}
TOO_LONG = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."

NATIVE = '''
from google import genai
client = genai.Client()
MODEL = "gemini-2.5-pro"
def ask(prompt, **config):
    return client.models.generate_content(model=MODEL, contents=prompt, config=config or None)
def streamed(prompt):
    return [chunk.text for chunk in client.models.generate_content_stream(model=MODEL, contents=prompt)]
case("whole", lambda prompt: [ask(prompt, seed=7, top_k=3).text, ask(prompt).model_version])
def pieces(prompt):
    seen = []
    for chunk in client.models.generate_content_stream(model=MODEL, contents=prompt):
        seen.append(chunk.text)
        if len(seen) == 1:
            ask("case:open_gate")
    return [seen, chunk.usage_metadata.total_token_count]
case("pieces", pieces)
def weather(city: str) -> str:
    """Tells the weather."""
    return "sun in " + city
def clock(zone: str) -> str:
    """Tells the time."""
    return "noon in " + zone
case("tools", lambda prompt: ask(prompt, tools=[weather, clock]).text)
case("renamed", lambda prompt: client.models.generate_content(model="mine", contents=prompt).text)
case("count", lambda prompt: client.models.count_tokens(model=MODEL, contents=prompt).total_tokens)
case("limit", ask)
case("overflow", streamed)
case("failed", streamed)
case("cut", streamed)
case("refused_login", ask)
'''

FOREIGN = f"""
import json
from anthropic import Anthropic
from openai import OpenAI
from pydantic import BaseModel
openai, anthropic = OpenAI(), Anthropic()
MODEL, URL = {MODEL!r}, "data:image/png;base64,{base64.b64encode(PNG).decode()}"
"""
FOREIGN += '''
SCHEMAS = {"weather": {"type": "object", "properties": {"city": {"type": "string"}}},
           "clock": {"type": "object", "properties": {"zone": {"type": "string"}}}}
def run(name, arguments):
    return name + " says " + " ".join(arguments.values())
def user(content):
    return [{"role": "user", "content": content}]
class Person(BaseModel):
    name: str
    age: int

def chat(prompt, **more):
    return openai.chat.completions.create(model=MODEL, messages=user(prompt), **more)
def chat_text(prompt):
    end = chat(prompt, seed=7, stop=["END"], max_tokens=100)
    usage = end.usage
    return [end.choices[0].message.content, end.model, end.choices[0].finish_reason, usage.prompt_tokens,
            usage.prompt_tokens_details.cached_tokens, usage.completion_tokens,
            usage.completion_tokens_details.reasoning_tokens]
case("chat_text", chat_text)
def chat_pieces(prompt):
    seen = []
    for chunk in chat(prompt, stream=True, stream_options={"include_usage": True}):
        if chunk.choices and chunk.choices[0].delta.content:
            seen.append(chunk.choices[0].delta.content)
            if len(seen) == 1:
                chat("case:open_gate")
    return [seen, chunk.usage.total_tokens]
case("chat_pieces", chat_pieces)
def chat_tools(prompt):
    tools = [{"type": "function", "function": {"name": name, "parameters": schema}} for name, schema in SCHEMAS.items()]
    messages = user(prompt)
    message = openai.chat.completions.create(model=MODEL, messages=messages, tools=tools).choices[0].message
    messages.append(message)
    for call in message.tool_calls:
        output = run(call.function.name, json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": output})
    return openai.chat.completions.create(model=MODEL, messages=messages, tools=tools).choices[0].message.content
case("chat_tools", chat_tools)
def chat_parse(prompt):
    end = openai.chat.completions.parse(model=MODEL, messages=user(prompt), response_format=Person)
    return end.choices[0].message.parsed
case("chat_parse", chat_parse)
case("chat_image", lambda prompt: chat([{"type": "text", "text": prompt},
                                        {"type": "image_url", "image_url": {"url": URL}}]))
case("chat_thoughts", lambda prompt: chat(prompt, reasoning_effort="low").choices[0].message)
case("chat_length", lambda prompt: chat(prompt).choices[0].finish_reason)
case("chat_refusal", lambda prompt: chat(prompt).choices[0].finish_reason)
case("chat_overflow", chat)
case("chat_failed", lambda prompt: [*chat(prompt, stream=True)])
case("chat_cut", lambda prompt: [*chat(prompt, stream=True)])

def responses_tools(prompt):
    tools = [{"type": "function", "name": name, "parameters": schema, "strict": False}
             for name, schema in SCHEMAS.items()]
    items = user(prompt)
    with openai.responses.stream(model=MODEL, input=items, tools=tools, store=False, reasoning={"summary": "auto"},
                                 include=["reasoning.encrypted_content"]) as stream:
        events = [event.type for event in stream]
        first = stream.get_final_response()
    items += first.output
    for call in first.output:
        if call.type == "function_call":
            output = run(call.name, json.loads(call.arguments))
            items.append({"type": "function_call_output", "call_id": call.call_id, "output": output})
    end = openai.responses.create(model=MODEL, input=items, tools=tools, store=False)
    return [[item.type for item in first.output], events[0], events[-1], end.output_text]
case("responses_tools", responses_tools)
case("responses_parse", lambda prompt: openai.responses.parse(
    model=MODEL, input=prompt, text_format=Person).output_parsed)
case("responses_cut", lambda prompt: [*openai.responses.create(model=MODEL, input=prompt, stream=True)][-1].type)

def message(prompt, **more):
    return anthropic.messages.create(model=MODEL, max_tokens=4000, messages=user(prompt), **more)
def message_text(prompt):
    end = message(prompt, system="Be brief.")
    return [end.content[0].text, end.model, end.stop_reason, end.usage.input_tokens,
            end.usage.cache_read_input_tokens, end.usage.output_tokens]
case("message_text", message_text)
def message_tools(prompt):
    tools = [{"name": name, "input_schema": schema} for name, schema in SCHEMAS.items()]
    more = {"tools": tools, "max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    messages = user(prompt)
    with anthropic.messages.stream(model=MODEL, messages=messages, **more) as stream:
        first = stream.get_final_message()
    results = [{"type": "tool_result", "tool_use_id": block.id, "content": run(block.name, block.input)}
               for block in first.content if block.type == "tool_use"]
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    end = anthropic.messages.create(model=MODEL, messages=messages, **more)
    return [[block.type for block in first.content], first.stop_reason, end.content[-1].text]
case("message_tools", message_tools)
case("message_overflow", message)
def message_cut(prompt):
    with anthropic.messages.stream(model=MODEL, max_tokens=9, messages=user(prompt)) as stream:
        return stream.get_final_message()
case("message_cut", message_cut)
'''


def whole_or_stream(chunks: list[Any]) -> Any:
    def turn(request: Request) -> Answer:
        return gemini.stream(chunks) if "stream" in request.path else gemini.whole(chunks)

    return turn


def calling(request: Request) -> Answer:
    """Two calls; with their results, a word."""
    is_answered = any("functionResponse" in part for content in request.json["contents"] for part in content["parts"])
    return whole_or_stream(gemini.text("both done") if is_answered else gemini.calls(*PAIR))(request)


def gated(gate: Gate) -> Answer:
    steps = gemini.stream(gemini.text("ab"))
    return [*steps[:2], Pause(gate), *steps[2:]]


def cases() -> Cases:
    gate = Gate()
    text, thinking = gemini.text("hällo"), gemini.stream(gemini.thinking("hmm", "so"))
    too_long, half = gemini.fail(400, TOO_LONG), cut(gemini.stream(gemini.text("half a word")), 1)
    failed = gemini.break_off(gemini.text("half a word")[:1], "It broke.", 500)
    return {
        **dict.fromkeys(("whole", "renamed", "chat_text", "message_text"), whole_or_stream(text)),
        **dict.fromkeys(("pieces", "chat_pieces"), gated(gate)),
        "open_gate": opening(gate, whole_or_stream(gemini.text("opened"))),
        **dict.fromkeys(("tools", "chat_tools", "responses_tools", "message_tools"), calling),
        **dict.fromkeys(("chat_parse", "responses_parse"), gemini.stream(gemini.structured(ADA))),
        "chat_image": gemini.stream(text),
        "chat_thoughts": thinking,
        "chat_length": gemini.stream(gemini.length("too lo")),
        "chat_refusal": gemini.stream(gemini.refusal("n")),
        "limit": gemini.fail(429, "slow down"),
        **dict.fromkeys(("overflow", "chat_overflow", "message_overflow"), too_long),
        **dict.fromkeys(("failed", "chat_failed"), failed),
        **dict.fromkeys(("cut", "chat_cut", "responses_cut", "message_cut"), half),
        "refused_login": gemini.fail(401, "invalid key"),
    }


def played(script: str, ca: Authority, factory: pytest.TempPathFactory, **settings: Any) -> Play:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "FIRST_DELAY_S", 0.01)
        with Stage(factory.mktemp("gemini"), "gemini", ca, cases(), **settings) as stage:
            return stage.python(script)


@pytest.fixture(scope="module")
def native(ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    yield played(NATIVE, ca, tmp_path_factory, aliases={"mine": "gemini-2.5-flash"})


@pytest.fixture(scope="module")
def foreign(ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    yield played(FOREIGN, ca, tmp_path_factory)


# --- the service's own client


def test_its_own_client_passes(native: Play) -> None:
    """What both sides know goes unchanged: parameters that no other protocol has, and the service's own name of its
    model; an alias changes the path alone."""
    assert native.shown["whole"] == ["hällo", gemini.MODEL] and native.shown["renamed"] == "hällo"
    assert native.sent("whole")[0]["generationConfig"] == {"seed": 7, "topK": 3}
    assert [call.request.path for call in native.calls["renamed"]] == [f"{BASE}gemini-2.5-flash:generateContent"]


def test_its_own_stream_arrives_in_pieces(native: Play) -> None:
    """conformance 64: the first chunk was with the client before the service was allowed to send the rest."""
    assert native.shown["pieces"] == [["a", "b", ""], 26]


def test_its_own_function_calling(native: Play) -> None:
    """The SDK's loop, with signatures and names as the service wrote them."""
    assert native.shown["tools"] == "both done"
    [_, model, results] = native.sent("tools")[1]["contents"]
    assert [part.get("thoughtSignature") for part in model["parts"]] == [gemini.SIGNATURE, None]
    assert [part["functionResponse"]["name"] for part in results["parts"]] == ["weather", "clock"]


def test_its_own_tokens_are_counted_here(native: Play) -> None:
    """conformance 69: without a call."""
    assert 3 <= native.shown["count"] < 30 and not native.calls["count"]


NATIVE_ERRORS = {
    "limit": ("ClientError", 429, "RESOURCE_EXHAUSTED", "slow down"),
    "overflow": ("ClientError", 400, "INVALID_ARGUMENT", TOO_LONG),
    "failed": ("ServerError", 500, "INTERNAL", "It broke."),
    "refused_login": ("ClientError", 401, "UNAUTHENTICATED", "put the key into"),
}


@pytest.mark.parametrize("case", NATIVE_ERRORS)
def test_its_own_errors(native: Play, case: str) -> None:
    """conformance 70: as the service words them, but for a refused key, which is not the client's."""
    kind, code, status, message = NATIVE_ERRORS[case]
    shown = native.shown[case]
    assert (shown["raised"], shown["code"], shown["status"]) == (kind, code, status)
    assert message in shown["message"] and len(native.calls[case]) == 1


def test_its_own_cut_is_no_answer(native: Play) -> None:
    """The client hears of it in its own protocol's words."""
    assert native.shown["cut"]["raised"] == "ServerError"


# --- other clients


def test_chat_text(foreign: Play) -> None:
    """conformance 2, 9: text and usage, the client's own name of the model; what the service has a name for goes on."""
    assert foreign.shown["chat_text"] == ["hällo", MODEL, "stop", 17, 4, 9, 2]
    [call] = foreign.calls["chat_text"]
    assert (call.request.path, call.request.query) == (f"{BASE}{MODEL}:streamGenerateContent", "alt=sse")
    config = call.request.json["generationConfig"]
    assert config == {"maxOutputTokens": 100, "seed": 7, "stopSequences": ["END"]}


def test_chat_arrives_in_pieces(foreign: Play) -> None:
    """conformance 8: the first piece was with the client before the service was allowed to send the rest."""
    assert foreign.shown["chat_pieces"] == [["a", "b"], 26]


SIGNED = {"chat_tools": None, "responses_tools": gemini.SIGNATURE, "message_tools": gemini.SIGNATURE}


@pytest.mark.parametrize("case", SIGNED)
def test_tools(foreign: Play, case: str) -> None:
    """conformance 3, 45, 65, 67: two calls and their results through each SDK's types; those that carry reasoning bring
    the service's signature back to the call that had it."""
    shown = foreign.shown[case]
    assert (shown if case == "chat_tools" else shown[-1]) == "both done"
    [asked, model, results] = foreign.sent(case)[1]["contents"]
    assert (asked["role"], model["role"], results["role"]) == ("user", "model", "user")
    calls = [part["functionCall"] for part in model["parts"]]
    assert calls == [{"id": call.call_id, "name": call.name, "args": call.arguments} for call in PAIR]
    assert [part.get("thoughtSignature") for part in model["parts"]] == [SIGNED[case], None]
    answers = [part["functionResponse"] for part in results["parts"]]
    assert answers == [
        {"id": "call_a", "name": "weather", "response": {"output": "weather says Zürich"}},
        {"id": "call_b", "name": "clock", "response": {"output": "clock says CET"}},
    ]


def test_tools_as_items_and_blocks(foreign: Play) -> None:
    """conformance 26, 44, 46, 47: reasoning without text is an item and a thinking block with a signature."""
    kinds = ["reasoning", "function_call", "function_call"]
    assert foreign.shown["responses_tools"][:3] == [kinds, "response.created", "response.completed"]
    assert foreign.shown["message_tools"][:2] == [["thinking", "tool_use", "tool_use"], "tool_use"]
    thinking = foreign.sent("message_tools")[0]["generationConfig"]["thinkingConfig"]
    assert thinking == {"includeThoughts": True, "thinkingBudget": 4096}


@pytest.mark.parametrize("case", ["chat_parse", "responses_parse"])
def test_structured_output(foreign: Play, case: str) -> None:
    """conformance 20: by the SDK's own types."""
    assert foreign.shown[case] == {"name": "Ada", "age": 36}
    config = foreign.sent(case)[0]["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"]["required"] == ["name", "age"]


def test_chat_image_and_thoughts(foreign: Play) -> None:
    """conformance 11, 17, 67: a data URL becomes inline data; thoughts, asked for by an effort, are no text."""
    [content] = foreign.sent("chat_image")[0]["contents"]
    data = base64.b64encode(PNG).decode()
    assert content["parts"][1] == {"inlineData": {"mimeType": "image/png", "data": data}}
    told = foreign.shown["chat_thoughts"]
    assert (told["content"], told["reasoning_content"]) == ("so", "hmm")
    thinking = foreign.sent("chat_thoughts")[0]["generationConfig"]["thinkingConfig"]
    assert thinking == {"includeThoughts": True, "thinkingBudget": 4096}


def test_message_text(foreign: Play) -> None:
    """conformance 50, 54: what was cached is no part of the input; the system text has its own place."""
    assert foreign.shown["message_text"] == ["hällo", MODEL, "end_turn", 13, 4, 9]
    assert foreign.sent("message_text")[0]["systemInstruction"] == {"parts": [{"text": "Be brief."}]}


def test_reasons_to_end(foreign: Play) -> None:
    """conformance 7: the token limit, and the service's safety."""
    assert foreign.shown["chat_length"] == "length" and foreign.shown["chat_refusal"] == "content_filter"
    assert foreign.shown["responses_cut"] == "response.failed"


ERRORS = {
    # case: the SDK's exception, its status or code, a part of the message
    "chat_overflow": ("BadRequestError", 400, "exceeds the maximum number of tokens"),
    "message_overflow": ("ContentTooLargeError", 413, "prompt is too long: 1200000 tokens > 1048576 maximum"),
    "chat_failed": ("APIError", "internal", "It broke."),
    "chat_cut": ("APIError", "stream_incomplete", "ended the call"),
    "message_cut": ("APIStatusError", 200, "ended the call"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(foreign: Play, case: str) -> None:
    """conformance 12, 49: each in the client's own form, before a stream and in it; posted once."""
    kind, code, message = ERRORS[case]
    shown = foreign.shown[case]
    assert (shown["raised"], shown["code"]) == (kind, code)
    assert message in shown["message"] and len(foreign.calls[case]) == 1


@pytest.mark.parametrize("play", ["native", "foreign"])
def test_the_service_had_nothing_to_refuse(play: str, request: pytest.FixtureRequest) -> None:
    """All of it was in the form that the strict service takes: its key, no header of Codex, nothing unknown."""
    assert request.getfixturevalue(play).violations == []
