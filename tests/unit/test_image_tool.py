"""wire/image_tool.py: parameters of the image_generation tool (seeds S137 to S139, S144)."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.errors import WireError
from mitmcodex.wire.image_tool import check_image_tool, draws

SIZES = (
    "1024x1024 1024x1536 1536x1024 2048x2048 2048x3072 3072x2048 3840x2160 2160x3840 2304x3072 auto".split()
)


@pytest.mark.parametrize("size", SIZES)
def test_sizes_by_the_rules_pass(size: str) -> None:
    """seeds S137 and S144: all that are known to work."""
    check_image_tool({"type": "image_generation", "size": size}, "tools[0]")


@pytest.mark.parametrize(
    "tool",
    [
        {"output_format": "webp", "output_compression": 0, "background": "opaque", "moderation": "low"},
        {"output_compression": 100, "partial_images": 3, "quality": "high", "size": None},
        {"output_format": "jpeg", "output_compression": 80, "background": "auto", "partial_images": 0},
    ],
)
def test_other_values_by_the_rules_pass(tool: dict[str, Any]) -> None:
    """seeds S138 and S139; what is not known here is the backend's to judge."""
    check_image_tool(tool, "tools[0]")


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("size", "1000x1000", "multiples of 16"),
        ("size", "4096x1024", "no side over 3840"),
        ("size", "3840x3840", "pixels"),
        ("size", "big", "WIDTHxHEIGHT"),
        ("size", 1024, "WIDTHxHEIGHT"),
        ("output_format", "gif", "png, jpeg, webp"),
        ("background", "transparent", "auto, opaque"),
        ("moderation", "high", "auto, low"),
        ("partial_images", 4, "0 to 3"),
        ("partial_images", True, "whole number"),
        ("output_compression", 50, "100 with PNG"),
        ("output_compression", 101, "0 to 100"),
    ],
)
def test_a_value_outside_the_rules_is_refused_by_the_rule(key: str, value: Any, rule: str) -> None:
    """seeds S137 to S139: status 400, the place and the rule."""
    with pytest.raises(WireError, match=rule) as caught:
        check_image_tool({key: value}, "tools[0]")
    assert caught.value.param == f"tools[0].{key}" and caught.value.status_for(is_codex=False) == 400


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"tools": [{"type": "function"}, {"type": "image_generation"}]}, True),
        ({"tools": [{"type": "function"}]}, False),
        ({"tools": None}, False),
        ({}, False),
    ],
)
def test_who_draws_is_known(fields: dict[str, Any], answer: bool) -> None:
    """seeds S136: only such a request needs a plan with images."""
    assert draws(fields) is answer


def test_a_parameter_of_the_request_itself_is_named_as_it_is() -> None:
    """seeds S137: the Images API has the tool's parameters at the top."""
    with pytest.raises(WireError) as caught:
        check_image_tool({"size": "big"}, "")
    assert caught.value.param == "size"
