"""Stage remember: what goes upstream for ``previous_response_id``, and which answers are kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mitmcodex.exchange import Canonical, Exchange
from mitmcodex.process import Process
from mitmcodex.remember import Remember
from mitmcodex.resources import Resources
from mitmcodex.schema import Settings
from mitmcodex.state.credentials import Credential
from mitmcodex.state.responses import StoredResponse
from mitmcodex.upstream.providers import Provider
from mitmcodex.wire import responses_request
from mitmcodex.wire.codec import ACCOUNT_KEY, Asked
from mitmcodex.wire.errors import WireError
from support.events import ev_completed, ev_created, ev_failed, ev_incomplete, ev_message_done, ev_reasoning, sse
from support.exchanges import an_exchange, answered, at, read

USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
WHOLE = [ev_created("resp_9"), ev_reasoning("plan"), ev_message_done("hello", output_index=1), ev_completed("resp_9")]


class Bench:
    """The stage with a store of its own."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        process = Process(settings=Settings(state_dir=folder, **settings))
        self.resources = Resources(process)
        self.stage = Remember(process, self.resources)

    def down(self, fields: dict[str, Any], kind: str = "chatgpt", call: str = "responses", **given: Any) -> Exchange:
        body = json.dumps({"model": "m", "input": "hi", **fields}).encode()
        exchange = at(an_exchange(call=call, body=body, **given), Provider("work", kind, "https://u.example"))
        exchange.parsed = json.loads(body)
        decoded = responses_request.decode_request(json.loads(body), Asked())
        exchange.canonical = Canonical(call, decoded, body)
        exchange.credential = Credential("none", account="acc")
        asyncio.run(self.stage.upstream_request(exchange))
        return exchange

    def up(self, exchange: Exchange, *pieces: Any, **reply: Any) -> bytes:
        answered(exchange, *pieces, **reply)
        asyncio.run(self.stage.upstream_response(exchange))
        return read(exchange)

    def kept(self, id: str = "resp_9") -> StoredResponse | None:
        return asyncio.run(self.resources.responses().get(id))

    def put(self, id: str, account: str = "tag") -> None:
        output = [{"type": "reasoning", "encrypted_content": "e"}, {"type": "message", "role": "assistant"}]
        record = StoredResponse({"id": id, "output": output}, [USER], account, 1.0)
        assert asyncio.run(self.resources.responses().put(id, record))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def fields_of(exchange: Exchange) -> dict[str, Any]:
    """Canonical fields; the body's bytes say the same."""
    assert exchange.canonical is not None and exchange.canonical.body is not None
    assert json.loads(exchange.canonical.body) == exchange.canonical.fields
    return exchange.canonical.fields


REFUSING = ["chatgpt", "chat", "messages", "gemini"]


@pytest.mark.parametrize("kind", REFUSING)
def test_the_conversation_goes_on_from_a_kept_response(bench: Bench, kind: str) -> None:
    """conformance 33: its input, its output and the new input go up; the id does not."""
    bench.put("resp_1")
    exchange = bench.down({"previous_response_id": "resp_1", "store": True}, kind)
    reasoning = {"type": "reasoning", "encrypted_content": "e", ACCOUNT_KEY: "tag"}
    wanted = {"model": "m", "input": [USER, reasoning, {"type": "message", "role": "assistant"}, USER]}
    assert fields_of(exchange) == wanted
    assert [(loss.path, loss.what) for loss in exchange.losses] == [
        ("previous_response_id", "emulated"),
        ("store", "emulated"),
    ]


@pytest.mark.parametrize("kind", ["openai", "azure", "responses", "demo"])
def test_who_keeps_responses_is_asked_to(bench: Bench, kind: str) -> None:
    """conformance 33: both fields go there as they came, and nothing is kept here."""
    asked = {"previous_response_id": "resp_1", "store": True}
    exchange = bench.down(asked, kind)
    assert fields_of(exchange) == {"model": "m", "input": "hi", **asked} and exchange.history is None
    bench.up(exchange, sse(WHOLE))
    assert bench.kept() is None


def test_codex_is_left_alone(bench: Bench) -> None:
    """It sends its whole history."""
    exchange = bench.down({"store": True}, is_codex=True)
    assert fields_of(exchange)["store"] is True and exchange.history is None


def test_other_protocols_and_calls_are_left_alone(bench: Bench) -> None:
    """Their clients have no such fields."""
    assert bench.down({}, protocol="chat").history is None
    assert bench.down({}, call="side").history is None


def test_a_compaction_goes_on_too_and_is_not_kept(bench: Bench) -> None:
    """conformance 33, 42: the SDKs may compact a response by its id."""
    bench.put("resp_1")
    exchange = bench.down({"previous_response_id": "resp_1"}, call="compact")
    assert len(fields_of(exchange)["input"]) == 4 and exchange.history is None


@pytest.mark.parametrize("settings", [{}, {"response_store": False}], ids=["unknown", "off"])
def test_a_response_that_is_not_kept_is_a_400(tmp_path: Path, settings: dict[str, Any]) -> None:
    """conformance 33: with the code that the SDKs know, the parameter and the remedy."""
    with pytest.raises(WireError, match="Send the whole conversation as input") as caught:
        Bench(tmp_path, **settings).down({"previous_response_id": "resp_0"})
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")
    assert caught.value.status_for(is_codex=False) == 400


@pytest.mark.parametrize("store", [{}, {"store": None}, {"store": True}], ids=str)
def test_an_answer_is_kept_as_the_client_got_it(bench: Bench, store: dict[str, Any]) -> None:
    """conformance 33: an absent ``store`` counts as true; under the id that the client reads, with its own words, the
    output rebuilt from the items, all that led to it, and the tag of who paid."""
    exchange = bench.down({"metadata": {"a": "b"}, **store})
    assert bench.up(exchange, sse(WHOLE)) == sse(WHOLE)
    record = bench.kept()
    assert record is not None and record.input == [USER] and record.account == exchange.account_tag
    told = record.response
    assert [item["type"] for item in told["output"]] == ["reasoning", "message"]
    assert (told["model"], told["store"], told["metadata"]) == ("m", True, {"a": "b"})
    assert told.get("previous_response_id") is None


def test_chains_grow(bench: Bench) -> None:
    """The second response's record holds what led to the first."""
    bench.put("resp_1", "foreign")
    bench.up(bench.down({"previous_response_id": "resp_1"}), sse(WHOLE))
    record = bench.kept()
    assert record is not None and record.response["previous_response_id"] == "resp_1"
    third = fields_of(bench.down({"previous_response_id": "resp_9"}))["input"]
    assert [item.get(ACCOUNT_KEY) for item in third if item["type"] == "reasoning"] == ["foreign", record.account]
    assert len(third) == 4 + 2 + 1


def test_false_is_never_kept(bench: Bench) -> None:
    """conformance 33: ``store: false`` means it; going on from a kept response is still possible."""
    bench.put("resp_1")
    bench.up(bench.down({"store": False, "previous_response_id": "resp_1"}), sse(WHOLE))
    assert bench.kept() is None


def test_nothing_is_kept_with_the_store_off(tmp_path: Path) -> None:
    """And ``store: true`` goes on, so that adapt reports it."""
    bench = Bench(tmp_path, response_store=False)
    exchange = bench.down({"store": True})
    assert fields_of(exchange)["store"] is True and exchange.losses == []
    bench.up(exchange, sse(WHOLE))
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "events",
    [WHOLE[:-1], [*WHOLE[:1], ev_failed("server_error", "no", "resp_9")]],
    ids=["cut", "failed"],
)
def test_what_did_not_end_well_is_not_kept(bench: Bench, events: list[Any]) -> None:
    """conformance 33: nobody could go on from it."""
    assert bench.up(bench.down({}), sse(events)) == sse(events)
    assert bench.kept() is None


def test_an_incomplete_answer_is_kept(bench: Bench) -> None:
    """It ended at a limit, and its client may ask for the rest."""
    events = [*WHOLE[:-1], ev_incomplete("max_output_tokens", "resp_9")]
    bench.up(bench.down({}), sse(events))
    record = bench.kept()
    assert record is not None and len(record.response["output"]) == 2


def test_a_last_event_without_its_blank_line_counts(bench: Bench) -> None:
    """conformance 36"""
    bench.up(bench.down({}), sse(WHOLE)[:-2])
    assert bench.kept() is not None


def test_it_is_kept_before_the_client_sees_the_end(bench: Bench) -> None:
    """The next request may come as soon as the terminal event is read."""
    exchange = answered(bench.down({}), sse(WHOLE[:-1]), sse(WHOLE[-1:], 3))

    async def held_at_each_piece() -> list[bool]:
        await bench.stage.upstream_response(exchange)
        assert exchange.body is not None
        store = bench.resources.responses()
        return [await store.get("resp_9") is not None async for _ in exchange.body]

    assert asyncio.run(held_at_each_piece()) == [False, True]


def test_a_client_that_leaves_has_nothing_kept(bench: Bench) -> None:
    """It never learned that the answer was whole."""
    exchange = answered(bench.down({}), sse(WHOLE[:-1]), sse(WHOLE[-1:], 3))

    async def leave() -> None:
        await bench.stage.upstream_response(exchange)
        body = exchange.body
        assert isinstance(body, AsyncIterator)
        await anext(body)
        await body.aclose()  # type: ignore[attr-defined]

    asyncio.run(leave())
    assert bench.kept() is None


def test_an_answer_that_is_one_json_object_is_kept(bench: Bench) -> None:
    """A provider may answer so although it was asked for a stream."""
    whole = json.dumps({"id": "resp_9", "status": "completed", "output": []}).encode()
    json_reply = {"headers": [("content-type", "application/json")]}
    assert bench.up(bench.down({}), whole[:5], whole[5:], **json_reply) == whole
    assert bench.kept() is not None
    failed = b'{"id":"resp_8","status":"failed","output":[]}'
    for other in (b"no json", failed):
        assert bench.up(bench.down({}), other, **json_reply) == other
    assert bench.kept("resp_8") is None


@pytest.mark.parametrize("reply", [{"status": 500}, {"body": b"{}"}], ids=str)
def test_an_error_is_not_looked_at(bench: Bench, reply: dict[str, Any]) -> None:
    """Body and head stay as they are."""
    exchange = answered(bench.down({}), sse(WHOLE), **reply)
    body = exchange.body
    asyncio.run(bench.stage.upstream_response(exchange))
    assert exchange.body is body


def test_one_that_is_too_large_passes_and_is_not_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its client gets it whole, the log says why it can't go on from it."""
    for bound in (100, 1200):  # smaller than an event; larger than the answer, smaller than its record
        bench = Bench(tmp_path, response_store_max_bytes=bound)
        assert bench.up(bench.down({"input": "x" * 1500}), sse(WHOLE)) == sse(WHOLE)
        assert bench.kept() is None and "is not kept" in caplog.text
        caplog.clear()
