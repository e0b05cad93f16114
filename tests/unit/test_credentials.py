import asyncio
import base64
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mitmcodex.state import credentials
from mitmcodex.state.credentials import Credential, CredentialError, CredentialStore, exists, store_for


@dataclass
class Ref:
    how: str
    where: str = ""


def _jwt(claims: dict[str, Any]) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{payload}.c2ln"


def _login(path: Path, access: dict[str, Any] | None = None, **auth: Any) -> str:
    token = _jwt(access or {"exp": 1900000000})
    tokens = {"id_token": _jwt({"https://api.openai.com/auth": auth}), "access_token": token, "refresh_token": "rt_x"}
    path.write_text(json.dumps({"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens, "unknown": 1}))
    return token


def _current(store: CredentialStore) -> Credential:
    return asyncio.run(store.current())


def _opaque(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def test_codex_file_gives_the_tokens_and_claims_of_the_login(tmp_path: Path) -> None:
    """Token, account id, its opaque name, fedramp flag, plan and expiry come from auth.json and its tokens."""
    path = tmp_path / "auth.json"
    token = _login(path, chatgpt_account_id="acc-0000", chatgpt_account_is_fedramp=True, chatgpt_plan_type="plus")
    before = path.read_bytes()
    credential = _current(store_for(Ref("codex", str(path)), "chatgpt"))
    assert (credential.kind, credential.secret, credential.account_id) == ("bearer", token, "acc-0000")
    assert (credential.account, credential.is_fedramp, credential.plan) == (_opaque("acc-0000"), True, "plus")
    assert (credential.expires_at, credential.source) == (1900000000.0, f"codex: {path}")
    assert "codex login" in credential.remedy
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["auth.json"]


def test_the_files_account_id_goes_before_the_claim(tmp_path: Path) -> None:
    """tokens.account_id is what the CLI sends."""
    path = tmp_path / "auth.json"
    _login(path, chatgpt_account_id="from-claim")
    content = json.loads(path.read_text())
    content["tokens"]["account_id"] = "from-file"
    path.write_text(json.dumps(content))
    assert _current(store_for(Ref("file", str(path)), "chatgpt")).account_id == "from-file"


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(tmp_path: Path) -> None:
    """The CLI renames a new file over the old one; the next request uses it. Without a change nothing is parsed."""
    path = tmp_path / "auth.json"
    first = _login(path, chatgpt_account_id="a")
    store = store_for(Ref("codex", str(path)), "chatgpt")
    one = _current(store)
    assert _current(store) is one and one.secret == first
    times = path.stat()
    second = _login(tmp_path / "next", {"exp": 1900000001}, chatgpt_account_id="a")
    os.utime(tmp_path / "next", ns=(times.st_atime_ns, times.st_mtime_ns))
    os.replace(tmp_path / "next", path)
    assert path.stat().st_size == times.st_size and path.stat().st_mtime_ns == times.st_mtime_ns
    assert _current(store).secret == second != first


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_half_written_file_is_read_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_refused: bool
) -> None:
    """The Codex CLI writes its login in place; a turn of another client must not fail because it does so right now."""
    path = tmp_path / "auth.json"
    old = _login(path, chatgpt_account_id="acc-0000")
    store = store_for(Ref("codex", str(path)), "chatgpt")
    credential = _current(store)
    token = _login(path, {"exp": 1900000001}, chatgpt_account_id="acc-0000")
    whole = path.read_text()
    path.write_text(whole[:100])

    async def written(pause_s: float) -> None:
        path.write_text(whole)

    monkeypatch.setattr(credentials.asyncio, "sleep", written)
    found = asyncio.run(store.refused(credential)) if is_refused else _current(store)
    assert found is not None and found.secret == token != old


def test_after_a_refusal_only_a_different_credential_is_tried(tmp_path: Path) -> None:
    """A 401 makes the store look at the file at once: the same token is not tried again, a new one is."""
    path = tmp_path / "auth.json"
    _login(path, chatgpt_account_id="a")
    store = store_for(Ref("codex", str(path)), "chatgpt")
    old = _current(store)
    assert asyncio.run(store.refused(old)) is None
    times = path.stat()
    new = _login(path, {"exp": 1900000001}, chatgpt_account_id="a")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as if nothing had changed
    assert _current(store) is not None
    again = asyncio.run(store.refused(old))
    assert again is not None and again.secret == new


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        ("{", "chatgpt", "is no JSON object"),
        ("[]", "chatgpt", "is no JSON object"),
        ("[" * 100_000, "chatgpt", "is no JSON object"),
        ('{"auth_mode":"apikey","OPENAI_API_KEY":"sk-SECRET"}', "chatgpt", "holds an API key"),
        ('{"auth_mode":"agentIdentity","tokens":{"access_token":"SECRET"}}', "chatgpt", "another kind"),
        ('{"auth_mode":"chatgpt"}', "chatgpt", "access token"),
        ('{"tokens":{"access_token":"SECRET"}}', "chatgpt", "account id"),
        ('{"tokens":{"access_token":"SEC\\nRET","account_id":"a"}}', "chatgpt", "characters"),
        ('{"auth_mode":"chatgpt","OPENAI_API_KEY":null}', "openai", "no API key"),
    ],
)
def test_a_useless_file_is_named_with_the_remedy_and_without_a_value(
    tmp_path: Path, content: str, kind: str, says: str
) -> None:
    """One clear error, never a traceback of the parser and never what the file holds."""
    path = tmp_path / "auth.json"
    path.write_text(content)
    with pytest.raises(CredentialError) as caught:
        _current(store_for(Ref("codex", str(path)), kind))
    message = str(caught.value)
    assert says in message and str(path) in message and "codex login" in message
    assert "SEC" not in message and "RET" not in message
    assert not exists(Ref("codex", str(path)), kind)


def test_a_missing_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    """A file that is not there, and one that is a folder, are told apart from a bad one."""
    with pytest.raises(CredentialError, match=r"does not exist: run `codex login`"):
        _current(store_for(Ref("codex", str(tmp_path / "auth.json")), "chatgpt"))
    with pytest.raises(CredentialError, match=r"can't be read"):
        _current(store_for(Ref("codex", str(tmp_path)), "chatgpt"))


def test_the_api_key_is_taken_out_of_codex_file_for_other_kinds(tmp_path: Path) -> None:
    """Kind openai uses OPENAI_API_KEY of the same file."""
    path = tmp_path / "auth.json"
    path.write_text('{"auth_mode":"apikey","OPENAI_API_KEY":"sk-1"}')
    credential = _current(store_for(Ref("codex", str(path)), "openai"))
    assert (credential.kind, credential.secret, credential.account_id) == ("key", "sk-1", "")
    assert exists(Ref("codex", str(path)), "openai") and not exists(Ref("codex", str(path)), "chatgpt")


def test_key_file_and_variable_give_the_key_without_its_newline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key's text is trimmed; its opaque name is a hash of it; a new value is used at once."""
    path = tmp_path / "key"
    path.write_text("k-1\r\n")
    monkeypatch.setenv("TEST_KEY", "k-2")
    of_file, of_variable = store_for(Ref("file", str(path)), "openai"), store_for(Ref("env", "TEST_KEY"), "azure")
    assert [_current(store).secret for store in (of_file, of_variable)] == ["k-1", "k-2"]
    assert _current(of_file).account == _opaque("k-1")
    monkeypatch.setenv("TEST_KEY", "k-3")
    assert _current(of_variable).secret == "k-3"


def test_an_unset_variable_and_an_empty_file_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each names the place and what to do."""
    monkeypatch.delenv("TEST_KEY", raising=False)
    (tmp_path / "key").write_text("\n")
    with pytest.raises(CredentialError, match="set the environment variable TEST_KEY"):
        _current(store_for(Ref("env", "TEST_KEY"), "openai"))
    with pytest.raises(CredentialError, match="put the key into"):
        _current(store_for(Ref("file", str(tmp_path / "key")), "openai"))
    assert not exists(Ref("env", "TEST_KEY"), "openai")


def test_key_from_stdin_and_no_credential() -> None:
    """A key that was given is used as it is and never exchanged; without a need there is none."""
    given = store_for(Ref("stdin"), "responses", bytearray(b"k_1"))
    assert (_current(given).secret, _current(given).kind) == ("k_1", "key")
    assert asyncio.run(given.refused(_current(given))) is None
    nothing = store_for(Ref("none"), "demo")
    assert (_current(nothing).kind, _current(nothing).secret) == ("none", "")
    assert asyncio.run(nothing.refused(_current(nothing))) is None
    assert exists(Ref("none"), "demo")
    with pytest.raises(CredentialError, match="stdin"):
        store_for(Ref("stdin"), "responses")
    with pytest.raises(CredentialError, match="keyring"):
        store_for(Ref("keyring"), "responses")


def test_a_credential_shows_no_secret(tmp_path: Path) -> None:
    """repr and str name where it comes from, not what it is."""
    _login(tmp_path / "a", chatgpt_account_id="acc-SECRET")
    credential = _current(store_for(Ref("codex", str(tmp_path / "a")), "chatgpt"))
    assert credential.secret not in repr(credential) and "acc-SECRET" not in f"{credential!r}{credential}"
