import base64
import json
import math
import random
import struct
import time
from typing import Any

import pytest

from mitmcodex.upstream.tokens import TokenCounter
from mitmcodex.wire.counting import (
    BYTES_PER_TOKEN,
    FILE_TOKENS,
    IMAGE_TOKENS,
    ITEM_TOKENS,
    LOW_IMAGE_TOKENS,
    REPLY_TOKENS,
    cheap_estimate,
    request_tokens,
)

BARE = REPLY_TOKENS + ITEM_TOKENS
TOOL = {
    "type": "function",
    "name": "read_file",
    "description": "Reads a file. " * 40,
    "strict": False,
    "parameters": {"type": "object", "properties": {"path": {"type": "string", "description": "Where it lies"}}},
}
COUNT = TokenCounter()


def words(text: str) -> int:
    """A tokenizer that can be followed by eye."""
    return len(text.split())


def in_json(value: Any) -> int:
    """Words of its compact JSON."""
    return words(json.dumps(value, separators=(",", ":")))


def of(*items: Any) -> int:
    """Tokens of a request with these items, in words, less the frame of the first."""
    return request_tokens({"input": list(items)}, words) - BARE


def image_url(width: int, height: int, form: str = "png") -> str:
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(100_000)
    return f"data:image/{form};base64,{base64.b64encode(head).decode()}"


def user(*parts: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": list(parts)}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"role": "user", "content": "one two"}, 2),
        (user({"type": "input_text", "text": "one two"}, {"type": "input_text", "text": "three"}), 3),
        (user({"type": "refusal", "refusal": "I won't"}), 2),
        ({"type": "function_call", "id": "fc_1", "call_id": "c d", "name": "f", "arguments": '{"a": 1}'}, 3),
        ({"type": "custom_tool_call", "call_id": "c d", "name": "f", "input": "one two three"}, 4),
        ({"type": "function_call_output", "call_id": "c d", "output": "one two"}, 2),
        ({"type": "function_call_output", "output": [{"type": "input_text", "text": "one two three"}]}, 3),
        ({"type": "function_call_output", "output": [{"type": "encrypted_content", "encrypted_content": "x" * 64}]}, 9),
        ({"type": "web_search_call", "id": "ws 1", "action": {"type": "search", "query": "one two"}}, 2),
        ({"type": "reasoning", "id": "rs 1", "summary": [{"type": "summary_text", "text": "a b"}]}, 0),
        ({"type": "reasoning", "summary": [], "encrypted_content": "x" * 2000}, math.ceil((1500 - 650) / 4)),
        ({"type": "reasoning", "content": [{"type": "reasoning_text", "text": "one two"}]}, 2),
        ({"type": "compaction", "encrypted_content": "x" * 400}, 0),
        ({"type": "item_reference", "id": "one two"}, 0),
        ({"type": "additional_tools", "role": "developer", "tools": [TOOL]}, in_json(TOOL)),
    ],
    ids=lambda value: value.get("type", "easy") if isinstance(value, dict) else None,
)
def test_each_kind_of_item_counts_what_the_model_sees_of_it(item: dict[str, Any], expected: int) -> None:
    """conformance 60: texts, calls, outputs, sealed reasoning and tools count; ids and summaries don't."""
    assert of(item) == expected


def test_all_of_a_request_counts() -> None:
    """conformance 60: instructions, a bare input, tools with their namespaces and the answer's schema add up."""
    alone = request_tokens({"input": "one two three"}, words)
    assert alone == BARE + 3
    full: dict[str, Any] = {
        "input": "one two three",
        "instructions": "be nice",
        "tools": [TOOL, {"type": "namespace", "name": "n", "tools": [TOOL]}],
        "text": {"format": {"type": "json_schema", "name": "s", "schema": {"description": "x y z"}}},
    }
    written = sum(in_json(part) for part in (*full["tools"], full["text"]["format"]))
    assert request_tokens(full, words) == alone + ITEM_TOKENS + 2 + written
    assert request_tokens({"input": "one two three", "text": {"format": {"type": "text"}}}, words) == alone


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({"image_url": image_url(1024, 1024)}, math.ceil(1024 * 1.2)),
        ({"image_url": image_url(100, 33), "detail": "high"}, math.ceil(8 * 1.2)),
        ({"image_url": image_url(8000, 6000), "detail": "auto"}, IMAGE_TOKENS),
        ({"image_url": image_url(3200, 640), "detail": "original"}, 2000),
        ({"image_url": image_url(9000, 9000), "detail": "original"}, 10_000),
        ({"image_url": image_url(8000, 6000), "detail": "low"}, LOW_IMAGE_TOKENS),
        ({"image_url": "https://example.test/a.png"}, IMAGE_TOKENS),
        ({"image_url": "data:image/png;base64,!"}, IMAGE_TOKENS),
        ({"image_url": "data:image/svg+xml,<svg/>"}, IMAGE_TOKENS),
        ({"file_id": "file-1"}, IMAGE_TOKENS),
    ],
)
def test_a_picture_costs_by_its_pixels_not_its_bytes(image: dict[str, Any], expected: int) -> None:
    """conformance 60, pains P32: patches of 32 pixels up to a maximum, which one of unknown size costs, too."""
    assert of(user({"type": "input_image", **image})) == expected


def test_a_generated_picture_in_the_history_counts_as_a_picture() -> None:
    """The base64 of an image_generation_call is not text."""
    result = image_url(1024, 1024).partition(",")[2]
    assert of({"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": result}) == 1229


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ({"filename": "a.pdf", "file_data": "data:application/pdf;base64," + "A" * 4000}, 1 + 300),
        ({"filename": "a.pdf", "file_data": "A" * 4000}, 1 + 300),
        ({"file_data": "data:text/plain;base64," + "A" * 4000}, 750),
        ({"file_url": "https://example.test/a.pdf"}, FILE_TOKENS),
        ({"file_id": "file-1"}, FILE_TOKENS),
    ],
)
def test_a_file_costs_by_its_bytes(file: dict[str, Any], expected: int) -> None:
    """conformance 60: text by its length, a PDF by what its pages cost, one that lies elsewhere a fixed number."""
    assert of(user({"type": "input_file", **file})) == expected


def random_json(source: random.Random, depth: int) -> Any:
    keys = ("input", "type", "content", "output", "text", "format", "tools", "name", "image_url", "file_data", "role")
    leaves = (None, True, -1, 2.5, "", "x", "data:;base64,", "data:", "\ud800", "input_image", "input_file", "message")
    kind = source.randrange(4) if depth else 3
    if kind == 0:
        return [random_json(source, depth - 1) for _ in range(source.randrange(4))]
    if kind in (1, 2):
        return {source.choice(keys): random_json(source, depth - 1) for _ in range(source.randrange(6))}
    return source.choice(leaves)


def test_any_json_is_survived() -> None:
    """Wrong types count as little as they say and raise nothing."""
    source = random.Random(5)
    for _ in range(3000):
        fields = {key: random_json(source, 5) for key in ("instructions", "input", "tools", "text")}
        assert request_tokens(fields, COUNT) >= REPLY_TOKENS
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert request_tokens({"input": [{"arguments": deep}], "tools": [deep]}, COUNT) == BARE


def seconds(fields: dict[str, Any], count: Any = COUNT) -> float:
    """CPU time of the quickest of five counts."""
    taken = []
    for _ in range(5):
        before = time.process_time()
        request_tokens(fields, count)
        taken.append(time.process_time() - before)
    return min(taken)


def test_large_tools_count_in_a_few_milliseconds() -> None:
    """50 kB of tools, as agents send them: 20 ms at most (about 1 ms when the machine is idle)."""
    tools = [TOOL | {"name": f"tool_{number}"} for number in range(70)]
    assert len(json.dumps(tools)) > 50_000
    COUNT("load")
    assert seconds({"input": "hi", "tools": tools}) < 0.02


def test_cost_is_linear() -> None:
    """Ten times the turns cost no more than some ten times the work."""
    turn = [user({"type": "input_text", "text": "a word"}), {"type": "function_call", "name": "f", "arguments": "{}"}]
    assert seconds({"input": turn * 10_000}, len) < 25 * seconds({"input": turn * 1000}, len)


def test_the_cheap_estimate_is_near_the_count() -> None:
    """conformance 43: a stream's first event may tell it: within a factor of two for an ordinary request, never 0."""
    fields = {"model": "m", "input": [{"role": "user", "content": "The quick brown fox. " * 300}], "tools": [TOOL]}
    counted = request_tokens(fields, COUNT)
    assert counted / 2 < cheap_estimate(json.dumps(fields).encode()) < counted * 2
    assert [cheap_estimate(body) for body in (b"", b"{}", b"x" * 400)] == [1, 1, 100]


def test_the_cheap_estimate_takes_a_picture_for_a_picture() -> None:
    """conformance 43: megabytes of base64 are not a million tokens, in no protocol's form; two pictures cost two."""
    blob = base64.b64encode(random.Random(1).randbytes(2_000_000)).decode()
    text = "word " * 4000
    for body in ({"image_url": f"data:image/png;base64,{blob}", "t": text}, {"t": text, "images": [blob, text, blob]}):
        dumped = json.dumps(body)
        images = dumped.count(blob)
        tokens = cheap_estimate(dumped.encode())
        in_text = (len(dumped) - images * len(blob)) // BYTES_PER_TOKEN
        assert abs(tokens - in_text - images * IMAGE_TOKENS) <= images * 2 * 4096 // BYTES_PER_TOKEN


def test_the_cheap_estimate_knows_text_without_blanks() -> None:
    """Chinese has neither blanks nor quotes for pages, and is text all the same."""
    assert cheap_estimate(("字" * 20_000).encode()) == 15_000
