"""Which models there are: the backend's own list, asked for as the real client does, in the shape of whoever asks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.answers import Answer as Script
from support.answers import Pairs, reply, say
from support.auth import ACCOUNT_ID, Login
from support.backend import Backend
from support.client import CODEX, as_codex, call, post
from support.clients import Sdk
from support.proxy import Proxy
from support.records import Request
from support.tls import Authority
from support.upstreams import to_api, to_chatgpt

Start = Callable[..., Proxy]
ETAG = 'W/"models-1"'
EFFORTS = [{"effort": "low", "description": "Quick"}, {"effort": "high", "description": "Long"}]
LIVE = [
    {"slug": "gpt-6-astra", "priority": 1, "display_name": "Astra", "supported_reasoning_levels": EFFORTS},
    {"slug": "gpt-5.5", "priority": 2},
    {"slug": "codex-auto-review", "priority": 3, "visibility": "hide"},
]
OWN = {"aliases": {"mine": "gpt-6-astra", "claude-opus-*": "gpt-5.5"}, "custom_models": [{"id": "gpt-5.6-luna"}]}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda config: stack.enter_context(Proxy(tmp_path, config))


@pytest.fixture
def config(backend: Backend, ca: Authority, login: Login) -> dict[str, Any]:
    """The backend lists ``LIVE`` and may be asked for it."""
    backend.script(answers(LIVE, ETAG))
    return {**to_chatgpt(backend, ca, login.path), "models_refresh_s": 300}


def answers(models: list[dict[str, Any]], etag: str) -> Callable[[Request], Script]:
    def script(request: Request) -> Script:
        if request.path.endswith("/models"):
            return reply(200, {"models": models}, [("etag", etag)])
        return say("hi", [("x-models-etag", etag)])

    return script


def ids(proxy: Proxy, headers: Pairs = ()) -> list[str]:
    return [row["id"] for row in call(proxy, "GET", "/v1/models", headers).json["data"]]


def fetches(backend: Backend) -> list[Request]:
    return [request for request in backend.requests if request.path.endswith("/models")]


def test_the_list_is_the_backends(start: Start, config: dict[str, Any], backend: Backend) -> None:
    """One call, by all the ways of a real client's: its path, client version, account and headers (seeds S118); with
    effort variants (seeds S98) and without hidden models."""
    proxy = start(config)
    classic = [f"gpt-5.5-{effort}" for effort in ("low", "medium", "high", "xhigh")]
    expected = ["gpt-6-astra", "gpt-6-astra-low", "gpt-6-astra-high", "gpt-5.5", *classic]
    assert ids(proxy) == ids(proxy) == expected
    (request,) = backend.requests
    assert request.target == "/backend-api/codex/models?client_version=0.169.0"
    assert request.first("chatgpt-account-id") == ACCOUNT_ID and request.first("authorization")
    names = [name for name, _ in request.headers if not name.startswith(":")]
    assert names[:3] == ["version", "authorization", "chatgpt-account-id"] and "session-id" not in names


def test_old_base_models_are_no_list_of_ours(start: Start, config: dict[str, Any], backend: Backend) -> None:
    """Slugs that the backend lacks are in no list, and can be used all the same (seeds S97)."""
    proxy = start(config)
    assert not {"gpt-5", "gpt-5-codex", "gpt-5.1", "gpt-5.1-codex-max"} & {*ids(proxy)}
    for name in ("gpt-5-codex", "gpt-5.1-codex-max-high"):
        assert call(proxy, "GET", f"/v1/models/{name}").json["id"] == name
        assert post(proxy, model=name).status == 200
        assert backend.requests[-1].json["model"] in ("gpt-6-astra", "gpt-5.5")


def test_whoever_asks_gets_his_shape(start: Start, config: dict[str, Any]) -> None:
    """One path for four clients: OpenAI's entry with name and capabilities (seeds S63, S64, S65), Anthropic's,
    Gemini's under both paths (seeds S68, conformance 69), Codex's with ETag (conformance 83)."""
    proxy = start(config)
    openai = call(proxy, "GET", "/v1/models/gpt-5.5").json
    assert openai.keys() >= {"id", "object", "created", "owned_by", "name", "context_window"}
    assert openai["capabilities"]["limits"] == {"max_context_window_tokens": 272000}
    messages = call(proxy, "GET", "/v1/models", [("anthropic-version", "2023-06-01")]).json
    assert (messages["data"][0]["type"], messages["has_more"]) == ("model", False)
    by_header = ("/v1/models", [("x-goog-api-key", "k")])
    for path, headers in (by_header, ("/v1/models?key=k", []), ("/v1beta/models", [])):
        gemini = call(proxy, "GET", path, headers).json["models"][0]
        assert gemini["name"] == "models/gpt-6-astra" and "generateContent" in gemini["supportedGenerationMethods"]
    assert call(proxy, "GET", "/gemini/v1beta/models/gpt-6-astra").json["displayName"] == "Astra"
    codex = call(proxy, "GET", "/v1/models?client_version=0.169.0")
    assert codex.json == {"models": LIVE} and codex.first("etag") == ETAG


def test_catalog_and_info(start: Start, config: dict[str, Any]) -> None:
    """The array of ``/v1/models/catalog`` (seeds S66), one entry of it by ``/info`` (seeds S67), whatever bytes are in
    the name; a name that there is not is 404 in the form of who asks (seeds S67)."""
    proxy = start(config)
    rows = call(proxy, "GET", "/v1/models/catalog").json
    assert rows[0]["isDefault"] and rows[0]["supportedReasoningEfforts"][0]["reasoningEffort"] == "low"
    assert call(proxy, "GET", "/v1/models/gpt-6-astra/info").json == rows[0]
    missing = call(proxy, "GET", "/v1/models/no%2Fsuch%ff")
    assert (missing.status, missing.error["code"]) == (404, "model_not_found")
    in_gemini = call(proxy, "GET", "/v1beta/models/no-such")
    assert (in_gemini.status, in_gemini.error["status"]) == (404, "NOT_FOUND")


def test_a_generation_has_the_list_asked_for(start: Start, config: dict[str, Any], backend: Backend) -> None:
    """Nobody waits for it: the first answer comes from what is shipped, then the backend is asked once, and again when
    its answers name another ETag (seeds S118, protocol.md 7)."""
    proxy = start(config)
    assert post(proxy).status == 200 and post(proxy).status == 200
    proxy.wait_idle()
    assert len(fetches(backend)) == 1
    assert ids(proxy)[0] == "gpt-6-astra" and len(fetches(backend)) == 1


def test_codex_has_nobody_asked(start: Start, config: dict[str, Any], backend: Backend) -> None:
    """It asks for its list itself: not one call is made that it did not make."""
    proxy = start(config)
    assert as_codex(proxy).status == 200
    proxy.wait_idle()
    assert fetches(backend) == []


def test_own_names_in_codexs_list(start: Start, config: dict[str, Any], backend: Backend) -> None:
    """They stand behind the backend's own entries, which are untouched, and its ETag is not the backend's but the one
    that the next answers tell (conformance 83, P48)."""
    proxy = start({**config, **OWN})
    answer = call(proxy, "GET", "/backend-api/codex/models?client_version=0.169.0", CODEX)
    slugs = [entry["slug"] for entry in answer.json["models"]]
    assert slugs == ["gpt-6-astra", "gpt-5.5", "codex-auto-review", "gpt-5.6-luna", "mine"]
    assert answer.json["models"][:3] == LIVE
    etag = answer.first("etag")
    assert etag != ETAG and as_codex(proxy, model="mine").first("x-models-etag") == etag
    assert backend.requests[-1].json["model"] == "gpt-6-astra"


def test_a_custom_model_is_one_of_the_list(start: Start, config: dict[str, Any], backend: Backend) -> None:
    """And so is an alias, in each protocol's shape (seeds S65); a pattern is no name."""
    proxy = start({**config, **OWN, "list_variants": False})
    assert ids(proxy) == ["gpt-6-astra", "gpt-5.5", "gpt-5.6-luna", "mine"]
    assert post(proxy, model="gpt-5.6-luna").status == 200
    assert backend.requests[-1].json["model"] == "gpt-5.6-luna"


def test_a_list_is_kept_between_runs(start: Start, config: dict[str, Any], backend: Backend, tmp_path: Path) -> None:
    """A second start knows it without asking (seeds S119)."""
    with Proxy(tmp_path, config) as first:
        before = ids(first)
    assert ids(start(config)) == before and len(fetches(backend)) == 1
    (file,) = (tmp_path / "state" / "models").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_an_old_list_is_asked_for_anew(start: Start, config: dict[str, Any], backend: Backend, tmp_path: Path) -> None:
    """By its age, which survives the restart."""
    with Proxy(tmp_path, config) as first:
        ids(first)
    (file,) = (tmp_path / "state" / "models").iterdir()
    kept = json.loads(file.read_bytes())
    file.write_text(json.dumps({**kept, "fetched_at": time.time() - 301}))
    backend.script(answers([{"slug": "gpt-8"}], 'W/"models-2"'))
    assert ids(start(config)) == ["gpt-8"]


def test_a_backend_without_a_list_leaves_the_shipped_one(
    start: Start, config: dict[str, Any], backend: Backend
) -> None:
    """Nobody's request waits for what can't be had, and it is not asked for again and again."""
    backend.script(lambda request: reply(404, {"detail": "Not Found"}) if request.method == "GET" else say("hi"))
    proxy = start(config)
    assert ids(proxy)[0] == "gpt-6.1-sol" and ids(proxy)[0] == "gpt-6.1-sol"
    assert len(fetches(backend)) == 1


def test_our_call_is_dumped_like_any(start: Start, config: dict[str, Any], tmp_path: Path) -> None:
    """Both sides, without the credential."""
    proxy = start({**config, "dump_dir": str(tmp_path / "dumps")})
    ids(proxy)
    proxy.wait_idle()
    dumps = {path.name.split("-", 2)[2]: json.loads(path.read_bytes()) for path in (tmp_path / "dumps").iterdir()}
    assert {"client-request.json", "upstream-request.json", "upstream-response.json"} <= dumps.keys()
    headers = {field["name"]: field["value"] for field in dumps["upstream-request.json"]["headers"]}
    assert headers["authorization"] == "[redacted]"


def test_models_of_an_api(start: Start, api_backend: Backend, ca: Authority, tmp_path: Path) -> None:
    """An API-key provider is asked without a client version; Codex gets its list in Codex's own shape, as the provider
    has none (conformance 83)."""
    proxy = start({**to_api(api_backend, ca, tmp_path), "models_refresh_s": 300, "list_variants": False})
    assert ids(proxy) == ["gpt-5.5"]
    codex = call(proxy, "GET", "/v1/models?client_version=0.169.0", CODEX)
    assert [entry["slug"] for entry in codex.json["models"]] == ["gpt-5.5"] and codex.first("etag")
    assert [request.target for request in api_backend.requests] == ["/v1/models"]


@pytest.mark.parametrize(
    ("kind", "header"), [("chat", "authorization"), ("messages", "x-api-key"), ("gemini", "x-goog-api-key")]
)
def test_models_of_services_of_other_kinds(
    start: Start, make_service: Callable[[str], Backend], ca: Authority, tmp_path: Path, kind: str, header: str
) -> None:
    """Their own lists, with what ``routing`` leads to other providers and custom models (seeds S212); no other
    provider is asked."""
    service = make_service(kind)
    listed = {"models": [{"name": "models/one"}]} if kind == "gemini" else {"data": [{"id": "one"}]}
    service.script(lambda request: reply(200, listed))
    config = to_api(service, ca, tmp_path, kind)
    own = {"routing": {"two": "openai"}, "custom_models": ["three"], "models_refresh_s": 300}
    assert ids(start({**config, **own})) == ["one", "three", "two"]
    (request,) = service.requests
    assert request.path.endswith("/models") and request.has(header)


def test_the_demo_has_its_model(start: Start) -> None:
    """Without any provider: its list has one model, which answers where none is named."""
    proxy = start({"upstream": "demo"})
    assert ids(proxy) == ["mitmcodex-demo"]
    answer = call(proxy, "POST", "/v1/responses", [("content-type", "application/json")], b'{"input": "hi"}')
    assert answer.json["status"] == "completed"


def test_names_hold_as_soon_as_the_file_says_so(
    start: Start, config: dict[str, Any], backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    """An alias that is written into the settings file is listed and followed without a restart, a broken file changes
    nothing, and so for custom models and routing (seeds S126)."""
    proxy = start({**config, "list_variants": False})
    text = proxy.config_file.read_text()
    proxy.config_file.write_text(text + "aliases: {fresh: gpt-5.5}\ncustom_models: [own]\n")
    wait_until(lambda: "fresh" in ids(proxy))
    assert ids(proxy) == ["gpt-6-astra", "gpt-5.5", "own", "fresh"]
    assert post(proxy, model="fresh").status == 200
    assert backend.requests[-1].json["model"] == "gpt-5.5"
    before = proxy.process.settings
    proxy.config_file.write_text(text + "aliases: {fresh: fresh}\n")
    wait_until(lambda: "mitmcodex keeps its settings: aliases: fresh leads to itself" in caplog.messages)
    assert proxy.process.settings == before
    proxy.config_file.write_text(text + "aliases: {last: gpt-6-astra}\n")
    wait_until(lambda: "last" in ids(proxy))
    assert ids(proxy) == ["gpt-6-astra", "gpt-5.5", "last"]


def wait_until(holds: Callable[[], bool]) -> None:
    """Looks again until it holds: the file is looked at once a second."""
    until = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.clients
def test_the_sdks_read_their_lists(start: Start, config: dict[str, Any], tmp_path: Path) -> None:
    """OpenAI's, Anthropic's and Google's, in Python: the list, one model of it, and a missing one as their own 404."""
    sdk = Sdk(tmp_path / "home", start({**config, **OWN}).url, "k")
    script = """
import openai, anthropic
from google import genai
clients = openai.OpenAI(max_retries=0), anthropic.Anthropic(max_retries=0)
for client, error in zip(clients, (openai.NotFoundError, anthropic.NotFoundError)):
    show([model.id for model in client.models.list()])
    show(client.models.retrieve("mine").id)
    try:
        client.models.retrieve("no-such")
    except error as found:
        show([found.status_code])
gemini = genai.Client()
show([model.name for model in gemini.models.list()])
show(gemini.models.get(model="mine").name)
"""
    ours, one, missing, anthropics, two, missing_too, googles, three = sdk.python(script).shown
    assert ours == anthropics == [name.removeprefix("models/") for name in googles]
    assert {"gpt-6-astra", "gpt-6-astra-high", "mine", "gpt-5.6-luna"} <= {*ours}
    assert (one, two, three) == ("mine", "mine", "models/mine") and missing == missing_too == [404]
