"""What a Messages service refuses of a body. Texts in the manner of the real service, which names the place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from support.records import Request

JSON = dict[str, Any]

KEYS = frozenset(
    "model messages max_tokens system metadata stop_sequences stream temperature top_k top_p tools tool_choice "
    "thinking service_tier output_config cache_control".split()
)
BETA_KEYS = frozenset("context_management container mcp_servers speed".split())
"""Taken only when an anthropic-beta header names their feature."""
COUNT_KEYS = frozenset("model messages system tools tool_choice thinking output_config cache_control".split())
BLOCK_KEYS = {
    "text": {"text", "citations"},
    "image": {"source"},
    "document": {"source", "title", "context", "citations"},
    "search_result": {"source", "title", "content", "citations"},
    "tool_use": {"id", "name", "input", "caller"},
    "tool_result": {"tool_use_id", "content", "is_error"},
    "thinking": {"thinking", "signature"},
    "redacted_thinking": {"data"},
    "server_tool_use": {"id", "name", "input", "caller"},
    "web_search_tool_result": {"tool_use_id", "content", "caller"},
}
"""Keys of a content block by its type, beside type and cache_control."""
BLOCKS = {
    "user": {"text", "image", "document", "search_result", "tool_result"},
    "assistant": {"text", "tool_use", "thinking", "redacted_thinking", "server_tool_use", "web_search_tool_result"},
}
SOURCES = {"base64": {"media_type", "data"}, "text": {"media_type", "data"}, "url": {"url"}, "file": {"file_id"}}
TOOL_KEYS = frozenset(
    "name description input_schema type cache_control strict defer_loading input_examples eager_input_streaming "
    "allowed_callers".split()
)
CALL_ID = re.compile("[a-zA-Z0-9_-]+")
NAME = re.compile("[a-zA-Z0-9_-]{1,128}")
MIN_BUDGET = 1024


def messages_problems(request: Request, body: JSON) -> Iterator[str]:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", request.first("anthropic-version")):
        yield "anthropic-version: header is required"
    is_count = request.path.endswith("/count_tokens")
    known = COUNT_KEYS if is_count else KEYS
    if request.first("anthropic-beta"):
        known |= BETA_KEYS
    for key in sorted(body.keys() - known):
        yield f"{key}: Extra inputs are not permitted"
    if not isinstance(body.get("model"), str) or not body["model"]:
        yield "model: Field required"
    limit = body.get("max_tokens")
    if not is_count and (type(limit) is not int or limit < 1):
        yield "max_tokens: an integer of at least 1 is required"
    yield from _system(body.get("system"))
    yield from _messages(body.get("messages"))
    yield from _tools(body)
    yield from _thinking(body)


def _system(system: object) -> Iterator[str]:
    if isinstance(system, list):
        for place, block in enumerate(system):
            yield from _block(f"system.{place}", block, {"text"})
    elif not isinstance(system, str | None):
        yield "system: Input should be a string or a list"


def _messages(messages: object) -> Iterator[str]:
    if not isinstance(messages, list) or not messages:
        yield "messages: at least one message is required"
        return
    waiting: list[str] = []
    for place, message in enumerate(messages):
        path = f"messages.{place}"
        if message.keys() != {"role", "content"}:
            yield f"{path}: expected the keys role and content, got {sorted(message)}"
            return
        if message["role"] != ("assistant" if place % 2 else "user"):
            yield f"{path}: roles must alternate between user and assistant, beginning with user"
            return
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not blocks and not (message["role"] == "assistant" and message is messages[-1]):
            yield f"{path}: all messages must have non-empty content"
        for number, block in enumerate(blocks):
            yield from _block(f"{path}.content.{number}", block, BLOCKS[message["role"]])
        yield from _results(path, blocks, waiting)
        waiting = [block["id"] for block in blocks if block.get("type") == "tool_use"]
        if len({*waiting}) < len(waiting):
            yield f"{path}: tool_use ids must be unique"
    if waiting:
        yield f"tool_use ids were found without tool_result blocks: {', '.join(waiting)}"
    yield from _last(messages[-1])


def _last(message: JSON) -> Iterator[str]:
    content = message["content"]
    if message["role"] == "assistant" and isinstance(content, str) and content != content.rstrip():
        yield "messages: final assistant content cannot end with trailing whitespace"


def _results(path: str, blocks: list[JSON], waiting: list[str]) -> Iterator[str]:
    """The results of the turn before stand first in this one, one for each call."""
    kinds = [block.get("type") for block in blocks]
    answered = [block.get("tool_use_id") for block in blocks if block.get("type") == "tool_result"]
    if "tool_result" in kinds[len(answered) :]:
        yield f"{path}: tool_result blocks must come first in the content"
    for call_id in waiting:
        if answered.count(call_id) != 1:
            yield f"{path}: tool_use id {call_id} has {answered.count(call_id)} tool_result blocks immediately after"
    for stray in [call_id for call_id in answered if call_id not in waiting]:
        yield f"{path}: unexpected tool_use_id {stray} found in tool_result blocks"


def _block(path: str, block: JSON, allowed: set[str]) -> Iterator[str]:
    kind = block.get("type")
    if kind not in allowed:
        yield f"{path}: Input tag {kind!r} does not match any of the expected tags"
        return
    for key in sorted(block.keys() - BLOCK_KEYS[kind] - {"type", "cache_control"}):
        yield f"{path}.{key}: Extra inputs are not permitted"
    match kind:
        case "text" if not block.get("text"):
            yield f"{path}: text content blocks must be non-empty"
        case "thinking" if not isinstance(block.get("thinking"), str) or not block.get("signature"):
            yield f"{path}: thinking and signature are required"
        case "tool_use":
            yield from _call(path, block)
        case "tool_result" if isinstance(block.get("content"), list):
            for number, part in enumerate(block["content"]):
                yield from _block(f"{path}.content.{number}", part, BLOCKS["user"] - {"tool_result"})
        case "image" | "document":
            source = block["source"]
            if source.keys() - {"type"} != SOURCES.get(source.get("type")):
                yield f"{path}.source: type {source.get('type')!r} with keys {sorted(source)}"


def _call(path: str, block: JSON) -> Iterator[str]:
    if not CALL_ID.fullmatch(block.get("id") or ""):
        yield f"{path}.id: String should match pattern '{CALL_ID.pattern}'"
    if not NAME.fullmatch(block.get("name") or ""):
        yield f"{path}.name: String should match pattern '{NAME.pattern}'"
    if not isinstance(block.get("input"), dict):
        yield f"{path}.input: Input should be an object"


def _tools(body: JSON) -> Iterator[str]:
    tools = body.get("tools") or []
    for place, tool in enumerate(tools):
        if tool.get("type", "custom") != "custom":
            continue  # a server tool has keys of its own
        if not NAME.fullmatch(tool.get("name") or ""):
            yield f"tools.{place}.name: String should match pattern '{NAME.pattern}'"
        if not isinstance(tool.get("input_schema"), dict) or tool["input_schema"].get("type") != "object":
            yield f"tools.{place}.input_schema: an object schema is required"
        for key in sorted(tool.keys() - TOOL_KEYS):
            yield f"tools.{place}.{key}: Extra inputs are not permitted"
    names = [tool.get("name") for tool in tools]
    if len({*names}) < len(names):
        yield "tools: Tool names must be unique."
    match body.get("tool_choice"):
        case None | {"type": "auto" | "any" | "none"}:
            pass
        case {"type": "tool", "name": name}:
            if name not in names:
                yield f"Tool '{name}' not found in provided tools"
        case other:
            yield f"tool_choice: {other!r} does not match any of the expected forms"
    if body.get("tool_choice") and not tools:
        yield "tool_choice may only be specified while providing tools"


def _thinking(body: JSON) -> Iterator[str]:
    match body.get("thinking"):
        case None | {"type": "disabled"}:
            return
        case {"type": "adaptive"}:
            pass
        case {"type": "enabled", "budget_tokens": int(budget)}:
            if budget < MIN_BUDGET:
                yield f"thinking.enabled.budget_tokens: Input should be greater than or equal to {MIN_BUDGET}"
            limit = body.get("max_tokens")
            if isinstance(limit, int) and budget >= limit:
                yield "max_tokens must be greater than thinking.budget_tokens"
        case other:
            yield f"thinking: {other!r} does not match any of the expected forms"
    if body.get("temperature", 1) != 1:
        yield "temperature may only be set to 1 when thinking is enabled"
    match body.get("tool_choice"):
        case {"type": "any" | "tool"}:
            yield "Thinking may not be enabled when tool_choice forces tool use."
