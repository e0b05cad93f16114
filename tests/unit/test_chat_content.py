"""wire/chat_content.py: content as a text or as parts."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.chat_content import decode_heard, decode_spoken
from mitmcodex.wire.chat_reading import ChatReading
from mitmcodex.wire.codec import Loss
from mitmcodex.wire.errors import WireError

PNG = "data:image/png;base64,AAAA"


def heard(content: Any, losses: list[Loss] | None = None) -> list[dict[str, Any]]:
    with ChatReading({"content": content}, "messages[0]", [] if losses is None else losses) as message:
        return decode_heard(message)


def spoken(content: Any) -> list[dict[str, Any]]:
    with ChatReading({"content": content}, "messages[0]", []) as message:
        return decode_spoken(message)


def test_a_text_and_a_part_of_text_are_the_same():
    """conformance 17: both forms of content."""
    assert heard("Hi.") == heard([{"type": "text", "text": "Hi."}]) == [{"type": "input_text", "text": "Hi."}]


@pytest.mark.parametrize("content", ["", None, []])
def test_an_assistant_may_have_said_nothing(content):
    """conformance 17: beside calls ``content`` is null, [] or empty (Cursor, opencode)."""
    assert spoken(content) == []


def test_an_image_keeps_its_detail():
    """conformance 17: ``detail`` goes on if it was given, and is not made up."""
    image = {"type": "image_url", "image_url": {"url": PNG, "detail": "high"}}
    assert heard([image]) == [{"type": "input_image", "image_url": PNG, "detail": "high"}]
    assert heard([{"type": "image_url", "image_url": {"url": PNG}}]) == [{"type": "input_image", "image_url": PNG}]
    assert heard([{"type": "image_url", "image_url": PNG}]) == [{"type": "input_image", "image_url": PNG}]


def test_a_file_comes_as_data_or_as_an_id():
    """conformance 17: file_data with its name, or file_id; one of them must be there."""
    data = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}
    assert heard([{"type": "file", "file": data}]) == [{"type": "input_file", **data}]
    assert heard([{"type": "file", "file": {"file_id": "f1"}}]) == [{"type": "input_file", "file_id": "f1"}]
    with pytest.raises(WireError, match="needs file_data"):
        heard([{"type": "file", "file": {"filename": "a.pdf"}}])


def test_audio_is_refused_with_a_remedy():
    """conformance 17: 400, not a silent drop."""
    with pytest.raises(WireError, match="send a transcript as text") as raised:
        heard([{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}])
    assert (raised.value.kind, raised.value.param) == ("invalid_request", "messages[0].content[0]")


def test_a_refusal_in_the_history_stays_one():
    """conformance 10: as a part of what the assistant said, and of nobody else."""
    part = {"type": "refusal", "refusal": "No."}
    assert spoken([{"type": "text", "text": "Hm."}, part]) == [{"type": "output_text", "text": "Hm."}, part]
    with pytest.raises(WireError, match="'refusal' is not supported"):
        heard([part])


def test_unknown_keys_of_parts_are_losses():
    """Down to the innermost object."""
    losses: list[Loss] = []
    image = {"type": "image_url", "image_url": {"url": PNG, "crop": 1}, "cache_control": {"type": "ephemeral"}}
    heard([image], losses)
    assert [(loss.path, loss.is_hint) for loss in losses] == [
        ("messages[0].content[0].image_url.crop", False),
        ("messages[0].content[0].cache_control", True),
    ]


@pytest.mark.parametrize("content", [1, True, {"type": "text"}, ["Hi."], [{"type": "video_url"}], [{"text": "Hi."}]])
def test_other_content_is_refused_by_path(content):
    """400 that says where."""
    with pytest.raises(WireError) as raised:
        heard(content)
    assert raised.value.param is not None and raised.value.param.startswith("messages[0].content")
