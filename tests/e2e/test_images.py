"""Images through the real proxy: the Images API of the SDK, and the image tool of every protocol that shows images."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.answers import Answer as Script
from support.answers import reply, say, stream
from support.auth import Login, write_login
from support.backend import Backend
from support.client import Answer, call
from support.clients import Sdk
from support.events import ev_completed, ev_created, ev_item_done, ev_message_done
from support.proxy import Proxy
from support.records import Request
from support.strictness import Strictness
from support.tls import Authority
from support.upstreams import to_api, to_chatgpt

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
DRAWN = base64.b64encode(PNG).decode()
LARGE = "iVBORw0KGgoA" * 1_000_000
"""12 MB of base64, in one event."""
USAGE = {"input_tokens": 9, "input_tokens_details": {"image_tokens": 4, "text_tokens": 5}, "output_tokens": 3}
JSON_TYPE = ("content-type", "application/json")
FORM = [("content-type", 'multipart/form-data; boundary="b-1"')]
FORM_BODY = (
    b'--b-1\r\ncontent-disposition: form-data; name="prompt"\r\n\r\nmake it blue\r\n'
    b'--b-1\r\ncontent-disposition: form-data; name="model"\r\n\r\ngpt-image-1\r\n'
    b'--b-1\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + PNG + b"\r\n--b-1--\r\n"
)

Start = Callable[[dict[str, Any]], Proxy]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as running:
        yield lambda config: running.enter_context(Proxy(tmp_path, {"client_keys": [], **config}))


@pytest.fixture
def proxy(start: Start, backend: Backend, ca: Authority, login: Login) -> Proxy:
    backend.script(lambda request: drawing())
    return start(to_chatgpt(backend, ca, login.path))


def drawing(data: str = DRAWN) -> Script:
    """An answer with a partial image and an image."""
    place = {"item_id": "ig_1", "output_index": 0}
    partial = {"partial_image_index": 0, "partial_image_b64": "AAAA", "size": "1024x1024"}
    image = {"id": "ig_1", "type": "image_generation_call", "result": data, "revised_prompt": "a red dot"}
    done = ev_completed()
    done["response"]["tool_usage"] = {"image_gen": USAGE}
    events = [
        ev_created(),
        {"type": "response.image_generation_call.generating", **place},
        {"type": "response.image_generation_call.partial_image", **place, **partial},
        ev_item_done({**image, "output_format": "png"}),
        done,
    ]
    return stream(events)


def post(proxy: Proxy, path: str, **fields: Any) -> Answer:
    return call(proxy, "POST", path, [JSON_TYPE], json.dumps(fields).encode())


def tool(request: Request) -> dict[str, Any]:
    (only,) = request.json["tools"]
    assert isinstance(only, dict)
    return only


# -- the Images API at the ChatGPT backend --------------------------------------------------------


@pytest.mark.clients
def test_the_sdk_draws(proxy: Proxy, backend: Backend, tmp_path: Path) -> None:
    """seeds S135, S140, S141, S147: the default model's tool draws, whatever image model is named; two images are two
    calls."""
    shown = Sdk(tmp_path / "home", proxy.url, "k").python("""
import openai
client = openai.OpenAI()
r = client.images.generate(model="gpt-image-1", prompt="a dot", size="1024x1536", quality="low", n=2, user="u")
show([[image.b64_json for image in r.data], r.data[0].revised_prompt, r.size, r.usage.total_tokens])
r = client.images.generate(model="dall-e-3", prompt="a dot", response_format="url")
show([len(r.data), r.data[0].url])
""").shown
    assert shown == [[[DRAWN, DRAWN], "a red dot", "1024x1536", 24], [1, None]]
    first, second, third = backend.requests
    assert tool(first) == tool(second) == {"type": "image_generation", "size": "1024x1536", "quality": "low"}
    assert first.json["tool_choice"] == {"type": "image_generation"} and first.json["model"] == third.json["model"]
    assert first.json["input"][-1]["content"] == [{"type": "input_text", "text": "a dot"}]


@pytest.mark.clients
def test_the_sdk_edits_and_streams(proxy: Proxy, backend: Backend, tmp_path: Path) -> None:
    """seeds S139, S142: files of a form arrive byte for byte as data URLs; partial images come as events."""
    shown = Sdk(tmp_path / "home", proxy.url, "k").python(f"""
import base64, openai
client = openai.OpenAI()
png = base64.b64decode("{DRAWN}")
files = {{"image": [("a.png", png), ("b", png)], "mask": ("m.png", png)}}
r = client.images.edit(model="gpt-image-2", prompt="blue – bitte", **files, n=1, partial_images=2, stream=True)
show([[e.type, e.b64_json, type(e).__name__] for e in r])
r = client.images.generate(model="gpt-image-2", prompt="a dot", partial_images=1, stream=True)
show([[e.type, e.b64_json, e.output_format] for e in r])
""").shown
    assert shown[0] == [
        ["image_edit.partial_image", "AAAA", "ImageEditPartialImageEvent"],
        ["image_edit.completed", DRAWN, "ImageEditCompletedEvent"],
    ]
    assert shown[1] == [["image_generation.partial_image", "AAAA", "png"], ["image_generation.completed", DRAWN, "png"]]
    url = f"data:image/png;base64,{DRAWN}"
    content = backend.requests[0].json["input"][-1]["content"]
    assert content[0] == {"type": "input_text", "text": "blue – bitte"}
    assert [part["image_url"] for part in content[1:]] == [url, url]
    assert tool(backend.requests[0])["input_image_mask"] == {"image_url": url}


@pytest.mark.parametrize("wants_stream", [True, False])
def test_no_image_is_no_success(proxy: Proxy, backend: Backend, wants_stream: bool) -> None:
    """seeds S136: a plan without the tool makes the model draw with letters; the client hears so, once."""
    backend.queue(say("<svg>a dot</svg>"))
    answer = post(proxy, "/v1/images/generations", prompt="a dot", stream=wants_stream)
    error = answer.events[-1]["error"] if wants_stream else answer.error
    assert (error["code"], "<svg>a dot</svg>" in error["message"]) == ("no_image", True)
    assert answer.status == (200 if wants_stream else 400) and len(backend.requests) == 1


@pytest.mark.parametrize("setting", ["error", "warn"])
def test_a_free_plan_is_told_before_the_call(
    start: Start, make_backend: Callable[..., Backend], ca: Authority, tmp_path: Path, setting: str
) -> None:
    """seeds S136: where the login says so, the request gets a clear error; by setting it goes on, with a loss."""
    login = write_login(tmp_path / "auth.json", plan="free")
    strictness = Strictness("chatgpt", login.access_token, login.account_id)
    backend = make_backend(tls=ca.server_context(), strictness=strictness, name="codex-backend.test")
    proxy = start({**to_chatgpt(backend, ca, login.path), "free_plan_images": setting})
    backend.script(lambda request: drawing())
    asked = {"model": "gpt-5.5", "input": "x", "tools": [TOOL]}
    answers = [post(proxy, "/v1/images/generations", prompt="a dot"), post(proxy, "/v1/responses", **asked)]
    if setting == "error":
        assert [(answer.status, answer.error["code"]) for answer in answers] == [(403, "image_plan")] * 2
        assert backend.requests == []
    else:
        assert [answer.status for answer in answers] == [200, 200]
        assert all(answer.first("x-mitmcodex-loss") for answer in answers)
    assert post(proxy, "/v1/responses", model="gpt-5.5", input="x").status == 200


@pytest.mark.parametrize(
    ("key", "value"), [("size", "5000x5000"), ("output_format", "gif"), ("background", "transparent"), ("n", 0)]
)
def test_what_can_not_be_drawn_is_refused_before_the_call(
    proxy: Proxy, backend: Backend, key: str, value: object
) -> None:
    """seeds S137, S138, S139, S140: the 400 names the parameter, and nothing is spent."""
    answer = post(proxy, "/v1/images/generations", prompt="a dot", **{key: value})
    assert (answer.status, answer.error["param"], backend.requests) == (400, key, [])


def test_several_images_can_be_forbidden(start: Start, backend: Backend, ca: Authority, login: Login) -> None:
    """seeds S140: each is a call of its own, so a setting makes ``n`` > 1 an error."""
    proxy = start({**to_chatgpt(backend, ca, login.path), "image_n": "error"})
    answer = post(proxy, "/v1/images/generations", prompt="a dot", n=2)
    assert (answer.status, answer.error["param"]) == (400, "n") and "image_n" in answer.error["message"]


# -- other providers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/v1/images/generations", [JSON_TYPE], b'{"prompt": "x",  "model": "gpt-image-1", "n": 3}'),
        ("/v1/images/edits", FORM, FORM_BODY),
    ],
)
def test_an_api_key_provider_gets_the_call_as_it_came(
    start: Start, api_backend: Backend, ca: Authority, tmp_path: Path, path: str, headers: Any, body: bytes
) -> None:
    """Same path, same bytes, a form with its boundary; the answer as it comes."""
    api_backend.queue(reply(200, {"created": 1, "data": [{"b64_json": DRAWN}]}))
    answer = call(start(to_api(api_backend, ca, tmp_path)), "POST", path, headers, body)
    assert answer.json == {"created": 1, "data": [{"b64_json": DRAWN}]}
    (got,) = api_backend.requests
    assert got.path.endswith(path.removeprefix("/v1")) and got.raw_body == body
    assert got.first("content-type") == headers[0][1]


def test_a_provider_without_images_says_who_has_them(start: Start) -> None:
    """seeds S147: 501 in the client's form, with the setting that helps."""
    answer = post(start({"upstream": "demo"}), "/v1/images/generations", prompt="a dot", model="gpt-image-2")
    assert answer.status == 501 and "routing" in answer.error["message"]
    assert answer.first("x-should-retry") == "false"


def test_routing_leads_an_image_model_to_a_provider_that_has_it(
    start: Start, api_backend: Backend, ca: Authority, tmp_path: Path
) -> None:
    """seeds S147: all other models stay where they were."""
    api_backend.queue(reply(200, {"created": 1, "data": []}))
    config = {**to_api(api_backend, ca, tmp_path), "upstream": "demo", "routing": {"gpt-image-2": "work"}}
    proxy = start(config)
    assert post(proxy, "/v1/images/generations", prompt="a dot", model="gpt-image-2").json["data"] == []
    assert post(proxy, "/v1/images/generations", prompt="a dot", model="gpt-image-1").status == 501


# -- the tool in the other protocols --------------------------------------------------------------


def test_an_image_model_answers_no_chat(proxy: Proxy, backend: Backend) -> None:
    """seeds S145: a 400 that names what to use."""
    path, fields = PROTOCOLS["chat"]
    answer = post(proxy, path, **{**fields, "model": "gpt-image-2"})
    assert answer.status == 400 and "/v1/images/generations" in answer.error["message"]
    assert backend.requests == []


def test_the_tools_rules_hold_in_responses_and_chat(proxy: Proxy, backend: Backend) -> None:
    """seeds S137, S143: the 400 names the tool's place."""
    for path, asked in (
        ("/v1/responses", {"input": "x"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}),
    ):
        tools = [{"type": "image_generation", "size": "5000x5000"}]
        answer = post(proxy, path, model="gpt-5.5", tools=tools, **asked)
        assert (answer.status, answer.error["param"]) == (400, "tools[0].size")
    assert backend.requests == []


@pytest.mark.parametrize("wants_stream", [True, False])
def test_the_tool_draws_in_responses(proxy: Proxy, backend: Backend, wants_stream: bool) -> None:
    """seeds S135, S141, S142: tool and images reach the backend as they came (a URL of either kind), its events and the
    item with image and final prompt the client."""
    urls = [f"data:image/png;base64,{DRAWN}", "https://example.test/a.png"]
    content = [{"type": "input_text", "text": "make it blue"}]
    content += [{"type": "input_image", "image_url": url} for url in urls]
    asked = {**TOOL, "model": "gpt-image-2", "partial_images": 1, "output_format": "webp", "output_compression": 80}
    message = [{"role": "user", "content": content}]
    answer = post(proxy, "/v1/responses", model="gpt-5.5", input=message, tools=[asked], stream=wants_stream)
    (got,) = backend.requests
    assert tool(got) == asked
    assert [part.get("image_url") for part in got.json["input"][-1]["content"]] == [None, *urls]
    if wants_stream:
        names = [kind.rpartition(".")[2] for kind in answer.kinds]
        assert names == ["created", "generating", "partial_image", "done", "completed"]
        assert answer.events[2]["partial_image_b64"] == "AAAA"
    response = answer.events[-1]["response"] if wants_stream else answer.json
    (image,) = response["output"]
    assert (image["type"], image["result"], image["revised_prompt"]) == ("image_generation_call", DRAWN, "a red dot")


CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}
MESSAGES = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "x"}]}
TOOL = {"type": "image_generation", "size": "3840x2160"}
PROTOCOLS: dict[str, tuple[str, dict[str, Any]]] = {
    "responses": ("/v1/responses", {"model": "gpt-5.5", "input": "x", "tools": [TOOL]}),
    "chat": ("/v1/chat/completions", {**MESSAGES, "tools": [TOOL]}),
    "messages": ("/v1/messages", {**MESSAGES, "max_tokens": 100}),
    "gemini": ("/v1beta/models/gpt-5.5:{action}", CONTENTS),
    "images": ("/v1/images/generations", {"prompt": "x", "size": "3840x2160"}),
}


@pytest.mark.parametrize("wants_stream", [True, False])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_large_images_pass(proxy: Proxy, backend: Backend, protocol: str, wants_stream: bool) -> None:
    """seeds S143, S144: 12 MB in one event come out whole in every protocol, as a stream and as one object."""
    backend.queue(drawing(LARGE))
    path, fields = PROTOCOLS[protocol]
    action = "streamGenerateContent?alt=sse" if wants_stream else "generateContent"
    streamed = {} if protocol == "gemini" else {"stream": wants_stream}
    answer = post(proxy, path.format(action=action), **fields, **streamed)
    assert (answer.status, answer.is_whole) == (200, True), answer.body[:500]
    assert LARGE.encode() in answer.body


def test_an_image_beside_a_text_comes_out_of_chat(proxy: Proxy, backend: Backend) -> None:
    """seeds S143: a data-URL image in the message, beside what was said."""
    image = {"id": "ig_1", "type": "image_generation_call", "result": DRAWN, "output_format": "png"}
    backend.queue(stream([ev_created(), ev_message_done("Here."), ev_item_done(image, 1), ev_completed()]))
    path, fields = PROTOCOLS["chat"]
    message = post(proxy, path, **fields).json["choices"][0]["message"]
    assert message["content"] == "Here."
    assert message["images"][0]["image_url"]["url"] == f"data:image/png;base64,{DRAWN}"
