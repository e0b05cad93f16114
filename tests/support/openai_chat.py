'''What openai-python and openai-node do on Chat Completions, in the words of each; both show the same.

To be run by support/play.py; support/chat_cases.py has what services of each kind answer.
'''

from __future__ import annotations

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WEATHER = '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}'
CLOCK = '{"type":"object","properties":{"zone":{"type":"string"}},"required":["zone"],"additionalProperties":false}'

PYTHON = f"""
import json, openai
from openai import pydantic_function_tool
from pydantic import BaseModel
client = openai.OpenAI()
MODEL = "gpt-5.5"
PNG = "data:image/png;base64,{PNG}"
"""
PYTHON += """
class Person(BaseModel):
    name: str
    age: int
class weather(BaseModel):
    city: str
class clock(BaseModel):
    zone: str
TOOLS = [pydantic_function_tool(weather), pydantic_function_tool(clock)]
def ask(content, **more):
    messages = content if isinstance(content, list) and "role" in content[0] else [{"role": "user", "content": content}]
    return client.chat.completions.create(model=MODEL, messages=messages, **more)
def usage(told):
    return [told.prompt_tokens, told.prompt_tokens_details.cached_tokens, told.completion_tokens,
            told.completion_tokens_details.reasoning_tokens, told.total_tokens]
def said(completion):
    choice = completion.choices[0]
    return [choice.message.content, choice.finish_reason]
def failure(error):
    return [type(error).__name__, getattr(error, "status_code", None), error.code]
def streamed(content, **more):
    seen, reasons = "", []
    try:
        for chunk in ask(content, stream=True, **more):
            for choice in chunk.choices:
                seen += choice.delta.content or ""
                reasons += [choice.finish_reason] if choice.finish_reason else []
    except openai.APIError as error:
        return [seen, reasons, failure(error)]
    return [seen, reasons, None]

def text(prompt):
    whole = ask(prompt, temperature=0.5, seed=3)
    return [whole.model, whole.object, said(whole), usage(whole.usage)]
case("text", text)

def pieces(prompt):
    seen, heads, counted, reasons = [], set(), [], []
    for chunk in ask(prompt, stream=True, stream_options={"include_usage": True}):
        heads.add((chunk.id, chunk.created, chunk.model))
        counted += [usage(chunk.usage)] if chunk.usage else []
        reasons += [choice.finish_reason for choice in chunk.choices if choice.finish_reason]
        piece = chunk.choices[0].delta.content if chunk.choices else None
        if piece:
            seen.append(piece)
            if len(seen) == 1:
                ask("case:open")
    return ["".join(seen), len(seen) > 1, len(heads), reasons, counted]
case("pieces", pieces)
case("no_usage", lambda prompt: sum(chunk.usage is not None for chunk in ask(prompt, stream=True)))

def tools(prompt):
    messages = [{"role": "user", "content": prompt}]
    message = ask(messages, tools=TOOLS).choices[0].message
    messages.append(message)
    for call in message.tool_calls:
        result = "sunny" if call.function.name == "weather" else "noon"
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    calls = [[call.id, call.function.name, json.loads(call.function.arguments)] for call in message.tool_calls]
    return [calls, said(ask(messages, tools=TOOLS))[0]]
case("tools", tools)
def tools_stream(prompt):
    messages = [{"role": "user", "content": prompt}]
    with client.chat.completions.stream(model=MODEL, messages=messages, tools=TOOLS) as stream:
        message = stream.get_final_completion().choices[0].message
    return [[call.id, call.function.name, call.function.parsed_arguments.model_dump()] for call in message.tool_calls]
case("tools_stream", tools_stream)

def parse(prompt):
    messages = [{"role": "user", "content": prompt}]
    return client.chat.completions.parse(model=MODEL, messages=messages, response_format=Person)
case("parse", lambda prompt: parse(prompt).choices[0].message.parsed.model_dump())
case("parse_length", lambda prompt: str(parse(prompt)))
case("length", lambda prompt: said(ask(prompt)))
case("image", lambda prompt: said(ask([{"type": "text", "text": prompt},
                                       {"type": "image_url", "image_url": {"url": PNG}}])))
def thinking(prompt):
    message = ask(prompt, reasoning_effort="high").choices[0].message
    thoughts = ""
    for chunk in ask(prompt, reasoning_effort="high", stream=True):
        thoughts += "".join(getattr(choice.delta, "reasoning_content", None) or "" for choice in chunk.choices)
    return [message.reasoning_content, message.content, thoughts]
case("thinking", thinking)
def refusal(prompt):
    choice = ask(prompt).choices[0]
    return [choice.message.refusal, choice.message.content, choice.finish_reason]
case("refusal", refusal)
def abort(prompt):
    stream = ask(prompt, stream=True)
    first = next(chunk for chunk in stream if chunk.choices and chunk.choices[0].delta.content)
    stream.close()
    while said(ask("case:aborted"))[0] != "yes":
        pass
    return first.choices[0].delta.content
case("abort", abort)
case("cut", streamed)
case("fails", streamed)
"""

NODE = f"""
import OpenAI from "openai";
import {{zodResponseFormat}} from "openai/helpers/zod";
import {{z}} from "zod";
const client = new OpenAI();
const MODEL = "gpt-5.5";
const PNG = "data:image/png;base64,{PNG}";
const WEATHER = {WEATHER};
const CLOCK = {CLOCK};
"""
NODE += """
const Person = z.object({name: z.string(), age: z.number()});
const listed = (content) => Array.isArray(content) && content[0].role ? content : [{role: "user", content}];
const ask = (content, more = {}) => client.chat.completions.create({model: MODEL, messages: listed(content), ...more});
const usage = (told) => [told.prompt_tokens, told.prompt_tokens_details.cached_tokens, told.completion_tokens,
  told.completion_tokens_details.reasoning_tokens, told.total_tokens];
const said = (whole) => [whole.choices[0].message.content, whole.choices[0].finish_reason];
const failure = (error) => [error.constructor.name, error.status ?? null, error.code ?? null];
async function streamed(content, more = {}) {
  let seen = "", reasons = [];
  try {
    for await (const chunk of await ask(content, {stream: true, ...more}))
      for (const choice of chunk.choices) {
        seen += choice.delta.content ?? "";
        if (choice.finish_reason) reasons.push(choice.finish_reason);
      }
  } catch (error) {
    return [seen, reasons, failure(error)];
  }
  return [seen, reasons, null];
}

await run("text", async (prompt) => {
  const whole = await ask(prompt, {temperature: 0.5, seed: 3});
  return [whole.model, whole.object, said(whole), usage(whole.usage)];
});
await run("pieces", async (prompt) => {
  const seen = [], heads = new Set(), counted = [], reasons = [];
  for await (const chunk of await ask(prompt, {stream: true, stream_options: {include_usage: true}})) {
    heads.add([chunk.id, chunk.created, chunk.model].join());
    if (chunk.usage) counted.push(usage(chunk.usage));
    for (const choice of chunk.choices) if (choice.finish_reason) reasons.push(choice.finish_reason);
    const piece = chunk.choices[0]?.delta.content;
    if (piece) {
      seen.push(piece);
      if (seen.length === 1) await ask("case:open");
    }
  }
  return [seen.join(""), seen.length > 1, heads.size, reasons, counted];
});
await run("no_usage", async (prompt) => {
  let counted = 0;
  for await (const chunk of await ask(prompt, {stream: true})) counted += chunk.usage ? 1 : 0;
  return counted;
});
await run("tools", async (prompt) => {
  const calls = [];
  const tool = (name, parameters, result) => ({type: "function", function: {
    name, parameters, parse: JSON.parse, function: (given) => { calls.push([name, given]); return result; }}});
  const runner = client.chat.completions.runTools({model: MODEL, messages: listed(prompt), stream: true,
    tools: [tool("weather", WEATHER, "sunny"), tool("clock", CLOCK, "noon")]});
  const text = await runner.finalContent();
  const ids = runner.messages.flatMap((message) => message.tool_calls ?? []).map((call) => call.id);
  return [calls.map(([name, given], place) => [ids[place], name, given]), text];
});
await run("tools_stream", async (prompt) => {
  const tools = [["weather", WEATHER], ["clock", CLOCK]].map(
    ([name, parameters]) => ({type: "function", function: {name, parameters, strict: true}}));
  const stream = client.chat.completions.stream({model: MODEL, messages: listed(prompt), tools});
  const {message} = (await stream.finalChatCompletion()).choices[0];
  return message.tool_calls.map((call) => [call.id, call.function.name, JSON.parse(call.function.arguments)]);
});
const parse = (prompt) => client.chat.completions.parse(
  {model: MODEL, messages: listed(prompt), response_format: zodResponseFormat(Person, "Person")});
await run("parse", async (prompt) => (await parse(prompt)).choices[0].message.parsed);
await run("parse_length", async (prompt) => String(await parse(prompt)));
await run("length", async (prompt) => said(await ask(prompt)));
await run("image", async (prompt) => said(await ask(
  [{type: "text", text: prompt}, {type: "image_url", image_url: {url: PNG}}])));
await run("thinking", async (prompt) => {
  const message = (await ask(prompt, {reasoning_effort: "high"})).choices[0].message;
  let thoughts = "";
  for await (const chunk of await ask(prompt, {reasoning_effort: "high", stream: true}))
    thoughts += chunk.choices[0]?.delta.reasoning_content ?? "";
  return [message.reasoning_content, message.content, thoughts];
});
await run("refusal", async (prompt) => {
  const {message, finish_reason} = (await ask(prompt)).choices[0];
  return [message.refusal ?? null, message.content, finish_reason];
});
await run("abort", async (prompt) => {
  let piece;
  for await (const chunk of await ask(prompt, {stream: true}))
    if (piece = chunk.choices[0]?.delta.content) break;
  while (said(await ask("case:aborted"))[0] !== "yes");
  return piece;
});
await run("cut", streamed);
await run("fails", streamed);
"""
