"""The README's section "Clients" is what ``mitmcodex setup`` prints."""

from __future__ import annotations

from mitmcodex import setup_command
from support.readme_clients import README, rewritten


def test_the_section_is_made_from_clients_yaml() -> None:
    """One source for both. When this fails: make setup-table."""
    readme = README.read_text(encoding="utf-8")
    assert readme == rewritten(readme)


def test_each_client_that_users_expect_is_there() -> None:
    """seeds S331 to S353: each has its entry."""
    assert set(setup_command.names()) == {
        *("codex", "claude-code", "claude-desktop", "claude-vscode", "opencode", "cursor", "windsurf", "cline"),
        *("continue", "aider", "cherry-studio", "openai", "anthropic", "gemini", "ollama"),
    }
