"""What a service of each kind answers to the cases of support/openai_chat.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support import chat_answers as chat
from support import chatgpt_answers as chatgpt
from support import gemini_answers as gemini
from support import messages_answers as messages
from support.answer_parts import PAIR
from support.answers import Answer, Cut, Data, Gate, Pause, Stall
from support.backend import Backend
from support.events import ev_failed, sse
from support.play import Cases
from support.records import Request

JSON = dict[str, Any]
WORDS = "Grüße, 世界 🙂"
PERSON = {"name": "Ada", "age": 36}
THOUGHT = "a plan"
REFUSAL = "I can't help with that."
FAILURE = "The server had an error"


def cases(kind: str, backend: Callable[[], Backend]) -> Cases:
    """``backend``: the one that answers, for the case that asks about another's end."""
    gate = Gate()

    def opened(request: Request) -> Answer:
        gate.open()
        return say(kind, request, "opened")

    def aborted(request: Request) -> Answer:
        calls = [call for call in backend().calls if b"case:abort" in call.request.body]
        return say(kind, request, "yes" if calls[0].is_aborted else "no")

    def tools(request: Request) -> Answer:
        if b"sunny" in request.body:
            return say(kind, request, "all done")
        return told["calls"](request)

    whole = STREAMS[kind]["text"](WORDS)
    told = {name: _always(kind, name) for name in ("calls", "structured", "length", "thinking", "refusal")}
    return {
        "text": lambda request: say(kind, request, WORDS),
        "pieces": _held(whole, gate),
        "open": opened,
        "no_usage": chat.stream(chat.text(WORDS), None) if kind == "chat" else whole,
        "tools": tools,
        "tools_stream": told["calls"],
        "parse": told["structured"],
        "parse_length": told["length"],
        "length": told["length"],
        "thinking": told["thinking"],
        "refusal": told["refusal"],
        "image": lambda request: say(kind, request, "seen"),
        "abort": [*_begun(whole), Stall()],
        "aborted": aborted,
        "cut": [*_begun(whole), Cut()],
        "fails": STREAMS[kind]["fails"](),
    }


def say(kind: str, request: Request, text: str) -> Answer:
    if kind == "chat" and not request.json.get("stream"):
        return chat.whole(chat.text(text))
    return STREAMS[kind]["text"](text)


def _always(kind: str, name: str) -> Callable[[Request], Answer]:
    def answer(request: Request) -> Answer:
        if kind == "chat" and not request.json.get("stream"):
            return WHOLE_CHAT[name]()
        return STREAMS[kind][name]()

    return answer


def _begun(answer: Answer) -> Answer:
    """Up to the first piece of its text."""
    return answer[: _first_words(answer) + 1]


def _held(answer: Answer, gate: Gate) -> Answer:
    place = _first_words(answer) + 1
    return [*answer[:place], Pause(gate), *answer[place:]]


def _first_words(answer: Answer) -> int:
    return next(place for place, step in enumerate(answer) if isinstance(step, Data) and b"Gr" in step.data)


def _chatgpt_fails() -> Answer:
    told = chatgpt.text(WORDS)[:3]
    return chatgpt.broken(told, Data(sse([ev_failed("server_error", FAILURE)], 9)))


def _in_turn(chunks: list[JSON]) -> list[JSON]:
    """Calls one after the other: as they come, interleaved ones break openai-python's stream helper."""
    first, *middle, last = chunks
    return [first, *sorted(middle, key=lambda chunk: chunk["choices"][0]["delta"]["tool_calls"][0]["index"]), last]


STREAMS: dict[str, dict[str, Callable[..., Answer]]] = {
    "chatgpt": {
        "text": lambda text: chatgpt.stream(chatgpt.text(text)),
        "calls": lambda: chatgpt.stream(chatgpt.calls(*PAIR)),
        "structured": lambda: chatgpt.stream(chatgpt.structured(PERSON)),
        "length": lambda: chatgpt.stream(chatgpt.text("too lo"), "max_output_tokens"),
        "thinking": lambda: chatgpt.stream(chatgpt.thinking(THOUGHT, chatgpt.text("done", index=1))),
        "refusal": lambda: chatgpt.stream(chatgpt.refusal(REFUSAL)),
        "fails": _chatgpt_fails,
    },
    "chat": {
        "text": lambda text: chat.stream(chat.text(text)),
        "calls": lambda: chat.stream(_in_turn(chat.calls(*PAIR))),
        "structured": lambda: chat.stream(chat.structured(PERSON)),
        "length": lambda: chat.stream(chat.length("too lo")),
        "thinking": lambda: chat.stream(chat.thinking(THOUGHT, "done")),
        "refusal": lambda: chat.stream(chat.refusal(REFUSAL)),
        "fails": lambda: chat.break_off(chat.text(WORDS)[:2], FAILURE),
    },
    "messages": {
        "text": lambda text: messages.stream(messages.text(text)),
        "calls": lambda: messages.stream(messages.calls(*PAIR)),
        "structured": lambda: messages.stream(messages.structured(PERSON)),
        "length": lambda: messages.stream(messages.length("too lo")),
        "thinking": lambda: messages.stream(messages.thinking(THOUGHT, "done")),
        "refusal": lambda: messages.stream(messages.refusal(REFUSAL)),
        "fails": lambda: messages.break_off(messages.text(WORDS), FAILURE, "api_error"),
    },
    "gemini": {
        "text": lambda text: gemini.stream(gemini.text(text)),
        "calls": lambda: gemini.stream(gemini.calls(*PAIR)),
        "structured": lambda: gemini.stream(gemini.structured(PERSON)),
        "length": lambda: gemini.stream(gemini.length("too lo")),
        "thinking": lambda: gemini.stream(gemini.thinking(THOUGHT, "done")),
        "refusal": lambda: gemini.stream(gemini.refusal(REFUSAL)),
        "fails": lambda: gemini.break_off(gemini.text(WORDS)[:1], FAILURE, 500),
    },
}
"""Kind → what is said → its stream."""

WHOLE_CHAT: dict[str, Callable[[], Answer]] = {
    "calls": lambda: chat.whole(chat.calls(*PAIR)),
    "structured": lambda: chat.whole(chat.structured(PERSON)),
    "length": lambda: chat.whole(chat.length("too lo")),
    "thinking": lambda: chat.whole(chat.thinking(THOUGHT, "done")),
    "refusal": lambda: chat.whole(chat.refusal(REFUSAL)),
}
"""A service of kind ``chat`` is asked by its own clients without a stream too."""


def results(kind: str, body: JSON) -> list[tuple[str, str]]:
    """Id of the call and text of each tool's result in a request."""
    return RESULTS[kind](body)


def _messages_results(body: JSON) -> list[tuple[str, str]]:
    blocks = [block for message in body["messages"] for block in message["content"] if isinstance(block, dict)]
    return [(block["tool_use_id"], _text(block["content"])) for block in blocks if block["type"] == "tool_result"]


def _gemini_results(body: JSON) -> list[tuple[str, str]]:
    parts = [part for turn in body["contents"] for part in turn["parts"]]
    told = [part["functionResponse"] for part in parts if "functionResponse" in part]
    return [(one["id"], "".join(one["response"].values())) for one in told]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


RESULTS: dict[str, Callable[[JSON], list[tuple[str, str]]]] = {
    "chatgpt": lambda body: [
        (item["call_id"], item["output"]) for item in body["input"] if item.get("type") == "function_call_output"
    ],
    "chat": lambda body: [
        (turn["tool_call_id"], _text(turn["content"])) for turn in body["messages"] if turn["role"] == "tool"
    ],
    "messages": _messages_results,
    "gemini": _gemini_results,
}
