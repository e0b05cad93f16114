"""What an upstream answers in each case of test_sdk_ollama, by its kind."""

from __future__ import annotations

from collections.abc import Callable

from support import chat_answers as chat
from support import chatgpt_answers as chatgpt
from support.answer_parts import PAIR, cut
from support.answers import Answer, Cut, Data, Delay, Gate, Pause, Stall, overloaded, token_expired, usage_limit
from support.events import ev_failed, sse
from support.play import Cases, opening
from support.records import Request

ODD = "a\u2028b\u2029c\u0085d\u00e9"
"""Python's splitlines() breaks a line at the first three."""
ADA = {"name": "Ada", "age": 36}
OVERFLOW = ev_failed("context_length_exceeded", "Your input exceeds the context window of this model.")
SILENCE = Delay(0.3)
"""Some keep-alives long."""


def chatgpt_cases() -> Cases:
    gate, thinking = Gate(), chatgpt.stream(chatgpt.thinking("hmm", chatgpt.text("so", index=1)))
    words = chatgpt.said(chatgpt.text("half a word"))
    begun, failure = [*chatgpt.opened(), *words[:3]], Data(sse([ev_failed("server_error", "It broke.")], 500))

    def calling(request: Request) -> Answer:
        is_answered = any(item["type"] == "function_call_output" for item in request.json["input"])
        return chatgpt.stream(chatgpt.text("both done") if is_answered else chatgpt.calls(*PAIR))

    return {
        "text": chatgpt.stream(chatgpt.text("hällo")),
        "pieces": chatgpt.gated(gate),
        "open_gate": opening(gate, chatgpt.stream(chatgpt.text("opened"))),
        **dict.fromkeys(("odd", "odd_whole"), chatgpt.stream(chatgpt.text(ODD))),
        "generate": chatgpt.stream(chatgpt.text("a dot")),
        "generate_stream": thinking,
        **dict.fromkeys(("tools", "tools_stream"), calling),
        "image": chatgpt.stream(chatgpt.text("a dot")),
        **dict.fromkeys(("think", "think_high", "think_off", "think_stream"), thinking),
        **dict.fromkeys(("schema", "mode"), chatgpt.stream(chatgpt.structured(ADA))),
        "refusal": chatgpt.stream(chatgpt.refusal("I won't")),
        "length": chatgpt.stream(chatgpt.text("too lo"), "max_output_tokens"),
        **dict.fromkeys(("limit", "limit_stream"), usage_limit()),
        "overflow": [*chatgpt.opened(), Data(sse([OVERFLOW], 500))],
        "overloaded": overloaded(),
        **dict.fromkeys(("cut", "cut_whole"), [*begun, Cut()]),
        "cut_at_once": [*chatgpt.opened(), Cut()],
        "failed": [*begun, failure],
        "slow": [*begun, SILENCE, *words[3:], *chatgpt.ended()],
        "slow_start": [*chatgpt.opened(), SILENCE, *words, *chatgpt.ended()],
        "slow_failed": [*chatgpt.opened(), SILENCE, failure],
        "left": [*begun, Stall()],
        "refused_login": token_expired(),
    }


def chat_cases() -> Cases:
    gate, thinking = Gate(), chat.stream(chat.thinking("hmm", "so"))
    words = chat.stream(chat.text("half a word"))
    letters = chat.stream(chat.text("ab"))

    def calling(request: Request) -> Answer:
        is_answered = any(message["role"] == "tool" for message in request.json["messages"])
        return chat.stream(chat.text("both done") if is_answered else chat.calls(*PAIR))

    return {
        "text": chat.stream(chat.text("hällo")),
        "pieces": [*letters[:3], Pause(gate), *letters[3:]],
        "open_gate": opening(gate, chat.stream(chat.text("opened"))),
        **dict.fromkeys(("odd", "odd_whole"), chat.stream(chat.text(ODD))),
        "generate": chat.stream(chat.text("a dot")),
        "generate_stream": thinking,
        **dict.fromkeys(("tools", "tools_stream"), calling),
        "image": chat.stream(chat.text("a dot")),
        **dict.fromkeys(("think", "think_high", "think_off", "think_stream"), thinking),
        **dict.fromkeys(("schema", "mode"), chat.stream(chat.structured(ADA))),
        "refusal": chat.stream(chat.refusal("I won't")),
        "length": chat.stream(chat.length("too lo")),
        **dict.fromkeys(("limit", "limit_stream"), chat.fail(429, "Slow down: the usage limit.")),
        "overflow": chat.fail(400, "It exceeds the context window.", code="context_length_exceeded"),
        "overloaded": chat.fail(503, "Overloaded"),
        **dict.fromkeys(("cut", "cut_whole"), cut(words, 2)),
        "cut_at_once": cut(words, 1),
        "failed": chat.break_off(chat.text("half a word")[:2], "It broke."),
        "slow": [*words[:3], SILENCE, *words[3:]],
        "slow_start": [*words[:1], SILENCE, *words[1:]],
        "slow_failed": [words[0], SILENCE, *chat.break_off([], "It broke.")[1:]],
        "left": [*words[:3], Stall()],
        "refused_login": chat.fail(401, "invalid key"),
        "unknown_model": chat.fail(404, "no such model"),
    }


CASES: dict[str, Callable[[], Cases]] = {"chatgpt": chatgpt_cases, "chat": chat_cases}
