"""What the real backends refuse (protocol.md 2.2 to 2.4), and what no client of theirs may ever send.

A violation is a fault of whoever sent the request; where the real backend is known to refuse it, the answer is here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import zstandard

from support.answers import Answer, detail, reply, token_expired
from support.records import Request
from support.strictness_kinds import SERVICES, check_kind

JSON = dict[str, Any]

HOP_BY_HOP = ("connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer", "upgrade")
NEVER_SENT = (*HOP_BY_HOP, "accept-encoding", "expect", "transfer-encoding")
"""Headers that the real client never sends (fingerprint.md 2); curl would add some of them by itself."""

CHATGPT_KEYS = frozenset(
    "model stream service_tier input tools tool_choice parallel_tool_calls reasoning store stream_options include "
    "prompt_cache_key text client_metadata instructions".split()
)
API_KEYS = CHATGPT_KEYS | frozenset(
    "previous_response_id max_output_tokens max_tool_calls temperature top_p top_logprobs truncation metadata user "
    "safety_identifier prompt_cache_retention background conversation prompt".split()
)
COMPACT_KEYS = frozenset(
    "model input instructions tools parallel_tool_calls reasoning service_tier prompt_cache_key text".split()
)
MODELS = frozenset(
    "gpt-6.1-sol gpt-6-astra gpt-6-sol gpt-6-luna gpt-5.6-sol gpt-6.1-terra gpt-5.6-terra gpt-5.6-luna gpt-5.5 "
    "gpt-daybreak-blue-latest gpt-daybreak-red-latest codex-auto-review".split()
)
"""The catalog of 0.169 (protocol.md 7)."""

ID_PREFIXES = {
    "message": "msg_",
    "reasoning": "rs_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "custom_tool_call": "ctc_",
    "custom_tool_call_output": "ctco_",
    "web_search_call": "ws_",
    "tool_search_call": "tsc_",
    "agent_message": "amsg_",
    "additional_tools": "at_",
}
OUTPUT_OF = {"function_call_output": "function_call", "custom_tool_call_output": "custom_tool_call"}
LITE = "x-openai-internal-codex-responses-lite"


@dataclass(frozen=True, slots=True)
class Strictness:
    """Whom the backend takes itself for, and the credential that it wants."""

    kind: str = "chatgpt"
    """chatgpt | api-key | chat | messages | gemini"""
    bearer: str = ""
    """The token; the key for all kinds but chatgpt."""
    account_id: str = ""
    forbidden: tuple[str, ...] = field(default=())
    """Secrets of the client: found nowhere in a request."""

    def check(self, request: Request) -> Iterator[tuple[str, Answer | None]]:
        """Each violation, with the real backend's refusal where it is known."""
        yield from self._check_headers(request)
        if self.kind in SERVICES:
            yield from check_kind(self.kind, self.bearer, request)
            return
        yield from self._check_credential(request)
        if request.method != "POST" or not request.path.endswith(("/responses", "/responses/compact")):
            return
        if self.kind == "chatgpt" and request.first("content-encoding") != "zstd":
            yield "the body is not sent as zstd", None
        try:
            body = request.json
        except (ValueError, zstandard.ZstdError) as error:
            yield f"the body can't be read: {error}", detail(400, "Invalid JSON body")
            return
        is_compact = request.path.endswith("/compact")
        if self.kind == "chatgpt":
            yield from _check_chatgpt(request, body, is_compact)
        else:
            yield from _check_api(body)
        if isinstance(body.get("input"), list):
            yield from _check_items(body["input"])

    def _check_headers(self, request: Request) -> Iterator[tuple[str, Answer | None]]:
        handshake = ("connection", "upgrade") if request.first("upgrade") == "websocket" else ()
        for name, _ in request.headers:
            if name.lower() in NEVER_SENT and name.lower() not in handshake:
                yield f"header {name} is sent", None
        whole = [f"{name}: {value}" for name, value in request.headers] + [request.target]
        for number, secret in enumerate(self.forbidden):
            if any(secret in line for line in whole) or secret.encode() in request.raw_body:
                yield f"forbidden secret number {number} is sent", None
        names = [name.lower() for name, _ in request.headers]
        for name in {name for name in names if names.count(name) > 1 and name != "cookie"}:
            yield f"header {name} is sent twice", None

    def _check_credential(self, request: Request) -> Iterator[tuple[str, Answer | None]]:
        # The client's first call to the MCP service goes out without a credential (capture 06 of chatgpt mode).
        if request.path.endswith("/ps/mcp"):
            return
        if request.first("authorization") != f"Bearer {self.bearer}":
            yield "authorization is not the expected bearer", token_expired()
        if self.kind == "chatgpt" and request.first("chatgpt-account-id") != self.account_id:
            yield "chatgpt-account-id is not the account's", detail(401, "Account mismatch")
        if self.kind == "api-key":
            for name in ("chatgpt-account-id", "content-encoding", "x-codex-routing-hint"):
                if request.has(name):
                    yield f"header {name} goes to an API-key provider", None


def _refusal(text: str) -> tuple[str, Answer]:
    return text, detail(400, text)


def _check_chatgpt(request: Request, body: JSON, is_compact: bool) -> Iterator[tuple[str, Answer | None]]:
    for key in body.keys() - (COMPACT_KEYS if is_compact else CHATGPT_KEYS):
        yield _refusal(f"Unsupported parameter: {key}")
    if not is_compact and body.get("stream") is not True:
        yield _refusal("Stream must be set to true")
    if not is_compact and body.get("store") is not False:
        yield _refusal("Store must be set to false")
    if body.get("model") not in MODELS:
        model = body.get("model")
        yield _refusal(f"The '{model}' model is not supported when using Codex with a ChatGPT account.")
    items = body.get("input")
    if not isinstance(items, list):
        yield _refusal("Input must be a list")
        return
    is_lite = request.first(LITE) == "true"
    if is_lite and "tools" in body:
        yield "a Lite request has top-level tools", None
    leads = items and isinstance(items[0], dict) and items[0].get("role") == "developer"
    if not is_lite and not leads and not body.get("instructions"):
        yield _refusal("Instructions are required")
    if any(isinstance(item, dict) and item.get("role") == "system" for item in items):
        yield _refusal("System messages are not allowed")


def _check_api(body: JSON) -> Iterator[tuple[str, Answer | None]]:
    for key in body.keys() - API_KEYS:
        error = {"message": f"Unknown parameter: '{key}'.", "type": "invalid_request_error", "param": key}
        yield error["message"], reply(400, {"error": {**error, "code": "unknown_parameter"}})


def _check_items(items: list[JSON]) -> Iterator[tuple[str, Answer | None]]:
    for place, item in enumerate(items):
        kind = item.get("type", "message")
        prefix = ID_PREFIXES.get(kind)
        if prefix and "id" in item and not str(item["id"]).startswith(prefix):
            yield _invalid(f"Invalid 'input[{place}].id': expected an ID that begins with '{prefix.rstrip('_')}'.")
        if kind == "function_call" and not _is_json(item.get("arguments")):
            yield _invalid(f"Invalid 'input[{place}].arguments': expected JSON in a string.")
    for output, call in OUTPUT_OF.items():
        called = [item["call_id"] for item in items if item.get("type") == call]
        answered = [item["call_id"] for item in items if item.get("type") == output]
        noun = call.replace("_", " ")
        for call_id in called:
            if call_id not in answered:
                yield _invalid(f"No tool output found for {noun} {call_id}.")
        for call_id in answered:
            if call_id not in called:
                yield _invalid(f"No tool call found for {noun} output with call_id {call_id}.")


def _is_json(text: object) -> bool:
    try:
        json.loads(str(text))
    except ValueError:
        return False
    return isinstance(text, str)


def _invalid(message: str) -> tuple[str, Answer]:
    error = {"message": message, "type": "invalid_request_error", "param": "input", "code": None}
    return message, reply(400, {"error": error})
