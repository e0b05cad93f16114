import logging
import socket
import subprocess
import sys

import pytest

from mitmcodex.upstream import tokens
from mitmcodex.upstream.tokens import EXACT_CHARACTERS, TokenCounter, estimate

ENGLISH = "The proxy reads the request, writes it anew in the provider's form, and sends it on. " * 20
CODE = "def total(values: list[int]) -> int:\n    return sum(value for value in values if value > 0)\n\n" * 20
JSON = '{"type":"function_call","call_id":"call_8b89c069","name":"exec","arguments":"{\\"cmd\\":\\"ls -l\\"}"}\n' * 20
CHINESE = "代理读取请求，以提供者的形式重新写入，然后发送出去。答案以同样的方式返回，一块一块地。" * 20


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("hello world", 2),
        ("tiktoken is great!", 6),
        ("antidisestablishmentarianism", 6),
        ("2 + 2 = 4", 7),
        ("お誕生日おめでとう", 8),
        (" " * 1_000_000, 7813),
    ],
)
def test_counts_are_those_of_o200k(text: str, expected: int) -> None:
    """The figures that OpenAI's cookbook prints for o200k_base, and ones that two other tokenizers agree on."""
    assert TokenCounter()(text) == expected


def test_a_special_token_is_plain_text() -> None:
    """What a user writes is never a control token: its name counts letter by letter like any other."""
    count = TokenCounter()
    assert count("<|endoftext|>") == 7
    assert count("<|im_start|>system") > 4


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\0", "\U0010ffff", "👩‍👩‍👧"])
def test_odd_characters_are_counted(text: str) -> None:
    """Lone surrogates, which JSON can hold, are no error."""
    assert 0 < TokenCounter()(text) < 12
    assert 0 < estimate(text) < 12


def test_loading_waits_for_the_first_count() -> None:
    """The proxy's start doesn't pay: neither the module nor a new counter imports the tokenizer."""
    code = (
        "import sys; from mitmcodex.upstream.tokens import TokenCounter; count = TokenCounter()\n"
        "assert 'splintr' not in sys.modules; assert count('hello world') == 2; assert 'splintr' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env={"PYTHONPATH": ":".join(sys.path)})


def test_no_network_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading and counting open no socket."""

    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    count = TokenCounter()
    assert count(ENGLISH) > 100
    assert count.is_exact


def test_without_the_tokenizer_counts_are_estimated_and_said_to_be(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A failed import costs precision, not the answer; one warning names the package, however often it counts."""
    monkeypatch.setitem(sys.modules, "splintr", None)
    count = TokenCounter()
    with caplog.at_level(logging.WARNING):
        assert [count("hello world!"), count(""), count("字")] == [3, 0, 1]
    assert not count.is_exact
    assert [record.message for record in caplog.records] == [
        "token counts are estimates: splintr-rs can't be loaded (ModuleNotFoundError); reinstall it"
    ]


@pytest.mark.parametrize("text", [ENGLISH, CODE, JSON, CHINESE], ids=["english", "code", "json", "chinese"])
def test_the_estimate_is_near_the_truth(text: str) -> None:
    """Calibrated: within a third for prose, code, JSON and Chinese."""
    assert estimate(text) == pytest.approx(TokenCounter()(text), rel=0.34)


def test_a_text_beyond_any_window_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tokenizer's slowest inputs can't hold up the proxy: above the limit it isn't asked."""
    asked: list[int] = []
    monkeypatch.setattr(tokens, "_exact_count", lambda: lambda text: asked.append(len(text)) or 0)
    count = TokenCounter()
    assert count("a" * (EXACT_CHARACTERS + 4)) == EXACT_CHARACTERS // 4 + 1
    assert count("a" * EXACT_CHARACTERS) == 0
    assert asked == [EXACT_CHARACTERS]
