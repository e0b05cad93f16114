"""Fake logins have the form that the Codex CLI writes."""

import base64
import json
import stat
from pathlib import Path

from support.auth import ACCOUNT_ID, API_KEY, write_api_key, write_login


def test_login_file(tmp_path: Path) -> None:
    """The file is private and its tokens are JWT-shaped, with account and expiry in their claims."""
    login = write_login(tmp_path / "home" / "auth.json")
    assert stat.S_IMODE(login.path.stat().st_mode) == 0o600
    tokens = json.loads(login.path.read_text())["tokens"]
    assert tokens["access_token"] == login.access_token and tokens["account_id"] == ACCOUNT_ID
    for token in (login.id_token, login.access_token):
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        assert token.count(".") == 2 and claims["exp"] > 0
        assert claims["https://api.openai.com/auth"]["chatgpt_account_id"] == ACCOUNT_ID


def test_another_serial_is_another_token(tmp_path: Path) -> None:
    """Writing again gives the same account other tokens, as a refresh does."""
    first, second = (write_login(tmp_path / "auth.json", serial=number) for number in (1, 2))
    assert first.access_token != second.access_token
    assert first.account_id == second.account_id


def test_api_key_file(tmp_path: Path) -> None:
    """An API-key login holds the key and no tokens."""
    fields = json.loads(write_api_key(tmp_path / "auth.json").read_text())
    assert fields == {"auth_mode": "apikey", "OPENAI_API_KEY": API_KEY}
