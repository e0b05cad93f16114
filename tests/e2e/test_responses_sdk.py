"""The official SDKs for the Responses API, unmodified, through the real proxy to a strict ChatGPT backend."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mitmcodex.upstream import retry
from support.answers import reply, token_expired
from support.auth import Login
from support.backend import Backend
from support.clients import Sdk
from support.proxy import Proxy
from support.responses_service import ENCRYPTED, TOOL, Service
from support.tls import Authority
from support.upstreams import to_chatgpt

pytestmark = pytest.mark.clients
KEY = "k-client"
PYTHON = f"""\
import openai
from openai import OpenAI
client = OpenAI()
MODEL = "my-model"
TOOL = {TOOL!r}
"""
NODE = f"""\
import OpenAI from "openai";
const client = new OpenAI();
const MODEL = "my-model";
const TOOL = {json.dumps(TOOL)};
"""


@pytest.fixture
def proxy(
    tmp_path: Path, backend: Backend, ca: Authority, login: Login, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Proxy]:
    monkeypatch.setattr(retry, "FIRST_DELAY_S", 0.01)
    backend.script(Service())
    config = to_chatgpt(backend, ca, login.path)
    with Proxy(tmp_path, {**config, "aliases": {"my-model": "gpt-5.5"}, "client_keys": []}) as running:
        yield running


@pytest.fixture
def sdk(proxy: Proxy, tmp_path: Path) -> Sdk:
    return Sdk(tmp_path / "home", proxy.url, KEY)


def python(sdk: Sdk, script: str) -> list[Any]:
    return sdk.python(PYTHON + script).shown


def node(sdk: Sdk, script: str) -> list[Any]:
    return sdk.node(NODE + script).shown


def bodies(backend: Backend) -> list[dict[str, Any]]:
    return [request.json for request in backend.requests]


CREATE = {
    "python": """
r = client.responses.create(model=MODEL, input="say text", metadata={"a": "b"}, user="u1", temperature=0.3)
show([r.model, r.output_text, r.usage.input_tokens, r.usage.input_tokens_details.cached_tokens, r.store, r.metadata])
show([r.instructions, r.status, r.id.startswith("resp_")])
""",
    "node": """
const r = await client.responses.create({model: MODEL, input: "say text", metadata: {a: "b"}, user: "u1"});
show([r.model, r.output_text, r.usage.input_tokens, r.usage.input_tokens_details.cached_tokens, r.store, r.metadata]);
show([r.instructions, r.status, r.id.startsWith("resp_")]);
""",
}


@pytest.mark.parametrize("language", CREATE)
def test_create(language: str, sdk: Sdk, backend: Backend) -> None:
    """conformance 2, 31, seeds S75, S83, S96, S103: one whole object with the output that the backend's terminal event
    lacks, the client's own name of the model, and what it asked for; the backend gets the model itself."""
    shown = (python if language == "python" else node)(sdk, CREATE[language])
    assert shown == [["my-model", "Hello world", 12, 4, True, {"a": "b"}], [None, "completed", True]]
    assert [body["model"] for body in bodies(backend)] == ["gpt-5.5"]


STREAM = {
    "python": """
events = list(client.responses.create(model=MODEL, input="say think", stream=True))
show([e.type for e in events])
show([e.sequence_number for e in events])
show(sorted({e.response.model for e in events if hasattr(e, "response")}))
with client.responses.stream(model=MODEL, input="say think") as stream:
    show("".join(e.delta for e in stream if e.type == "response.output_text.delta"))
    show([item.type for item in stream.get_final_response().output])
""",
    "node": """
const events = [];
for await (const e of await client.responses.create({model: MODEL, input: "say think", stream: true})) events.push(e);
show(events.map((e) => e.type));
show(events.map((e) => e.sequence_number));
show([...new Set(events.filter((e) => e.response).map((e) => e.response.model))]);
let text = "";
const stream = client.responses.stream({model: MODEL, input: "say think"});
stream.on("response.output_text.delta", (e) => { text += e.delta; });
const final = await stream.finalResponse();
show(text);
show(final.output.map((item) => item.type));
""",
}


@pytest.mark.parametrize("language", STREAM)
def test_stream(language: str, sdk: Sdk) -> None:
    """conformance 26 to 30, seeds S73, S74: the public events alone, numbered upwards, one end; the SDK's own helper,
    which raises for anything odd, has the whole output."""
    kinds, numbers, models, text, items = (python if language == "python" else node)(sdk, STREAM[language])
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    assert all(kind.startswith("response.") for kind in kinds)
    assert numbers == sorted(set(numbers)) and models == ["my-model"]
    assert (text, items) == ("thought through", ["reasoning", "message"])


PARSE = {
    "python": """
import pydantic
class Person(pydantic.BaseModel):
    name: str
    age: int
r = client.responses.parse(model=MODEL, input="say structured", text_format=Person)
show([r.output_parsed.name, r.output_parsed.age])
with client.responses.stream(model=MODEL, input="say structured", text_format=Person) as stream:
    stream.until_done()
    show([stream.get_final_response().output_parsed.name])
""",
    "node": """
import {z} from "zod";
import {zodTextFormat} from "openai/helpers/zod";
const format = zodTextFormat(z.object({name: z.string(), age: z.number()}), "person");
const r = await client.responses.parse({model: MODEL, input: "say structured", text: {format}});
show([r.output_parsed.name, r.output_parsed.age]);
const final = await client.responses.stream({model: MODEL, input: "say structured", text: {format}}).finalResponse();
show([final.output_parsed.name]);
""",
}


@pytest.mark.parametrize("language", PARSE)
def test_structured_output(language: str, sdk: Sdk, backend: Backend) -> None:
    """A strict schema goes up as it came (conformance 32), pure JSON comes back."""
    assert (python if language == "python" else node)(sdk, PARSE[language]) == [["Ada", 36], ["Ada"]]
    formats = [body["text"]["format"] for body in bodies(backend)]
    assert all(form["type"] == "json_schema" and form["strict"] is True for form in formats)


TOOLS = {
    "python": """
items = [{"role": "user", "content": "say tools"}]
with client.responses.stream(model=MODEL, input=items, tools=[TOOL], include=["reasoning.encrypted_content"]) as stream:
    stream.until_done()
    r = stream.get_final_response()
calls = [item for item in r.output if item.type == "function_call"]
show([[call.call_id, json.loads(call.arguments)] for call in calls])
items += [item.model_dump(exclude_none=True) for item in r.output]
for call in calls:
    asked = json.loads(call.arguments)
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": str(asked["a"] + asked["b"])})
show(client.responses.create(model=MODEL, input=items, tools=[TOOL]).output_text)
""",
    "node": """
const items = [{role: "user", content: "say tools"}];
const include = ["reasoning.encrypted_content"];
const r = await client.responses.stream({model: MODEL, input: items, tools: [TOOL], include}).finalResponse();
const calls = r.output.filter((item) => item.type === "function_call");
show(calls.map((call) => [call.call_id, JSON.parse(call.arguments)]));
items.push(...r.output);
for (const call of calls) {
  const {a, b} = JSON.parse(call.arguments);
  items.push({type: "function_call_output", call_id: call.call_id, output: String(a + b)});
}
show((await client.responses.create({model: MODEL, input: items, tools: [TOOL]})).output_text);
""",
}


@pytest.mark.parametrize("language", TOOLS)
def test_two_tools_side_by_side(language: str, sdk: Sdk, backend: Backend) -> None:
    """conformance 34: what the SDK sends back of the first answer is taken: reasoning stays in its place, ids go."""
    calls, said = (python if language == "python" else node)(sdk, TOOLS[language])
    assert calls == [["call_a", {"a": 2, "b": 40}], ["call_b", {"a": 6, "b": 9}]] and said == "sum 57"
    second = bodies(backend)[1]["input"]
    kinds = [item["type"] for item in second]
    assert kinds == ["message", "reasoning", *["function_call"] * 2, *["function_call_output"] * 2]
    assert second[1]["encrypted_content"] == ENCRYPTED and not any("id" in item for item in second)


CHAIN = {
    "python": """
first = client.responses.create(model=MODEL, input="say tools", tools=[TOOL])
outputs = [{"type": "function_call_output", "call_id": c, "output": o} for c, o in (("call_a", "42"), ("call_b", "15"))]
second = client.responses.create(model=MODEL, input=outputs, tools=[TOOL], previous_response_id=first.id)
show([second.output_text, second.previous_response_id == first.id])
third = list(client.responses.create(model=MODEL, input="say text", previous_response_id=second.id, stream=True))[-1]
show([third.response.output_text, third.response.previous_response_id == second.id])
show(client.responses.retrieve(third.response.id).output_text)
listed = list(client.responses.input_items.list(third.response.id, order="asc", limit=3))
show([item.type for item in listed])
counted = client.responses.input_tokens.count(model=MODEL, input="hi", previous_response_id=second.id).input_tokens
show([counted > client.responses.input_tokens.count(model=MODEL, input="hi").input_tokens > 0])
client.responses.delete(second.id)
unkept = client.responses.create(model=MODEL, input="say text", store=False)
show([unkept.store])
for id in (second.id, unkept.id, "resp_0"):
    try:
        client.responses.create(model=MODEL, input="say text", previous_response_id=id)
    except openai.BadRequestError as error:
        show([error.status_code, error.code, error.param])
    try:
        client.responses.retrieve(id)
    except openai.NotFoundError as error:
        show([error.status_code])
""",
    "node": """
const first = await client.responses.create({model: MODEL, input: "say tools", tools: [TOOL]});
const outputs = [["call_a", "42"], ["call_b", "15"]].map(([call_id, output]) => (
  {type: "function_call_output", call_id, output}));
const second = await client.responses.create(
  {model: MODEL, input: outputs, tools: [TOOL], previous_response_id: first.id});
show([second.output_text, second.previous_response_id === first.id]);
const third = await client.responses.stream(
  {model: MODEL, input: "say text", previous_response_id: second.id}).finalResponse();
show([third.output_text, third.previous_response_id === second.id]);
show((await client.responses.retrieve(third.id)).output_text);
const listed = [];
for await (const item of client.responses.inputItems.list(third.id, {order: "asc", limit: 3})) listed.push(item.type);
show(listed);
const count = async (more) => (
  await client.responses.inputTokens.count({model: MODEL, input: "hi", ...more})).input_tokens;
show([await count({previous_response_id: second.id}) > await count({}) && await count({}) > 0]);
await client.responses.delete(second.id);
const unkept = await client.responses.create({model: MODEL, input: "say text", store: false});
show([unkept.store]);
for (const id of [second.id, unkept.id, "resp_0"]) {
  await client.responses.create({model: MODEL, input: "say text", previous_response_id: id})
    .catch((error) => show([error.status, error.code, error.param]));
  await client.responses.retrieve(id).catch((error) => show([error.status]));
}
""",
}


@pytest.mark.parametrize("language", CHAIN)
def test_a_chain_of_responses(language: str, sdk: Sdk, backend: Backend) -> None:
    """conformance 33: responses go on from each other, are read, listed, counted and deleted; the backend, which would
    refuse it, sees no id; what was deleted, not stored or never there is a 400, or a 404 to who reads it."""
    shown = (python if language == "python" else node)(sdk, CHAIN[language])
    assert shown[:3] == [["sum 57", True], ["Hello world", True], "Hello world"]
    loop = ["message", "reasoning", "function_call", "function_call", "function_call_output", "function_call_output"]
    assert shown[3] == [*loop, "message", "message"]
    assert shown[4:6] == [[True], [False]]
    assert shown[6:] == [[400, "previous_response_not_found", "previous_response_id"], [404]] * 3
    third = bodies(backend)[2]["input"]
    assert [item["type"] for item in third] == [*loop, "message", "message"]
    assert third[1]["encrypted_content"] == ENCRYPTED
    assert len(backend.requests) == 4, "what is kept here is asked of nobody"


ENDS = {
    "python": """
client = OpenAI(max_retries=0)
def told(error):
    show([type(error).__name__, error.status_code, error.code])
for word in ("limit", "overflow", "fail", "cut"):
    try:
        client.responses.create(model=MODEL, input=f"say {word}")
    except openai.APIStatusError as error:
        told(error)
show([e.type for e in client.responses.create(model=MODEL, input="say fail", stream=True)][-1])
last = list(client.responses.create(model=MODEL, input="say cut", stream=True))[-1]
show([last.type, last.response.error.code])
r = client.responses.create(model=MODEL, input="say refusal")
show(r.output[0].content[0].refusal)
r = client.responses.create(model=MODEL, input="say length")
show([r.status, r.incomplete_details.reason, r.output_text])
""",
    "node": """
const client0 = new OpenAI({maxRetries: 0});
for (const word of ["limit", "overflow", "fail", "cut"]) {
  await client0.responses.create({model: MODEL, input: `say ${word}`})
    .catch((error) => show([error.constructor.name, error.status, error.code]));
}
let last;
for await (last of await client0.responses.create({model: MODEL, input: "say fail", stream: true}));
show(last.type);
for await (last of await client0.responses.create({model: MODEL, input: "say cut", stream: true}));
show([last.type, last.response.error.code]);
let r = await client0.responses.create({model: MODEL, input: "say refusal"});
show(r.output[0].content[0].refusal);
r = await client0.responses.create({model: MODEL, input: "say length"});
show([r.status, r.incomplete_details.reason, r.output_text]);
""",
}


@pytest.mark.parametrize("language", ENDS)
def test_how_answers_end(language: str, sdk: Sdk) -> None:
    """conformance 29, 31, 38: a limit, an overflow, a failure and a cut are errors of their kind without streaming, an
    event that says so with it; a refusal and a full length are answers."""
    shown = (python if language == "python" else node)(sdk, ENDS[language])
    assert shown[:2] == [
        ["RateLimitError", 429, "usage_limit_reached"],
        ["BadRequestError", 400, "context_length_exceeded"],
    ]
    assert shown[2] == ["InternalServerError", 502, "server_error"]
    assert shown[3] == ["InternalServerError", 502, "stream_incomplete"]
    assert shown[4:6] == ["response.failed", ["response.failed", "stream_incomplete"]]
    assert shown[6:] == ["I can't help with that.", ["incomplete", "max_output_tokens", "too lo"]]


def test_a_compaction(sdk: Sdk, backend: Backend) -> None:
    """conformance 42, seeds S76: one compaction item; the backend gets only what it takes there."""
    compacted = {"output": [{"type": "compaction", "encrypted_content": "sealed"}]}
    backend.script(lambda request: reply(200, compacted))
    script = """
items = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
r = client.responses.compact(model=MODEL, input=items)
show([item.type for item in r.output])
"""
    assert python(sdk, script) == [["compaction"]]
    (body,) = bodies(backend)
    assert body["model"] == "gpt-5.5" and [item["role"] for item in body["input"]] == ["user", "assistant"]
    assert backend.requests[0].path.endswith("/responses/compact")


def test_the_agents_sdk_runs_its_tools(sdk: Sdk, backend: Backend) -> None:
    """openai-agents: its own loop with two parallel tools, also streamed, also by ``previous_response_id``."""
    script = """
import asyncio
from agents import Agent, Runner, function_tool
@function_tool
def add(a: int, b: int) -> str:
    return str(a + b)
agent = Agent(name="a", instructions="Be brief.", model=MODEL, tools=[add])
async def main():
    show((await Runner.run(agent, "say tools")).final_output)
    run = Runner.run_streamed(agent, "say tools")
    kinds = [event.type async for event in run.stream_events()]
    show([run.final_output, "run_item_stream_event" in kinds])
    show((await Runner.run(agent, "say tools", auto_previous_response_id=True)).final_output)
asyncio.run(main())
"""
    assert python(sdk, script) == ["sum 57", ["sum 57", True], "sum 57"]
    assert all(body["instructions"] == "Be brief." for body in bodies(backend))


def test_a_bad_credential_is_a_401(sdk: Sdk, backend: Backend, login: Login) -> None:
    """conformance 38: the SDK's own class of error, and no second attempt of the SDK (x-should-retry)."""
    backend.script(lambda request: token_expired())
    script = """
try:
    client.responses.create(model=MODEL, input="say text")
except openai.AuthenticationError as error:
    show([error.status_code, error.response.headers["x-should-retry"]])
"""
    assert python(sdk, script) == [[401, "false"]]
    assert len(backend.requests) == 1
