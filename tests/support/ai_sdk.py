"""What the AI SDK does with its three ways to an OpenAI-like service, to be run by support/play.py.

A case's name ends in the way: chat, responses (@ai-sdk/openai), compatible (@ai-sdk/openai-compatible).
"""

from __future__ import annotations

from support.openai_chat import PNG

WAYS = ("chat", "responses", "compatible")

SCRIPT = f'const PNG = Buffer.from("{PNG}", "base64");\n'
SCRIPT += """
import {generateText, streamText, Output, stepCountIs, tool} from "ai";
import {createOpenAI} from "@ai-sdk/openai";
import {createOpenAICompatible} from "@ai-sdk/openai-compatible";
import {z} from "zod";
const settings = {baseURL: process.env.OPENAI_BASE_URL, apiKey: process.env.OPENAI_API_KEY};
const openai = createOpenAI(settings);
const compatible = createOpenAICompatible({name: "proxy", includeUsage: true, ...settings});
const MODEL = "gpt-5.5";
const WAYS = {chat: openai.chat(MODEL), responses: openai.responses(MODEL), compatible: compatible(MODEL)};
const tools = {
  weather: tool({inputSchema: z.object({city: z.string()}), execute: async () => "sunny"}),
  clock: tool({inputSchema: z.object({zone: z.string()}), execute: async () => "noon"}),
};
const person = Output.object({schema: z.object({name: z.string(), age: z.number()})});
const counted = (usage) => [usage.inputTokens, usage.inputTokenDetails.cacheReadTokens, usage.outputTokens,
  usage.outputTokenDetails.reasoningTokens];

for (const [way, model] of Object.entries(WAYS)) {
  const generate = (prompt, more = {}) => generateText({model, prompt, ...more});
  await run("text_" + way, async (prompt) => {
    const {text, finishReason, usage} = await generate(prompt);
    return [text, finishReason, counted(usage)];
  });
  await run("pieces_" + way, async (prompt) => {
    const seen = [];
    const {textStream, finishReason, usage} = streamText({model, prompt});
    for await (const piece of textStream) {
      seen.push(piece);
      if (seen.length === 1) await generate("case:open_" + way);
    }
    return [seen.join(""), seen.length > 1, await finishReason, counted(await usage)];
  });
  await run("tools_" + way, async (prompt) => {
    const {text, steps} = await generate(prompt, {tools, stopWhen: stepCountIs(3)});
    return [steps[0].toolCalls.map((call) => [call.toolCallId, call.toolName, call.input]), text];
  });
  await run("parse_" + way, async (prompt) => (await generate(prompt, {output: person})).output);
  await run("thinking_" + way, async (prompt) => {
    const {text, reasoningText} = await generate(prompt);
    return [reasoningText ?? null, text];
  });
  await run("image_" + way, async (prompt) => {
    const content = [{type: "text", text: prompt}, {type: "image", image: PNG}];
    return (await generateText({model, messages: [{role: "user", content}]})).text;
  });
  await run("cut_" + way, async (prompt) => {
    let seen = "", failed = false;
    for await (const part of streamText({model, prompt, onError: () => {}}).fullStream) {
      if (part.type === "text-delta") seen += part.text;
      if (part.type === "error") failed = true;
    }
    return [seen, failed];
  });
}
"""
