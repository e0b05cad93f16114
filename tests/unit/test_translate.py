"""Stage translate: what is canonical of each call, and what the client gets of the answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from mitmcodex.exchange import Exchange
from mitmcodex.process import Process
from mitmcodex.schema import Settings
from mitmcodex.translate import Translate
from mitmcodex.upstream.providers import Provider
from mitmcodex.upstream.transport import Closed
from mitmcodex.wire.codec import Loss
from mitmcodex.wire.errors import WireError
from support.events import ev_completed, ev_created, ev_failed, ev_incomplete, ev_message_done, ev_reasoning, sse
from support.exchanges import EVENTS, an_exchange, answered, at, read

CHATGPT = Provider("work", "chatgpt", "https://u.example/backend-api/codex")
ASK = {"model": "gpt-5.5", "input": "hi"}
WHOLE = [ev_created("r"), ev_message_done("hello"), ev_completed("r")]
EMPTY = [ev_created("r"), ev_completed("r")]


def down(fields: dict[str, Any] | None = None, **admission: Any) -> Exchange:
    exchange = at(an_exchange(body=json.dumps(fields).encode() if fields else b"", **admission), CHATGPT)
    exchange.parsed = fields
    translate().upstream_request(exchange)
    return exchange


def translate() -> Translate:
    return Translate(Process(settings=Settings()), len)


def up(exchange: Exchange) -> Exchange:
    asyncio.run(translate().upstream_response(exchange))
    return exchange


@pytest.mark.parametrize("wants_stream", [True, False])
def test_a_generation_is_parsed_and_gets_an_encoder(wants_stream: bool) -> None:
    """The fields are the body's, and whether a stream is wanted is known."""
    exchange = down({**ASK, "stream": wants_stream})
    assert exchange.canonical is not None and exchange.encoder is not None
    assert (exchange.canonical.fields["model"], exchange.canonical.wants_stream) == ("gpt-5.5", wants_stream)
    assert exchange.canonical.body == exchange.admission.body


def test_a_compaction_is_parsed_and_never_streamed() -> None:
    """Its model is needed for the routing hint; its answer passes as it comes."""
    exchange = down({**ASK, "stream": True}, call="compact")
    assert exchange.canonical is not None and exchange.encoder is None
    assert exchange.canonical.fields["model"] == "gpt-5.5" and not exchange.canonical.wants_stream


@pytest.mark.parametrize("admission", [{"call": "models"}, {"call": "side"}, {"call": "responses", "is_raw": True}])
def test_other_calls_are_not_read(admission: dict[str, Any]) -> None:
    """Model lists, side calls and the secure mode: any bytes pass, as they are no JSON of ours."""
    exchange = at(an_exchange(body=b"\xff{", **admission), CHATGPT)
    translate().upstream_request(exchange)
    assert exchange.canonical is not None and exchange.encoder is None
    assert (exchange.canonical.body, exchange.canonical.fields) == (b"\xff{", {})


def test_what_is_not_understood_goes_nowhere() -> None:
    """No canonical form is set, so the seal holds it back besides."""
    exchange = at(an_exchange(protocol="nothing"), CHATGPT)
    exchange.parsed = {}
    with pytest.raises(WireError) as caught:
        translate().upstream_request(exchange)
    assert caught.value.kind == "not_supported" and exchange.canonical is None


def test_a_client_of_the_providers_own_protocol_is_not_translated() -> None:
    """Its body passes as it came, and its answer too, whole or streamed."""
    body = b'{"model": "m", "shiny_new": 1}'
    exchange = at(an_exchange(protocol="messages", body=body), Provider("a", "messages", "https://u.example/v1"))
    exchange.parsed = json.loads(body)
    translate().upstream_request(exchange)
    assert exchange.canonical is not None
    assert exchange.canonical.is_native and exchange.canonical.body == body
    stream = b"event: message_stop\ndata: {}\n\n"
    assert read(up(answered(exchange, stream))) == stream
    assert exchange.reply is not None and exchange.reply.is_encoded
    json_reply = up(answered(exchange, b"{}", headers=[("content-type", "application/json")]))
    assert read(json_reply) == b"{}"


def test_losses_are_counted_in_a_header() -> None:
    """x-mitmcodex-loss tells how many; without any the head is left as it is."""
    exchange = answered(down({**ASK, "stream": True}, is_codex=True), sse(WHOLE))
    exchange.losses = [Loss("store", "changed", "it stores nothing"), Loss("n", "dropped", "one is enough")]
    up(exchange)
    assert exchange.reply is not None and exchange.reply.headers == [EVENTS, ("x-mitmcodex-loss", "2")]


def test_a_stream_is_encoded_and_kept_from_caches() -> None:
    """What stands between must neither keep nor collect it (conformance 39); one header of a name is enough."""
    kept = [EVENTS, ("x-a", "1")]
    exchange = up(answered(down({**ASK, "stream": True}), sse(WHOLE), headers=[*kept, ("Cache-Control", "public")]))
    assert exchange.reply is not None
    assert exchange.reply.headers == [*kept, ("cache-control", "no-cache"), ("x-accel-buffering", "no")]
    told = read(exchange)
    assert told.startswith(b"event: response.created\n") and sse(WHOLE[1:2], 1) in told
    assert b"event: response.completed\n" in told


@pytest.mark.parametrize("protocol", ["responses", "chat"])
@pytest.mark.parametrize("wants_stream", [True, False])
def test_the_quota_goes_to_every_client(protocol: str, wants_stream: bool) -> None:
    """conformance 40: ``x-codex-*`` and the request's id stay in the head, in a stream as in one object."""
    asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}]} if protocol == "chat" else ASK
    quota = [("x-codex-primary-used-percent", "7"), ("X-Codex-Credits-Balance", ""), ("x-request-id", "r")]
    exchange = down({**asked, "stream": wants_stream}, protocol=protocol)
    up(answered(exchange, sse(WHOLE), headers=[EVENTS, *quota]))
    assert exchange.reply is not None and [pair for pair in exchange.reply.headers if pair in quota] == quota


@pytest.mark.parametrize(("settings", "field"), [({}, "reasoning_content"), ({"reasoning_out": "off"}, None)])
def test_reasoning_goes_out_as_the_setting_says(settings: dict[str, str], field: str | None) -> None:
    """conformance 11: in a field of its own unless something else is set."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    exchange = at(an_exchange(protocol="chat", body=json.dumps(body).encode()), CHATGPT)
    exchange.parsed = body
    stage = Translate(Process(settings=Settings(**settings)), len)  # type: ignore[arg-type]
    stage.upstream_request(exchange)
    answered(exchange, sse([ev_created("r"), ev_reasoning("Hm."), ev_message_done("hello", output_index=1), WHOLE[2]]))
    asyncio.run(stage.upstream_response(exchange))
    assert exchange.reply is not None and exchange.reply.body is not None
    message = json.loads(exchange.reply.body)["choices"][0]["message"]
    assert message["content"] == "hello" and message.get(field or "reasoning_content") == ("Hm." if field else None)


def test_codex_gets_the_head_as_it_came() -> None:
    """Codex is told what the upstream told, and nothing besides."""
    exchange = up(answered(down({**ASK, "stream": True}, is_codex=True), sse(WHOLE)))
    assert exchange.reply is not None and exchange.reply.headers == [EVENTS]


def test_a_stream_without_end_says_so() -> None:
    """The client learns by an event of its protocol that the answer is not whole."""
    exchange = up(answered(down({**ASK, "stream": True}), sse(WHOLE[:1])))
    assert b"response.failed" in read(exchange)
    assert exchange.encoder is not None and exchange.encoder.is_cut


def test_without_stream_the_client_gets_one_object() -> None:
    """JSON with the answer's other headers; no length and no type of the stream is left."""
    headers = [("content-type", "text/event-stream"), ("Content-Length", "9"), ("x-request-id", "1")]
    exchange = up(answered(down(ASK), sse(WHOLE), headers=headers))
    assert exchange.reply is not None and exchange.reply.body is not None
    assert exchange.reply.headers == [("content-type", "application/json"), ("x-request-id", "1")]
    assert json.loads(exchange.reply.body)["output"] == [WHOLE[1]["item"]]


@pytest.mark.parametrize(
    "pieces", [(sse(EMPTY),), (sse(WHOLE[:1]),), (sse(WHOLE[:1]), Closed("reset"))], ids=["empty", "no end", "cut"]
)
def test_what_came_to_nothing_is_tried_once_more(pieces: tuple[Any, ...]) -> None:
    """Nothing went to the client yet, so a second attempt costs it nothing (seeds S88)."""
    exchange = up(answered(down(ASK), *pieces))
    assert exchange.retry is not None and exchange.reply is not None and exchange.reply.body is None


@pytest.mark.parametrize(
    ("pieces", "error"), [((sse(WHOLE[:1]),), WireError), ((sse(WHOLE[:1]), Closed("reset")), Closed)]
)
def test_a_second_cut_is_told(pieces: tuple[Any, ...], error: type[Exception]) -> None:
    """No third attempt: the client hears of it."""
    exchange = answered(down(ASK), *pieces)
    exchange.attempt = 2
    with pytest.raises(error):
        up(exchange)
    assert exchange.retry is None


def test_a_second_empty_answer_is_given() -> None:
    """A model may have nothing to say."""
    exchange = answered(down(ASK), sse(EMPTY))
    exchange.attempt = 2
    up(exchange)
    assert exchange.reply is not None and exchange.reply.body is not None
    assert json.loads(exchange.reply.body)["output"] == []


def test_an_answer_that_ended_at_a_limit_is_not_paid_twice() -> None:
    """Without any output too: the tokens went into reasoning, and would again."""
    exchange = up(answered(down(ASK), sse([ev_created("r"), ev_incomplete("max_output_tokens", "r")])))
    assert exchange.retry is None and exchange.reply is not None
    assert json.loads(exchange.reply.body or b"")["status"] == "incomplete"


def test_a_failed_generation_is_not_tried_again_here() -> None:
    """What the upstream says of it is the answer."""
    exchange = answered(down(ASK), sse([ev_created("r"), ev_failed("invalid_prompt", "no", "r")]))
    with pytest.raises(WireError, match="no"):
        up(exchange)
    assert exchange.retry is None


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 400},
        {"headers": [("content-type", "application/json")]},
        {"body": b"{}"},
    ],
    ids=["an error", "no stream", "answered by a stage"],
)
def test_what_is_no_stream_passes(answer: dict[str, Any]) -> None:
    """Errors and JSON are in the client's protocol already: head and body as they stand."""
    exchange = answered(down(ASK), b'{"a":1}', **answer)
    reply, body = exchange.reply, exchange.body
    up(exchange)
    assert (exchange.reply, exchange.body) == (reply, body) and read(exchange) == b'{"a":1}'


def test_images_are_drawn_by_a_tool_where_there_is_one() -> None:
    """seeds S135: at the ChatGPT backend the Images API is a generation; its encoder speaks that API."""
    exchange = down({"prompt": "a dot", "stream": True}, call="images", protocol="images", action="generations")
    assert exchange.canonical is not None and exchange.encoder is not None
    assert (exchange.canonical.call, exchange.canonical.body) == ("responses", None)
    assert exchange.canonical.fields["tools"] == [{"type": "image_generation"}]


@pytest.mark.parametrize("kind", ["openai", "azure"])
def test_images_pass_where_the_api_is_the_providers_own(kind: str) -> None:
    """Any bytes, as they may be a form; nothing is read of the answer."""
    exchange = at(an_exchange(call="images", action="edits", protocol="images", body=b"\xff"), Provider("p", kind, ""))
    translate().upstream_request(exchange)
    assert exchange.canonical is not None and exchange.encoder is None
    assert (exchange.canonical.call, exchange.canonical.body) == ("images/edits", b"\xff")


@pytest.mark.parametrize("kind", ["demo", "responses", "chat", "messages", "gemini"])
def test_images_of_nobody_name_the_setting(kind: str) -> None:
    """seeds S147: 501, as none of these kinds is known to draw."""
    exchange = at(an_exchange(call="images", action="edits", protocol="images"), Provider("p", kind, ""))
    with pytest.raises(WireError) as caught:
        translate().upstream_request(exchange)
    assert caught.value.kind == "not_supported" and "routing" in caught.value.message
