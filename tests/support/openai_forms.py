"""The rarer forms of Chat Completions as openai-python and openai-node use them; both show the same. These stand behind
the words of support/openai_chat.py."""

from __future__ import annotations

PYTHON = """
NOTE = [{"type": "custom", "custom": {"name": "note", "description": "takes notes"}}]
FUNCTIONS = [{"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}]

def custom(prompt):
    messages = [{"role": "user", "content": prompt}]
    message = ask(messages, tools=NOTE).choices[0].message
    call = message.tool_calls[0]
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "noted"}]
    return [call.type, call.custom.name, call.custom.input, said(ask(messages, tools=NOTE))[0]]
def custom_stream(prompt):
    calls = [call for chunk in ask(prompt, tools=NOTE, stream=True) for call in chunk.choices[0].delta.tool_calls or []]
    return [calls[0].type, calls[0].custom["name"], "".join(call.custom["input"] for call in calls)]
def legacy(prompt):
    messages = [{"role": "user", "content": prompt}]
    choice = ask(messages, functions=FUNCTIONS, function_call="auto").choices[0]
    call = choice.message.function_call
    messages += [choice.message, {"role": "function", "name": call.name, "content": "sunny"}]
    answer = said(ask(messages, functions=FUNCTIONS))[0]
    return [call.name, json.loads(call.arguments), choice.finish_reason, choice.message.tool_calls, answer]
def two(prompt):
    whole = ask(prompt, n=2)
    return [[[one.index, one.message.content, one.finish_reason] for one in whole.choices], usage(whole.usage)]
def two_stream(prompt):
    texts, reasons, counted, ids = ["", ""], 0, [], set()
    for chunk in ask(prompt, n=2, stream=True, stream_options={"include_usage": True}):
        ids.add(chunk.id)
        counted += [usage(chunk.usage)] if chunk.usage else []
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            reasons += 1 if choice.finish_reason else 0
    return [texts, reasons, counted, len(ids)]
def limit(prompt):
    whole = ask(prompt, max_completion_tokens=3)
    return [said(whole), whole.usage.completion_tokens, whole.usage.prompt_tokens > 0]
def silent_lines(prompt):
    seen = []
    messages = [{"role": "user", "content": prompt}]
    asked = client.chat.completions.with_streaming_response.create(model=MODEL, messages=messages, stream=True)
    with asked as response:
        for line in response.iter_lines():
            seen.append(line)
            if line == ": keepalive" and seen.count(line) == 1:
                ask("case:open")
    return [seen[0], seen.count("data: [DONE]"), response.headers["content-type"], response.headers["cache-control"]]
def cited(prompt):
    message = ask(prompt, web_search_options={}).choices[0].message
    cited = message.annotations[0].url_citation
    return [cited.url, message.content[cited.start_index:cited.end_index]]

case("custom", custom)
case("custom_stream", custom_stream)
case("legacy", legacy)
case("two", two)
case("two_stream", two_stream)
case("stop", lambda prompt: said(ask(prompt, stop=["STOP"])))
case("stop_stream", lambda prompt: streamed(prompt, stop="STOP"))
case("limit", limit)
case("limit_stream", lambda prompt: streamed(prompt, max_tokens=3))
case("silent", streamed)
case("silent_lines", silent_lines)
case("cited", cited)
"""

NODE = """
const NOTE = [{type: "custom", custom: {name: "note", description: "takes notes"}}];
const FUNCTIONS = [{name: "weather", parameters: {type: "object", properties: {city: {type: "string"}}}}];

await run("custom", async (prompt) => {
  const {message} = (await ask(prompt, {tools: NOTE})).choices[0];
  const [call] = message.tool_calls;
  const history = [{role: "user", content: prompt}, message, {role: "tool", tool_call_id: call.id, content: "noted"}];
  return [call.type, call.custom.name, call.custom.input, said(await ask(history, {tools: NOTE}))[0]];
});
await run("custom_stream", async (prompt) => {
  const calls = [];
  for await (const chunk of await ask(prompt, {tools: NOTE, stream: true}))
    calls.push(...(chunk.choices[0].delta.tool_calls ?? []));
  return [calls[0].type, calls[0].custom.name, calls.map((call) => call.custom.input).join("")];
});
await run("legacy", async (prompt) => {
  const {message, finish_reason} = (await ask(prompt, {functions: FUNCTIONS, function_call: "auto"})).choices[0];
  const call = message.function_call;
  const history = [{role: "user", content: prompt}, message, {role: "function", name: call.name, content: "sunny"}];
  const answer = said(await ask(history, {functions: FUNCTIONS}))[0];
  return [call.name, JSON.parse(call.arguments), finish_reason, message.tool_calls ?? null, answer];
});
await run("two", async (prompt) => {
  const whole = await ask(prompt, {n: 2});
  return [whole.choices.map((one) => [one.index, one.message.content, one.finish_reason]), usage(whole.usage)];
});
await run("two_stream", async (prompt) => {
  const texts = ["", ""], counted = [], ids = new Set();
  let reasons = 0;
  for await (const chunk of await ask(prompt, {n: 2, stream: true, stream_options: {include_usage: true}})) {
    ids.add(chunk.id);
    if (chunk.usage) counted.push(usage(chunk.usage));
    for (const choice of chunk.choices) {
      texts[choice.index] += choice.delta.content ?? "";
      reasons += choice.finish_reason ? 1 : 0;
    }
  }
  return [texts, reasons, counted, ids.size];
});
await run("stop", async (prompt) => said(await ask(prompt, {stop: ["STOP"]})));
await run("stop_stream", (prompt) => streamed(prompt, {stop: "STOP"}));
await run("limit", async (prompt) => {
  const whole = await ask(prompt, {max_completion_tokens: 3});
  return [said(whole), whole.usage.completion_tokens, whole.usage.prompt_tokens > 0];
});
await run("limit_stream", (prompt) => streamed(prompt, {max_tokens: 3}));
await run("silent", streamed);
await run("silent_lines", async (prompt) => {
  const response = await client.chat.completions.create(
    {model: MODEL, messages: listed(prompt), stream: true}).asResponse();
  let seen = "", isOpen = false;
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    seen += piece;
    if (!isOpen && seen.includes(": keepalive\\n")) {
      isOpen = true;
      await ask("case:open");
    }
  }
  const ends = seen.split("data: [DONE]").length - 1;
  return [seen.split("\\n")[0], ends, response.headers.get("content-type"), response.headers.get("cache-control")];
});
await run("cited", async (prompt) => {
  const {message} = (await ask(prompt, {web_search_options: {}})).choices[0];
  const cited = message.annotations[0].url_citation;
  return [cited.url, [...message.content].slice(cited.start_index, cited.end_index).join("")];
});
"""
