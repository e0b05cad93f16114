"""The conversation behind previous_response_id."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mitmcodex.chain import whole_input
from mitmcodex.state.responses import ResponseStore, StoredResponse
from mitmcodex.wire.errors import WireError

FIRST, SAID = {"role": "user", "content": "a"}, {"type": "message", "role": "assistant", "content": []}


@pytest.fixture
def store(tmp_path: Path) -> ResponseStore:
    store = ResponseStore(tmp_path / "responses", 0)
    asyncio.run(store.put("resp_1", StoredResponse({"output": [SAID]}, [FIRST], "tag", 1.0)))
    return store


def whole(store: ResponseStore, fields: dict[str, Any]) -> list[dict[str, Any]]:
    return asyncio.run(whole_input(fields, store))


def test_the_new_input_stands_behind_the_kept_conversation(store: ResponseStore) -> None:
    """conformance 33: input, output, input; without an id the input alone."""
    again = {"role": "user", "content": "b"}
    assert whole(store, {"previous_response_id": "resp_1", "input": [again]}) == [FIRST, SAID, again]
    assert whole(store, {"input": [again]}) == [again]


@pytest.mark.parametrize(
    ("previous", "code"), [("resp_2", "previous_response_not_found"), (7, ""), (["resp_1"], ""), ("\ud800" * 500, None)]
)
def test_what_is_not_kept_is_refused(store: ResponseStore, previous: Any, code: str | None) -> None:
    """conformance 33: any value gets a 400 that names the parameter."""
    with pytest.raises(WireError) as caught:
        whole(store, {"previous_response_id": previous, "input": "b"})
    assert (caught.value.kind, caught.value.param) == ("invalid_request", "previous_response_id")
    assert code is None or caught.value.code == code
    assert len(caught.value.message) < 300
