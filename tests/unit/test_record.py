import gzip
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from mitmproxy import http
from mitmproxy.test import tflow

from mitmcodex.exchange import Admission, ClientLeg, Exchange
from mitmcodex.process import Process
from mitmcodex.record import Record
from mitmcodex.schema import Settings
from mitmcodex.upstream.providers import Provider
from mitmcodex.upstream.transport import UpstreamHead, UpstreamRequest
from mitmcodex.wire.redact import REDACTED

FIELDS = ((b"X-B", b"1"), (b"Authorization", REDACTED.encode()), (b"x-b", b"2"), (b"content-encoding", b"gzip"))
SSE = [("content-type", "text/event-stream")]


def _record(tmp_path: Path, **settings: Any) -> Record:
    wanted = replace(Settings(), dump_dir=tmp_path / "dumps", state_dir=tmp_path)
    return Record(Process(settings=replace(wanted, **settings)))


def _exchange(number: int = 1, is_raw: bool = False) -> Exchange:
    flow = tflow.tflow(req=http.Request.make("POST", "http://127.0.0.1/v1/responses?a=1", b"", http.Headers(FIELDS)))
    body = gzip.compress(b'{"input":"hi"}') if is_raw else b'{"input":"hi"}'
    admission = Admission(body=body, is_raw=is_raw)
    return Exchange(flow, admission, cast(ClientLeg, None), number=number, started_at=1846179912.345)


def _attempt(record: Record, exchange: Exchange, data: bytes, how: str) -> None:
    exchange.attempt += 1
    exchange.provider = Provider("work", "responses", "https://h.test", headers=(("X-Own", "S"),))
    sent = (("authorization", "Bearer S"), ("x-own", "S"))
    exchange.request = UpstreamRequest("POST", "https://h.test/x", sent, b"coded")
    exchange.adapted = b'{"input":"hi","stream":true}'
    record.upstream_requested(exchange)
    exchange.upstream = UpstreamHead("HTTP/2", 200, "", (*SSE, ("set-cookie", "__cf_bm=S")))
    record.upstream_responded(exchange)
    record.upstream_data(exchange, data)
    record.upstream_ended(exchange, how)


def _files(tmp_path: Path) -> dict[str, Any]:
    folder = tmp_path / "dumps"
    return {name.removesuffix(".json"): json.loads((folder / name).read_text()) for name in os.listdir(folder)}


def test_an_exchange_leaves_a_pair_for_each_side_and_attempt(tmp_path: Path) -> None:
    """What the client sent and got, and what went upstream and came back, each as it was on its side, redacted."""
    record, exchange = _record(tmp_path), _exchange()
    assert record.exchange_started(exchange) is True
    _attempt(record, exchange, b"data: 1\n\n", "overloaded")
    _attempt(record, exchange, b"data: 2\n\n", "complete")
    record.client_head(exchange, 200, SSE)
    record.client_data(exchange, b"data: 2\n\n")
    record.exchange_ended(exchange, "complete")
    files = _files(tmp_path)
    start = "000001-1846179912345-"
    sides = ("client", "upstream", "upstream-2")
    assert files.keys() == {f"{start}{side}-{what}" for side in sides for what in ("request", "response")}
    client = files[f"{start}client-request"]
    assert (client["method"], client["url"], client["body"]) == ("POST", "/v1/responses?a=1", {"input": "hi"})
    names = [(pair["name"], pair["value"]) for pair in client["headers"]]
    assert names[: len(FIELDS)] == [(name.decode(), value.decode()) for name, value in FIELDS]
    assert files[f"{start}upstream-request"]["body"] == {"input": "hi", "stream": True}
    hidden = [{"name": name, "value": REDACTED} for name in ("authorization", "x-own")]
    assert files[f"{start}upstream-request"]["headers"] == hidden
    assert files[f"{start}upstream-response"]["headers"][1] == {"name": "set-cookie", "value": REDACTED}
    ends = [(files[f"{start}{side}-response"]["body"], files[f"{start}{side}-response"]["ended"]) for side in sides]
    assert ends == [("data: 2\n\n", "complete"), ("data: 1\n\n", "overloaded"), ("data: 2\n\n", "complete")]


def test_the_secure_mode_dumps_the_client_side_alone(tmp_path: Path) -> None:
    """Two files, the body without its content coding."""
    record, exchange = _record(tmp_path, secure=True), _exchange(is_raw=True)
    record.exchange_started(exchange)
    _attempt(record, exchange, b"data: 1\n\n", "complete")
    record.client_head(exchange, 200, SSE)
    record.client_data(exchange, b"data: 1\n\n")
    record.exchange_ended(exchange, "complete")
    files = _files(tmp_path)
    assert files.keys() == {"000001-1846179912345-request", "000001-1846179912345-response"}
    assert files["000001-1846179912345-request"]["body"] == {"input": "hi"}


def test_a_body_that_is_not_what_its_coding_says_is_dumped_as_it_came(tmp_path: Path) -> None:
    """The secure mode reads no body, so it may hold anything."""
    record, exchange = _record(tmp_path, secure=True), _exchange(is_raw=True)
    exchange.admission.body = b"no gzip"
    record.exchange_started(exchange)
    record.exchange_ended(exchange, "aborted")
    assert _files(tmp_path)["000001-1846179912345-request"]["body"] == "no gzip"


def test_without_a_folder_nothing_is_recorded(tmp_path: Path) -> None:
    """No interest is said at the start, so that egress does not tell the rest; a live setting counts from then on."""
    process = Process(settings=Settings())
    record = Record(process)
    assert record.exchange_started(_exchange()) is False
    process.settings = replace(Settings(), dump_dir=tmp_path / "dumps")
    assert record.exchange_started(_exchange()) is True


def test_a_folder_that_is_changed_live_gets_the_next_exchange(tmp_path: Path) -> None:
    """What runs stays in its folder, what starts goes to the new one."""
    process = Process(settings=replace(Settings(), dump_dir=tmp_path / "old"))
    record, first, second = Record(process), _exchange(1), _exchange(2)
    record.exchange_started(first)
    process.settings = replace(Settings(), dump_dir=tmp_path / "dumps")
    record.exchange_started(second)
    record.client_head(first, 200, SSE)
    record.exchange_ended(first, "complete")
    record.exchange_ended(second, "complete")
    assert _files(tmp_path).keys() == {"000002-1846179912345-client-request"}
    assert len(os.listdir(tmp_path / "old")) == 2


def test_an_abort_before_any_answer_leaves_the_request(tmp_path: Path) -> None:
    """An exchange that ends in any phase ends its files."""
    record, exchange = _record(tmp_path), _exchange()
    record.exchange_started(exchange)
    record.exchange_ended(exchange, "aborted")
    assert _files(tmp_path).keys() == {"000001-1846179912345-client-request"}


def test_the_limit_drops_the_oldest_exchange(tmp_path: Path) -> None:
    """dump_max_bytes holds over exchanges."""
    record = _record(tmp_path, dump_max_bytes=700)
    for number in (1, 2, 3):
        exchange = _exchange(number)
        record.exchange_started(exchange)
        record.client_head(exchange, 200, SSE)
        record.exchange_ended(exchange, "complete")
    assert {name[:6] for name in _files(tmp_path)} == {"000003"}


@pytest.mark.parametrize("step", ["exchange_started", "client_data", "exchange_ended"])
def test_a_refusing_disk_is_told_and_nothing_of_the_exchange_is_kept(tmp_path: Path, step: str) -> None:
    """Egress switches an observer off that raises, so it must have let go of the exchange by then."""
    record, exchange = _record(tmp_path), _exchange()

    def exchange_started() -> None:
        record.exchange_started(exchange)

    def client_data() -> None:
        record.client_data(exchange, b"data: 1\n\n")

    def exchange_ended() -> None:
        record.exchange_ended(exchange, "complete")

    if step == "exchange_started":
        (tmp_path / "dumps").mkdir()
        (tmp_path / "dumps" / "000001-1846179912345-client-request.json").mkdir()
    else:
        exchange_started()
        record.client_head(exchange, 200, SSE)
        (opened,) = record._running[exchange]._open.values()
        opened._file.close()  # from now on each write and flush is an error
    act = {"exchange_started": exchange_started, "client_data": client_data, "exchange_ended": exchange_ended}[step]
    with pytest.raises((OSError, ValueError)):
        act()
    assert not record._running
