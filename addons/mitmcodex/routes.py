"""Which call a method and path name (protocol.md 1). Pure: what the answer is, others decide.

Paths are compared exactly and without their query; a path that is not listed does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from mitmcodex.wire.errors import WireError

BASES = ("/v1", "", "/v1/v1", "/codex", "/backend-api/codex", "/backend-api/codex/v1")
"""``/v1`` twice and behind ``codex``: clients append it to a base URL that has it already."""

SIDE_ROOTS = ("/codex/", "/wham/", "/ps/")
TELEMETRY = "analytics-events"


@dataclass(frozen=True, slots=True)
class Route:
    """``methods`` is empty when any will do; ``path`` is set for ``side`` calls only (see ``Admission.path``)."""

    call: str
    methods: tuple[str, ...] = ()
    path: str = ""
    protocol: str = "responses"


_SUFFIXES = {
    "/responses": Route("responses", ("POST",)),
    "/responses/compact": Route("compact", ("POST",)),
    "/models": Route("models", ("GET",)),
}
_EXACT = {base + suffix: route for base in BASES for suffix, route in _SUFFIXES.items()} | {
    path: Route("local", ("GET", "HEAD")) for path in ("/health", "/healthz")
}


def find(path: str) -> Route | None:
    """The route of a path (without query), whatever the method."""
    return _EXACT.get(path) or _side(path)


def match(method: str, path: str) -> Route:
    """The route of a request. Raises WireError: ``not_found``, or ``method_not_allowed`` with an ``allow`` header."""
    route = find(path)
    if route is None:
        raise WireError("not_found", "Unknown path. Calls go to /v1/responses and /v1/models.")
    if route.methods and method not in route.methods:
        allowed = ", ".join(route.methods)
        raise WireError(
            "method_not_allowed", f"This path takes {allowed} only.", headers=[("allow", f"{allowed}, OPTIONS")]
        )
    return route


def _side(path: str) -> Route | None:
    """The Codex backend's other calls. Telemetry is none of them: it is never forwarded."""
    short = path.removeprefix("/backend-api")
    root = next((root for root in SIDE_ROOTS if short.startswith(root)), None)
    if root is None or short == root or short.rstrip("/") in _EXACT or TELEMETRY in unquote(path).lower():
        return None
    return Route("side", path=short)
