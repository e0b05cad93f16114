"""What the demo upstream answers: Responses API events (protocol.md 3, 11), made from the request alone. Pure."""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

JSON = dict[str, Any]

NOTICE = "This is the mitmcodex demo upstream: no model, no account."
GREETING = "hello from the mitmcodex demo"
HINT = "Set `upstream` to a provider for real answers; say `tool` or `shell` to see a tool call."
THOUGHT = "The demo upstream does not think; this summary shows where a model's reasoning would be."
# Codex sends it back unread; in plain text inside, so that nobody takes it for a real one.
SEALED_THOUGHT = base64.urlsafe_b64encode(b"mitmcodex demo: nothing is encrypted here").decode()

QUOTE_LIMIT = 400
"""Characters of the user's text or of a tool's output that an answer repeats."""
WORDS_A_DELTA = 4
SCHEMA_DEPTH = 8
"""A schema may refer to itself; deeper than this its values are null."""
LITE_TOOLS = "additional_tools"
COMMAND_NAMES = {"cmd", "command"}
# In code mode Codex offers JavaScript (custom tool ``exec``) and takes a direct exec_command too (protocol.md 11).
CODE_MODE_SHELL: JSON = {
    "type": "function",
    "name": "exec_command",
    "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"]},
}


class BadRequest(Exception):
    """The body is no Responses request; the message says why."""


def parse_request(body: bytes) -> JSON:
    """The request with ``input`` as a list of items. Raises BadRequest."""
    try:
        request = json.loads(body)
    except ValueError as error:
        raise BadRequest("The body is not JSON.") from error
    if not isinstance(request, dict):
        raise BadRequest("The body must be a JSON object.")
    items = request.get("input")
    if isinstance(items, str):
        items = [{"type": "message", "role": "user", "content": items}]
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BadRequest("`input` must be a text or a list of items.")
    return {**request, "input": items}


def answer_events(request: JSON) -> Iterator[JSON]:
    """The events of one answer in order, ``response.created`` first and ``response.completed`` last."""
    head = _response_head(request)
    items = _answer_items(request)
    numbered = enumerate(_events(head, items, input_chars=len(json.dumps(request["input"]))))
    for number, event in numbered:
        yield {"type": event["type"], "sequence_number": number, **event}


def _events(head: JSON, items: list[JSON], input_chars: int) -> Iterator[JSON]:
    for kind in ("created", "in_progress"):
        yield {"type": f"response.{kind}", "response": head}
    for index, item in enumerate(items):
        opening = {**item, "status": "in_progress", **_EMPTY[item["type"]]}
        yield {"type": "response.output_item.added", "output_index": index, "item": opening}
        at = {"item_id": item["id"], "output_index": index}
        yield from _PARTS[item["type"]](item, at)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    completed = {**head, "status": "completed", "output": items, "usage": _usage(items, input_chars)}
    yield {"type": "response.completed", "response": completed}


def _message_parts(item: JSON, at: JSON) -> Iterator[JSON]:
    part = item["content"][0]
    at = {**at, "content_index": 0}
    yield {"type": "response.content_part.added", **at, "part": {**part, "text": ""}}
    for delta in _deltas(part["text"]):
        yield {"type": "response.output_text.delta", **at, "delta": delta, "logprobs": []}
    yield {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **at, "part": part}


def _reasoning_parts(item: JSON, at: JSON) -> Iterator[JSON]:
    part = item["summary"][0]
    at = {**at, "summary_index": 0}
    yield {"type": "response.reasoning_summary_part.added", **at, "part": {**part, "text": ""}}
    for delta in _deltas(part["text"]):
        yield {"type": "response.reasoning_summary_text.delta", **at, "delta": delta}
    yield {"type": "response.reasoning_summary_text.done", **at, "text": part["text"]}
    yield {"type": "response.reasoning_summary_part.done", **at, "part": part}


def _call_parts(item: JSON, at: JSON) -> Iterator[JSON]:
    for delta in _deltas(item["arguments"]):
        yield {"type": "response.function_call_arguments.delta", **at, "delta": delta}
    yield {
        "type": "response.function_call_arguments.done",
        **at,
        "name": item["name"],
        "arguments": item["arguments"],
    }


_PARTS = {"message": _message_parts, "reasoning": _reasoning_parts, "function_call": _call_parts}
_EMPTY: dict[str, JSON] = {"message": {"content": []}, "reasoning": {"summary": []}, "function_call": {"arguments": ""}}


def _deltas(text: str) -> list[str]:
    words = re.findall(r"\S+\s*|\s+", text)
    return ["".join(words[at : at + WORDS_A_DELTA]) for at in range(0, len(words), WORDS_A_DELTA)]


def _answer_items(request: JSON) -> list[JSON]:
    items = []
    if _asks_reasoning(request):
        items.append(_reasoning_item(request))
    said, result = _last_turn(request["input"])
    tool = _choose_tool(request) if result is None and _asks_tool(request, said) else None
    if tool is not None:
        return [*items, _call_item(tool)]
    echo = f"The tool answered: {_short(result)}" if result is not None else f"You said: {_short(said)}"
    return [*items, _message_item(f"{NOTICE} {echo}\n{HINT}")]


def _last_turn(items: list[JSON]) -> tuple[str, str | None]:
    """The last user text, and the last tool output that came after it (None: no tool has run since)."""
    said, result = "", None
    for item in items:
        if item.get("role") == "user":
            said, result = _text_of(item.get("content")), None
        elif item.get("type") in ("function_call_output", "custom_tool_call_output"):
            result = _text_of(item.get("output"))
    return said, result


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return " ".join(str(part.get("text", "")) for part in parts if isinstance(part, dict) and "text" in part)


def _short(text: str) -> str:
    return text if len(text) <= QUOTE_LIMIT else text[:QUOTE_LIMIT] + " …"


def _asks_reasoning(request: JSON) -> bool:
    reasoning = request.get("reasoning")
    return isinstance(reasoning, dict) and reasoning.get("effort") != "none"


def _asks_tool(request: JSON, said: str) -> bool:
    choice = request.get("tool_choice", "auto")
    if choice == "auto":
        return re.search(r"\b(tool|shell)s?\b", said, re.IGNORECASE) is not None
    return bool(choice != "none")


def _choose_tool(request: JSON) -> JSON | None:
    """The function to call: the one ``tool_choice`` names, else one that runs a command, else the first."""
    tools = list(_function_tools(request))
    choice = request.get("tool_choice")
    if isinstance(choice, dict):
        named = [tool for tool in tools if tool.get("name") == choice.get("name")]
        return named[0] if named else None
    runners = [tool for tool in tools if COMMAND_NAMES & set(_properties(tool.get("parameters")))]
    return next(iter([*runners, *tools]), None)


def _function_tools(request: JSON) -> Iterator[JSON]:
    """Function tools in both forms: ``tools`` and the ``additional_tools`` items of the Lite contract (2.3)."""
    lists = [request.get("tools"), *(item.get("tools") for item in request["input"] if item.get("type") == LITE_TOOLS)]
    for tools in lists:
        for tool in tools if isinstance(tools, list) else []:
            yield from _flat(tool)


def _flat(tool: object) -> Iterator[JSON]:
    if not isinstance(tool, dict):
        return
    if tool.get("type") == "function" and isinstance(tool.get("name"), str):
        yield tool
    elif (tool.get("type"), tool.get("name")) == ("custom", "exec"):
        yield CODE_MODE_SHELL
    elif tool.get("type") == "namespace" and isinstance(tool.get("tools"), list):
        # Calls name every namespace but the default one.
        own = {} if tool.get("name") == "functions" else {"namespace": tool.get("name")}
        for inner in tool["tools"]:
            yield from ({**found, **own} for found in _flat(inner))


def _message_item(text: str) -> JSON:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": _new_id("msg"), "type": "message", "role": "assistant", "status": "completed", "content": [part]}


def _reasoning_item(request: JSON) -> JSON:
    item: JSON = {
        "id": _new_id("rs"),
        "type": "reasoning",
        "status": "completed",
        "summary": [{"type": "summary_text", "text": THOUGHT}],
    }
    if "reasoning.encrypted_content" in (request.get("include") or []):
        item["encrypted_content"] = SEALED_THOUGHT
    return item


def _call_item(tool: JSON) -> JSON:
    schema = tool.get("parameters")
    arguments = _example(schema, schema, 0) if _properties(schema) else {}
    space = {"namespace": tool["namespace"]} if tool.get("namespace") else {}
    return {
        "id": _new_id("fc"),
        "type": "function_call",
        "status": "completed",
        "call_id": _new_id("call"),
        "name": tool["name"],
        **space,
        "arguments": json.dumps(arguments),
    }


def _properties(schema: object) -> JSON:
    found = schema.get("properties") if isinstance(schema, dict) else None
    return found if isinstance(found, dict) else {}


def _example(schema: object, root: object, depth: int) -> Any:
    """A harmless value that fits a JSON schema as tools use it; a command is always an ``echo``."""
    if not isinstance(schema, dict) or depth > SCHEMA_DEPTH:
        return None
    if "$ref" in schema:
        return _example(_resolve(root, schema["$ref"]), root, depth + 1)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("enum", "examples"):
        if isinstance(schema.get(key), list) and schema[key]:
            return schema[key][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(key), list) and schema[key]:
            return _example(schema[key][0], root, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = next((name for name in kind if name != "null"), "null") if isinstance(kind, list) else kind
    if kind == "object":
        return _example_object(schema, root, depth)
    if kind == "array":
        return [_example(schema.get("items"), root, depth + 1) for _ in range(min(schema.get("minItems", 0), 10))]
    return {
        "string": "demo",
        "integer": schema.get("minimum", 1),
        "number": schema.get("minimum", 1),
        "boolean": False,
    }.get(kind)


def _example_object(schema: JSON, root: object, depth: int) -> JSON:
    """Its required properties alone."""
    properties = _properties(schema)
    wanted = schema.get("required") if isinstance(schema.get("required"), list) else []
    values = {}
    for name in properties:
        if name in COMMAND_NAMES:
            is_list = isinstance(properties[name], dict) and properties[name].get("type") == "array"
            values[name] = ["echo", GREETING] if is_list else f"echo {GREETING}"
        elif name in (wanted or []):
            values[name] = _example(properties[name], root, depth + 1)
    return values


def _resolve(root: object, pointer: object) -> object:
    """The schema at a local reference (``#/$defs/x``), None when there is none."""
    found = root
    for key in str(pointer).removeprefix("#").strip("/").split("/"):
        found = found.get(key) if isinstance(found, dict) and key else found
    return found


def _response_head(request: JSON) -> JSON:
    return {
        "id": _new_id("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": str(request.get("model") or "mitmcodex-demo"),
        "output": [],
        "parallel_tool_calls": request.get("parallel_tool_calls", True),
        "tool_choice": request.get("tool_choice", "auto"),
        "tools": request.get("tools") or [],
        "usage": None,
        "metadata": {},
    }


def _usage(items: list[JSON], input_chars: int) -> JSON:
    """Made up, as there is no tokenizer: four characters a token."""
    thinking = sum(len(json.dumps(item)) for item in items if item["type"] == "reasoning") // 4
    spent, given = len(json.dumps(items)) // 4, input_chars // 4
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": spent,
        "output_tokens_details": {"reasoning_tokens": thinking},
        "total_tokens": given + spent,
    }


def _new_id(prefix: str) -> str:
    return f"{prefix}_demo_{uuid.uuid4().hex[:20]}"
