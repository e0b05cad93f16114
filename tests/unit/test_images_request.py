"""Images API, decode: what each parameter becomes; golden/images/requests holds whole requests."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.codec import Asked, Decoded
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.images_request import decode_request
from support.mutations import mutations

PNG = "data:image/png;base64,iVBORw0KGgo="
GENERATION = {
    "prompt": "a dot",
    "model": "gpt-image-2",
    "n": 2,
    "size": "1024x1024",
    "quality": "low",
    "output_format": "webp",
    "output_compression": 50,
    "background": "opaque",
    "moderation": "auto",
    "partial_images": 1,
    "stream": True,
    "response_format": "b64_json",
    "user": "u",
}
EDIT = {"prompt": "a dot", "images": [{"image_url": PNG}], "mask": {"image_url": PNG}, "input_fidelity": "low"}


def decode(action: str = "generations", **fields: Any) -> Decoded:
    return decode_request({"prompt": "a dot", **fields}, Asked(action=action))


def refusal(action: str = "generations", **fields: Any) -> WireError:
    with pytest.raises(WireError) as caught:
        decode(action, **fields)
    assert caught.value.kind == "invalid_request"
    return caught.value


@pytest.mark.parametrize(
    "size",
    ["1024x1024", "1024x1536", "1536x1024", "2048x2048", "2048x3072", "3072x2048", "3840x2160", "2160x3840", "auto"],
)
def test_sizes_that_the_backend_has(size: str) -> None:
    """seeds S137: they go into the tool as they are."""
    assert decode(size=size).fields["tools"] == [{"type": "image_generation", "size": size}]


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("size", "3856x1024", "3840"),
        ("size", "3840x3840", "pixels"),
        ("size", "1000x1000", "multiples of 16"),
        ("size", "big", "WIDTHxHEIGHT"),
        ("output_format", "gif", "png, jpeg, webp"),
        ("output_compression", 101, "0 to 100"),
        ("output_compression", 50, "100 with PNG"),
        ("background", "transparent", "auto, opaque"),
        ("moderation", "off", "auto, low"),
        ("partial_images", 4, "0 to 3"),
        ("quality", "best", "auto, low, medium, high"),
        ("n", 0, "1 to 10"),
        ("n", 11, "1 to 10"),
        ("response_format", "tiff", "b64_json"),
    ],
)
def test_a_value_outside_the_rules_names_the_rule(key: str, value: object, rule: str) -> None:
    """seeds S137, seeds S138, seeds S139, seeds S140: a 400 with the parameter's own name."""
    error = refusal(**{key: value})
    assert error.param == key and rule in error.message


def test_the_tool_draws_whatever_model_is_named() -> None:
    """seeds S140, seeds S145: no model goes into the tool, and another than the backend's is told."""
    assert decode(model="gpt-image-2").losses == []
    named = decode(model="gpt-image-1.5")
    assert "model" not in named.fields and "model" not in named.fields["tools"][0]
    assert [(loss.path, loss.what) for loss in named.losses] == [("model", "mapped")]


def test_the_model_must_draw() -> None:
    """seeds S135: it has the one tool and no choice."""
    fields = decode().fields
    assert fields["tools"] == [{"type": "image_generation"}]
    assert fields["tool_choice"] == {"type": "image_generation"}


def test_an_edit_shows_its_images_behind_the_prompt() -> None:
    """seeds S142: data URLs and https URLs, in their order; the mask goes into the tool."""
    got = decode("edits", image=[PNG, "https://example.test/a.png"], mask=PNG)
    texts, *images = got.fields["input"][0]["content"]
    assert texts == {"type": "input_text", "text": "a dot"}
    assert images == [{"type": "input_image", "image_url": url} for url in (PNG, "https://example.test/a.png")]
    assert got.fields["tools"][0]["input_image_mask"] == {"image_url": PNG}
    assert got.reply.event == "image_edit"


@pytest.mark.parametrize("images", [None, [], [{}], [{"file_id": "f-1"}], "AAAA", ["file:///etc/passwd"]])
def test_an_edit_needs_images(images: object) -> None:
    """An id of a file that nobody keeps here is none, nor bare base64 or another kind of URL."""
    refusal("edits", images=images)


def test_a_generation_has_no_images() -> None:
    """What is not carried over is told."""
    assert [loss.path for loss in decode(image=PNG, mask=PNG).losses] == ["image", "mask"]


@pytest.mark.parametrize(("action", "whole"), [("generations", GENERATION), ("edits", EDIT)])
def test_any_json_is_survived(action: str, whole: dict[str, Any]) -> None:
    """Each value in turn replaced by wrong ones: a decoded request or a WireError."""
    for fields in mutations(whole):
        try:
            assert isinstance(decode_request(fields, Asked(action=action)), Decoded)
        except WireError as error:
            assert error.kind == "invalid_request"
