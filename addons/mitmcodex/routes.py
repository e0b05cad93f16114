"""Which call a method and path name (protocol.md 1, clients.md). Pure: what the answer is, others decide.

Paths are compared exactly and without their query; a path that is not listed does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from mitmcodex.wire.errors import WireError

BASES = ("/v1", "", "/v1/v1", "/codex", "/backend-api/codex", "/backend-api/codex/v1")
"""``/v1`` twice and behind ``codex``: clients append it to a base URL that has it already."""

PUBLIC_BASES = ("/v1", "", "/v1/v1")
SIDE_ROOTS = ("/codex/", "/wham/", "/ps/")
TELEMETRY = "analytics-events"
UNKNOWN = (
    "Unknown path. Calls go to /v1/responses, /v1/chat/completions, /v1/messages, "
    "/v1beta/models/MODEL:generateContent and /v1/models."
)
UNKNOWN_TO_OLLAMA = "Unknown path. Calls go to /api/chat, /api/generate, /api/tags, /api/show and /v1/…"
OLLAMA_ELSEWHERE = (
    "Ollama's calls have a listener of their own, by default 127.0.0.1:11434: "
    "ollama: {enabled: true} in the settings file opens it."
)


@dataclass(frozen=True, slots=True)
class Route:
    """``methods`` is empty when any will do.

    ``call``: responses (a generation, in whatever protocol) | compact | images (see wire/images_request.py) | count
    (tokens of a request) | models (the provider's own list, for Codex) | listing (our list, or one entry) | stored (a
    kept response) | ollama (what Ollama says of itself) | side | local | unsupported.
    """

    call: str
    methods: tuple[str, ...] = ()
    path: str = ""
    """For ``side`` calls see ``Admission.path``; for ``stored`` the response's id; for ``unsupported`` the remedy."""
    protocol: str = "responses"
    model: str = ""
    action: str = ""
    """What the path says besides: Gemini's method, ``info``, ``input_items``, Ollama's ``tags`` …"""


_POST, _GET = ("POST",), ("GET",)
_LOCAL = Route("local", ("GET", "HEAD"))

_CODEX_SUFFIXES = {"/responses": Route("responses", _POST), "/responses/compact": Route("compact", _POST)}
_SUFFIXES = {
    "/responses/input_tokens": Route("count", _POST),
    "/chat/completions": Route("responses", _POST, protocol="chat"),
    "/messages": Route("responses", _POST, protocol="messages"),
    "/messages/count_tokens": Route("count", _POST, protocol="messages", action="count_tokens"),
    "/images/generations": Route("images", _POST, protocol="images", action="generations"),
    "/images/edits": Route("images", _POST, protocol="images", action="edits"),
}
_EXACT = (
    {base + suffix: route for base in BASES for suffix, route in _CODEX_SUFFIXES.items()}
    | {base + "/models": Route("listing", _GET) for base in BASES}
    | {base + suffix: route for base in PUBLIC_BASES for suffix, route in _SUFFIXES.items()}
    | {"/health": _LOCAL, "/healthz": _LOCAL, "/": Route("local", ("HEAD",), action="root")}
)

_CHAT = "POST /v1/chat/completions or /v1/responses"
_UNSUPPORTED = {
    "embeddings": "another service: the Codex backend makes no embeddings",
    "completions": _CHAT,
    "audio": f"another service for speech, and {_CHAT} for text",
    "files": "file contents inside the request (input_file with file_data)",
    "uploads": "file contents inside the request (input_file with file_data)",
    "batches": f"single calls of {_CHAT}",
    "messages/batches": "single calls of POST /v1/messages",
    "fine_tuning": "a model of GET /v1/models as it is",
    "realtime": _CHAT,
    "moderations": "another service",
    "assistants": "POST /v1/responses",
    "threads": "POST /v1/responses with previous_response_id",
    "conversations": "POST /v1/responses with previous_response_id",
    "vector_stores": "texts inside the request",
    "images/variations": "POST /v1/images/edits",
}
"""What no provider here does for every client, and what to use instead (seeds S93)."""

_UNSUPPORTED_PATH = re.compile(
    r"(?:/v1){0,2}/(" + "|".join(sorted(map(re.escape, _UNSUPPORTED), key=len, reverse=True)) + r")(?:/.*)?"
)
_MODEL_PATH = re.compile(r"(?:/v1){0,2}/models/(.+?)(/info)?")
_STORED_PATH = re.compile(r"(?:/v1){0,2}/responses/([^/]+)(?:/(input_items|cancel))?")
_GEMINI_PATH = re.compile(r"(?:/gemini)?/v1(?:beta|alpha)?/models/(.+):([A-Za-z]+)")
_GEMINI_LIST = re.compile(r"/gemini/v1(?:beta|alpha)?/models(?:/(.+))?|/v1(?:beta|alpha)/models(?:/(.+))?")
_GEMINI_CALLS = {"generateContent": "responses", "streamGenerateContent": "responses", "countTokens": "count"}
_OLLAMA = {
    "/api/chat": Route("responses", _POST, protocol="ollama", action="chat"),
    "/api/generate": Route("responses", _POST, protocol="ollama", action="generate"),
    "/api/show": Route("ollama", _POST, protocol="ollama", action="show"),
    "/api/tags": Route("ollama", ("GET", "HEAD"), protocol="ollama", action="tags"),
    "/api/ps": Route("ollama", ("GET", "HEAD"), protocol="ollama", action="ps"),
    "/api/version": Route("ollama", ("GET", "HEAD"), protocol="ollama", action="version"),
    "/": Route("ollama", ("GET", "HEAD"), protocol="ollama", action="root"),
}
_OLLAMA_UNSUPPORTED = {
    "/api/embed": _UNSUPPORTED["embeddings"],
    "/api/embeddings": _UNSUPPORTED["embeddings"],
    **dict.fromkeys(("/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete"), "a model of GET /api/tags"),
}


def find(path: str, listener: str = "main") -> Route | None:
    """The route of a path (without query), whatever the method. ``listener``: main | ollama."""
    if listener == "ollama":
        return _ollama(path)
    return _EXACT.get(path) or _gemini(path) or _unsupported(path) or _of_pattern(path) or _side(path)


def match(method: str, path: str, listener: str = "main") -> Route:
    """The route of a request. Raises WireError: ``not_found``, or ``method_not_allowed`` with an ``allow`` header."""
    route = find(path, listener)
    if route is None:
        raise WireError("not_found", _unknown(path, listener))
    if route.call == "unsupported":
        raise WireError("not_supported", f"{path} is not supported here. Use {route.path}.")
    if route.methods and method not in route.methods:
        allowed = ", ".join(route.methods)
        raise WireError(
            "method_not_allowed", f"This path takes {allowed} only.", headers=[("allow", f"{allowed}, OPTIONS")]
        )
    return route


def _unknown(path: str, listener: str) -> str:
    if listener == "ollama":
        return UNKNOWN_TO_OLLAMA
    return OLLAMA_ELSEWHERE if path.startswith("/api/") else UNKNOWN


def protocol_of(path: str, names: Iterable[str], listener: str = "main") -> str:
    """The protocol whose error form a caller of this path expects, found or not.

    ``names``: lower-case names of the request's headers and of ``?key``. Some paths are those of several protocols
    (``/v1/models``): there the headers tell.
    """
    route = find(path, listener)
    if route is not None and route.protocol != "responses":
        return route.protocol
    if listener == "ollama" and not path.startswith("/v1/"):
        return "ollama"
    if path.startswith(("/v1beta", "/v1alpha", "/gemini")):
        return "gemini"
    if "/messages" in path:
        return "messages"
    if route is not None and route.call in ("responses", "compact", "count", "stored", "side"):
        return route.protocol
    present = set(names)
    if "anthropic-version" in present:
        return "messages"
    if present & {"x-goog-api-key", "x-goog-api-client", "?key"}:
        return "gemini"
    return "responses"


def _gemini(path: str) -> Route | None:
    if found := _GEMINI_PATH.fullmatch(path):
        model, action = unquote(found[1]), found[2]
        call = _GEMINI_CALLS.get(action)
        if call:
            return Route(call, _POST, protocol="gemini", model=model, action=action)
        remedy = _UNSUPPORTED["embeddings"] if "mbed" in action else "generateContent or streamGenerateContent"
        return Route("unsupported", path=remedy, protocol="gemini", model=model, action=action)
    if found := _GEMINI_LIST.fullmatch(path):
        return Route("listing", _GET, protocol="gemini", model=unquote(found[1] or found[2] or ""))
    return None


def _unsupported(path: str) -> Route | None:
    found = _UNSUPPORTED_PATH.fullmatch(path)
    if found is None or path in _EXACT:
        return None
    protocol = "messages" if found[1].startswith("messages") else "responses"
    return Route("unsupported", path=_UNSUPPORTED[found[1]], protocol=protocol)


def _of_pattern(path: str) -> Route | None:
    if found := _MODEL_PATH.fullmatch(path):
        return Route("listing", _GET, model=unquote(found[1]), action=(found[2] or "").removeprefix("/"))
    if found := _STORED_PATH.fullmatch(path):
        methods = {"input_items": _GET, "cancel": _POST}.get(found[2] or "", ("GET", "DELETE"))
        return Route("stored", methods, path=unquote(found[1]), action=found[2] or "")
    return None


def _ollama(path: str) -> Route | None:
    if path in _OLLAMA_UNSUPPORTED:
        return Route("unsupported", path=_OLLAMA_UNSUPPORTED[path], protocol="ollama")
    return _OLLAMA.get(path) or (find(path) if path.startswith("/v1/") else None)


def _side(path: str) -> Route | None:
    """The Codex backend's other calls. Telemetry is none of them: it is never forwarded."""
    short = path.removeprefix("/backend-api")
    root = next((root for root in SIDE_ROOTS if short.startswith(root)), None)
    if root is None or short == root or short.rstrip("/") in _EXACT or TELEMETRY in unquote(path).lower():
        return None
    return Route("side", path=short)
