"""Stage identity: the request on the wire, made anew. Field by field beside the capture: tests/e2e/test_identity.py."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from mitmcodex.conversation import Conversations
from mitmcodex.exchange import Exchange, Form, Pairs
from mitmcodex.identity import Identity
from mitmcodex.process import Process
from mitmcodex.resources import Resources
from mitmcodex.schema import Settings
from mitmcodex.state.credentials import Credential
from mitmcodex.upstream.providers import Provider
from mitmcodex.upstream.transport import UpstreamRequest
from mitmcodex.wire.errors import WireError
from support.exchanges import an_exchange, answered, at, canonical

LOGIN = Credential("bearer", "token", account_id="account-id", account="one")
KEY = Credential("key", "sk-key", account="two")
CHATGPT = Provider("work", "chatgpt", "https://u.example/backend-api/codex")
OPENAI = Provider("api", "openai", "https://u.example/v1")
ASK = {"model": "gpt-5.5", "input": "hi", "stream": True}
CODEX: Pairs = [
    ("session-id", "s-1"),
    ("thread-id", "t-1"),
    ("x-client-request-id", "r-1"),
    ("x-codex-turn-metadata", "{}"),
    ("originator", "codex_vscode"),
    ("User-Agent", "codex_vscode/0.170.1 (Mac OS 15; arm64)"),
]


class Stage:
    def __init__(self, folder: Path) -> None:
        self.stage = Identity(Resources(Process(settings=Settings(state_dir=folder))), Conversations())

    def sent(self, exchange: Exchange, provider: Provider = CHATGPT, credential: Credential = LOGIN) -> UpstreamRequest:
        at(exchange, provider).credential = credential
        self.stage.upstream_request(exchange)
        assert exchange.request is not None
        return exchange.request

    def asked(self, fields: dict[str, Any] | None = None, **admission: Any) -> UpstreamRequest:
        return self.sent(canonical(an_exchange(**admission), fields or ASK))


@pytest.fixture
def wire(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def header(request: UpstreamRequest, name: str) -> str:
    return next((value for key, value in request.headers if key == name), "")


# -- whose values


def test_what_goes_out_is_called_json(wire: Stage) -> None:
    """`curl -d` calls its body a form, which the backend refuses; other calls than generations keep their own type."""
    form = [("content-type", "application/x-www-form-urlencoded")]
    assert header(wire.asked(headers=form), "content-type") == "application/json"
    side = an_exchange(call="side", path="/wham/x", headers=form, body=b"a=b")
    assert header(wire.sent(canonical(side)), "content-type") == form[0][1]


def test_nothing_of_the_clients_list_goes_out(wire: Stage) -> None:
    """conformance 77: the headers are the profile's: what a client sends besides is not even looked at."""
    odd = [("cookie", "canary"), ("x-codex-odd", "canary"), ("user-agent", "canary/1.0"), ("x-forwarded-for", "canary")]
    request = wire.asked(headers=odd)
    assert "canary" not in str(request.headers)
    assert header(request, "user-agent").startswith("codex") and header(request, "originator")


def test_codex_keeps_its_own_names_and_ids(wire: Stage) -> None:
    """conformance 77: its version is the one in its User-Agent: to a custom provider it sends no such header."""
    request = wire.asked(is_codex=True, headers=CODEX)
    assert {(name.lower(), value) for name, value in CODEX} <= {*request.headers}
    assert header(request, "version") == "0.170.1"


def test_a_conversation_has_one_identity(wire: Stage) -> None:
    """Its ids stay from request to request and differ from those of another; all three say the same thread."""
    first, second, other = (
        {header(wire.asked({**ASK, "prompt_cache_key": key}), name) for name in ("session-id", "thread-id")}
        for key in ("a", "a", "b")
    )
    assert len(first) == 1 and first == second != other
    metadata = json.loads(header(wire.asked({**ASK, "prompt_cache_key": "a"}), "x-codex-turn-metadata"))
    assert {metadata["thread_id"], metadata["session_id"]} == first


def test_an_account_has_its_own_key(wire: Stage) -> None:
    """conformance 79: connections, cookies and ids of two accounts never mix, at the same provider."""
    exchanges = [canonical(an_exchange(), ASK) for _ in range(2)]
    wire.sent(exchanges[0])
    wire.sent(exchanges[1], credential=replace(LOGIN, account="other"))
    first, second = (exchange.identity for exchange in exchanges)
    assert first is not None and second is not None
    assert first.key == replace(second.key, account="one") and first.installation_id != second.installation_id


def test_side_calls_are_given_no_conversation(wire: Stage) -> None:
    """They belong to none, and the real client sends none with them."""
    request = wire.sent(canonical(an_exchange(call="side", path="/wham/usage")))
    assert not {"session-id", "thread-id", "originator"} & {name for name, _ in request.headers}


@pytest.mark.parametrize(("is_lite", "told"), [(True, "true"), (False, "")])
def test_the_lite_contract_is_told(wire: Stage, is_lite: bool, told: str) -> None:
    """Adapt says whether the body has that form (protocol.md 2.3)."""
    exchange = canonical(an_exchange(), ASK)
    exchange.form = Form("responses", ASK, is_lite=is_lite)
    assert header(wire.sent(exchange), "x-openai-internal-codex-responses-lite") == told


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({}, "model=gpt-5.5"),
        ({"service_tier": "priority"}, "model=gpt-5.5;tier=priority"),
        ({"service_tier": None}, "model=gpt-5.5"),
        ({"model": None}, ""),
        ({"model": "模型"}, ""),
        ({"model": "a", "service_tier": "b\nc"}, ""),
    ],
)
def test_the_routing_hint_names_model_and_tier(wire: Stage, fields: dict[str, Any], hint: str) -> None:
    """As far as the request names them in characters that a header can hold."""
    assert header(wire.asked({**ASK, **fields}), "x-codex-routing-hint") == hint


def test_anthropics_headers_go_where_its_protocol_is_spoken(wire: Stage) -> None:
    """conformance 61: its client's version and betas go on to kind messages alone; who names no version gets ours."""
    told = [("anthropic-version", "2026-10-21"), ("anthropic-beta", "a,b")]
    anthropic = Provider("claude", "messages", "https://u.example/v1", auth_header="x-api-key")
    asked = [("messages", told, anthropic), ("chat", told, anthropic), ("messages", [], anthropic)]
    asked += [("messages", told, CHATGPT), ("messages", told, OPENAI), ("messages", told, replace(OPENAI, kind="chat"))]
    sent = [
        wire.sent(canonical(an_exchange(protocol=protocol, headers=headers), ASK), provider, KEY)
        for protocol, headers, provider in asked
    ]
    found = [(header(request, "anthropic-version"), header(request, "anthropic-beta")) for request in sent]
    assert found == [("2026-10-21", "a,b"), ("2023-06-01", ""), ("2023-06-01", ""), *[("", "")] * 3]


# -- who pays


@pytest.mark.parametrize(
    ("name", "value"), [("authorization", "Bearer sk-key"), ("api-key", "sk-key"), ("x-api-key", "sk-key")]
)
def test_the_credential_has_its_providers_form(wire: Stage, name: str, value: str) -> None:
    """Bearer in authorization, bare in any other header; and it is the only one."""
    headers = [("x-api-key", "canary")] if name != "x-api-key" else []
    exchange = canonical(an_exchange(headers=headers), ASK)
    request = wire.sent(exchange, replace(OPENAI, auth_header=name), KEY)
    paying = [pair for pair in request.headers if pair[0] in ("authorization", "api-key", "x-api-key")]
    assert paying == [(name, value)]


def test_no_credential_no_header(wire: Stage) -> None:
    """A provider that asks for none gets none."""
    request = wire.sent(canonical(an_exchange(), ASK), OPENAI, Credential("none"))
    assert header(request, "authorization") == ""


# -- body and URL


def test_the_chatgpt_backend_gets_zstd(wire: Stage) -> None:
    """As from the real client, with the length of what is sent."""
    request = wire.asked()
    assert header(request, "content-encoding") == "zstd" and header(request, "content-length") == str(len(request.body))
    assert json.loads(zstandard.ZstdDecompressor().decompressobj().decompress(request.body)) == ASK


def test_other_providers_get_the_body_as_it_is(wire: Stage) -> None:
    """No coding, and its length."""
    exchange = canonical(an_exchange(), ASK)
    request = wire.sent(exchange, OPENAI, KEY)
    assert request.body == exchange.adapted and header(request, "content-encoding") == ""
    assert header(request, "content-length") == str(len(request.body))


@pytest.mark.parametrize(("method", "length"), [("GET", ""), ("POST", "0")])
def test_an_empty_body_has_a_length_where_one_is_expected(wire: Stage, method: str, length: str) -> None:
    """A POST always, a GET never."""
    request = wire.sent(canonical(an_exchange(method, "side", path="/wham/usage")))
    assert (request.method, header(request, "content-length"), request.body) == (method, length, b"")


@pytest.mark.parametrize(
    ("provider", "query", "asked"),
    [
        (CHATGPT, "", "?client_version={ours}"),
        (CHATGPT, "a=b", "?a=b&client_version={ours}"),
        (CHATGPT, "client_version=1", "?client_version=1"),
        (CHATGPT, "my_client_version=1", "?my_client_version=1&client_version={ours}"),
        (OPENAI, "", ""),
    ],
)
def test_the_chatgpt_backend_is_told_a_client_version(wire: Stage, provider: Provider, query: str, asked: str) -> None:
    """It lists models for one alone; what the client names is kept."""
    exchange = canonical(an_exchange("GET", "models", query=query))
    request = wire.sent(exchange, provider)
    assert exchange.identity is not None
    expected = asked.format(ours=exchange.identity.profile.values.version)
    assert request.url == f"{provider.base_url}/models{expected}"


def test_a_call_that_the_provider_lacks_is_not_made(wire: Stage) -> None:
    """The client is told which provider; no request is set, so nothing can leave."""
    exchange = canonical(an_exchange(call="side", path="/wham/usage"))
    with pytest.raises(WireError, match="api") as caught:
        wire.sent(exchange, OPENAI, KEY)
    assert caught.value.kind == "not_found" and exchange.request is None


def test_the_secure_mode_takes_its_url_whole(wire: Stage) -> None:
    """Whatever its path; headers and body are the client's."""
    provider = Provider("secure", "responses", "https://u.example/any?x=1", profile="passthrough")
    exchange = canonical(an_exchange(is_raw=True, body=b"raw", headers=[("x-odd", "1")]))
    request = wire.sent(exchange, provider, KEY)
    assert (request.url, request.body) == ("https://u.example/any?x=1", b"raw") and ("x-odd", "1") in request.headers


# -- cookies


@pytest.mark.parametrize(("provider", "sent"), [(CHATGPT, "__cf_bm=1"), (OPENAI, "")])
def test_cookies_are_the_chatgpt_backends_alone(wire: Stage, provider: Provider, sent: str) -> None:
    """What it sets comes back with the next request of the same key, and of no other."""
    exchange = canonical(an_exchange(), ASK)
    wire.sent(exchange, provider)
    answered(exchange, headers=[("Set-Cookie", "__cf_bm=1; Path=/; Secure"), ("set-cookie", "other=2; Path=/")])
    wire.stage.upstream_response(exchange)
    assert header(wire.sent(canonical(an_exchange(), ASK), provider), "cookie") == sent
    other = wire.sent(canonical(an_exchange(), ASK), provider, replace(LOGIN, account="other"))
    assert header(other, "cookie") == ""


def test_two_accounts_share_no_id(wire: Stage) -> None:
    """The same conversation under another login is another one to the upstream, and the first one's when it is back."""
    another = replace(LOGIN, account_id="another-id", account="two")
    requests = [wire.sent(canonical(an_exchange(), ASK), credential=login) for login in (LOGIN, another, LOGIN)]
    for name in ("session-id", "thread-id", "x-client-request-id", "x-codex-window-id"):
        first, second, again = (header(request, name) for request in requests)
        assert first == again != second


# -- a Codex client's own ids under another account


OTHER = replace(LOGIN, account_id="another-id", account="two")
THEIRS = "11111111-2222-4333-8444-555555555555"


def from_codex(headers: Pairs = (), **fields: Any) -> Exchange:
    """Its body is not as we would write it."""
    metadata = json.dumps({"installation_id": THEIRS, "turn_id": "t"})
    told = [("x-codex-turn-metadata", metadata), ("x-codex-installation-id", THEIRS), *headers]
    held = {"x-codex-installation-id": THEIRS, "x-codex-turn-metadata": metadata}
    exchange = canonical(an_exchange(is_codex=True, headers=told), {**ASK, "client_metadata": held, **fields})
    exchange.adapted = json.dumps(exchange.form.fields if exchange.form else None, indent=1).encode()
    return exchange


def body_of(request: UpstreamRequest) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(request.body)


def test_the_first_account_sees_codexs_own_installation(wire: Stage) -> None:
    """conformance 79: the id, in headers and body, as it came; also when another account came between."""
    for credential in (LOGIN, OTHER, LOGIN):
        exchange = from_codex()
        request = wire.sent(exchange, credential=credential)
        is_own = credential is LOGIN
        assert (body_of(request) == exchange.adapted) is is_own
        assert (THEIRS in str(request.headers)) is is_own


def test_another_account_sees_ours_in_its_place(wire: Stage) -> None:
    """conformance 79: header, turn metadata and client_metadata agree; nothing else of the body is changed."""
    wire.sent(from_codex())
    exchange = from_codex()
    request = wire.sent(exchange, credential=OTHER)
    assert exchange.identity is not None and exchange.adapted is not None
    ours = exchange.identity.installation_id
    sent, headers = body_of(request), dict(request.headers)
    metadata = json.loads(sent)["client_metadata"]
    assert ours == headers["x-codex-installation-id"] == metadata["x-codex-installation-id"]
    told = headers["x-codex-turn-metadata"]
    assert json.loads(told) == {"installation_id": ours, "turn_id": "t"} and metadata["x-codex-turn-metadata"] == told
    before, _, after = exchange.adapted.partition(b'"client_metadata"')
    assert sent.startswith(before) and sent.endswith(after[-2:]) and THEIRS.encode() not in sent


def test_any_other_client_has_our_installation_everywhere(wire: Stage) -> None:
    """conformance 79: what it tells in client_metadata becomes what the header tells; who tells none is given none."""
    exchange = from_codex()
    exchange.admission.is_codex = False
    request = wire.sent(exchange)
    assert exchange.identity is not None
    metadata = json.loads(header(request, "x-codex-turn-metadata"))
    held = json.loads(body_of(request))["client_metadata"]
    assert metadata["installation_id"] == held["x-codex-installation-id"] == exchange.identity.installation_id
    assert "client_metadata" not in json.loads(body_of(wire.asked()))


def test_who_asks_no_credential_owns_nobodys_id(wire: Stage) -> None:
    """conformance 79: a service without accounts gets it as it came, and so does the first account after it."""
    free = wire.sent(from_codex(), OPENAI, Credential("none", account="none"))
    assert THEIRS.encode() in free.body and THEIRS in str(wire.sent(from_codex(), credential=OTHER).headers)


def test_a_turn_state_is_not_shown_to_another_account(wire: Stage) -> None:
    """conformance 78: it is the client's to bring back; with another account it stays here."""
    exchange = from_codex()
    wire.sent(exchange)
    answered(exchange, headers=[("x-codex-turn-state", "ts-1")])
    wire.stage.upstream_response(exchange)
    assert header(wire.sent(from_codex()), "x-codex-turn-state") == ""
    brought = [("x-codex-turn-state", "ts-1")]
    states = [header(wire.sent(from_codex(brought), credential=who), "x-codex-turn-state") for who in (LOGIN, OTHER)]
    assert states == ["ts-1", ""]
