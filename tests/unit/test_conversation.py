"""Ids of a conversation for clients that send none."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import replace
from typing import Any

import pytest

from mitmcodex import conversation
from mitmcodex.conversation import Conversation, Conversations, conversation_key, turn_metadata, uuid7
from mitmcodex.upstream.transport import ConnectionKey

KEY = ConnectionKey("p", "account", "direct", "f", "curl")
USER = {"role": "user", "content": "of trees"}


def test_uuid7_holds_its_time() -> None:
    """Version 7 and variant bits stand where RFC 9562 wants them, and the first 48 bits are Unix milliseconds."""
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(uuid7())
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= after
    assert len({uuid7() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"input": [USER]}, {"input": [USER, {"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}]}),
        ({"input": "of trees"}, {"input": "of trees", "temperature": 1}),
        ({"input": "a", "prompt_cache_key": "k"}, {"input": "b", "prompt_cache_key": "k"}),
    ],
)
def test_same_conversation(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Later turns, other parameters, and other words under the same cache key are the same conversation."""
    assert conversation_key(one, []) == conversation_key(other, [])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"input": [USER]}, {"input": [{"role": "user", "content": "of stones"}]}),
        ({"input": "x", "instructions": "a"}, {"input": "x", "instructions": "b"}),
        ({"input": "x", "prompt_cache_key": "a"}, {"input": "x", "prompt_cache_key": "b"}),
        ({"input": "k"}, {"input": "x", "prompt_cache_key": "k"}),
    ],
)
def test_other_conversation(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Other opening words, instructions or cache keys are another conversation."""
    assert conversation_key(one, []) != conversation_key(other, [])


@pytest.mark.parametrize("name", ["session-id", "Session_ID", "x-claude-code-session-id", "X-Session-Affinity"])
def test_session_header_names_the_conversation(name: str) -> None:
    """conformance 62: a client's own session header counts more than the words, whatever its case; an empty one counts
    for nothing."""
    assert conversation_key({"input": "a"}, [(name, "s1")]) == conversation_key({"input": "b"}, [(name, "s1")])
    assert conversation_key({"input": "a"}, [(name, "s1")]) != conversation_key({"input": "a"}, [(name, "s2")])
    assert conversation_key({"input": "a"}, [(name, "")]) == conversation_key({"input": "a"}, [])


def test_what_the_body_says_of_itself_names_the_conversation() -> None:
    """conformance 62: more than the words, and less than a header or a cache key."""
    one = conversation_key({"input": "a"}, [], "s1")
    assert one == conversation_key({"input": "b"}, [], "s1") != conversation_key({"input": "a"}, [], "s2")
    header = [("x-claude-code-session-id", "h")]
    assert conversation_key({"input": "a"}, header, "s1") == conversation_key({"input": "a"}, header, "s2")


@pytest.mark.parametrize("fields", [{}, {"input": None}, {"input": [1, None]}, {"prompt_cache_key": 7}])
def test_odd_requests_have_a_key(fields: dict[str, Any]) -> None:
    """A body of any shape has a conversation; what is wrong with it is the upstream's to say."""
    assert conversation_key(fields, []).startswith("text:")


def test_the_least_used_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: of more conversations than there is room for, the one that was not asked for longest goes."""
    monkeypatch.setattr(conversation, "MAX_CONVERSATIONS", 2)
    known = Conversations()
    first, second = known.of(KEY, "a"), known.of(KEY, "b")
    assert known.of(KEY, "a") is first
    known.of(KEY, "c")
    assert known.of(KEY, "a") is first
    assert known.of(KEY, "b") is not second


def test_metadata_leaves_out_what_is_not_known() -> None:
    """Without a model or an effort their keys are absent, not null, and it is written without blanks."""
    text = turn_metadata(Conversation(), "inst", {"reasoning": "high"})
    metadata = json.loads(text)
    assert "model" not in metadata and "reasoning_effort" not in metadata
    assert metadata["turn_id"] == metadata["root_turn_id"] and metadata["installation_id"] == "inst"
    assert text == json.dumps(metadata, separators=(",", ":"))
    full = json.loads(turn_metadata(Conversation(), "inst", {"model": "m", "reasoning": {"effort": "low"}}))
    assert list(full)[-2:] == ["model", "reasoning_effort"]


def test_a_turn_state_is_of_the_account_whose_upstream_gave_it() -> None:
    """conformance 78: another account is not shown it; one that nobody here has seen is the client's affair."""
    conversations, other = Conversations(), replace(KEY, account="other")
    conversations.note_turn_state(KEY, "s")
    assert conversations.shows_turn_state(KEY, "s") and not conversations.shows_turn_state(other, "s")
    assert conversations.shows_turn_state(other, "unknown")
    for number in range(conversation.MAX_CONVERSATIONS):
        conversations.note_turn_state(KEY, str(number))
    assert conversations.shows_turn_state(other, "s")  # forgotten: memory is bounded
