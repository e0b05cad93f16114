"""Profiles: the YAML is checked to the key, and the header lists are those of the captures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mitmcodex.upstream.fingerprint import HeaderFacts, Profile, ProfileError, headers_for, load, names, with_host

ROOT = Path(__file__).parents[2]
PROFILES = ROOT / "fingerprints"
CAPTURE = ROOT / "tests/fixtures/fingerprints/p2_rustls_h2.json"
# HeaderFacts field of each header in the capture, other than those that are flags or fixed values.
FACT_OF = {
    "version": "version",
    "x-codex-beta-features": "beta_features",
    "x-codex-window-id": "window_id",
    "x-codex-turn-metadata": "turn_metadata",
    "x-codex-routing-hint": "routing_hint",
    "x-client-request-id": "request_id",
    "session-id": "session_id",
    "thread-id": "thread_id",
    "content-encoding": "content_encoding",
    "chatgpt-account-id": "account_id",
    "originator": "originator",
    "user-agent": "user_agent",
    "content-length": "content_length",
    "cookie": "cookie",
}


@pytest.fixture
def codex() -> Profile:
    return load("codex-cli-rustls-h2", PROFILES)


def captured_headers() -> list[tuple[str, str]]:
    return [(name, value) for name, value in json.loads(CAPTURE.read_text())["headers"] if not name.startswith(":")]


def captured_facts(**changes: Any) -> HeaderFacts:
    seen = dict(captured_headers())
    known: dict[str, Any] = {fact: seen[name] for name, fact in FACT_OF.items()}
    known |= {"kind": "chatgpt", "credential": ("authorization", seen["authorization"]), "lite": True}
    return HeaderFacts(**(known | changes))


def order(headers: tuple[tuple[str, str], ...]) -> list[str]:
    return [name for name, _ in headers]


@pytest.mark.parametrize("name", names(PROFILES))
def test_every_profile_in_the_folder_loads_and_lists_the_generation_call(name: str) -> None:
    """A fingerprint is one YAML file: whatever lies in the folder is a whole profile."""
    profile = load(name, PROFILES)
    assert profile.name == name
    assert profile.calls["responses"]


def test_http2_list_is_the_captured_one(codex: Profile) -> None:
    """With the capture's facts the list equals the capture: names, order and values."""
    assert list(headers_for(codex, "responses", captured_facts())) == captured_headers()


def test_http1_list_ends_as_the_http1_capture_does(codex: Profile) -> None:
    """On HTTP/1.1 cookie, host and content-length close the list, as in the P1 capture."""
    p1 = [name for name, _ in json.loads(CAPTURE.with_name("p1_openssl_h1.json").read_text())["headers"]]
    headers = with_host(codex, headers_for(codex, "responses", captured_facts()), "chatgpt.com", is_http1=True)
    assert order(headers) == p1


def test_http2_list_gets_the_host_without_another_change(codex: Profile) -> None:
    """HTTP/2 keeps its order; host is there for ``:authority``, and only once."""
    headers = (("host", "evil.test"), ("content-length", "1"), ("cookie", "a"))
    assert with_host(codex, headers, "h.test", is_http1=False) == (*headers[1:], ("host", "h.test"))


def test_api_key_on_the_builtin_provider_has_no_chatgpt_headers(codex: Profile) -> None:
    """Kind openai: as chatgpt, less content-encoding, routing hint, account id and cookie (protocol.md 1.1)."""
    less = {"content-encoding", "x-codex-routing-hint", "chatgpt-account-id", "cookie"}
    got = order(headers_for(codex, "responses", captured_facts(kind="openai")))
    assert got == [name for name, _ in captured_headers() if name not in less]


@pytest.mark.parametrize("kind", ["responses", "azure"])
def test_custom_provider_gets_no_version_and_its_own_headers_first(codex: Profile, kind: str) -> None:
    """A custom provider: its headers lead, lower-cased; its key in the header that it wants; no ``version``."""
    facts = captured_facts(kind=kind, credential=("api-key", "k"), provider_headers=(("X-Team", "blue"),), lite=False)
    headers = headers_for(codex, "responses", facts)
    assert headers[0] == ("x-team", "blue")
    assert "version" not in order(headers)
    assert order(headers)[-5:] == ["content-type", "api-key", "originator", "user-agent", "content-length"]


def test_header_of_the_provider_replaces_ours(codex: Profile) -> None:
    """What ``headers:`` of a provider sets is sent once, with the provider's value."""
    headers = headers_for(codex, "responses", captured_facts(provider_headers=(("User-Agent", "mine/1"),)))
    assert [value for name, value in headers if name == "user-agent"] == ["mine/1"]


def test_clients_unknown_codex_headers_follow_the_known_and_others_stay_out(codex: Profile) -> None:
    """conformance 77: x-codex-* and x-openai-* of the client go after ours; the rest, and what we set ourselves, does
    not go."""
    client = (
        ("X-Codex-New", "1"),
        ("x-openai-subagent", "review"),
        ("accept-encoding", "gzip"),
        ("X-Codex-Window-Id", "forged"),
        ("authorization", "Bearer client"),
    )
    headers = headers_for(codex, "responses", captured_facts(client_headers=client))
    at = order(headers).index("x-openai-internal-codex-responses-lite")
    assert headers[at + 1 : at + 3] == (("x-codex-new", "1"), ("x-openai-subagent", "review"))
    assert len(headers) == len(captured_headers()) + 2


def test_turn_state_fedramp_and_override_stand_where_the_client_puts_them(codex: Profile) -> None:
    """The conditional headers of protocol.md 1.1 have their places."""
    facts = captured_facts(turn_state="t", is_fedramp=True, routing_override="us")
    got = order(headers_for(codex, "responses", facts))
    assert got[:4] == ["version", "x-openai-account-routing-override", "x-codex-beta-features", "x-codex-turn-state"]
    assert got[got.index("chatgpt-account-id") + 1] == "x-openai-fedramp"


@pytest.mark.parametrize(
    ("call", "more", "expected"),
    [
        ("models", {}, "version authorization chatgpt-account-id originator user-agent accept cookie"),
        ("side", {"originator": ""}, "user-agent authorization chatgpt-account-id accept cookie"),
        (
            "side",
            {"client_headers": (("OAI-Product-Sku", "codex"), ("x-evil", "1"))},
            "originator user-agent authorization chatgpt-account-id oai-product-sku accept cookie",
        ),
    ],
)
def test_other_calls_have_their_own_lists(codex: Profile, call: str, more: dict[str, Any], expected: str) -> None:
    """Model list, usage and plugin calls carry the lists measured on them (fingerprint.md 2)."""
    facts = captured_facts(content_length="", content_encoding="", **more)
    assert order(headers_for(codex, call, facts)) == expected.split()


def test_passthrough_forwards_all_but_authorization_and_host() -> None:
    """Secure mode: the caller's headers lower-cased in their order with duplicates, then length, then our key; host
    is last on the wire."""
    profile = load("passthrough", PROFILES)
    client = (("User-Agent", "c"), ("Authorization", "Bearer x"), ("Host", "h"), ("X-A", "1"), ("x-a", "2"))
    facts = HeaderFacts("openai", ("authorization", "Bearer k"), client_headers=client, content_length="3")
    headers = headers_for(profile, "responses", facts)
    expected = (("user-agent", "c"), ("x-a", "1"), ("x-a", "2"), ("content-length", "3"), ("authorization", "Bearer k"))
    assert headers == expected
    assert with_host(profile, headers, "up.test", is_http1=True) == (*expected, ("host", "up.test"))


def test_facts_show_no_secret() -> None:
    """The facts hold tokens: their repr holds nothing."""
    assert "s3cret" not in repr(HeaderFacts("chatgpt", ("authorization", "s3cret"), account_id="s3cret"))


def broken(folder: Path, path: list[str | int], value: Any) -> None:
    raw = yaml.safe_load((PROFILES / "codex-cli-rustls-h2.yaml").read_text())
    place: Any = raw
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    (folder / "codex-cli-rustls-h2.yaml").write_text(yaml.safe_dump(raw))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["tlss"], {}, "unknown key 'tlss'"),
        (["tls", "grease"], True, "unknown key 'grease'"),
        (["tls", "key_shares"], "2", "tls: key_shares: must be int"),
        (["tls", "extensions"], 16, "extensions: must be a list"),
        (["explained", "ja4"], 255, "explained.ja4: must be str"),
        (["name"], "other", "name and file must agree"),
        (["calls", "responses", 1, "fact"], "versoin", "unknown fact 'versoin'"),
        (["calls", "responses", 0, "slot"], "servant", "unknown slot 'servant'"),
        (["calls", "responses", 0, "name"], "x", "either a name or a slot"),
        (["calls", "responses", 1, "name"], "Version", "must be in lower case"),
        (["calls", "responses", 1], {"name": "version"}, "needs a fact or a value"),
        (["http2"], {"settings": "2:0", "window_update": 1}, "pseudo_headers is missing"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_place(
    tmp_path: Path, path: list[str | int], value: Any, said: str
) -> None:
    """A typo in a profile would change what the upstream sees: it is an error that names the place."""
    broken(tmp_path, path, value)
    with pytest.raises(ProfileError, match=said.replace("[", r"\[")):
        load("codex-cli-rustls-h2", tmp_path)


def test_unknown_profile_is_refused_with_a_near_miss() -> None:
    """A name that no file has, or that leaves the folder, is one line with a hint."""
    with pytest.raises(ProfileError, match=r"did you mean codex-cli-rustls-h2\?"):
        load("codex-cli-rustls", PROFILES)
    with pytest.raises(ProfileError, match="there are: codex-cli"):
        load("../secret", PROFILES)


def test_unreadable_yaml_is_a_profile_error(tmp_path: Path) -> None:
    """Broken YAML is one line, not a traceback."""
    (tmp_path / "x.yaml").write_text("a: [")
    with pytest.raises(ProfileError, match="can't be read"):
        load("x", tmp_path)
