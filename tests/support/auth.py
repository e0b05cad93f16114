"""Fake logins in the form of the Codex CLI's auth.json (protocol.md 6.6 and 11). Signatures are never checked."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACCOUNT_ID = "11111111-2222-3333-4444-555555555555"
API_KEY = "sk-test-0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Login:
    path: Path
    id_token: str
    access_token: str
    refresh_token: str
    account_id: str


def jwt(claims: dict[str, Any]) -> str:
    """Three parts in the shape of a signed token."""
    return ".".join(_base64url(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims, "sign"))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def write_login(
    path: Path,
    account_id: str = ACCOUNT_ID,
    serial: int = 1,
    expires_in_s: int = 86400,
    is_fedramp: bool = False,
    plan: str = "plus",
) -> Login:
    """A ChatGPT login; another ``serial`` is another pair of tokens for the same account, as after a refresh."""
    claims: dict[str, Any] = {"chatgpt_account_id": account_id, "chatgpt_plan_type": plan}
    claims |= {"chatgpt_user_id": "user-0", "chatgpt_account_is_fedramp": is_fedramp}
    expiry = int(time.time()) + expires_in_s
    auth = {"https://api.openai.com/auth": claims}
    login = Login(
        path,
        id_token=jwt({"email": "user@example.test", "exp": expiry, **auth}),
        access_token=jwt({"exp": expiry, "jti": f"access-{serial}", **auth}),
        refresh_token=f"rt_test_refresh_{serial}",
        account_id=account_id,
    )
    tokens = {"id_token": login.id_token, "access_token": login.access_token, "refresh_token": login.refresh_token}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    fields = {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": {**tokens, "account_id": account_id}}
    _write(path, {**fields, "last_refresh": now})
    return login


def write_api_key(path: Path, key: str = API_KEY) -> Path:
    _write(path, {"auth_mode": "apikey", "OPENAI_API_KEY": key})
    return path


def _write(path: Path, fields: dict[str, Any]) -> None:
    """By rename, as the CLI does it, so that a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(path.name + ".new")
    fresh.touch(0o600)
    fresh.write_text(json.dumps(fields, indent=2))
    fresh.rename(path)
