"""The answers of the mock services are what the official SDKs read, each led by base URL and key alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support import chat_answers, gemini_answers, messages_answers
from support.answer_parts import PAIR, cut
from support.answers import Data, reply, say
from support.backend import Backend
from support.clients import Sdk
from support.strictness_kinds import body_problems

KEY = "k-client"
CALLS = [[call.name, call.arguments] for call in PAIR]


@pytest.fixture
def server(make_backend: Callable[..., Backend]) -> Backend:
    """Any client's server: it only records."""
    return make_backend()


@pytest.fixture
def sdk(server: Backend, tmp_path: Path) -> Sdk:
    return Sdk(tmp_path, server.origin, KEY)


def assert_taken(kind: str, server: Backend) -> None:
    """The strict service of this kind has nothing against what the real client sent."""
    assert server.requests
    assert [body_problems(kind, request) for request in server.requests] == [[]] * len(server.requests)


CHAT_PYTHON = """
import openai
client = openai.OpenAI(max_retries=0)
asked = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
def told(choice):
    calls = [[c.function.name, json.loads(c.function.arguments)] for c in choice.message.tool_calls or []]
    message = choice.message
    return [choice.finish_reason, message.content, message.refusal, getattr(message, "reasoning_content", None), calls]
for number in range(4):
    with client.chat.completions.stream(**asked) as stream:
        final = stream.until_done().get_final_completion()
        show(told(final.choices[0]))
show([final.usage.prompt_tokens_details.cached_tokens])
for number in range(2):
    show(told(client.chat.completions.create(**asked).choices[0]))
for number in range(3):
    try:
        for event in client.chat.completions.create(**asked, stream=True):
            pass
        show(["ended"])
    except Exception as error:
        show([type(error).__name__, getattr(error, "code", None)])
"""


@pytest.mark.clients
def test_openai_python_reads_chat_answers(server: Backend, sdk: Sdk) -> None:
    """Text, calls, thought, refusal, usage, a whole answer, errors before and in the stream, and a cut."""
    chat = chat_answers
    contents = [chat.text("hällo"), chat.calls(*PAIR), chat.thinking("hm", "so"), chat.refusal("no")]
    server.queue(*(chat.stream(content) for content in contents))
    server.queue(chat.whole(chat.calls(*PAIR, before="now")), chat.whole(chat.length("cu")))
    server.queue(chat.fail(400, "too long", code="context_length_exceeded"))
    server.queue(chat.break_off(chat.text("par")[:2]), cut(chat.stream(chat.text("par")), keep=2))
    assert sdk.python(CHAT_PYTHON).shown == [
        ["stop", "hällo", None, None, []],
        ["tool_calls", "", None, None, CALLS],
        ["stop", "so", None, "hm", []],
        ["stop", "", "no", None, []],
        [4],
        ["tool_calls", "now", None, None, CALLS],
        ["length", "cu", None, None, []],
        ["BadRequestError", "context_length_exceeded"],
        ["APIError", None],
        ["APIConnectionError", None],
    ]
    assert_taken("chat", server)


@pytest.mark.clients
def test_openai_node_reads_chat_answers(server: Backend, sdk: Sdk) -> None:
    """The same builders satisfy the SDK for Node.js."""
    server.queue(chat_answers.stream(chat_answers.calls(*PAIR)), chat_answers.whole(chat_answers.structured({"a": 1})))
    script = """
    import OpenAI from "openai";
    const client = new OpenAI();
    const asked = {model: "m", messages: [{role: "user", content: "x"}]};
    const first = await client.chat.completions.stream(asked).finalChatCompletion();
    show(first.choices[0].message.tool_calls.map((c) => [c.function.name, JSON.parse(c.function.arguments)]));
    const second = await client.chat.completions.create(asked);
    show(JSON.parse(second.choices[0].message.content));
    """
    assert sdk.node(script).shown == [CALLS, {"a": 1}]
    assert_taken("chat", server)
    assert {request.first("authorization") for request in server.requests} == {f"Bearer {KEY}"}


MESSAGES_PYTHON = """
import anthropic
client = anthropic.Anthropic(max_retries=0)
asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
def told(message):
    fields = ("text", "thinking", "signature", "name", "input")
    blocks = [[getattr(b, f) for f in fields if getattr(b, f, None) is not None] for b in message.content]
    return [message.stop_reason, blocks]
for number in range(4):
    with client.messages.stream(**asked) as stream:
        final = stream.get_final_message()
        show(told(final))
show([final.usage.input_tokens, final.usage.cache_read_input_tokens, final.usage.output_tokens])
show(told(client.messages.create(**asked)))
show([client.messages.count_tokens(model="m", messages=asked["messages"]).input_tokens])
for number in range(3):
    try:
        with client.messages.stream(**asked) as stream:
            show(told(stream.get_final_message()))
    except Exception as error:
        show([type(error).__name__, getattr(error, "body", None)])
"""


@pytest.mark.clients
def test_anthropic_python_reads_messages_answers(server: Backend, sdk: Sdk) -> None:
    """Text, calls after a thought, refusal, length, usage, a count, errors before and in the stream, and a cut."""
    messages = messages_answers
    contents = [messages.thinking("hm", "hällo"), messages.calls(*PAIR, thought="hm"), messages.refusal("no")]
    server.queue(*(messages.stream(content) for content in [*contents, messages.length("cu")]))
    server.queue(messages.whole(messages.stopped("up to", "END")), messages.counted(7))
    server.queue(messages.fail(429, "slow"), messages.break_off(messages.text("par")))
    server.queue(cut(messages.stream(messages.text("par")), keep=3))
    shown = sdk.python(MESSAGES_PYTHON).shown
    assert shown[:7] == [
        ["end_turn", [["hm", "sig-1"], ["hällo"]]],
        ["tool_use", [["hm", "sig-1"], *CALLS]],
        ["refusal", [["no"]]],
        ["max_tokens", [["cu"]]],
        [13, 4, 9],
        ["stop_sequence", [["up to"]]],
        [7],
    ]
    assert shown[7][0] == "RateLimitError" and shown[7][1]["error"] == {"type": "rate_limit_error", "message": "slow"}
    assert shown[8][1]["error"]["type"] == "overloaded_error"
    assert shown[9][0] != "end_turn"
    assert_taken("messages", server)


@pytest.mark.clients
def test_anthropic_node_reads_messages_answers(server: Backend, sdk: Sdk) -> None:
    """The same builders satisfy the SDK for Node.js."""
    server.queue(messages_answers.stream(messages_answers.calls(*PAIR)))
    script = """
    import Anthropic from "@anthropic-ai/sdk";
    const asked = {model: "m", max_tokens: 9, messages: [{role: "user", content: "x"}]};
    const message = await new Anthropic().messages.stream(asked).finalMessage();
    show(message.content.map((block) => [block.name, block.input]));
    """
    assert sdk.node(script).shown == [CALLS]
    assert_taken("messages", server)


GEMINI_PYTHON = """
from google import genai
client = genai.Client()
def told(response):
    candidate = (response.candidates or [None])[0]
    parts = candidate.content.parts if candidate and candidate.content else []
    told = [[p.function_call.name, p.function_call.args] if p.function_call else [p.text, p.thought] for p in parts]
    return [candidate.finish_reason.name if candidate and candidate.finish_reason else None, told]
def streamed():
    chunks = [*client.models.generate_content_stream(model="m", contents="x")]
    return [told(chunks[-1])[0], [part for chunk in chunks for part in told(chunk)[1] if part[0]]], chunks[-1]
show(streamed()[0])
show(streamed()[0])
show(streamed()[0])
answer, last = streamed()
show(answer)
usage = last.usage_metadata
show([usage.prompt_token_count, usage.cached_content_token_count, usage.candidates_token_count,
      usage.thoughts_token_count, usage.total_token_count])
show(told(client.models.generate_content(model="m", contents="x")))
show([client.models.count_tokens(model="m", contents="x").total_tokens])
show([client.models.generate_content(model="m", contents="x").prompt_feedback.block_reason.name])
for number in range(3):
    try:
        show(streamed()[0])
    except Exception as error:
        show([type(error).__name__, getattr(error, "code", None), getattr(error, "status", None)])
"""


@pytest.mark.clients
def test_google_genai_reads_gemini_answers(server: Backend, sdk: Sdk) -> None:
    """Thought, text, calls, safety, length, usage, whole answers, a count, errors before and in the stream, a cut."""
    gemini = gemini_answers
    contents = [gemini.thinking("h", "so"), gemini.calls(*PAIR), gemini.refusal("n"), gemini.length("c")]
    server.queue(*(gemini.stream(content) for content in contents), gemini.whole(gemini.thinking("hmm", "hällo")))
    server.queue(gemini.counted(7), gemini.whole(gemini.blocked()), gemini.fail(429, "slow"))
    server.queue(gemini.break_off(gemini.text("par")[:1]), cut(gemini.stream(gemini.text("p")), keep=1))
    shown = sdk.python(GEMINI_PYTHON).shown
    assert shown[:8] == [
        ["STOP", [["h", True], ["s", None], ["o", None]]],
        ["STOP", CALLS],
        ["SAFETY", [["n", None]]],
        ["MAX_TOKENS", [["c", None]]],
        [17, 4, 7, 2, 26],
        ["STOP", [["hmm", True], ["hällo", None]]],
        [7],
        ["PROHIBITED_CONTENT"],
    ]
    assert shown[8] == ["ClientError", 429, "RESOURCE_EXHAUSTED"]
    assert shown[9] == ["ServerError", 503, "UNAVAILABLE"]
    assert shown[10][0] != "STOP"
    assert_taken("gemini", server)
    assert {request.first("x-goog-api-key") for request in server.requests} == {KEY}


def test_growing_array_is_json() -> None:
    """A stream without alt=sse is one JSON array at its end."""
    steps = gemini_answers.array(gemini_answers.text("abc"))
    whole = json.loads(b"".join(step.data for step in steps if isinstance(step, Data)))
    assert "".join(chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in whole) == "abc"


@pytest.mark.clients
def test_ollama_python_runs(server: Backend, sdk: Sdk) -> None:
    """It reads a line of NDJSON that the server made for it."""
    line = {"model": "m", "message": {"role": "assistant", "content": "hi"}, "done": True, "done_reason": "stop"}
    server.queue(reply(200, line))
    script = 'import ollama\nshow(ollama.chat(model="m", messages=[{"role": "user", "content": "x"}]).message.content)'
    assert sdk.python(script).shown == ["hi"]
    assert server.requests[0].path == "/api/chat"


@pytest.mark.clients
def test_openai_agents_runs_and_traces_nothing(server: Backend, sdk: Sdk) -> None:
    """An agent gets its answer by Responses; the one call that it makes goes to the base URL."""
    content = [{"type": "output_text", "text": "hi", "annotations": []}]
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}
    response = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "output": [message]}
    response |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    server.queue(reply(200, response))
    script = """
import agents
show(agents.Runner.run_sync(agents.Agent(name="a", instructions="be brief", model="m"), "x").final_output)
"""
    assert sdk.python(script).shown == ["hi"]
    assert [request.path for request in server.requests] == ["/v1/responses"]


@pytest.mark.clients
def test_ai_sdk_speaks_both_forms(server: Backend, sdk: Sdk) -> None:
    """By its packages for Chat Completions and for Responses (seeds S332)."""
    server.queue(chat_answers.stream(chat_answers.text("by chat")), say("by responses"))
    script = """
    import {createOpenAICompatible} from "@ai-sdk/openai-compatible";
    import {createOpenAI} from "@ai-sdk/openai";
    import {streamText} from "ai";
    const at = {baseURL: process.env.BASE_URL + "/v1", apiKey: process.env.API_KEY};
    const models = [createOpenAICompatible({name: "proxy", ...at})("m"), createOpenAI(at)("m")];
    for (const model of models) show(await streamText({model, prompt: "x"}).text);
    """
    assert sdk.node(script).shown == ["by chat", "by responses"]
    assert [request.path for request in server.requests] == ["/v1/chat/completions", "/v1/responses"]
