"""What a Chat Completions service refuses of a body. Texts in the manner of the real service, which names the place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from support.records import Request

JSON = dict[str, Any]

KEYS = frozenset(
    "model messages stream stream_options tools tool_choice parallel_tool_calls functions function_call "
    "response_format reasoning_effort verbosity max_tokens max_completion_tokens temperature top_p n stop "
    "presence_penalty frequency_penalty logit_bias logprobs top_logprobs seed user metadata store service_tier "
    "prompt_cache_key prompt_cache_retention safety_identifier modalities audio prediction web_search_options".split()
)
MESSAGE_KEYS = {
    "system": {"content", "name"},
    "developer": {"content", "name"},
    "user": {"content", "name"},
    "assistant": {"content", "name", "tool_calls", "function_call", "refusal", "audio", "reasoning_content"},
    "tool": {"content", "tool_call_id"},
    "function": {"content", "name"},
}
PARTS = {
    "user": {"text", "image_url", "input_audio", "file"},
    "assistant": {"text", "refusal"},
}
"""Types of content parts by role; the other roles take text alone."""
NAME = re.compile("[a-zA-Z0-9_-]{1,64}")
FUNCTION_KEYS = {"name", "description", "parameters", "strict"}
FORMATS = {"text": {"type"}, "json_object": {"type"}, "json_schema": {"type", "json_schema"}}


def chat_problems(request: Request, body: JSON) -> Iterator[str]:
    for key in sorted(body.keys() - KEYS):
        yield f"Unrecognized request argument supplied: {key}"
    if not isinstance(body.get("model"), str) or not body["model"]:
        yield "you must provide a model parameter"
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        yield "Invalid 'messages': expected an array with minimum length 1"
        return
    for place, message in enumerate(messages):
        yield from _message(f"messages[{place}]", message)
    yield from _pairs(messages)
    yield from _tools(body)
    if "stream_options" in body and body.get("stream") is not True:
        yield "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    yield from _response_format(body.get("response_format"))


def _message(path: str, message: JSON) -> Iterator[str]:
    role = message.get("role")
    if role not in MESSAGE_KEYS:
        yield f"Invalid value: {role!r} for '{path}.role'"
        return
    for key in sorted(message.keys() - MESSAGE_KEYS[role] - {"role"}):
        yield f"Unknown parameter: '{path}.{key}'"
    yield from _content(f"{path}.content", role, message)
    if role == "assistant":
        yield from _calls(f"{path}.tool_calls", message)
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        yield f"Missing required parameter: '{path}.tool_call_id'"


def _content(path: str, role: str, message: JSON) -> Iterator[str]:
    content = message.get("content")
    if content is None:
        says_otherwise = any(message.get(key) for key in ("tool_calls", "function_call", "refusal", "audio"))
        if role != "assistant" or not says_otherwise:
            yield f"Invalid value for '{path}': expected a string, got null"
        return
    if isinstance(content, str):
        return
    if not isinstance(content, list) or not content:
        yield f"Invalid '{path}': expected a string or a non-empty array"
        return
    for place, part in enumerate(content):
        kind = part.get("type")
        if kind not in PARTS.get(role, {"text"}):
            yield f"Invalid value: {kind!r} for '{path}[{place}].type'"
        elif part.keys() != {"type", kind}:
            yield f"Invalid '{path}[{place}]': expected the keys type and {kind}, got {sorted(part)}"
        elif kind == "image_url" and not isinstance(part[kind].get("url"), str):
            yield f"Missing required parameter: '{path}[{place}].image_url.url'"


def _calls(path: str, message: JSON) -> Iterator[str]:
    calls = message.get("tool_calls")
    if calls == []:
        yield f"Invalid '{path}': empty array"
    for place, call in enumerate(calls or []):
        kind = call.get("type")
        if kind not in ("function", "custom") or call.keys() != {"id", "type", kind}:
            yield f"Invalid '{path}[{place}]': expected the keys id, type and function or custom, got {sorted(call)}"
            continue
        if not NAME.fullmatch(call[kind]["name"]):
            yield f"Invalid '{path}[{place}].{kind}.name': does not match {NAME.pattern}"
        if kind == "function" and not _is_json(call["function"].get("arguments")):
            yield f"Invalid '{path}[{place}].function.arguments': expected JSON in a string"


def _is_json(text: object) -> bool:
    try:
        json.loads(str(text))
    except ValueError:
        return False
    return isinstance(text, str)


def _pairs(messages: list[JSON]) -> Iterator[str]:
    """The answers to an assistant's calls follow it at once, one for each."""
    waiting: list[str] = []
    for place, message in enumerate(messages):
        if message.get("role") == "tool":
            if message.get("tool_call_id") in waiting:
                waiting.remove(message["tool_call_id"])
            else:
                yield f"messages[{place}]: role 'tool' must be a response to a preceding message with 'tool_calls'"
            continue
        yield from _unanswered(waiting)
        waiting = [call["id"] for call in message.get("tool_calls") or []]
        for call_id in {call_id for call_id in waiting if waiting.count(call_id) > 1}:
            yield f"messages[{place}].tool_calls: duplicate id {call_id}"
    yield from _unanswered(waiting)


def _unanswered(waiting: list[str]) -> Iterator[str]:
    if waiting:
        yield f"tool_call_ids did not have response messages: {', '.join(waiting)}"


def _tools(body: JSON) -> Iterator[str]:
    tools = body.get("tools")
    if tools == []:
        yield "Invalid 'tools': empty array"
    names: list[str] = []
    for place, tool in enumerate(tools or []):
        kind = tool.get("type")
        if kind not in ("function", "custom") or tool.keys() != {"type", kind}:
            yield f"Invalid 'tools[{place}]': expected the keys type and function or custom, got {sorted(tool)}"
            continue
        name = tool[kind].get("name")
        names.append(name)
        if not isinstance(name, str) or not NAME.fullmatch(name):
            yield f"Invalid 'tools[{place}].{kind}.name': does not match {NAME.pattern}"
        if kind == "function" and tool[kind].keys() - FUNCTION_KEYS:
            yield f"Unknown parameters in 'tools[{place}].function': {sorted(tool[kind].keys() - FUNCTION_KEYS)}"
    for key in ("tool_choice", "parallel_tool_calls"):
        if key in body and not tools:
            yield f"'{key}' is only allowed when 'tools' are specified"
    yield from _tool_choice(body.get("tool_choice"), names)


def _tool_choice(choice: object, names: list[str]) -> Iterator[str]:
    match choice:
        case None | "none" | "auto" | "required" | {"type": "allowed_tools", "allowed_tools": dict()}:
            pass
        case {"type": "function", "function": {"name": name}} | {"type": "custom", "custom": {"name": name}}:
            if name not in names:
                yield f"Tool choice {name!r} not found in 'tools'"
        case _:
            yield f"Invalid value for 'tool_choice': {choice!r}"


def _response_format(wanted: JSON | None) -> Iterator[str]:
    if wanted is None:
        return
    kind = wanted.get("type")
    if wanted.keys() != FORMATS.get(str(kind)):
        yield f"Invalid 'response_format': type {kind!r} with keys {sorted(wanted)}"
    elif kind == "json_schema":
        schema = wanted["json_schema"]
        if not NAME.fullmatch(schema.get("name") or "") or not isinstance(schema.get("schema"), dict):
            yield "Invalid 'response_format.json_schema': name and schema are required"
