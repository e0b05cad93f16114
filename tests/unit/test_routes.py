"""routes.py: which call a method and path name."""

from __future__ import annotations

from urllib.parse import quote

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
    """conformance 82: each base that clients are known to build leads to the same call, with no side path."""
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


BETA = "/v1beta/models/gpt-5.5"


@pytest.mark.parametrize(
    ("method", "path", "call", "protocol", "action"),
    [
        ("POST", "/v1/chat/completions", "responses", "chat", ""),
        ("POST", "/chat/completions", "responses", "chat", ""),
        ("POST", "/v1/v1/messages", "responses", "messages", ""),
        ("POST", "/v1/messages/count_tokens", "count", "messages", "count_tokens"),
        ("POST", "/v1/responses/input_tokens", "count", "responses", ""),
        ("POST", "/v1/images/generations", "images", "images", "generations"),
        ("POST", "/v1/images/edits", "images", "images", "edits"),
        ("POST", f"{BETA}:generateContent", "responses", "gemini", "generateContent"),
        ("POST", f"/gemini{BETA}:streamGenerateContent", "responses", "gemini", "streamGenerateContent"),
        ("POST", "/v1/models/gpt-5.5:countTokens", "count", "gemini", "countTokens"),
        ("GET", BETA, "listing", "gemini", ""),
        ("GET", "/gemini/v1/models", "listing", "gemini", ""),
        ("GET", "/v1/models/openai%2Fgpt-5.5", "listing", "responses", ""),
        ("GET", "/v1/models/gpt-5.5/info", "listing", "responses", "info"),
        ("DELETE", "/v1/responses/resp_1", "stored", "responses", ""),
        ("GET", "/v1/responses/resp_1/input_items", "stored", "responses", "input_items"),
    ],
)
def test_each_protocols_calls_are_found(method: str, path: str, call: str, protocol: str, action: str) -> None:
    """conformance 60, 64, seeds S63, S67 to S73, S76, S77, S92; another method is 405 (seeds S64)."""
    route = routes.match(method, path)
    assert (route.call, route.protocol, route.action) == (call, protocol, action)
    with pytest.raises(WireError) as caught:
        routes.match("PUT", path)
    assert caught.value.kind == "method_not_allowed"


@pytest.mark.parametrize("model", ["gpt-5.5", "openai:gpt-4o", "vendor/model", "a b"])
def test_a_model_in_a_path_may_be_any_name(model: str) -> None:
    """Also one with a colon or a slash, coded or not (conformance 64)."""
    for spelt in (model.replace(" ", "%20"), quote(model, safe="")):
        assert routes.match("POST", f"/v1beta/models/{spelt}:generateContent").model == model
        assert routes.match("GET", f"/v1/models/{spelt}").model == model


@pytest.mark.parametrize(
    "path", [*(f"/v1/{name}" for name in routes._UNSUPPORTED), "/embeddings", "/v1/files/x", f"{BETA}:embedContent"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_not_supported_says_what_to_use(method: str, path: str) -> None:
    """seeds S93: by its name, whatever the method."""
    with pytest.raises(WireError, match="Use .+") as caught:
        routes.match(method, path)
    assert (caught.value.kind, path in caught.value.message) == ("not_supported", True)


@pytest.mark.parametrize(
    ("path", "listener", "told"),
    [
        ("/nope", "main", "/v1/chat/completions"),
        ("/api/tags", "main", "ollama: {enabled: true}"),
        ("/nope", "ollama", "/api/chat"),
    ],
)
def test_an_unknown_path_says_where_calls_go(path: str, listener: str, told: str) -> None:
    """On each listener its own paths; a client of Ollama at the wrong one is told of the right one."""
    with pytest.raises(WireError) as caught:
        routes.match("GET", path, listener)
    assert caught.value.kind == "not_found" and told in str(caught.value)
