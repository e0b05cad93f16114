"""What users of the official Anthropic SDKs do: one script a language, whose cases show the same (support.play)."""

from __future__ import annotations

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjQK"

_TOOLS = """[
    {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}},
    {"name": "clock", "input_schema": {"type": "object", "properties": {"zone": {"type": "string"}}}}]"""
_IMAGE = '{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "PNG"}}'
_RESULTS = """[
    {"type": "tool_result", "tool_use_id": "call_b", "content": "no clock", "is_error": TRUE},
    {"type": "tool_result", "tool_use_id": "call_a", "content": [{"type": "text", "text": "sun"}, IMAGE]}]"""
_SEEN = """[
    {"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}}, IMAGE,
    {"type": "image", "source": {"type": "url", "url": "https://example.test/a.png"}},
    {"type": "document", "title": "d.pdf", "source": {
        "type": "base64", "media_type": "application/pdf", "data": "PDF"}},
    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}}]"""
_FOREIGN = '[{"type": "thinking", "thinking": "mine", "signature": "EqoB"}, {"type": "text", "text": "yes"}]'


def _filled(text: str, true: str) -> str:
    """Literals of JSON that both languages read but for ``true``."""
    return text.replace("IMAGE", _IMAGE).replace("PNG", PNG).replace("PDF", PDF).replace("TRUE", true)


PYTHON = f"""
import anthropic
from anthropic import Anthropic, beta_tool
from pydantic import BaseModel
client = Anthropic(max_retries=0)
MODEL = "claude-sonnet-4-6"
TOOLS = {_TOOLS}
RESULTS = {_filled(_RESULTS, "True")}
SEEN = {_filled(_SEEN, "True")}
FOREIGN = {_FOREIGN}
"""
PYTHON += '''
def said(prompt, **more):
    return {"model": MODEL, "max_tokens": 9000, "messages": [{"role": "user", "content": prompt}], **more}
def ask(prompt, **more):
    return client.messages.create(**said(prompt, **more))
def told(message):
    return ["".join(b.text for b in message.content if b.type == "text"), message.stop_reason, message.stop_sequence]
def streamed(prompt, **more):
    with client.messages.stream(**said(prompt, **more)) as stream:
        return told(stream.get_final_message())
def failing(run):
    def of(prompt):
        try:
            return run(prompt)
        except anthropic.APIError as error:
            told = error.body["error"] if isinstance(error.body, dict) else {}
            known = getattr(error, "response", None)
            headers = known.headers if known is not None else {}
            return [getattr(error, "status_code", None), told.get("type"), told.get("message"),
                    headers.get("x-should-retry"), headers.get("retry-after")]
    return of

def text(prompt):
    raw = client.messages.with_raw_response.create(**said(
        prompt, system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        metadata={"user_id": "u1"}, extra_body={"temperature": 0.5, "top_k": 3}))
    m = raw.parse()
    u = m.usage
    return [*told(m), m.model, m.role, m.type, m.id[:4], raw.headers["x-mitmcodex-loss"],
            [u.input_tokens, u.cache_read_input_tokens, u.cache_creation_input_tokens, u.output_tokens,
             u.output_tokens_details.thinking_tokens]]
case("text", text)

def pieces(prompt):
    seen = []
    with client.messages.stream(**said(prompt)) as stream:
        for piece in stream.text_stream:
            seen.append(piece)
            if len(seen) == 1:
                ask("case:open_gate")
        m = stream.get_final_message()
    return [seen, m.stop_reason, m.usage.input_tokens, m.usage.output_tokens]
case("pieces", pieces)

def tools(prompt):
    more = {"tools": TOOLS, "thinking": {"type": "enabled", "budget_tokens": 2000},
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": False}}
    with client.messages.stream(**said(prompt, **more)) as stream:
        first = stream.get_final_message()
    history = [{"role": "user", "content": prompt}, {"role": "assistant", "content": first.content},
               {"role": "user", "content": RESULTS}]
    second = client.messages.create(**{**said(prompt, **more), "messages": history})
    calls = [[b.id, b.name, b.input] for b in first.content if b.type == "tool_use"]
    thought = first.content[0]
    return [thought.type, thought.thinking, bool(thought.signature), calls, first.stop_reason, told(second)]
case("tools", tools)

@beta_tool
def weather(city: str) -> str:
    """Tells the weather."""
    return "sun in " + city
@beta_tool
def clock(zone: str) -> str:
    """Tells the time."""
    return "noon in " + zone
def runner(prompt):
    run = client.beta.messages.tool_runner(**said(prompt), tools=[weather, clock])
    return [[b.text for b in m.content if b.type == "text"] for m in run]
case("runner", runner)

case("seen", lambda prompt: told(ask([{"type": "text", "text": prompt}, *SEEN])))

class Person(BaseModel):
    name: str
    age: int
def parsed(prompt):
    m = client.messages.parse(**said(prompt), output_format=Person)
    return [m.parsed_output.name, m.parsed_output.age]
case("person", parsed)

def thoughts(prompt, **wish):
    return [[b.type, getattr(b, "thinking", None), bool(getattr(b, "signature", ""))]
            for b in ask(prompt, thinking=wish).content]
case("thoughts", lambda prompt: thoughts(prompt, type="adaptive"))
case("thoughts_omitted", lambda prompt: thoughts(prompt, type="adaptive", display="omitted"))
case("thoughts_off", lambda prompt: thoughts(prompt, type="disabled"))
case("foreign", lambda prompt: told(client.messages.create(model=MODEL, max_tokens=9000, messages=[
    {"role": "user", "content": prompt}, {"role": "assistant", "content": FOREIGN},
    {"role": "user", "content": "and?"}])))

SEARCH = [{"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["example.test"]}]
def search(prompt):
    m = ask(prompt, tools=SEARCH)
    call = next(b for b in m.content if b.type == "server_tool_use")
    result = next(b for b in m.content if b.type == "web_search_tool_result")
    answer = next(b for b in m.content if b.type == "text")
    return [len(m.content), call.name, call.id[:9], call.id == result.tool_use_id,
            [page.url for page in result.content], answer.text, [[c.url, c.cited_text] for c in answer.citations],
            m.usage.server_tool_use.web_search_requests]
case("search", search)

case("stop", lambda prompt: streamed(prompt, stop_sequences=["END", "never"]))
case("stop_whole", lambda prompt: told(ask(prompt, stop_sequences=["END"])))
case("limit_here", lambda prompt: streamed(prompt, max_tokens=3))
case("refusal", lambda prompt: told(ask(prompt)))
case("length", streamed)
case("filtered", lambda prompt: told(ask(prompt)))

case("count", lambda prompt: client.messages.count_tokens(
    model=MODEL, messages=[{"role": "user", "content": prompt}], system="x " * 500, tools=TOOLS).input_tokens)
def models(prompt):
    page = client.models.list(limit=1000)
    return [page.data[0].type, [m.id for m in page.data], page.has_more, page.first_id == page.data[0].id]
case("models", models)
case("model", lambda prompt: client.models.retrieve("gpt-5.5").id)
case("model_unknown", failing(lambda prompt: client.models.retrieve("no-such-model")))
case("batch", failing(lambda prompt: client.messages.batches.list()))

again = Anthropic(max_retries=1)
case("limit_short", lambda prompt: told(again.messages.create(**said(prompt))))
case("limit_long", failing(lambda prompt: again.messages.create(**said(prompt))))
case("overflow", failing(lambda prompt: again.messages.create(**said(prompt))))
case("overflow_stream", failing(lambda prompt: again.messages.create(**said(prompt), stream=True)))
for name in ["overloaded", "broken", "refused", "refused_login", "cut_whole"]:
    case(name, failing(ask))
case("unknown_model", failing(lambda prompt: ask(prompt, model="no-such-model")))
case("invalid", failing(lambda prompt: client.messages.create(**{**said(prompt), "max_tokens": 0})))
for name in ["cut", "cut_at_once", "failed", "slow_failed"]:
    case(name, failing(streamed))

def slow(prompt):
    with client.messages.with_streaming_response.create(**said(prompt), stream=True) as response:
        names = [line[7:] for line in response.iter_lines() if line.startswith("event: ")]
    return [names.count("ping") > 1, names[0] == "ping", names.count("message_start"), names[-1]]
for name in ["slow_start", "slow"]:
    case(name, lambda prompt: [slow(prompt), streamed(prompt)])
def leave(prompt):
    with client.messages.stream(**said(prompt)) as stream:
        return next(iter(stream.text_stream))
case("left", leave)
'''

NODE = f"""
import Anthropic from "@anthropic-ai/sdk";
import {{ betaZodTool }} from "@anthropic-ai/sdk/helpers/beta/zod";
import {{ zodOutputFormat }} from "@anthropic-ai/sdk/helpers/zod";
import {{ z }} from "zod";
const client = new Anthropic({{maxRetries: 0}});
const MODEL = "claude-sonnet-4-6";
const TOOLS = {_TOOLS};
const RESULTS = {_filled(_RESULTS, "true")};
const SEEN = {_filled(_SEEN, "true")};
const FOREIGN = {_FOREIGN};
"""
NODE += """
const said = (prompt, more) => (
  {model: MODEL, max_tokens: 9000, messages: [{role: "user", content: prompt}], ...more});
const ask = (prompt, more) => client.messages.create(said(prompt, more));
const textOf = (m) => m.content.filter((b) => b.type === "text").map((b) => b.text).join("");
const told = (m) => [textOf(m), m.stop_reason, m.stop_sequence];
const streamed = async (prompt, more) => told(await client.messages.stream(said(prompt, more)).finalMessage());
const failing = (run) => async (prompt) => {
  try {
    return await run(prompt);
  } catch (error) {
    if (!(error instanceof Anthropic.APIError)) throw error;
    const told = error.error?.error ?? {};
    const header = (name) => error.headers?.get(name) ?? null;
    return [error.status ?? null, told.type ?? null, told.message ?? null, header("x-should-retry"),
            header("retry-after")];
  }
};

await run("text", async (prompt) => {
  const {data: m, response} = await client.messages.create(said(prompt, {
    system: [{type: "text", text: "Be brief.", cache_control: {type: "ephemeral"}}],
    metadata: {user_id: "u1"}, temperature: 0.5, top_k: 3})).withResponse();
  const u = m.usage;
  return [...told(m), m.model, m.role, m.type, m.id.slice(0, 4), response.headers.get("x-mitmcodex-loss"),
          [u.input_tokens, u.cache_read_input_tokens, u.cache_creation_input_tokens, u.output_tokens,
           u.output_tokens_details.thinking_tokens]];
});

await run("pieces", async (prompt) => {
  const seen = [];
  const stream = client.messages.stream(said(prompt));
  for await (const event of stream) {
    if (event.type !== "content_block_delta") continue;
    seen.push(event.delta.text);
    if (seen.length === 1) await ask("case:open_gate");
  }
  const m = await stream.finalMessage();
  return [seen, m.stop_reason, m.usage.input_tokens, m.usage.output_tokens];
});

await run("tools", async (prompt) => {
  const more = {tools: TOOLS, thinking: {type: "enabled", budget_tokens: 2000},
                tool_choice: {type: "auto", disable_parallel_tool_use: false}};
  const first = await client.messages.stream(said(prompt, more)).finalMessage();
  const messages = [{role: "user", content: prompt}, {role: "assistant", content: first.content},
                    {role: "user", content: RESULTS}];
  const second = await client.messages.create({...said(prompt, more), messages});
  const calls = first.content.filter((b) => b.type === "tool_use").map((b) => [b.id, b.name, b.input]);
  const thought = first.content[0];
  return [thought.type, thought.thinking, Boolean(thought.signature), calls, first.stop_reason, told(second)];
});

await run("runner", async (prompt) => {
  const weather = betaZodTool({name: "weather", description: "Tells the weather.",
    inputSchema: z.object({city: z.string()}), run: ({city}) => "sun in " + city});
  const clock = betaZodTool({name: "clock", description: "Tells the time.",
    inputSchema: z.object({zone: z.string()}), run: ({zone}) => "noon in " + zone});
  const seen = [];
  for await (const m of client.beta.messages.toolRunner(said(prompt, {tools: [weather, clock]})))
    seen.push(m.content.filter((b) => b.type === "text").map((b) => b.text));
  return seen;
});

await run("seen", async (prompt) => told(await ask([{type: "text", text: prompt}, ...SEEN])));

await run("person", async (prompt) => {
  const format = zodOutputFormat(z.object({name: z.string(), age: z.number()}));
  const m = await client.messages.parse(said(prompt, {output_config: {format}}));
  return [m.parsed_output.name, m.parsed_output.age];
});

const thoughts = (wish) => async (prompt) =>
  (await ask(prompt, {thinking: wish})).content.map((b) => [b.type, b.thinking ?? null, Boolean(b.signature)]);
await run("thoughts", thoughts({type: "adaptive"}));
await run("thoughts_omitted", thoughts({type: "adaptive", display: "omitted"}));
await run("thoughts_off", thoughts({type: "disabled"}));
await run("foreign", async (prompt) => told(await client.messages.create({model: MODEL, max_tokens: 9000, messages: [
  {role: "user", content: prompt}, {role: "assistant", content: FOREIGN}, {role: "user", content: "and?"}]})));

const SEARCH = [{type: "web_search_20250305", name: "web_search", allowed_domains: ["example.test"]}];
await run("search", async (prompt) => {
  const m = await ask(prompt, {tools: SEARCH});
  const [call, result, answer] =
    ["server_tool_use", "web_search_tool_result", "text"].map((kind) => m.content.find((b) => b.type === kind));
  return [m.content.length, call.name, call.id.slice(0, 9), call.id === result.tool_use_id,
          result.content.map((page) => page.url), answer.text, answer.citations.map((c) => [c.url, c.cited_text]),
          m.usage.server_tool_use.web_search_requests];
});

await run("stop", (prompt) => streamed(prompt, {stop_sequences: ["END", "never"]}));
await run("stop_whole", async (prompt) => told(await ask(prompt, {stop_sequences: ["END"]})));
await run("limit_here", (prompt) => streamed(prompt, {max_tokens: 3}));
await run("refusal", async (prompt) => told(await ask(prompt)));
await run("length", streamed);
await run("filtered", async (prompt) => told(await ask(prompt)));

await run("count", async (prompt) => (await client.messages.countTokens(
  {model: MODEL, messages: [{role: "user", content: prompt}], system: "x ".repeat(500), tools: TOOLS})).input_tokens);
await run("models", async () => {
  const page = await client.models.list({limit: 1000});
  return [page.data[0].type, page.data.map((m) => m.id), page.has_more, page.first_id === page.data[0].id];
});
await run("model", async () => (await client.models.retrieve("gpt-5.5")).id);
await run("model_unknown", failing(() => client.models.retrieve("no-such-model")));
await run("batch", failing(() => client.messages.batches.list()));

const again = new Anthropic({maxRetries: 1});
await run("limit_short", async (prompt) => told(await again.messages.create(said(prompt))));
await run("limit_long", failing((prompt) => again.messages.create(said(prompt))));
await run("overflow", failing((prompt) => again.messages.create(said(prompt))));
await run("overflow_stream", failing((prompt) => again.messages.create(said(prompt, {stream: true}))));
for (const name of ["overloaded", "broken", "refused", "refused_login", "cut_whole"]) await run(name, failing(ask));
await run("unknown_model", failing((prompt) => ask(prompt, {model: "no-such-model"})));
await run("invalid", failing((prompt) => ask(prompt, {max_tokens: 0})));
for (const name of ["cut", "cut_at_once", "failed", "slow_failed"]) await run(name, failing(streamed));

const slow = async (prompt) => {
  const response = await client.messages.create(said(prompt, {stream: true})).asResponse();
  const lines = (await response.text()).split("\\n");
  const names = lines.filter((line) => line.startsWith("event: ")).map((line) => line.slice(7));
  const pings = names.filter((name) => name === "ping").length;
  const starts = names.filter((name) => name === "message_start").length;
  return [pings > 1, names[0] === "ping", starts, names.at(-1)];
};
for (const name of ["slow_start", "slow"])
  await run(name, async (prompt) => [await slow(prompt), await streamed(prompt)]);
await run("left", async (prompt) => {
  const stream = await client.messages.create(said(prompt, {stream: true}));
  for await (const event of stream)
    if (event.type === "content_block_delta") return event.delta.text;
});
"""
