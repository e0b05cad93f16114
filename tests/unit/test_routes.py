"""routes.py: which call a method and path name."""

from __future__ import annotations

import pytest

from mitmcodex import routes
from mitmcodex.wire.errors import WireError

BASES = ["/v1", "", "/v1/v1", "/backend-api/codex", "/codex", "/backend-api/codex/v1"]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(
    ("method", "suffix", "call"),
    [("POST", "/responses", "responses"), ("POST", "/responses/compact", "compact"), ("GET", "/models", "listing")],
)
def test_generation_calls_are_found_under_every_base(base: str, method: str, suffix: str, call: str) -> None:
    """Each base that clients are known to build leads to the same call, with no side path."""
    route = routes.match(method, base + suffix)
    assert (route.call, route.path, route.protocol) == (call, "", "responses")


@pytest.mark.parametrize("path", ["/health", "/healthz"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health_is_local(method: str, path: str) -> None:
    """Both spellings and both methods of the health check are local calls."""
    assert routes.match(method, path).call == "local"


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
@pytest.mark.parametrize(
    ("path", "side"),
    [
        ("/backend-api/wham/usage", "/wham/usage"),
        ("/wham/accounts/check", "/wham/accounts/check"),
        ("/backend-api/ps/mcp", "/ps/mcp"),
        ("/codex/alpha/search", "/codex/alpha/search"),
        ("/backend-api/codex/files", "/codex/files"),
    ],
)
def test_side_calls_lose_the_backend_api_prefix_only(method: str, path: str, side: str) -> None:
    """The backend's other calls take any method and keep their path behind /backend-api."""
    route = routes.match(method, path)
    assert (route.call, route.path) == ("side", side)


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/responses/",
        "/codex/responses/",
        "/backend-api/codex/models/",
        "/V1/responses",
        "/v1/v1/v1/responses",
        "/codex/",
        "/backend-api/other",
        "/backend-api/backend-api/codex/files",
        "/whamx/usage",
        "/v1/responses?x=1",
    ],
)
def test_other_paths_do_not_exist(path: str) -> None:
    """Paths are compared exactly: a trailing slash, another case or more segments are 404."""
    with pytest.raises(WireError) as caught:
        routes.match("POST", path)
    assert caught.value.kind == "not_found"


@pytest.mark.parametrize(
    "path",
    [
        "/codex/analytics-events/events",
        "/backend-api/codex/analytics-events/events",
        "/codex/x/analytics-events",
        "/codex/Analytics%2Devents/events",
    ],
)
def test_telemetry_is_never_forwarded(path: str) -> None:
    """Analytics paths are 404 in every spelling, so that no side call carries them upstream."""
    with pytest.raises(WireError) as caught:
        routes.match("POST", path)
    assert caught.value.kind == "not_found"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/responses", "POST, OPTIONS"),
        ("POST", "/models", "GET, OPTIONS"),
        ("PUT", "/health", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_known_path_with_another_method_names_what_it_takes(method: str, path: str, allow: str) -> None:
    """A wrong method is 405 with an allow header, not 404."""
    with pytest.raises(WireError) as caught:
        routes.match(method, path)
    assert (caught.value.kind, caught.value.headers) == ("method_not_allowed", [("allow", allow)])
