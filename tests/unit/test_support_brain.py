"""The brain does what the markers in the user's text say."""

import json
from typing import Any

import pytest

from support.answers import Answer, Cut, Data, Head
from support.brain import CodexBrain, last_turn
from support.records import Connection, Request

JSON = dict[str, Any]
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "x"}


def request(items: list[JSON], thread: str = "t-1", target: str = "/v1/responses", method: str = "POST") -> Request:
    body = json.dumps({"input": items}).encode()
    headers = [("thread-id", thread), ("chatgpt-account-id", "acc-1")]
    return Request(method, target, headers, body, "HTTP/1.1", Connection(1, 0.0))


def user(text: str) -> JSON:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def items_of(answer: Answer) -> list[JSON]:
    """The items of the ``output_item.done`` events."""
    frames = b"".join(step.data for step in answer if isinstance(step, Data)).decode().split("\n\n")
    events = [json.loads(frame.split("data: ")[1]) for frame in frames if frame]
    return [event["item"] for event in events if event["type"] == "response.output_item.done"]


def body_of(answer: Answer) -> JSON:
    whole: JSON = json.loads(b"".join(step.data for step in answer if isinstance(step, Data)))
    return whole


def test_markers_are_done_one_after_the_other() -> None:
    """Each tool output moves on to the next marker; without one left the turn ends with "done"."""
    brain, said = CodexBrain(), user("[[shell:ls]] then [[patch:a.txt:line]]")
    (shell,) = items_of(brain(request([said])))
    assert (shell["name"], json.loads(shell["arguments"])) == ("exec_command", {"cmd": "ls"})
    (patch,) = items_of(brain(request([said, OUTPUT])))
    assert patch["name"] == "apply_patch" and "*** Add File: a.txt\n+line\n" in patch["input"]
    (done,) = items_of(brain(request([said, OUTPUT, OUTPUT])))
    assert done["content"][0]["text"] == "done"


def test_same_request_gets_the_same_call() -> None:
    """A retry gets the call id of the first try; another request another one."""
    brain = CodexBrain()
    first, again, other = (items_of(brain(request([user(text)])))[0]["call_id"] for text in _TEXTS)
    assert first == again != other


_TEXTS = ("[[shell:a]]", "[[shell:a]]", "[[shell:b]]")


def test_cut_comes_once_a_thread() -> None:
    """The first answer of each thread is cut, the second is text."""
    brain, said = CodexBrain(), [user("[[cut:after]]")]
    assert Cut() in brain(request(said, "a")) and Cut() in brain(request(said, "b"))
    assert items_of(brain(request(said, "a")))[0]["content"][0]["text"] == "after"


def test_reasoning_precedes_the_text() -> None:
    """``think`` gives a reasoning item with encrypted content, then the message."""
    kinds = [item["type"] for item in items_of(CodexBrain()(request([user("[[think:so]]")])))]
    assert kinds == ["reasoning", "message"]


def test_last_turn_counts_outputs_of_the_last_user_message_alone() -> None:
    """Outputs of earlier turns do not count; a plain string is a user's text."""
    assert last_turn({"input": [user("a"), OUTPUT, user("b"), OUTPUT]}) == ("b", 1)
    assert last_turn({"input": "hi"}) == ("hi", 0)


@pytest.mark.parametrize(
    ("method", "target", "status", "key"),
    [
        ("GET", "/backend-api/codex/models?client_version=0.169.0", 200, "models"),
        ("GET", "/v1/models", 200, "data"),
        ("GET", "/backend-api/wham/accounts/check", 200, "accounts"),
        ("GET", "/backend-api/wham/usage", 200, "rate_limit"),
        ("GET", "/backend-api/ps/plugins/installed?limit=200", 200, "plugins"),
        ("POST", "/backend-api/codex/responses/compact", 200, "output"),
        ("GET", "/backend-api/codex/responses", 426, "detail"),
        ("GET", "/backend-api/wham/settings/user", 404, "detail"),
    ],
)
def test_other_endpoints(method: str, target: str, status: int, key: str) -> None:
    """Each endpoint answers in its own form, what Codex can do without is a 404."""
    answer = CodexBrain()(request([], target=target, method=method))
    assert isinstance(answer[0], Head) and answer[0].status == status
    assert key in body_of(answer)


def test_discovery_names_the_account_that_asked() -> None:
    """accounts/check has the caller's account once, and sends it nowhere else."""
    fields = body_of(CodexBrain()(request([], target="/backend-api/wham/accounts/check", method="GET")))
    (account,) = fields["accounts"]
    assert (account["id"], account["workspace_backend_origin"]) == ("acc-1", "NO_CONSTRAINT")
