"""How openai-python and openai-node meet each failure; both show the same, the failures side by side (support/play.py).

Python asks without a stream, Node with one. Shown: class, status, type, code, message, retry-after, x-should-retry.
"""

from __future__ import annotations

PYTHON = """
import openai
from concurrent.futures import ThreadPoolExecutor
client = openai.OpenAI()
def failed(error):
    headers = error.response.headers
    told = [type(error).__name__, error.status_code, error.type, error.code]
    return [*told, error.body.get("message"), headers.get("retry-after"), headers.get("x-should-retry")]
def ask(name, model="gpt-5.5", max_retries=2):
    try:
        messages = [{"role": "user", "content": "case:" + name}]
        answer = client.with_options(max_retries=max_retries).chat.completions.create(model=model, messages=messages)
        return answer.choices[0].message.content
    except openai.APIStatusError as error:
        return failed(error)
with ThreadPoolExecutor(len(CASES)) as pool:
    shown = [*pool.map(lambda one: ask(*one), CASES)]
for case, value in zip(CASES, shown):
    show([case[0], value])
# Behind all others: from here on the upstream is left alone for a while.
show(["challenge", ask("challenge", max_retries=0)])
"""

NODE = """
import OpenAI from "openai";
const client = new OpenAI();
const failed = (error) => [error.constructor.name, error.status, error.type, error.code, error.error?.message,
  error.headers?.get("retry-after") ?? null, error.headers?.get("x-should-retry") ?? null];
async function ask(name, model = "gpt-5.5", maxRetries = 2) {
  try {
    const messages = [{role: "user", content: "case:" + name}];
    const asked = {model, messages, stream: true};
    let text = "";
    for await (const chunk of await client.chat.completions.create(asked, {maxRetries}))
      text += chunk.choices[0]?.delta.content ?? "";
    return text;
  } catch (error) {
    return failed(error);
  }
}
const shown = await Promise.all(CASES.map((one) => ask(...one)));
CASES.forEach(([name], place) => show([name, shown[place]]));
// Behind all others: from here on the upstream is left alone for a while.
show(["challenge", await ask("challenge", "gpt-5.5", 0)]);
"""
