"""What openai-python does on the Responses API, to be run by support/play.py against services of other kinds, which
answer as support/chat_cases.py has it."""

from __future__ import annotations

from support.openai_chat import PNG

PYTHON = f"""
import json, openai
from pydantic import BaseModel
client = openai.OpenAI()
MODEL = "gpt-5.5"
PNG = "data:image/png;base64,{PNG}"
"""
PYTHON += """
class Person(BaseModel):
    name: str
    age: int
def tool(name, key):
    parameters = {"type": "object", "properties": {key: {"type": "string"}}, "required": [key],
                  "additionalProperties": False}
    return {"type": "function", "name": name, "parameters": parameters, "strict": True}
TOOLS = [tool("weather", "city"), tool("clock", "zone")]
ENCRYPTED = ["reasoning.encrypted_content"]
def ask(content, **more):
    return client.responses.create(model=MODEL, input=content, **more)
def usage(told):
    return [told.input_tokens, told.input_tokens_details.cached_tokens, told.output_tokens,
            told.output_tokens_details.reasoning_tokens, told.total_tokens]
def parts(response):
    return [part.text if part.type == "output_text" else part.refusal
            for item in response.output if item.type == "message" for part in item.content]
def status(response):
    return [response.status, response.incomplete_details.reason if response.incomplete_details else None]

def text(prompt):
    whole = ask(prompt, instructions="Be brief.", temperature=0.5)
    return [whole.model, whole.output_text, status(whole), usage(whole.usage)]
case("text", text)
def pieces(prompt):
    seen, numbers, kinds = [], [], []
    for event in ask(prompt, stream=True):
        numbers.append(event.sequence_number)
        kinds.append(event.type)
        if event.type == "response.output_text.delta":
            seen.append(event.delta)
            if len(seen) == 1:
                ask("case:open")
    return ["".join(seen), len(seen) > 1, numbers == sorted(set(numbers)), [kinds[0], kinds[-1]]]
case("pieces", pieces)
def helper(prompt):
    with client.responses.stream(model=MODEL, input=prompt) as stream:
        return [stream.get_final_response().output_text, len({event.type for event in stream}) == 0]
case("helper", lambda prompt: helper(prompt)[0])

def tools(prompt):
    history = [{"role": "user", "content": prompt}]
    first = ask(history, tools=TOOLS, include=ENCRYPTED, store=False)
    calls = [item for item in first.output if item.type == "function_call"]
    history += first.output
    for call in calls:
        result = "sunny" if call.name == "weather" else "noon"
        history.append({"type": "function_call_output", "call_id": call.call_id, "output": result})
    answer = ask(history, tools=TOOLS, include=ENCRYPTED, store=False)
    return [[[call.call_id, call.name, json.loads(call.arguments)] for call in calls], answer.output_text]
case("tools", tools)
case("thoughtful_tools", tools)
def chain(prompt):
    first = ask(prompt)
    return ask("and then?", previous_response_id=first.id).output_text
case("chain", chain)
case("parse", lambda prompt: client.responses.parse(
    model=MODEL, input=prompt, text_format=Person).output_parsed.model_dump())
case("length", lambda prompt: [parts(answer := ask(prompt)), status(answer)])
case("refusal", lambda prompt: [parts(answer := ask(prompt)), status(answer)])
def thinking(prompt):
    whole = ask(prompt, reasoning={"effort": "high", "summary": "auto"})
    return [[part.text for item in whole.output if item.type == "reasoning" for part in item.summary],
            whole.output_text]
case("thinking", thinking)
case("image", lambda prompt: ask([{"role": "user", "content": [
    {"type": "input_text", "text": prompt}, {"type": "input_image", "image_url": PNG}]}]).output_text)
def broken(prompt):
    events = [*ask(prompt, stream=True)]
    seen = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    return [seen, events[-1].type, events[-1].response.error.code]
case("cut", broken)
case("fails", broken)
def refused(call):
    def ask(prompt):
        try:
            return str(call(client.with_options(max_retries=0), prompt))
        except openai.APIStatusError as error:
            return [type(error).__name__, error.status_code, error.code]
    return ask
def by_chat(client, prompt):
    return client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": prompt}])
for name in ("overflow", "limit", "login", "busy"):
    case(name, refused(lambda client, prompt: client.responses.create(model=MODEL, input=prompt, stream=True)))
    case(name + "_chat", refused(by_chat))
"""
