"""Stage, innermost: who the upstream sees. Builds the request on the wire anew from the profile; keeps the cookies.

A Codex client's own ids, originator and User-Agent are kept; other clients get the profile's values and ids that are
stable per conversation. Nothing of the client's header list goes out but what the profile names.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, NamedTuple

import mitmcodex
from mitmcodex import emission
from mitmcodex.coding import encode_zstd
from mitmcodex.conversation import Conversations, conversation_key, turn_metadata
from mitmcodex.exchange import Admission, Exchange, Pairs, WireIdentity
from mitmcodex.resources import Resources
from mitmcodex.state.credentials import Credential
from mitmcodex.upstream.fingerprint import HeaderFacts, Profile, headers_for
from mitmcodex.upstream.providers import Provider, Target, upstream_url
from mitmcodex.upstream.transport import ConnectionKey, UpstreamRequest
from mitmcodex.wire import images_form, installation
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.patch import set_top_level
from mitmcodex.wire.shapes import Fields

DEFAULT_PROFILE = "codex-cli-rustls-h2"
NEUTRAL_PROFILE = "neutral"
NEUTRAL_KINDS = ("chat", "messages", "gemini")
"""Services that know no Codex client: nothing of one is shown to them."""
ANTHROPIC_VERSION = "2023-06-01"
VERSION_IN_USER_AGENT = re.compile(r"^[^/]+/(\d[^\s(]*)")
COMPRESSED_CALLS = ("responses", "compact")
TURN_STATE = "x-codex-turn-state"


class _Theirs(NamedTuple):
    """What a client says of itself."""

    headers: Pairs
    changes: Fields
    """Top-level keys of its body to set."""


class Identity:
    def __init__(self, resources: Resources, conversations: Conversations) -> None:
        self._resources = resources
        self._conversations = conversations

    def upstream_request(self, exchange: Exchange) -> None:
        provider, credential = exchange.provider, exchange.credential
        adapted, form = exchange.adapted, exchange.form
        assert provider is not None and credential is not None and adapted is not None and form is not None
        exchange.identity = identity = self._identity(provider, credential)
        admission = exchange.admission
        theirs = self._theirs(exchange, identity)
        facts = self._facts(exchange, identity, theirs.headers)
        target = Target(form.call, admission.path, _query(exchange, facts.version), form.model, form.action)
        # The secure mode takes upstream_url whole, whatever its path.
        url = provider.base_url if admission.is_raw else upstream_url(provider, target)
        if url is None:
            raise WireError("not_found", f"The upstream {provider.name} ({provider.kind}) has no such call.")
        body = set_top_level(adapted, theirs.changes) if theirs.changes else adapted
        framing: dict[str, Any] = {}
        if provider.kind == "chatgpt" and form.call in COMPRESSED_CALLS and body:
            body = encode_zstd(body)
            framing["content_encoding"] = "zstd"
        if body or exchange.flow.request.method == "POST":
            framing["content_length"] = str(len(body))
        if provider.kind == "chatgpt":
            framing["cookie"] = self._resources.jar(identity.key, provider).header(url)
        listed = form.call if form.call in identity.profile.calls else "responses"
        headers = headers_for(identity.profile, listed, replace(facts, **framing))
        exchange.request = UpstreamRequest(exchange.flow.request.method, url, headers, body)

    def upstream_response(self, exchange: Exchange) -> None:
        assert exchange.upstream is not None and exchange.request is not None
        assert exchange.identity is not None and exchange.provider is not None
        if state := exchange.upstream.first(TURN_STATE):
            self._conversations.note_turn_state(exchange.identity.key, state)
        cookies = [value for name, value in exchange.upstream.headers if name.lower() == "set-cookie"]
        if cookies and exchange.provider.kind == "chatgpt":
            self._resources.jar(exchange.identity.key, exchange.provider).store(exchange.request.url, cookies)

    def _identity(self, provider: Provider, credential: Credential) -> WireIdentity:
        usual = NEUTRAL_PROFILE if provider.kind in NEUTRAL_KINDS else DEFAULT_PROFILE
        profile = self._resources.profile(provider.profile or usual)
        key = ConnectionKey(provider.name, credential.account, "direct", profile.name, provider.transport)
        return WireIdentity(profile, key, self._resources.installation(key))

    def _theirs(self, exchange: Exchange, identity: WireIdentity) -> _Theirs:
        """A client's own headers and body, but for what another account's upstream knows it by: that account's turn
        state, and its installation id, for which ours stands, as for that of any client but Codex (conformance 78,
        79)."""
        admission, provider, credential = exchange.admission, exchange.provider, exchange.credential
        assert provider is not None and credential is not None and exchange.form is not None
        headers, fields, ours = admission.headers, exchange.form.fields, identity.installation_id
        if admission.is_raw or provider.kind in NEUTRAL_KINDS:
            return _Theirs(headers, {})
        if not admission.is_codex:  # nothing of its headers goes out anyway
            return _Theirs(headers, installation.changes_with(fields, ours))
        state = emission.first(headers, TURN_STATE)
        if state and not self._conversations.shows_turn_state(identity.key, state):
            headers = emission.without(headers, TURN_STATE)
        own, account = installation.installation_of(headers, fields), credential.account
        if not own or not credential.secret or self._resources.owner(own, account) == account:
            return _Theirs(headers, {})
        return _Theirs(installation.headers_with(headers, ours), installation.changes_with(fields, ours))

    def _facts(self, exchange: Exchange, identity: WireIdentity, headers: Pairs) -> HeaderFacts:
        """``headers``: the client's, as they may be shown."""
        admission, provider, credential = exchange.admission, exchange.provider, exchange.credential
        assert provider is not None and credential is not None
        common: dict[str, Any] = {
            "kind": provider.kind,
            "credential": _credential_header(provider, credential),
            "provider_headers": provider.headers,
            "client_headers": tuple(headers) if admission.is_codex or admission.is_raw else (),
            "account_id": credential.account_id,
            "is_fedramp": credential.is_fedramp,
            "content_type": _content_type(exchange),
            "accept": emission.first(admission.headers, "accept") if admission.is_codex else "",
        }
        if provider.kind in NEUTRAL_KINDS:
            return HeaderFacts(**common, **_neutral(provider, admission))
        own = _from_codex(headers) if admission.is_codex else self._made(exchange, identity)
        made = {**_names(identity.profile, admission.call), "routing_hint": _routing_hint(exchange)}
        return HeaderFacts(**common, **made | {name: value for name, value in own.items() if value})

    def _made(self, exchange: Exchange, identity: WireIdentity) -> dict[str, Any]:
        """Facts for a client that is not Codex (protocol.md 1.1)."""
        fields = exchange.form.fields if exchange.form else {}
        session = exchange.canonical.decoded.session if exchange.canonical else ""
        name = conversation_key(fields, exchange.admission.headers, session)
        conversation = self._conversations.of(identity.key, name)
        thread = conversation.thread_id
        return {
            "beta_features": identity.profile.values.beta_features,
            "installation_id": identity.installation_id,
            "session_id": thread,
            "thread_id": thread,
            "request_id": thread,
            "window_id": f"{thread}:0",
            "turn_metadata": turn_metadata(conversation, identity.installation_id, fields),
            "lite": exchange.form is not None and exchange.form.is_lite,
        }


def _content_type(exchange: Exchange) -> str:
    """As the client has it where its body may be anything, or a form with images. All else is JSON, whatever the
    client called it (curl -d: a form)."""
    told = emission.first(exchange.admission.headers, "content-type")
    form = exchange.form
    is_form = form is not None and form.call.startswith("images/") and told.lower().startswith(images_form.MULTIPART)
    return told if exchange.admission.call == "side" or is_form else ""


def _neutral(provider: Provider, admission: Admission) -> dict[str, Any]:
    """Our own name, and what a client of Anthropic's says of versions where Anthropic's protocol is spoken."""
    facts: dict[str, Any] = {"user_agent": f"mitmcodex/{mitmcodex.__version__}"}
    if provider.kind == "messages":
        is_native = admission.protocol == "messages"
        told = emission.first(admission.headers, "anthropic-version") if is_native else ""
        facts["anthropic_version"] = told or ANTHROPIC_VERSION
        facts["anthropic_beta"] = emission.first(admission.headers, "anthropic-beta") if is_native else ""
    return facts


def _names(profile: Profile, call: str) -> dict[str, str]:
    """What a client that does not name itself is called: the client that the profile was measured on."""
    values = profile.values
    names = {"version": values.version, "user_agent": values.user_agent}
    return names if call == "side" else names | {"originator": values.originator}


def _from_codex(headers: Pairs) -> dict[str, Any]:
    """A Codex client's own values. ``version`` is the one in its User-Agent: a custom provider gets no such header."""
    user_agent = emission.first(headers, "user-agent")
    stated = VERSION_IN_USER_AGENT.match(user_agent)
    return {
        "version": stated.group(1) if stated else emission.first(headers, "version"),
        "originator": emission.first(headers, "originator"),
        "user_agent": user_agent,
        "session_id": emission.first(headers, "session-id"),
        "thread_id": emission.first(headers, "thread-id"),
        "request_id": emission.first(headers, "x-client-request-id"),
        "window_id": emission.first(headers, "x-codex-window-id"),
        "turn_metadata": emission.first(headers, "x-codex-turn-metadata"),
        "installation_id": emission.first(headers, "x-codex-installation-id"),
        "turn_state": emission.first(headers, TURN_STATE),
        "beta_features": emission.first(headers, "x-codex-beta-features"),
        "routing_hint": emission.first(headers, "x-codex-routing-hint"),
        "routing_override": emission.first(headers, "x-openai-account-routing-override"),
        "lite": emission.first(headers, "x-openai-internal-codex-responses-lite") == "true",
    }


def _routing_hint(exchange: Exchange) -> str:
    fields = exchange.form.fields if exchange.form else {}
    model, tier = fields.get("model"), fields.get("service_tier")
    if not isinstance(model, str):
        return ""
    hint = f"model={model};tier={tier}" if isinstance(tier, str) and tier else f"model={model}"
    return hint if hint.isascii() and hint.isprintable() else ""


def _credential_header(provider: Provider, credential: Credential) -> tuple[str, str] | None:
    if not credential.secret:
        return None
    is_bearer = provider.auth_header == "authorization"
    return provider.auth_header, f"Bearer {credential.secret}" if is_bearer else credential.secret


def _query(exchange: Exchange, version: str) -> str:
    """The ChatGPT backend lists models for a client version alone: add ours where the client named none."""
    assert exchange.provider is not None and exchange.form is not None
    query = exchange.form.query
    is_named = any(part.startswith("client_version=") for part in query.split("&"))
    if exchange.admission.call == "models" and exchange.provider.kind == "chatgpt" and not is_named:
        return f"{query}&client_version={version}" if query else f"client_version={version}"
    return query
