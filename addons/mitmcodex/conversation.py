"""Ids of a conversation for clients that send none: stable per conversation, in the form of the real client's."""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from mitmcodex.exchange import Pairs
from mitmcodex.upstream.transport import ConnectionKey

SESSION_HEADERS = (
    "session-id",
    "session_id",
    "x-claude-code-session-id",
    "x-session-id",
    "x-session-affinity",
    "conversation_id",
)
MAX_CONVERSATIONS = 4096

_STABLE = json.JSONEncoder(sort_keys=True)
_COMPACT = json.JSONEncoder(separators=(",", ":"))


def uuid7() -> str:
    """A UUID version 7 (RFC 9562): 48 bits of Unix milliseconds, the rest random."""
    milliseconds = time.time_ns() // 1_000_000
    bits = (milliseconds << 80) | int.from_bytes(os.urandom(10))
    bits = bits & ~(0xF << 76) | (0x7 << 76)
    bits = bits & ~(0x3 << 62) | (0x2 << 62)
    return str(uuid.UUID(int=bits))


@dataclass(slots=True)
class Conversation:
    thread_id: str = field(default_factory=uuid7)
    context_window_id: str = field(default_factory=uuid7)


class Conversations:
    """Ids by connection key and conversation key, the least recently used forgotten first (bounded memory)."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[ConnectionKey, str], Conversation] = OrderedDict()
        self._turn_states: OrderedDict[str, ConnectionKey] = OrderedDict()

    def of(self, owner: ConnectionKey, name: str) -> Conversation:
        """An id that two accounts showed would tell the upstream that they are one person's."""
        key = owner, name
        found = self._known.pop(key, None) or Conversation()
        self._known[key] = found
        if len(self._known) > MAX_CONVERSATIONS:
            self._known.popitem(last=False)
        return found

    def note_turn_state(self, owner: ConnectionKey, state: str) -> None:
        """An upstream gave it; the client brings it back within its turn."""
        self._turn_states[state] = owner
        if len(self._turn_states) > MAX_CONVERSATIONS:
            self._turn_states.popitem(last=False)

    def shows_turn_state(self, owner: ConnectionKey, state: str) -> bool:
        """Whether it may go there: not when another account's upstream gave it (conformance 78)."""
        return self._turn_states.get(state, owner) == owner


def conversation_key(fields: dict[str, Any], headers: Pairs, session: str = "") -> str:
    """What tells conversations apart (pains P2): the client's cache key, its session header, what its body says of
    itself (``session``), else its first words."""
    if isinstance(cache_key := fields.get("prompt_cache_key"), str) and cache_key:
        return f"cache:{cache_key}"
    named = {name.lower(): value for name, value in reversed(headers) if value}
    for wanted in SESSION_HEADERS:
        if wanted in named:
            return f"session:{named[wanted]}"
    if session:
        return f"body:{session}"
    return f"text:{hashlib.sha256(_STABLE.encode(_opening(fields)).encode()).hexdigest()}"


def _opening(fields: dict[str, Any]) -> list[Any]:
    """Instructions and the first user item: a conversation's start is the same in each of its requests."""
    items = fields.get("input")
    if isinstance(items, list):
        items = next((x for x in items if isinstance(x, dict) and x.get("role") == "user"), None)
    return [fields.get("instructions"), items]


def turn_metadata(conversation: Conversation, installation_id: str, fields: dict[str, Any]) -> str:
    """The value of ``x-codex-turn-metadata``; keys and order as captured (fixtures/fingerprints/p2_rustls_h2.json)."""
    turn_id = uuid7()
    reasoning = fields.get("reasoning")
    effort = reasoning.get("effort") if isinstance(reasoning, dict) else None
    metadata: dict[str, Any] = {
        "installation_id": installation_id,
        "session_id": conversation.thread_id,
        "thread_id": conversation.thread_id,
        "agent_name": "/root",
        "turn_id": turn_id,
        "window_id": f"{conversation.thread_id}:0",
        "window_number": 0,
        "context_window_id": conversation.context_window_id,
        "request_kind": "turn",
        "history_initialization": "new",
        "root_turn_id": turn_id,
        "thread_source": "user",
        "turn_trigger": "exec",
        "sandbox": "none",
        "sandbox_mode": "danger-full-access",
        "auto_review_enabled": False,
        "node_repl_auto_review_required": False,
        "node_repl_disabled": False,
        "turn_started_at_unix_ms": time.time_ns() // 1_000_000,
        "analytics_enabled": False,
        "model": fields.get("model"),
        "reasoning_effort": effort,
    }
    return _COMPACT.encode({k: v for k, v in metadata.items() if v is not None})
