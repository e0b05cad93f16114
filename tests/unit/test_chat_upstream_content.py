"""wire/chat_upstream_content.py: parts of a canonical message as parts of a chat message."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.chat_upstream_content import CanonicalReading, decoded_parts
from mitmcodex.wire.codec import Loss
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.shapes import Fields

TEXT = {"type": "input_text", "text": "a"}
URL = "data:image/png;base64,aGk="


def parts(content: Any, role: str = "user") -> tuple[list[Fields], list[Loss]]:
    losses: list[Loss] = []
    return decoded_parts(CanonicalReading({"content": content}, "input[0]", losses), "content", role), losses


@pytest.mark.parametrize(
    ("part", "made"),
    [
        (TEXT, {"type": "text", "text": "a"}),
        ({"type": "output_text", "text": "a", "annotations": [], "logprobs": []}, {"type": "text", "text": "a"}),
        ({"type": "input_image", "image_url": URL}, {"type": "image_url", "image_url": {"url": URL}}),
        (
            {"type": "input_image", "image_url": URL, "detail": "low"},
            {"type": "image_url", "image_url": {"url": URL, "detail": "low"}},
        ),
        ({"type": "input_file", "file_id": "file-1"}, {"type": "file", "file": {"file_id": "file-1"}}),
        (
            {"type": "input_file", "file_data": URL, "filename": "a.pdf"},
            {"type": "file", "file": {"file_data": URL, "filename": "a.pdf"}},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
            {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
        ),
    ],
)
def test_parts_without_loss(part, made):
    """conformance 17, backwards: what Chat Completions has a part for."""
    assert parts([part]) == ([made], [])


def test_detail_original_goes_as_high():
    """Codex's own value, which Chat Completions does not have."""
    made, losses = parts([{"type": "input_image", "image_url": URL, "detail": "original"}])
    assert made[0]["image_url"]["detail"] == "high"
    assert losses[0][:2] == ("input[0].content[0].detail", "changed") and losses[0].is_hint


@pytest.mark.parametrize(
    ("part", "role"),
    [
        ({"type": "input_image", "file_id": "file-1"}, "user"),
        ({"type": "input_file", "file_url": "https://example.org/a.pdf"}, "user"),
        ({"type": "input_file", "filename": "a.pdf"}, "user"),
        ({"type": "refusal", "refusal": "No."}, "user"),
        ({"type": "encrypted_content", "encrypted_content": "x"}, "user"),
        ({"type": "input_image", "image_url": URL}, "system"),
        ({"type": "input_image", "image_url": URL}, "assistant"),
        ({"type": "from the future"}, "user"),
    ],
)
def test_parts_that_do_not_go(part, role):
    """One loss that counts for each, with its place; the parts beside it go."""
    made, losses = parts([part, TEXT], role)
    assert [one["type"] for one in made] == ["text"]
    assert [(loss.path, loss.what, loss.is_hint) for loss in losses] == [("input[0].content[0]", "dropped", False)]


def test_annotations_and_unknown_keys_are_told():
    """Annotations as a hint, as the text has what they point at; lists without entries say nothing."""
    _, losses = parts([{"type": "output_text", "text": "a", "annotations": [{}], "colour": 1}], "assistant")
    assert [(loss.path, loss.is_hint) for loss in losses] == [
        ("input[0].content[0].annotations", True),
        ("input[0].content[0].colour", False),
    ]


def test_a_string_and_nothing():
    """Both forms of content that are no list."""
    assert parts("a") == ([{"type": "text", "text": "a"}], []) and parts(None) == ([], [])


@pytest.mark.parametrize(
    ("content", "param"),
    [
        (1, "input[0].content"),
        ({"a": 1}, "input[0].content"),
        (["a"], "input[0].content[0]"),
        ([{}], "input[0].content[0].type"),
        ([{"type": "input_text"}], "input[0].content[0].text"),
        ([{"type": "input_image", "image_url": {"url": URL}}], "input[0].content[0].image_url"),
        ([{"type": "input_audio", "input_audio": {}}], "input[0].content[0].input_audio.data"),
    ],
)
def test_wrong_types_are_refused(content, param):
    """400 that names the place."""
    with pytest.raises(WireError) as caught:
        parts(content)
    assert caught.value.kind == "invalid_request" and caught.value.param == param
