"""naming.py: the tables of names and of Ollama's listener, checked."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.naming import naming, ollama
from mitmcodex.schema import Listen, Naming, Ollama, SettingsError

LOCAL = Listen(port=11434)


def named(**tables: Any) -> Naming:
    return naming({"aliases": {}, "custom_models": [], "routing": {}, **tables}, ("work",))


def test_the_tables_are_read() -> None:
    """Names without blanks around them; a model by its name alone has text and medium effort."""
    found = named(aliases={" a ": " b "}, custom_models=["plain"], routing={"x": "work"})
    assert (found.aliases, found.routing) == ({"a": "b"}, {"x": "work"})
    (plain,) = found.custom_models
    assert (plain.slug, plain.default_effort, plain.input_modalities) == ("plain", "medium", ("text",))


def test_a_custom_model_says_what_it_can() -> None:
    """In our words, kept in Codex's (seeds S132)."""
    (found,) = named(
        custom_models=[
            {
                "id": "own",
                "display_name": "Own",
                "supported_reasoning_efforts": ["low"],
                "context_window": 9,
                "truncation_policy_limit": 5,
                "input_modalities": ["text", "image"],
            }
        ]
    ).custom_models
    assert (found.display_name, found.efforts, found.context_window) == ("Own", ("low",), 9)
    assert found.raw["truncation_policy"] == {"mode": "tokens", "limit": 5} and "image" in found.input_modalities


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        ({"aliases": ["a"]}, "aliases must map"),
        ({"aliases": {"a": 1}}, "'a' must lead to a name"),
        ({"aliases": {" ": "b"}}, "must lead to a name"),
        ({"aliases": {"a": "a"}}, "a leads to itself"),
        ({"aliases": {"a": "b", "a ": "c"}}, "a is there twice"),
        ({"routing": {"a": "nowhere"}}, "there is no provider 'nowhere' .there are work"),
        ({"routing": {"a": "wrok"}}, "there is no provider 'wrok': did you mean work?"),
        ({"custom_models": {"a": 1}}, "must be a list"),
        ({"custom_models": [{"id": ""}]}, "needs an id"),
        ({"custom_models": ["a", {"id": "a"}]}, "a is there twice"),
        ({"custom_models": [{"id": "a", "contex_window": 1}]}, "did you mean context_window"),
        ({"custom_models": [{"id": "a", "context_window": True}]}, "context_window must be a positive"),
        ({"custom_models": [{"id": "a", "input_modalities": "text"}]}, "must be a list of texts"),
    ],
)
def test_what_can_not_be_is_told(tables: dict[str, Any], told: str) -> None:
    """One line with the table and the name (seeds S126, S132)."""
    with pytest.raises(SettingsError, match=told):
        named(**tables)


def test_ollamas_table() -> None:
    """Off unless it says otherwise (seeds S244), with a version that clients take (seeds S245)."""
    assert ollama({"version": "0.18.3"}, LOCAL) == Ollama() == Ollama(enabled=False, listen=LOCAL)
    found = ollama({"enabled": True, "version": 1.5, "disable_vision": True}, LOCAL)
    assert (found.enabled, found.version, found.disable_vision) == (True, "1.5", True)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"enabled": "yes", "version": "1"}, "enabled must be true or false"),
        ({"version": ""}, "1 to 64 characters"),
        ({"version": "1" * 65}, "1 to 64 characters"),
        ({"version": "1", "prot": 1}, "unknown field prot"),
        ({"version": "1", "allow_remot": True}, "did you mean allow_remote"),
    ],
)
def test_ollamas_table_is_checked(table: dict[str, Any], told: str) -> None:
    """One line (seeds S245)."""
    with pytest.raises(SettingsError, match=told):
        ollama(table, LOCAL)


def test_an_address_that_others_reach_needs_the_second_setting() -> None:
    """No key is asked there (seeds S253)."""
    others = Listen("0.0.0.0", 11434)
    with pytest.raises(SettingsError, match="set allow_remote"):
        ollama({"enabled": True, "version": "1"}, others)
    assert ollama({"enabled": True, "allow_remote": True, "version": "1"}, others).listen == others
    assert not ollama({"version": "1"}, others).enabled
