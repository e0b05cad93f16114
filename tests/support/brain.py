"""A backend that can hold a conversation with the real Codex CLI: it does what markers in the user's text say.

``[[say:TEXT]] [[shell:COMMAND]] [[patch:FILE:LINE]] [[think:TEXT]] [[image]] [[limit]] [[cut]]``. Several markers in
one text are done one after the other; a turn that ended in a tool's output and has no marker left says "done".
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from support import events
from support.answers import Answer, Cut, Data, Head, detail, quota, reply, say, service_headers, stream, usage_limit
from support.records import Request

JSON = dict[str, Any]
MARKER = re.compile(r"\[\[(say|shell|patch|think|image|limit|cut)(?::(.*?))?\]\]", re.DOTALL)
TOOL_OUTPUTS = ("function_call_output", "custom_tool_call_output")


class CodexBrain:
    """Answers every endpoint that Codex uses. One instance a backend: it remembers whom it has cut."""

    def __init__(self) -> None:
        self._cut: set[str] = set()
        self._markers: dict[str, Callable[[str, Request], Answer]] = {
            "say": lambda text, request: say(text, self._headers()),
            "shell": self._shell,
            "patch": self._patch,
            "think": self._think,
            "image": self._image,
            "limit": lambda text, request: usage_limit(),
            "cut": self._cut_once,
        }

    def __call__(self, request: Request) -> Answer:
        if request.method == "POST" and request.path.endswith("/responses"):
            return self._turn(request)
        return _side(request)

    def _turn(self, request: Request) -> Answer:
        text, outputs = last_turn(request.json)
        markers = MARKER.findall(text)
        if outputs < len(markers):
            name, value = markers[outputs]
            return self._markers[name](value, request)
        return say("done" if outputs else f"You said: {text[-80:]}", self._headers())

    def _headers(self) -> list[tuple[str, str]]:
        return quota() + service_headers()

    def _shell(self, command: str, request: Request) -> Answer:
        call = events.ev_function_call(_call_id(request), "exec_command", {"cmd": command})
        return stream([events.ev_created(), call, events.ev_completed()], self._headers())

    def _patch(self, value: str, request: Request) -> Answer:
        name, _, line = (value or "out.txt:edited by client").partition(":")
        patch = f"*** Begin Patch\n*** Add File: {name}\n+{line}\n*** End Patch"
        call = events.ev_custom_tool_call(_call_id(request), "apply_patch", patch)
        return stream([events.ev_created(), call, events.ev_completed()], self._headers())

    def _think(self, text: str, request: Request) -> Answer:
        thought = events.ev_reasoning("a plan")
        message = events.ev_message_done(text, output_index=1)
        return stream([events.ev_created(), thought, message, events.ev_completed()], self._headers())

    def _image(self, _: str, request: Request) -> Answer:
        urls = list(image_urls(request.json))
        digest = hashlib.sha256(urls[-1].encode()).hexdigest() if urls else "no image"
        return say(f"image sha256 {digest}", self._headers())

    def _cut_once(self, text: str, request: Request) -> Answer:
        thread = request.first("thread-id") or request.first("session-id")
        if thread in self._cut:
            return say(text or "after the cut", self._headers())
        self._cut.add(thread)
        return [Head(), Data(events.sse([events.ev_created()])), Cut()]


def _call_id(request: Request) -> str:
    """Stable for one request, so that a repeated one gets the same call."""
    return "call_" + hashlib.sha256(request.body).hexdigest()[:24]


def last_turn(body: JSON) -> tuple[str, int]:
    """The last user message's text and how many tool outputs stand behind it."""
    items = body["input"] if isinstance(body["input"], list) else [{"role": "user", "content": body["input"]}]
    outputs = 0
    for item in reversed(items):
        if item.get("type") in TOOL_OUTPUTS:
            outputs += 1
        elif item.get("role") == "user":
            content = item["content"]
            parts = [{"text": content}] if isinstance(content, str) else content
            return "\n".join(part.get("text", "") for part in parts), outputs
    return "", outputs


def image_urls(body: JSON) -> list[str]:
    parts = [part for item in body["input"] if isinstance(item.get("content"), list) for part in item["content"]]
    return [part["image_url"] for part in parts if part.get("type") == "input_image"]


def _side(request: Request) -> Answer:
    """The other endpoints of protocol.md 1; what the client can do without is a 404, as on the mock of the captures."""
    if request.path.endswith("/responses"):
        return detail(426, "Upgrade Required")
    for end, answer in SIDE_CALLS.items():
        if request.path.endswith(end):
            return answer(request)
    return detail(404, "Not Found")


def _models(request: Request) -> Answer:
    if "client_version=" in request.query:
        return reply(200, {"models": []}, [("etag", 'W/"models-1"')])
    model = {"id": "gpt-5.5", "object": "model", "created": 0, "owned_by": "test"}
    return reply(200, {"object": "list", "data": [model]})


def _accounts(request: Request) -> Answer:
    """Routing discovery (protocol.md 1.2): the account stays where it asked."""
    account = request.first("chatgpt-account-id")
    entry = {"id": account, "plan_type": "plus", "name": None, "structure": "personal"}
    routing = {"workspace_backend_origin": "NO_CONSTRAINT", "account_routing_override": "NO_CONSTRAINT"}
    fields = {"accounts": [{**entry, **routing}], "account_ordering": [account], "default_account_id": account}
    return reply(200, fields)


def _usage(request: Request) -> Answer:
    window = {"used_percent": 12, "limit_window_seconds": 18000, "reset_after_seconds": 3600, "reset_at": 1795210995}
    limits = {"allowed": True, "limit_reached": False, "primary_window": window, "secondary_window": None}
    credits = {"has_credits": False, "unlimited": False, "balance": None}
    return reply(200, {"plan_type": "plus", "rate_limit": limits, "credits": credits})


def _compact(request: Request) -> Answer:
    count = len(json.loads(request.body)["input"])
    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": f"gAAA{count}"}
    return reply(200, {"output": [item]})


SIDE_CALLS: dict[str, Callable[[Request], Answer]] = {
    "/models": _models,
    "/wham/accounts/check": _accounts,
    "/wham/usage": _usage,
    "/responses/compact": _compact,
    "/ps/plugins/installed": lambda request: reply(200, {"plugins": []}),
}
