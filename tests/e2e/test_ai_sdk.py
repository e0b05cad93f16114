"""The AI SDK, unmodified, through the real proxy to a strict ChatGPT backend: Chat and Responses (seeds S332)."""

from __future__ import annotations

import json

import pytest

from support import ai_sdk, chat_cases
from support.openai_chat import PNG
from support.play import Cases, Play, Stage
from support.tls import Authority

pytestmark = pytest.mark.clients

CALLS = [["call_a", "weather", {"city": "Zürich"}], ["call_b", "clock", {"zone": "CET"}]]
USAGE = [17, 4, 9, 2]
each_way = pytest.mark.parametrize("way", ai_sdk.WAYS)


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory, ca: Authority) -> Play:
    cases: Cases = {}
    for way in ai_sdk.WAYS:
        told = chat_cases.cases("chatgpt", lambda: stage.backend)
        cases |= {f"{name}_{way}": answer for name, answer in told.items()}
    with Stage(tmp_path_factory.mktemp("run"), "chatgpt", ca, cases) as stage:
        return stage.node(ai_sdk.SCRIPT)


def test_the_backend_has_nothing_against_any_request(play: Play) -> None:
    """seeds S332: helpers by Chat, agents by Responses."""
    assert play.violations == []


@each_way
def test_text_and_stream(way: str, play: Play) -> None:
    """seeds S332: text, finish reason and usage, whole and in pieces as they come."""
    assert play.shown[f"text_{way}"] == [chat_cases.WORDS, "stop", USAGE]
    assert play.shown[f"pieces_{way}"] == [chat_cases.WORDS, True, "stop", USAGE]


@each_way
def test_tools_loop(way: str, play: Play) -> None:
    """seeds S332: two tools in one step, their results to their calls, the text of the next step."""
    assert play.shown[f"tools_{way}"] == [CALLS, "all done"]
    second = play.sent(f"tools_{way}")[1]
    assert chat_cases.results("chatgpt", second) == [("call_a", "sunny"), ("call_b", "noon")]


@each_way
def test_structured_output_and_image(way: str, play: Play) -> None:
    """seeds S332: the object of the schema; the image's bytes."""
    assert play.shown[f"parse_{way}"] == chat_cases.PERSON
    assert play.shown[f"image_{way}"] == "seen"
    assert PNG in json.dumps(play.sent(f"image_{way}")[0])


@each_way
def test_reasoning(way: str, play: Play) -> None:
    """conformance 11: where the package looks for it (@ai-sdk/openai has no place for it in Chat)."""
    assert play.shown[f"thinking_{way}"] == [None if way == "chat" else chat_cases.THOUGHT, "done"]


@each_way
def test_a_cut_is_an_error(way: str, play: Play) -> None:
    """conformance 12, 29: what came stays, and the SDK says that it failed."""
    assert play.shown[f"cut_{way}"] == ["Grüß", True]
