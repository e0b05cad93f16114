"""What a Gemini service refuses of a body. Texts in the manner of the real service, which names the place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from support.records import Request

JSON = dict[str, Any]

KEYS = frozenset(
    "contents tools toolConfig safetySettings systemInstruction generationConfig cachedContent labels".split()
)
COUNT_KEYS = KEYS | {"generateContentRequest"}
CONFIG_KEYS = frozenset(
    "stopSequences responseMimeType responseSchema responseJsonSchema responseModalities candidateCount "
    "maxOutputTokens temperature topP topK seed presencePenalty frequencyPenalty responseLogprobs logprobs "
    "enableEnhancedCivicAnswers speechConfig thinkingConfig mediaResolution imageConfig".split()
)
PART_DATA = frozenset(
    "text inlineData fileData functionCall functionResponse executableCode codeExecutionResult".split()
)
PART_KEYS = PART_DATA | {"thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"}
TOOL_KEYS = frozenset(
    "functionDeclarations googleSearch googleSearchRetrieval codeExecution urlContext fileSearch computerUse".split()
)
DECLARATION_KEYS = frozenset(
    "name description behavior parameters parametersJsonSchema response responseJsonSchema "
    "parameters_json_schema response_json_schema".split()
)
"""Google reads names in both spellings; google-genai writes the last two so (measured)."""
SCHEMA_KEYS = frozenset(
    "type format title description nullable enum maxItems minItems properties required minProperties maxProperties "
    "minLength maxLength pattern example anyOf propertyOrdering property_ordering default items minimum maximum".split()
)
"""OpenAPI's subset: ``parameters`` and ``responseSchema`` know no other word of JSON Schema."""
TYPES = {"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"}
NAME = re.compile("[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")
MODES = {"AUTO", "ANY", "NONE", "VALIDATED"}


def gemini_problems(request: Request, body: JSON) -> Iterator[str]:
    if request.path.endswith(":countTokens"):
        yield from _unknown("", body, COUNT_KEYS)
        body = body.get("generateContentRequest", body)
    else:
        yield from _unknown("", body, KEYS)
    yield from _contents(body.get("contents"))
    if "systemInstruction" in body:
        yield from _parts("system_instruction", body["systemInstruction"])
    yield from _tools(body)
    yield from _config(body.get("generationConfig") or {})


def _unknown(path: str, value: JSON, known: frozenset[str]) -> Iterator[str]:
    for key in sorted(value.keys() - known):
        yield f'Invalid JSON payload received. Unknown name "{key}" at \'{path}\': Cannot find field.'


def _contents(contents: object) -> Iterator[str]:
    if not isinstance(contents, list) or not contents:
        yield "* GenerateContentRequest.contents: contents is not specified"
        return
    waiting: list[JSON] = []
    before = ""
    for place, content in enumerate(contents):
        path = f"contents[{place}]"
        if content.get("role") not in ("user", "model"):
            yield f"Please use a valid role: user, model. ({path})"
            return
        yield from _parts(path, content)
        parts = content.get("parts") or []
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        answers = [part["functionResponse"] for part in parts if "functionResponse" in part]
        yield from _answers(path, waiting, answers)
        if calls and (content["role"] != "model" or before != "user"):
            yield f"{path}: a function call turn comes immediately after a user turn or a function response turn"
        waiting, before = calls, content["role"]
    if waiting:
        yield "contents: the last turn has function calls that are not answered"
    if contents[0].get("role") != "user":
        yield "contents[0]: the conversation begins with a user turn"


def _answers(path: str, calls: list[JSON], answers: list[JSON]) -> Iterator[str]:
    """As many answers as calls, each for one of them: by id where the call has one, else by name and order."""
    if len(calls) != len(answers):
        yield f"{path}: the number of function response parts ({len(answers)}) is not that of the calls ({len(calls)})"
        return
    open_calls = [*calls]
    for answer in answers:
        if not isinstance(answer.get("response"), dict):
            yield f"{path}: functionResponse.response is not an object"
        fitting = [call for call in open_calls if _fits(call, answer)]
        if not fitting:
            yield f"{path}: functionResponse {answer.get('name')!r} answers no call"
            return
        open_calls.remove(min(fitting, key=lambda call: call.get("id") != answer.get("id")))


def _fits(call: JSON, answer: JSON) -> bool:
    """google-genai calls functions by itself and answers without ids (measured)."""
    return bool(call["name"] == answer.get("name") and answer.get("id") in (None, call.get("id")))


def _parts(path: str, content: JSON) -> Iterator[str]:
    yield from _unknown(path, content, frozenset({"role", "parts"}))
    if not content.get("parts"):
        yield f"{path}.parts must not be empty"
    for place, part in enumerate(content.get("parts") or []):
        where = f"{path}.parts[{place}]"
        yield from _unknown(where, part, PART_KEYS)
        data = part.keys() & PART_DATA
        if len(data) != 1:
            yield f"{where}.data: required oneof field 'data' must have one initialized field, got {sorted(data)}"
        if "functionCall" in part and not isinstance(part["functionCall"].get("args", {}), dict):
            yield f"{where}.function_call.args is not an object"
        if "inlineData" in part and part["inlineData"].keys() - {"displayName"} != {"mimeType", "data"}:
            yield f"{where}.inline_data: mimeType and data are required"


def _tools(body: JSON) -> Iterator[str]:
    names: list[str] = []
    for place, tool in enumerate(body.get("tools") or []):
        yield from _unknown(f"tools[{place}]", tool, TOOL_KEYS)
        for number, declaration in enumerate(tool.get("functionDeclarations") or []):
            path = f"tools[{place}].function_declarations[{number}]"
            names.append(declaration.get("name"))
            yield from _declaration(path, declaration)
    if len({*names}) < len(names):
        yield "tools: Duplicate function declaration found"
    config = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    if config.get("mode", "AUTO") not in MODES:
        yield f"tool_config.function_calling_config.mode: invalid value {config['mode']!r}"
    allowed = config.get("allowedFunctionNames") or []
    if allowed and config.get("mode") not in ("ANY", "VALIDATED"):
        yield "allowed_function_names should only be set when the mode is ANY"
    for name in allowed:
        if name not in names:
            yield f"allowed_function_names: {name!r} is not declared"


def _declaration(path: str, declaration: JSON) -> Iterator[str]:
    yield from _unknown(path, declaration, DECLARATION_KEYS)
    if not NAME.fullmatch(declaration.get("name") or ""):
        yield f"{path}.name: Invalid function name"
    if {"parameters", "parametersJsonSchema"} <= declaration.keys():
        yield f"{path}: parameters and parameters_json_schema exclude each other"
    if "parameters" in declaration:
        yield from _schema(f"{path}.parameters", declaration["parameters"])


def _schema(path: str, schema: JSON) -> Iterator[str]:
    yield from _unknown(path, schema, SCHEMA_KEYS)
    if "type" in schema and str(schema["type"]).upper() not in TYPES:
        yield f"{path}.type: invalid value {schema['type']!r}"
    for key, value in (schema.get("properties") or {}).items():
        yield from _schema(f"{path}.properties[{key}]", value)
    for place, value in enumerate(schema.get("anyOf") or []):
        yield from _schema(f"{path}.any_of[{place}]", value)
    if "items" in schema:
        yield from _schema(f"{path}.items", schema["items"])
    if str(schema.get("type")).upper() == "ARRAY" and "items" not in schema:
        yield f"{path}.items: missing field."


def _config(config: JSON) -> Iterator[str]:
    yield from _unknown("generation_config", config, CONFIG_KEYS)
    schemas = config.keys() & {"responseSchema", "responseJsonSchema"}
    if len(schemas) == 2:
        yield "generation_config: response_schema and response_json_schema exclude each other"
    if schemas and config.get("responseMimeType") not in ("application/json", "text/x.enum"):
        yield "generation_config: a response schema needs response_mime_type application/json"
    if "responseSchema" in config:
        yield from _schema("generation_config.response_schema", config["responseSchema"])
