"""What a client of the Images API makes of a stream: the completed images, as the call without streaming tells them."""

from __future__ import annotations

import json
from typing import Any


def fold(data: bytes) -> dict[str, Any] | None:
    """None when it failed or was cut."""
    events = [json.loads(frame.partition("data: ")[2]) for frame in data.decode().split("\n\n") if "data: " in frame]
    done = [event for event in events if event["type"].endswith(".completed")]
    if not done or any(event["type"] == "error" for event in events):
        return None
    last = done[-1]
    options = {key: last[key] for key in ("background", "output_format", "quality", "size") if last[key] != "auto"}
    images = [{key: event[key] for key in ("b64_json", "revised_prompt") if key in event} for event in done]
    return {"created": last["created_at"], **options, "data": images, "usage": last["usage"]}
