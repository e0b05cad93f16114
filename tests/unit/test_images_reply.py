"""Images API, encode: events and the one object; golden/images/replies holds whole answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mitmcodex.wire.codec import Asked, Decoded, ReplyContext
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.images_reply import ImagesEncoder, encode_response, join_responses
from mitmcodex.wire.images_request import decode_request
from support.events import ev_completed, ev_created, ev_item_done, ev_message_done, sse

CONTEXT = ReplyContext(model="gpt-image-1", now_ns=lambda: 7_000_000_000)
USAGE = {"input_tokens": 9, "input_tokens_details": {"image_tokens": 4, "text_tokens": 5}, "output_tokens": 3}


def partial(index: int, data: str) -> dict[str, Any]:
    place = {"item_id": "ig_1", "output_index": 0, "partial_image_index": index, "partial_image_b64": data}
    return {"type": "response.image_generation_call.partial_image", **place, "size": "1024x1536"}


def image(data: str = "AAAA", **fields: Any) -> dict[str, Any]:
    return {"type": "image_generation_call", "id": "ig_1", "result": data, **fields}


def asked(action: str = "generations", **fields: Any) -> Decoded:
    return decode_request({"prompt": "x", "images": ["data:image/png;base64,AA=="], **fields}, Asked(action=action))


def encoded(*events: dict[str, Any], decoded: Decoded | None = None) -> list[dict[str, Any]]:
    encoder = ImagesEncoder(decoded or asked(), CONTEXT)
    data = encoder.feed(sse([ev_created(), *events])) + encoder.finish()
    frames = [frame.split("\ndata: ") for frame in data.decode().removesuffix("\n\n").split("\n\n")]
    told = [json.loads(text) for _, text in frames]
    assert [name for name, _ in frames] == [f"event: {event['type']}" for event in told]
    return told


def whole(*items: dict[str, Any], **response: Any) -> dict[str, Any]:
    return encode_response({"status": "completed", "output": [*items], **response}, asked(), CONTEXT)


def test_partial_images_come_before_the_whole_one() -> None:
    """seeds S139, seeds S141: each as its own event, in the public API's form."""
    first, second, done = encoded(partial(0, "AA"), partial(1, "BB"), ev_item_done(image("CC")), ev_completed())
    assert first == {
        "type": "image_generation.partial_image",
        "b64_json": "AA",
        "created_at": 7,
        "background": "auto",
        "output_format": "png",
        "quality": "auto",
        "size": "1024x1536",
        "partial_image_index": 0,
    }
    assert (second["b64_json"], second["partial_image_index"]) == ("BB", 1)
    assert (done["type"], done["b64_json"]) == ("image_generation.completed", "CC")


def test_an_edit_has_events_of_its_own() -> None:
    """The SDK tells them apart by their names."""
    told = encoded(partial(0, "AA"), ev_item_done(image()), ev_completed(), decoded=asked("edits"))
    assert [event["type"] for event in told] == ["image_edit.partial_image", "image_edit.completed"]


def test_what_the_backend_drew_counts_and_else_what_was_asked() -> None:
    """size, quality, background and output_format; nobody knows = auto in events, absent in the object."""
    told = encode_response(
        {"status": "completed", "output": [image(size="1024x1024", background="opaque")]},
        asked(size="1536x1024", quality="low"),
        CONTEXT,
    )
    assert (told["size"], told["background"], told["quality"]) == ("1024x1024", "opaque", "low")
    assert "size" not in whole(image()) and whole(image())["output_format"] == "png"


def test_the_revised_prompt_is_told() -> None:
    """seeds S141: what was drawn is not always what was asked."""
    assert whole(image(revised_prompt="a red dot"))["data"] == [{"b64_json": "AAAA", "revised_prompt": "a red dot"}]


def test_usage_is_the_tools_own_where_it_is_counted() -> None:
    """seeds S146: else that of the whole answer."""
    told = whole(image(), tool_usage={"image_gen": USAGE}, usage={"input_tokens": 1, "output_tokens": 1})
    assert told["usage"] == {**USAGE, "total_tokens": 12}
    other = whole(image(), usage={"input_tokens": 10, "output_tokens": 2})["usage"]
    assert other["total_tokens"] == 12 and other["input_tokens_details"] == {"image_tokens": 0, "text_tokens": 10}
    assert "usage" not in whole(image())


def test_no_image_is_an_error_with_the_models_words() -> None:
    """seeds S136: on a plan without the tool the model draws with letters; a client gets no empty success."""
    svg = "<svg>…</svg>"
    with pytest.raises(WireError) as caught:
        whole({"type": "message", "content": [{"type": "output_text", "text": svg}]})
    assert caught.value.code == "no_image" and svg in caught.value.message
    (told,) = encoded(ev_message_done(svg), ev_completed())
    assert told["type"] == "error" and svg in told["error"]["message"]
    encoder = ImagesEncoder(asked(), CONTEXT)
    encoder.feed(sse([ev_created(), ev_completed()]))
    assert encoder.is_cut


def test_an_empty_result_is_no_image() -> None:
    """A call that failed leaves an item without one."""
    with pytest.raises(WireError):
        whole(image(""), image("AAAA", result=None))


def test_a_stream_that_is_cut_ends_with_an_error() -> None:
    """What came is not taken for the whole."""
    *_, last = encoded(partial(0, "AA"), ev_item_done(image()))
    assert (last["type"], last["error"]["code"]) == ("error", "stream_incomplete")


def test_several_answers_are_one() -> None:
    """seeds S140: the images of n > 1 in one list, their cost together."""
    one = whole(image("AA"), usage=USAGE)
    both = join_responses([one, whole(image("BB"), usage=USAGE)])
    assert [entry["b64_json"] for entry in both["data"]] == ["AA", "BB"]
    assert both["usage"]["total_tokens"] == 24 and both["usage"]["input_tokens_details"]["image_tokens"] == 8
    assert "usage" not in join_responses([whole(image())])


def test_silence_is_broken_by_a_comment() -> None:
    """A drawing takes a minute."""
    assert ImagesEncoder(asked(), CONTEXT).idle() == b": keep-alive\n\n"
