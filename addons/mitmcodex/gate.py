"""Who may come in, how big, and what is taken off the flow (house.md sections 1 and 2).

``requestheaders`` builds the flow's Admission, also for a request that the parser then refuses, so that no flow file
can hold a credential. A refusal is a ``flow.response`` with no ``Admission.call``; a flow without a call goes nowhere.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Callable, Iterable, MutableMapping
from urllib.parse import unquote_to_bytes

from mitmproxy import connection, ctx, http

from mitmcodex import listeners, routes
from mitmcodex.coding import CodingError, TooLarge, decode
from mitmcodex.exchange import Admission, Pairs
from mitmcodex.logfilter import without_quotes
from mitmcodex.schema import Settings
from mitmcodex.wire.error_replies import reply_for
from mitmcodex.wire.errors import ErrorReply, WireError
from mitmcodex.wire.redact import CREDENTIAL_HEADERS, REDACTED

KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key")
QUERY_KEY = "?key"
"""How ``Admission.secrets`` names the query's ``key=``."""

OLLAMA_METHODS = "GET,POST,OPTIONS"
OLLAMA_HEADERS = "Content-Type, Authorization"
"""What a page on Ollama's listener may send (seeds S254)."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-zA-Z]+")
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:\[\]@/?#]+))(?::\d{1,5})?")


def admit(request: http.Request, is_secure: bool) -> Admission:
    """Move the credentials of a request into a new Admission; what stays in the request reads ``[redacted]``.

    The secure proxy forwards what came but authorization and host: there ``headers`` keeps the other credentials too,
    in their places.
    """
    admission = Admission(is_raw=is_secure)
    path, _, query = request.path.partition("?")
    shown, kept = [], []
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        if equals and _unquoted(name).strip().lower() == "key":
            admission.secrets.append((QUERY_KEY, _unquoted(value)))
            shown.append(f"{name}={REDACTED}")
        else:
            shown.append(part)
            kept.append(part)
    if len(kept) != len(shown):
        request.path = f"{path}?{'&'.join(shown)}"
    admission.query = "&".join(kept)
    fields = []
    for raw_name, raw_value in request.headers.fields:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        key = name.strip().lower()
        is_credential = key in CREDENTIAL_HEADERS
        if is_credential:
            admission.secrets.append((key, value))
            raw_value = REDACTED.encode()
        elif not _TOKEN.fullmatch(raw_name) or b"\n" in raw_value:
            # "Authorization Bearer S: x" and the fold "x: 1\r\n Authorization: S": the secret may be anywhere in it.
            raw_name = raw_value = REDACTED.encode()
        if not is_credential or (is_secure and key != "authorization"):
            admission.headers.append((name, value))
        fields.append((raw_name, raw_value))
    request.headers = http.Headers(fields)
    originator = request.headers.get("originator", "")
    admission.is_codex = originator.startswith(("codex", "Codex")) or path.startswith("/backend-api")
    return admission


def is_local_host(value: str, allowed: Iterable[str]) -> bool:
    """Whether a Host value (with or without port) is a loopback name or address, or on the list: no other name may lead
    a browser here (DNS rebinding)."""
    value = value.strip().lower()
    found = _HOST.fullmatch(value)
    if found is None:
        return False
    name = (found[1] or found[2]).removesuffix(".")
    listed = {entry.lower() for entry in allowed}
    if name == "localhost" or name in listed or value in listed:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def holds_key(secrets: Pairs, keys: Iterable[bytes]) -> bool:
    """Whether one of the keys was presented, in any of the forms that clients use; in constant time."""
    offered = [value for name, value in secrets if name in KEY_HEADERS or name == QUERY_KEY]
    for name, value in secrets:
        scheme, _, token = value.strip().partition(" ")
        if name == "authorization" and scheme.lower() == "bearer":
            offered.append(token)
    # A sum, as any() would stop at the first that fits.
    return sum(hmac.compare_digest(value.strip().encode("latin-1"), key) for value in offered for key in keys) > 0


class Gate:
    """The first addon that sees a request. ``keys_of`` gives the client keys' values; none = no key is asked for."""

    def __init__(
        self,
        settings_of: Callable[[], Settings],
        admissions: MutableMapping[http.HTTPFlow, Admission],
        keys_of: Callable[[], tuple[bytes, ...]] = tuple,
    ) -> None:
        self._settings_of = settings_of
        self._admissions = admissions
        self._keys_of = keys_of
        self._shutdown_after: set[str] = set()

    def load(self, _loader: object) -> None:
        # mitmproxy would put its own target in the place of Host, which is to be checked.
        ctx.options.update(keep_host_header=True)
        self._limit_bodies()

    def configure(self, updated: set[str]) -> None:
        if "codex_max_body_bytes" in updated:
            self._limit_bodies()

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        settings = self._settings_of()
        admission = self._admissions[flow] = admit(flow.request, settings.secure)
        admission.listener = listeners.name_of(flow.client_conn.proxy_mode)
        if flow.error is not None:
            # mitmproxy has refused it and answers by itself.
            return
        try:
            if settings.secure:
                self._check_origin(flow.request, admission, settings)
                self._route_secure(flow, admission, settings)
                return
            path = flow.request.path.partition("?")[0]
            names = [name.lower() for name, _ in (*admission.headers, *admission.secrets)]
            admission.protocol = routes.protocol_of(path, names, admission.listener)
            self._check_origin(flow.request, admission, settings)
            self._route(flow, admission, path)
        except WireError as error:
            self._refuse(flow, error)

    def request(self, flow: http.HTTPFlow) -> None:
        flow.request.trailers = None  # nobody reads them, and they may hold what a header may
        if flow.response is not None:
            return
        settings = self._settings_of()
        admission = self._admissions.get(flow)
        try:
            if admission is None or not admission.call:
                # ``requestheaders`` broke: mitmproxy logs that and goes on, we don't.
                raise WireError("internal", "The proxy failed to check this request. Its log says why.")
            # The call is given back last: should the body's decoding break, mitmproxy goes on and we don't.
            call, admission.call = admission.call, ""
            admission.body = self._body(flow.request, settings)
            admission.call = call
        except WireError as error:
            self._refuse(flow, error)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        origin = flow.request.headers.get("origin")
        if origin is None or flow.response is None:
            return
        if self._is_allowed(origin, self._admissions.get(flow) or Admission()):
            flow.response.headers["access-control-allow-origin"] = origin
            flow.response.headers.add("vary", "origin")

    def error(self, flow: http.HTTPFlow) -> None:
        """Parsers quote what they refuse; flow files and mitmweb keep the message."""
        flow.request.trailers = None
        if flow.error is not None:
            flow.error.msg = without_quotes(flow.error.msg)

    def client_disconnected(self, client: connection.Client) -> None:
        if client.id in self._shutdown_after:
            ctx.master.shutdown()

    def _limit_bodies(self) -> None:
        """mitmproxy stops a body that grows over the limit; it counts encoded bytes, ``request`` decoded ones."""
        settings = self._settings_of()
        ctx.options.update(body_size_limit=None if settings.secure else str(settings.max_body_bytes))

    def _is_allowed(self, origin: str, admission: Admission) -> bool:
        """Whether pages of this origin may call: on Ollama's listener, which asks no key, this machine's alone."""
        if admission.listener == "ollama":
            scheme, _, host = origin.partition("://")
            return scheme in ("http", "https") and is_local_host(host, ())
        return origin in self._settings_of().allowed_origins

    def _check_origin(self, request: http.Request, admission: Admission, settings: Settings) -> None:
        names = [*request.headers.get_all("host"), *([request.authority] if request.authority else [])]
        if not names or not all(is_local_host(name, settings.allowed_hosts) for name in names):
            raise WireError("forbidden", "This Host is not served here. Add it to allowed_hosts if it is meant to be.")
        if not all(self._is_allowed(origin, admission) for origin in request.headers.get_all("origin")):
            raise WireError("forbidden", "Pages of this origin may not call the proxy. See allowed_origins.")

    def _route(self, flow: http.HTTPFlow, admission: Admission, path: str) -> None:
        request = flow.request
        route = routes.find(path, admission.listener)
        is_preflight = (
            request.method == "OPTIONS"
            and "origin" in request.headers
            and "access-control-request-method" in request.headers
        )
        if route is not None and is_preflight:
            flow.response = _preflight_answer(request, admission)
            return
        # Ollama's clients know no key. A replay comes from mitmproxy's own interface, which holds no credentials.
        is_open = admission.listener == "ollama" or (route is not None and route.call == "local")
        keys = () if is_open or flow.is_replay == "request" else self._keys_of()
        if keys and not holds_key(admission.secrets, keys):
            raise WireError("client_key", "The client key is missing or wrong: see client_keys in the settings.")
        if route is not None and "websocket" in request.headers.get("upgrade", "").lower():
            raise WireError("upgrade_required", "No WebSocket here: send the request by HTTP POST.")
        route = routes.match(request.method, path, admission.listener)
        admission.path, admission.model, admission.action = route.path, route.model, route.action
        admission.call = "models" if route.call == "listing" and _asks_as_codex(admission) else route.call

    def _route_secure(self, flow: http.HTTPFlow, admission: Admission, settings: Settings) -> None:
        """Exactly what the Codex CLI's own strict proxy takes (protocol.md 9)."""
        request = flow.request
        # The raw method: mitmproxy's is in upper case. An absolute target ("POST http://…") is no path either.
        match request.data.method.decode("latin-1"), request.authority + request.path:
            case "POST", "/v1/responses":
                admission.call = "responses"
            case "GET", "/shutdown" if settings.http_shutdown:
                # mitmproxy closes after this answer; the process may end once the client has it.
                flow.response = http.Response.make(200, b"", {"connection": "close"})
                self._shutdown_after.add(flow.client_conn.id)
            case _:
                raise WireError("forbidden", "Only POST /v1/responses is served.")

    def _body(self, request: http.Request, settings: Settings) -> bytes:
        raw = request.raw_content or b""
        if settings.secure or not raw:
            return raw
        try:
            return decode(raw, ",".join(request.headers.get_all("content-encoding")), settings.max_body_bytes)
        except TooLarge as error:
            raise WireError("body_too_large", str(error)) from error
        except CodingError as error:
            raise WireError("invalid_request", str(error)) from error

    def _refuse(self, flow: http.HTTPFlow, error: WireError) -> None:
        admission = self._admissions.get(flow) or Admission()
        admission.call = ""
        reply = reply_for(error, admission.protocol, admission.is_codex)
        if self._settings_of().secure:
            reply = ErrorReply(403, [], b"")
        fields = [(name.encode(), value.encode()) for name, value in reply.headers]
        flow.response = http.Response.make(reply.status, reply.body, fields)


def _asks_as_codex(admission: Admission) -> bool:
    """Codex's own model list is the provider's, in a shape that no other client reads."""
    asks = any(part.startswith("client_version=") for part in admission.query.split("&"))
    return admission.protocol == "responses" and not admission.model and (admission.is_codex or asks)


def _unquoted(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("latin-1")


def _preflight_answer(request: http.Request, admission: Admission) -> http.Response:
    methods = request.headers["access-control-request-method"]
    headers = request.headers.get("access-control-request-headers", "*")
    if admission.listener == "ollama":
        methods, headers = OLLAMA_METHODS, OLLAMA_HEADERS
    fields = [
        (b"access-control-allow-methods", methods.encode()),
        (b"access-control-allow-headers", headers.encode()),
        (b"access-control-max-age", b"600"),
    ]
    return http.Response.make(204, b"", fields)
