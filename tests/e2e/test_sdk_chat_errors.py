"""Each failure of protocol.md 5 as openai-python and openai-node see it on Chat Completions, and what it costs: posts.

The SDKs post again after 408, 409, 429 and 5xx, at most twice, unless ``x-should-retry`` says no; the proxy posts again
itself where nothing was promised yet and a new attempt may succeed (conformance 81). Three by three makes nine.
"""

from __future__ import annotations

import json
import socket
from typing import Any, NamedTuple

import pytest

from mitmcodex import translate
from mitmcodex.upstream import retry
from support import answers, openai_errors
from support import chatgpt_answers as chatgpt
from support.answers import Answer, Cut, Data, Stall, detail, reply, usage_limit
from support.events import ev_failed, sse
from support.play import Play, Stage
from support.tls import Authority

pytestmark = pytest.mark.clients
SCRIPTS = {"python": f"CASES = {{}}\n{openai_errors.PYTHON}", "node": f"const CASES = {{}};\n{openai_errors.NODE}"}
Run = tuple[str, Play]
"""The SDK's language, and what it and the service saw."""
TEXT = "Because."


class Row(NamedTuple):
    answer: Answer
    shown: tuple[str, int, str, str]
    """Class of the exception, status, type, code."""
    posts: int
    """To the upstream."""
    waits: tuple[str | None, str | None] = (None, None)
    """retry-after and x-should-retry."""
    text: str = TEXT
    """Part of the message."""
    model: str = "gpt-5.5"


def refuse(status: int, code: str, kind: str = "invalid_request_error", text: str = TEXT) -> Answer:
    return reply(status, {"error": {"message": text, "type": kind, "param": None, "code": code}})


def fail(code: str, **detail: Any) -> Answer:
    """An answer whose first word is its failure."""
    return chatgpt.broken([], Data(sse([ev_failed(code, TEXT, **detail)], 1)))


def bad(code: str, answer: Answer) -> Row:
    return Row(answer, ("BadRequestError", 400, "invalid_request_error", code), 1, NEVER)


def limited(code: str, answer: Answer, posts: int, wait: str | None, kind: str = "") -> Row:
    again = None if posts > 1 else "false"
    return Row(answer, ("RateLimitError", 429, kind or code, code), posts, (wait, again), text="")


def broke(code: str, answer: Answer, posts: int, status: int = 502, **further: Any) -> Row:
    return Row(answer, ("InternalServerError", status, "server_error", code), posts, **further)


NEVER = (None, "false")
RATE = "rate_limit_exceeded"
BUSY = ("InternalServerError", 503, "service_unavailable_error", "server_is_overloaded")
INVALID = "invalid_request_error"

ROWS = {
    "detail": bad("invalid_request", detail(400, TEXT)),
    "overflow": bad("context_length_exceeded", refuse(400, "context_length_exceeded")),
    "overflow_event": bad("context_length_exceeded", fail("context_length_exceeded")),
    "invalid_prompt": bad("invalid_prompt", fail("invalid_prompt")),
    "policy": bad("cyber_policy", fail("cyber_policy")),
    "login": Row(
        answers.token_expired(),
        ("AuthenticationError", 401, "authentication_error", "credential"),
        1,
        NEVER,
        "codex login",
    ),
    "payment": Row(detail(402, TEXT), ("APIError", 402, INVALID, "forbidden"), 1, NEVER),
    "forbidden": Row(detail(403, TEXT), ("PermissionDeniedError", 403, INVALID, "forbidden"), 1, NEVER),
    "missing": Row(detail(404, TEXT), ("NotFoundError", 404, INVALID, "not_found"), 1, NEVER),
    "limit_soon": limited("usage_limit_reached", usage_limit(1), 3, "1"),
    "limit": limited("usage_limit_reached", usage_limit(3600), 1, "3600"),
    "limit_event": limited("usage_limit_reached", fail("usage_limit_reached", resets_in_seconds=3600), 1, "3600"),
    "not_included": limited("usage_not_included", refuse(429, "", "usage_not_included"), 1, None),
    "rate": limited(RATE, refuse(429, RATE, "tokens", "Please try again in 300ms."), 3, "1", "rate_limit_error"),
    "quota": limited("insufficient_quota", refuse(429, "insufficient_quota", "insufficient_quota"), 1, None),
    "quota_event": limited("insufficient_quota", fail("insufficient_quota"), 1, None),
    "overloaded": Row(answers.overloaded(), BUSY, 9, text="Overloaded"),
    "overloaded_event": Row(fail("server_is_overloaded"), BUSY, 9),
    "server_error": broke("upstream_failed", answers.server_error(), 9, text="The server had an error"),
    "gateway": broke("upstream_failed", answers.server_error(504), 9, text="The server had an error"),
    "failed": broke("server_error", fail("server_error"), 3),
    "early_cut": broke("stream_incomplete", [*chatgpt.opened(), Cut("reset")], 6, text="was complete"),
    "silent": broke("first_byte_timeout", [Stall()], 3, 504, text="first_byte_timeout_s", model="slow:gpt-5.5"),
    "unreachable": broke("unreachable", [], 0, text="codex-backend.test", model="dead:gpt-5.5"),
    "unknown": Row([], ("NotFoundError", 404, INVALID, "model_not_found"), 0, NEVER, "no-such-model", "no-such-model"),
}
CHALLENGED = Row(answers.challenge(), ("InternalServerError", 503, "upstream_blocked", "blocked"), 1, text="Cloudflare")
HALF = [*chatgpt.opened(), *chatgpt.said(chatgpt.text("half")[:3]), Cut("reset")]


class Failing(Stage):
    """Two more providers: one that is not waited for, one at a closed port."""

    def __init__(self, *given: Any, dead_port: int, **settings: Any) -> None:
        super().__init__(*given, **settings)
        self._dead_port = dead_port

    def _upstream(self) -> dict[str, Any]:
        config = super()._upstream()
        work = config["providers"]["work"]
        dead = f"https://codex-backend.test:{self._dead_port}/backend-api/codex"
        more = {"slow": {**work, "first_byte_timeout_s": 0.3}, "dead": {**work, "base_url": dead}}
        return {**config, "providers": {"work": work, **more}}


@pytest.fixture(scope="module", params=SCRIPTS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, ca: Authority) -> Run:
    language = request.param
    asked = [[name, row.model] for name, row in ROWS.items()] + [["half", "gpt-5.5"]]
    script = SCRIPTS[language].replace("{}", json.dumps(asked), 1)
    cases = {name: row.answer for name, row in ROWS.items()} | {"challenge": CHALLENGED.answer, "half": HALF}
    with pytest.MonkeyPatch.context() as patch, socket.socket() as bound:
        patch.setattr(retry, "FIRST_DELAY_S", 0.01)
        patch.setattr(translate, "FIRST_DELAY_S", 0.01)
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        folder = tmp_path_factory.mktemp("run")
        with Failing(folder, "chatgpt", ca, cases, dead_port=port, unknown_model="reject") as stage:
            play = stage.python(script) if language == "python" else stage.node(script)
    return language, play


@pytest.mark.parametrize("case", [*ROWS, "challenge"])
def test_failure_before_the_answer(case: str, run: Run) -> None:
    """protocol.md 5.6, conformance 38, 80, 81: the SDK's own exception with status, type, code and words, how long to
    wait and whether to try again at all, and as many posts as that makes; without a stream (Python) and with (Node)."""
    language, play = run
    row = {**ROWS, "challenge": CHALLENGED}[case]
    kind, *told, message, wait, again = play.shown[case]
    names = {"APIError": "APIStatusError"} if language == "python" else {}
    assert [kind, *told] == [names.get(row.shown[0], row.shown[0]), *row.shown[1:]]
    assert row.text in message and "<" not in message
    assert (wait, again) == row.waits
    assert len(play.calls[case]) == row.posts


def test_a_cut_later_is_an_error(run: Run) -> None:
    """protocol.md 5.6: in a stream an error event after one post, as what came went to the client; without one a new
    attempt and then a status, of which the SDK makes three."""
    language, play = run
    kind, status, told, code, *_ = play.shown["half"]
    assert (told, code) == ("server_error", "stream_incomplete")
    if language == "python":
        assert (kind, status, len(play.calls["half"])) == ("InternalServerError", 502, 6)
    else:
        assert (kind, status, len(play.calls["half"])) == ("APIError", None, 1)


def test_the_service_has_nothing_against_any_request(run: Run) -> None:
    """A repeated request is as good as the first."""
    assert run[1].violations == []
