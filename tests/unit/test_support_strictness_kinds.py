"""The strict services of kind chat, messages and gemini take a good request and refuse each fault of their list."""

from __future__ import annotations

import copy
import http.client
import json
import time
from typing import Any

import pytest

from support.backend import Backend
from support.records import Connection, Request
from support.strictness import Strictness

JSON = dict[str, Any]
KEY = "k-1"
PATHS = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "gemini": "/v1beta/models/m:generateContent",
}
HEADERS = {
    "chat": [("authorization", f"Bearer {KEY}")],
    "messages": [("x-api-key", KEY), ("anthropic-version", "2023-06-01")],
    "gemini": [("x-goog-api-key", KEY)],
}
COMMON = [("content-type", "application/json"), ("user-agent", "mitmcodex/1")]

CHAT: JSON = {
    "model": "m",
    "stream": True,
    "stream_options": {"include_usage": True},
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
    "messages": [
        {"role": "system", "content": "be brief"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "data:"}}],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
                {"id": "b", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "b", "content": "rain"},
        {"role": "tool", "tool_call_id": "a", "content": "sun"},
    ],
}
MESSAGES: JSON = {
    "model": "m",
    "max_tokens": 2000,
    "stream": True,
    "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "tools": [{"name": "weather", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "auto"},
    "messages": [
        {"role": "user", "content": "x"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "a", "name": "weather", "input": {}},
                {"type": "tool_use", "id": "b", "name": "weather", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": "rain"}]},
                {"type": "tool_result", "tool_use_id": "a", "content": "sun", "is_error": False},
                {"type": "text", "text": "go on"},
            ],
        },
    ],
}
GEMINI: JSON = {
    "systemInstruction": {"parts": [{"text": "be brief"}]},
    "generationConfig": {"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"}},
    "tools": [{"functionDeclarations": [{"name": "weather", "parameters": {"type": "OBJECT", "properties": {}}}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}},
    "contents": [
        {"role": "user", "parts": [{"text": "x"}]},
        {
            "role": "model",
            "parts": [
                {"functionCall": {"id": "a", "name": "weather", "args": {}}, "thoughtSignature": "cw=="},
                {"functionCall": {"name": "weather", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "weather", "response": {"result": 1}}},
                {"functionResponse": {"id": "a", "name": "weather", "response": {"result": 2}}},
            ],
        },
    ],
}
BODIES = {"chat": CHAT, "messages": MESSAGES, "gemini": GEMINI}

FAULTS: list[tuple[str, str, Any, str]] = [
    ("chat", "input", [], "Unrecognized request argument supplied: input"),
    ("chat", "model", "", "model parameter"),
    ("chat", "messages", [], "minimum length 1"),
    ("chat", "messages.0.role", "model", "'messages[0].role'"),
    ("chat", "messages.0.status", "completed", "Unknown parameter: 'messages[0].status'"),
    ("chat", "messages.0.content", None, "got null"),
    ("chat", "messages.1.content", [], "non-empty array"),
    ("chat", "messages.1.content.0.type", "input_text", "'messages[1].content[0].type'"),
    ("chat", "messages.1.content.1.image_url", {}, "image_url.url"),
    ("chat", "messages.1.content.1.detail", "low", "expected the keys type and image_url"),
    ("chat", "messages.2.tool_calls", [], "empty array"),
    ("chat", "messages.2.tool_calls.0.function.arguments", {}, "expected JSON in a string"),
    ("chat", "messages.2.tool_calls.0.function.arguments", "{", "expected JSON in a string"),
    ("chat", "messages.2.tool_calls.0.function.name", "a.b", "does not match"),
    ("chat", "messages.2.tool_calls.0.call_id", "a", "expected the keys id, type and function"),
    ("chat", "messages.2.tool_calls.0.id", "c", "did not have response messages: c"),
    ("chat", "messages.3.tool_call_id", "c", "must be a response to a preceding message"),
    ("chat", "messages.3.tool_call_id", None, "Missing required parameter: 'messages[3].tool_call_id'"),
    ("chat", "messages.2.tool_calls.1.id", "a", "duplicate id a"),
    ("chat", "messages.4", {"role": "user", "content": "x"}, "did not have response messages: a"),
    ("chat", "tools", [], "'tools': empty array"),
    ("chat", "tools", None, "'tool_choice' is only allowed when 'tools' are specified"),
    ("chat", "tools.0", {"type": "function", "name": "weather"}, "'tools[0]'"),
    ("chat", "tools.0.function.name", "x" * 65, "does not match"),
    ("chat", "tools.0.function.encrypted", True, "Unknown parameters in 'tools[0].function'"),
    ("chat", "tool_choice", {"type": "function", "name": "weather"}, "'tool_choice'"),
    ("chat", "tool_choice.function.name", "clock", "not found in 'tools'"),
    ("chat", "stream", False, "'stream_options' parameter is only allowed"),
    ("chat", "response_format.name", "s", "'response_format'"),
    ("chat", "response_format.json_schema.name", "", "name and schema are required"),
    ("messages", "input", [], "input: Extra inputs"),
    ("messages", "context_management", {}, "context_management: Extra inputs"),
    ("messages", "model", None, "model: Field required"),
    ("messages", "max_tokens", None, "max_tokens"),
    ("messages", "max_tokens", 1024, "must be greater than thinking.budget_tokens"),
    ("messages", "messages", [], "at least one message"),
    ("messages", "messages", MESSAGES["messages"][:2], "were found without tool_result blocks: a, b"),
    ("messages", "messages", [*MESSAGES["messages"], {"role": "assistant", "content": "so "}], "trailing whitespace"),
    ("messages", "messages.0.role", "system", "roles must alternate"),
    ("messages", "messages.0.role", "assistant", "roles must alternate"),
    ("messages", "messages.0.id", "msg_1", "expected the keys role and content"),
    ("messages", "messages.0.content", "", "non-empty"),
    ("messages", "messages.0.content", [], "non-empty"),
    ("messages", "messages.0.content", [{"type": "input_text", "text": "x"}], "'input_text' does not match"),
    ("messages", "messages.0.content", [{"type": "image", "source": {"type": "url", "data": "x"}}], ".source: type"),
    ("messages", "messages.1.content.0.signature", "", "signature are required"),
    ("messages", "messages.1.content.1.input", "{}", "should be an object"),
    ("messages", "messages.1.content.1.id", "a|b", ".id: String should match pattern"),
    ("messages", "messages.1.content.1.name", "a.b", ".name: String should match pattern"),
    ("messages", "messages.1.content.1.call_id", "a", "call_id: Extra inputs"),
    ("messages", "messages.1.content.1.id", "b", "must be unique"),
    ("messages", "messages.2.content.0.tool_use_id", "c", "unexpected tool_use_id c"),
    ("messages", "messages.2.content.0.tool_use_id", "a", "b has 0 tool_result blocks"),
    ("messages", "messages.2.content.0", {"type": "text", "text": "x"}, "must come first"),
    ("messages", "messages.2.content.2.text", "", "text content blocks must be non-empty"),
    ("messages", "system", 5, "system: Input should be a string or a list"),
    ("messages", "system", [{"type": "text", "text": ""}], "system.0: text content blocks"),
    ("messages", "system", [{"type": "image", "source": {}}], "system.0: Input tag"),
    ("messages", "tools", MESSAGES["tools"] * 2, "Tool names must be unique"),
    ("messages", "tools", [], "tool_choice may only be specified while providing tools"),
    ("messages", "tools.0.input_schema", {}, "input_schema"),
    ("messages", "tools.0.parameters", {}, "parameters: Extra inputs"),
    ("messages", "tools.0.name", "a.b", "should match pattern"),
    ("messages", "tool_choice", "auto", "tool_choice: 'auto'"),
    ("messages", "tool_choice", {"type": "tool", "name": "weather"}, "forces tool use"),
    ("messages", "tool_choice", {"type": "tool", "name": "clock"}, "'clock' not found"),
    ("messages", "thinking", True, "thinking: True does not match"),
    ("messages", "thinking.budget_tokens", 10, "greater than or equal to 1024"),
    ("messages", "temperature", 0.5, "temperature may only be set to 1"),
    ("gemini", "system_instruction", {}, 'Unknown name "system_instruction"'),
    ("gemini", "model", "m", 'Unknown name "model"'),
    ("gemini", "generationConfig.max_output_tokens", 5, 'Unknown name "max_output_tokens"'),
    ("gemini", "generationConfig.responseJsonSchema", {}, "exclude each other"),
    ("gemini", "generationConfig.responseMimeType", "text/plain", "needs response_mime_type"),
    ("gemini", "contents", [], "contents is not specified"),
    ("gemini", "contents", GEMINI["contents"][:2], "function calls that are not answered"),
    ("gemini", "contents.0.role", "assistant", "valid role: user, model"),
    ("gemini", "contents.0.role", "model", "begins with a user turn"),
    ("gemini", "contents.0.parts", [], "parts must not be empty"),
    ("gemini", "contents.0.parts.0", {"thought": True}, "required oneof field 'data'"),
    ("gemini", "contents.0.parts.0.inlineData", {}, "required oneof field 'data'"),
    ("gemini", "contents.0.parts.0", {"inlineData": {"data": "x"}}, "mimeType and data"),
    ("gemini", "contents.1.role", "user", "function call turn comes immediately after"),
    ("gemini", "contents.1.parts.0.functionCall.args", "{}", "args is not an object"),
    ("gemini", "contents.2.parts.0", {"text": "x"}, "number of function response parts (1)"),
    ("gemini", "contents.2.parts.0.functionResponse.name", "clock", "answers no call"),
    ("gemini", "contents.2.parts.1.functionResponse.id", "c", "answers no call"),
    ("gemini", "contents.2.parts.0.functionResponse.response", "rain", "response is not an object"),
    ("gemini", "tools.0.function_declarations", [], 'Unknown name "function_declarations"'),
    ("gemini", "tools.0.functionDeclarations", [{"name": "weather"}] * 2, "Duplicate function declaration"),
    ("gemini", "tools.0.functionDeclarations.0.name", "a b", "Invalid function name"),
    ("gemini", "tools.0.functionDeclarations.0.parametersJsonSchema", {}, "exclude each other"),
    ("gemini", "tools.0.functionDeclarations.0.parameters.$schema", "x", 'Unknown name "$schema"'),
    ("gemini", "tools.0.functionDeclarations.0.parameters.properties", {"a": {"const": 1}}, 'Unknown name "const"'),
    ("gemini", "tools.0.functionDeclarations.0.parameters.type", ["OBJECT"], "type: invalid value"),
    ("gemini", "tools.0.functionDeclarations.0.parameters.type", "ARRAY", "items: missing field"),
    ("gemini", "toolConfig.functionCallingConfig.mode", "required", "invalid value"),
    ("gemini", "toolConfig.functionCallingConfig.mode", "AUTO", "only be set when the mode is ANY"),
    ("gemini", "toolConfig.functionCallingConfig.allowedFunctionNames", ["clock"], "is not declared"),
]
SHAPES: list[Any] = [None, True, 0, 1.5, "x", [], {}, [[]], [{}], ["x"], [None], {"x": []}, {"type": {}}]


def problems(kind: str, body: object, headers: list[tuple[str, str]] | None = None, target: str = "") -> list[str]:
    """What a service of this kind says to a request that is right in all that is not given."""
    pairs = [*COMMON, *(HEADERS[kind] if headers is None else headers)]
    raw = json.dumps(body).encode()
    request = Request("POST", target or PATHS[kind], pairs, raw, "HTTP/1.1", Connection(1, time.monotonic()))
    return [text for text, _ in Strictness(kind, KEY).check(request)]


def changed(body: JSON, path: str, value: object) -> JSON:
    """A copy with ``value`` at ``path``: keys and places, with dots between."""
    result = copy.deepcopy(body)
    *way, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
    inner: Any = result
    for step in way:
        inner = inner[step]
    inner[last] = value
    return result


@pytest.mark.parametrize("kind", BODIES)
def test_a_good_request_is_taken(kind: str) -> None:
    """A conversation with two parallel calls, answered in another order, has no violation."""
    assert problems(kind, BODIES[kind]) == []


@pytest.mark.parametrize(("kind", "path", "value", "text"), FAULTS)
def test_each_fault_is_refused(kind: str, path: str, value: object, text: str) -> None:
    """One fault in a good request is named, with its place."""
    assert any(text in problem for problem in problems(kind, changed(BODIES[kind], path, value)))


@pytest.mark.parametrize("kind", BODIES)
def test_any_json_is_survived(kind: str) -> None:
    """A wrong type anywhere is a violation or no fault, never an exception of the mock's."""
    paths = {fault[1] for fault in FAULTS if fault[0] == kind}
    for path in paths | {path.partition(".")[0] for path in paths}:
        for value in SHAPES:
            problems(kind, changed(BODIES[kind], path, value))
    assert [problems(kind, value) for value in ([], "x", None)] == [["the body is not an object"]] * 3
    assert problems(kind, {}) != []


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("originator", "codex_cli_rs"),
        ("session-id", "s"),
        ("session_id", "s"),
        ("x-codex-turn-metadata", "{}"),
        ("x-openai-internal-codex-responses-lite", "true"),
        ("chatgpt-account-id", "acc"),
        ("cookie", "a=b"),
        ("api-key", "k"),
        ("accept-encoding", "gzip"),
    ],
)
def test_no_header_of_codex(kind: str, name: str, value: str) -> None:
    """Headers that only Codex or its backend knows, and foreign credentials, are violations."""
    found = problems(kind, BODIES[kind], [*HEADERS[kind], (name, value)])
    assert len(found) == 1 and name in found[0]


@pytest.mark.parametrize("kind", BODIES)
def test_credential_stands_in_its_own_place(kind: str) -> None:
    """A wrong key, a key in the header of another service and a key in the query are violations."""
    name, value = HEADERS[kind][0]
    wrong = [(name, value + "x"), *HEADERS[kind][1:]]
    assert problems(kind, BODIES[kind], wrong) == [f"{name} is not the expected key"]
    other = "x-api-key" if kind == "chat" else "authorization"
    assert "does not read it" in problems(kind, BODIES[kind], [*HEADERS[kind], (other, value)])[0]
    assert problems(kind, BODIES[kind], target=f"{PATHS[kind]}?key={KEY}") == ["a key stands in the query"]


@pytest.mark.parametrize("kind", BODIES)
def test_name_and_place_are_the_services_own(kind: str) -> None:
    """Codex's user-agent, another path and another media type are violations."""
    pairs = [("content-type", "application/json"), ("user-agent", "codex_cli_rs/0.169.0"), *HEADERS[kind]]
    connection = Connection(1, time.monotonic())
    raw = json.dumps(BODIES[kind]).encode()
    named = Request("POST", PATHS[kind], pairs, raw, "HTTP/1.1", connection)
    assert [text for text, _ in Strictness(kind, KEY).check(named)] == ["user-agent is 'codex_cli_rs/0.169.0'"]
    assert problems(kind, BODIES[kind], target="/v1/responses") == ["POST /v1/responses does not exist"]
    plain = Request("POST", PATHS[kind], [*COMMON[1:], *HEADERS[kind]], raw, "HTTP/1.1", connection)
    assert [text for text, _ in Strictness(kind, KEY).check(plain)] == ["content-type is not application/json"]


def test_messages_wants_its_version_and_names_betas() -> None:
    """No anthropic-version is a violation; a beta's key is taken with an anthropic-beta header."""
    assert problems("messages", MESSAGES, HEADERS["messages"][:1]) == ["anthropic-version: header is required"]
    beta = [*HEADERS["messages"], ("anthropic-beta", "context-management-2025-06-27")]
    assert problems("messages", changed(MESSAGES, "context_management", {}), beta) == []


def test_counting_takes_no_limits() -> None:
    """count_tokens wants no max_tokens and refuses what only a generation has; countTokens wraps a request."""
    counted = {key: MESSAGES[key] for key in ("model", "messages", "tools", "system")}
    assert problems("messages", counted, target="/v1/messages/count_tokens") == []
    both = problems("messages", {**counted, "max_tokens": 5}, target="/v1/messages/count_tokens")
    assert both == ["max_tokens: Extra inputs are not permitted"]
    wrapped = {"generateContentRequest": GEMINI}
    assert problems("gemini", wrapped, target="/v1beta/models/m:countTokens") == []
    assert problems("gemini", wrapped) != []


@pytest.mark.parametrize(
    ("kind", "base", "error"),
    [
        ("chat", "/v1", {"message": "invalid key", "type": "invalid_request_error", "param": None, "code": None}),
        ("messages", "/v1", {"type": "authentication_error", "message": "invalid key"}),
        ("gemini", "/v1beta", {"code": 401, "message": "invalid key", "status": "UNAUTHENTICATED"}),
    ],
)
def test_refusal_has_the_services_form(kind: str, base: str, error: JSON) -> None:
    """Over a socket: the base of its kind, a refusal in its error form, and the violation noted."""
    with Backend(strictness=Strictness(kind, "another key")) as backend:
        assert backend.base_url == backend.origin + base
        client = http.client.HTTPConnection("127.0.0.1", backend.port, timeout=10)
        client.putrequest("POST", PATHS[kind], skip_accept_encoding=True)
        raw = json.dumps(BODIES[kind]).encode()
        for name, value in [*COMMON, *HEADERS[kind], ("content-length", str(len(raw)))]:
            client.putheader(name, value)
        client.endheaders(raw)
        answer = client.getresponse()
        assert (answer.status, json.loads(answer.read())["error"]) == (401, error)
        client.close()
        path = PATHS[kind]
        assert backend.violations == [f"POST {path}: {HEADERS[kind][0][0]} is not the expected key"]
