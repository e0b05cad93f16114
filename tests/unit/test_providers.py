"""Where a call goes: every rule of house.md section 8, and every way out of the base that a path could take."""

from __future__ import annotations

import pytest

from mitmcodex.upstream.providers import CredentialRef, Provider, Target, upstream_url

HOST = "https://u.example"


def url(base: str, call: str = "responses", side_path: str = "", query: str = "", kind: str = "chatgpt") -> str | None:
    return upstream_url(Provider("work", kind, HOST + base), Target(call, side_path, query))


@pytest.mark.parametrize("base", ["/v1", "/v1/"])
@pytest.mark.parametrize(
    ("call", "path"),
    [("responses", "/v1/responses"), ("compact", "/v1/responses/compact"), ("models", "/v1/models")],
)
def test_the_calls_path_is_appended(base: str, call: str, path: str) -> None:
    """To the base's path, with or without a slash at its end."""
    assert url(base, call) == HOST + path


def test_a_base_without_a_path_is_one_too() -> None:
    """The call's path stands alone then."""
    assert url("") == url("/") == f"{HOST}/responses"


@pytest.mark.parametrize(
    ("call", "path"),
    [("responses", "/x/responses"), ("compact", "/x/responses/compact"), ("models", None), ("side", None)],
)
def test_a_base_that_ends_in_responses_is_taken_whole(call: str, path: str | None) -> None:
    """Compact appends to it; other calls do not exist there and are answered 404."""
    assert url("/x/responses", call, "/wham/usage") == (path and HOST + path)


@pytest.mark.parametrize("base", ["/v1", "/v1/responses"])
def test_the_bases_query_is_kept_and_the_clients_follows(base: str) -> None:
    """Azure's api-version stands in every URL."""
    assert url(f"{base}?api-version=1") == f"{HOST}/v1/responses?api-version=1"
    assert url(f"{base}?api-version=1", query="a=b") == f"{HOST}/v1/responses?api-version=1&a=b"
    assert url(base, query="a=b%26c&a") == f"{HOST}/v1/responses?a=b%26c&a"


@pytest.mark.parametrize("base", ["/backend-api/codex", "/backend-api/codex/", "/backend-api"])
@pytest.mark.parametrize("path", ["/wham/usage", "/codex/a.b/...", "/ps/a%20b;c=1/", "/wham/a:b~!$&'()*+,=-_"])
def test_side_calls_stand_beside_codex(base: str, path: str) -> None:
    """Below the base less its last segment, as they came."""
    assert url(base, "side", path) == f"{HOST}/backend-api{path}"


@pytest.mark.parametrize("kind", ["openai", "azure", "responses"])
def test_side_calls_are_the_chatgpt_backends_alone(kind: str) -> None:
    """An API-key service has none."""
    assert url("/v1", "side", "/wham/usage", kind=kind) is None


@pytest.mark.parametrize("side_path", ["/wham/..", "/wham/../admin", "/./wham", "/wham/.", "/.."])
@pytest.mark.parametrize("dot", [".", "%2e", "%2E"])
def test_dot_segments_lead_nowhere(side_path: str, dot: str) -> None:
    """Plain and encoded: what stands above the base is not ours to call."""
    assert url("/backend-api/codex", "side", side_path.replace(".", dot)) is None


@pytest.mark.parametrize(
    "side_path",
    [
        "",
        "wham/usage",
        "@evil.example/wham",
        ".evil.example/wham",
        "//evil.example/wham",
        "/wham@evil.example",
        "/\\evil.example",
        "/wham\\..\\admin",
        "/wham%2f..%2fadmin",
        "/wham%5C..%5cadmin",
        "/wham?key=1",
        "/wham#x",
        "/wham usage",
        "/wham\r\nx: y",
        "/wham\t",
        "/wham\0",
        "/wham\x7f",
        "/wham/\u2025/x",
        "/wham/\udcff",
    ],
)
def test_a_path_that_is_not_plain_leads_nowhere(side_path: str) -> None:
    """No other host, no encoded slash, no query of its own, nothing that is no printable ASCII."""
    assert url("/backend-api/codex", "side", side_path) is None


@pytest.mark.parametrize(
    ("ref", "text"),
    [
        (CredentialRef("none"), "no credential"),
        (CredentialRef("stdin"), "key from stdin"),
        (CredentialRef("env", "NAME"), "env: NAME"),
    ],
)
def test_a_reference_says_where_a_secret_lies(ref: CredentialRef, text: str) -> None:
    """A person reads it in the start block."""
    assert str(ref) == text


@pytest.mark.parametrize("kind", ["openai", "azure", "responses"])
def test_kept_responses_are_asked_of_who_keeps_them(kind: str) -> None:
    """conformance 33: by their id and what is asked of them."""
    provider = Provider("work", kind, f"{HOST}/v1?a=b")
    assert upstream_url(provider, Target("stored", "resp_1")) == f"{HOST}/v1/responses/resp_1?a=b"
    target = Target("stored", "resp_1", "limit=2", action="input_items")
    assert upstream_url(provider, target) == f"{HOST}/v1/responses/resp_1/input_items?a=b&limit=2"


@pytest.mark.parametrize("kind", ["chatgpt", "chat", "messages", "gemini"])
def test_who_keeps_no_responses_is_not_asked(kind: str) -> None:
    """It has no such path."""
    assert upstream_url(Provider("work", kind, f"{HOST}/v1"), Target("stored", "resp_1")) is None


@pytest.mark.parametrize(("id", "path"), [("a/../b?c#d", "a%2F..%2Fb%3Fc%23d"), (".", None), ("..", None)])
def test_an_id_stays_one_segment(id: str, path: str | None) -> None:
    """A client chooses it, the base is not its to leave."""
    url = upstream_url(Provider("work", "openai", f"{HOST}/v1"), Target("stored", id))
    assert url == (path and f"{HOST}/v1/responses/{path}")
