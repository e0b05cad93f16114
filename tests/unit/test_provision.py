"""The providers table and what upstream comes to."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from mitmcodex import paths, provision
from mitmcodex.schema import SettingsError
from mitmcodex.upstream.providers import CredentialRef

BUILT_IN = {
    "chatgpt": {
        "kind": "chatgpt",
        "base_url": "https://chatgpt.com/backend-api/codex",
        "credential": {"codex": "$CODEX_HOME/auth.json"},
    },
    "openai": {
        "kind": "openai",
        "base_url": "https://api.openai.com/v1",
        "credential": {"codex": "$CODEX_HOME/auth.json"},
    },
}
TOKENS = {"auth_mode": "chatgpt", "tokens": {"access_token": "a.b.c", "refresh_token": "r", "account_id": "acc"}}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "codex").mkdir()
    return {"CODEX_HOME": str(tmp_path / "codex")}


def entry(**fields: Any) -> dict[str, Any]:
    return {"kind": "responses", "base_url": "https://h.example/v1", **fields}


def login(environ: dict[str, str], content: dict[str, Any]) -> None:
    Path(environ["CODEX_HOME"], "auth.json").write_text(json.dumps(content))


def chosen(upstream: str, own: dict[str, Any], environ: dict[str, str]) -> str:
    return provision.choose(upstream, provision.providers(BUILT_IN, own, environ), [*own], environ).name


def test_auto_without_any_credential_is_the_demo(environ: dict[str, str]) -> None:
    """Nothing configured, no login: the demo."""
    assert chosen("auto", {}, environ) == "demo"


def test_auto_takes_the_login_of_the_codex_cli(environ: dict[str, str]) -> None:
    """Tokens in auth.json mean chatgpt, an API key alone means openai."""
    login(environ, TOKENS)
    assert chosen("auto", {}, environ) == "chatgpt"
    login(environ, {"OPENAI_API_KEY": "sk-x"})
    assert chosen("auto", {}, environ) == "openai"


def test_auto_prefers_the_users_entries_in_their_order(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first entry of the user's file whose credential exists wins over a login; one without is passed over."""
    login(environ, TOKENS)
    monkeypatch.delenv("NOT_SET", raising=False)
    (tmp_path / "key").write_text("k")
    own = {
        "first": entry(credential={"env": "NOT_SET"}),
        "second": entry(credential={"file": str(tmp_path / "key")}),
        "third": entry(credential={"file": str(tmp_path / "key")}),
    }
    assert chosen("auto", own, environ) == "second"


@pytest.mark.parametrize(
    ("upstream", "expected"),
    [
        ("chatgpt", "run `codex login`"),
        ("openai", "run `codex login --with-api-key`"),
        ("by_file", "there is no key file"),
        ("by_env", "the environment variable NOT_SET is not set"),
        ("opnai", "no provider 'opnai': did you mean openai?"),
    ],
)
def test_a_named_provider_must_have_its_credential(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: str, expected: str
) -> None:
    """A provider chosen by name without its credential stops with the remedy, and never becomes the demo."""
    monkeypatch.delenv("NOT_SET", raising=False)
    by_file = entry(credential={"file": str(tmp_path / "none")})
    own = {"by_file": by_file, "by_env": entry(credential={"env": "NOT_SET"})}
    with pytest.raises(SettingsError, match=re.escape(expected)):
        chosen(upstream, own, environ)


def test_an_entry_overrides_single_fields_of_a_built_in_one(environ: dict[str, str]) -> None:
    """`openai: {base_url: …}` keeps the built-in kind and credential."""
    found = provision.providers(BUILT_IN, {"openai": {"base_url": "https://h.example/v1"}}, environ)["openai"]
    assert (found.kind, found.base_url) == ("openai", "https://h.example/v1")
    assert found.credential == CredentialRef("codex", str(Path(environ["CODEX_HOME"]) / "auth.json"))


@pytest.mark.parametrize(
    ("name", "kind", "base_url"),
    [
        ("openai", "openai", "https://api.openai.com/v1"),
        ("anthropic", "messages", "https://api.anthropic.com/v1"),
        ("gemini", "gemini", "https://generativelanguage.googleapis.com/v1beta"),
        ("openrouter", "chat", "https://openrouter.ai/api/v1"),
    ],
)
def test_well_known_services_need_a_key_alone(environ: dict[str, str], name: str, kind: str, base_url: str) -> None:
    """Their kind and base URL are known by the name, and what an entry says itself counts more; those that nobody has
    a key for are no providers (seeds S201, S202)."""
    built_in = yaml.safe_load(paths.default_config().read_text(encoding="utf-8"))["providers"]
    found = provision.providers(built_in, {name: {"credential": {"env": "K"}}}, environ)
    assert (found[name].kind, found[name].base_url) == (kind, base_url)
    assert {*found} == {"chatgpt", "openai", name}
    own = provision.providers(built_in, {name: {"base_url": "https://gate.example/x"}}, environ)[name]
    assert (own.kind, own.base_url) == (kind, "https://gate.example/x")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"kind": "demo"}, "kind must be one of"),
        ({"kind": "openia"}, "kind must be one of"),
        ({"bse_url": "x"}, "unknown field bse_url: did you mean base_url?"),
        ({"base_url": "http://h.example/v1"}, "must be https"),
        ({"base_url": "http://127.evil.example/v1"}, "must be https"),
        ({"base_url": "https://user:pw@h.example/v1"}, "no user or password"),
        ({"base_url": "https://sk-secret@h.example/v1"}, "no user or password"),
        ({"base_url": "h.example"}, "must be like https"),
        ({"base_url": "https://h.example/v1 x"}, "not a URL"),
        ({"base_url": "https://h.example/v1\n"}, "not a URL"),
        ({"base_url": None}, "must be like https"),
        ({"credential": "sk-secret"}, "never the secret itself"),
        ({"credential": {"key": "sk-secret"}}, "never the secret itself"),
        ({"credential": {"env": "sk-secret"}}, "never the secret itself"),
        ({"credential": {"stdin": "sk-secret"}}, "write {stdin: true}"),
        ({"credential": {"store": "x"}}, "not built yet"),
        ({"kind": "chatgpt", "credential": {"env": "X"}}, "takes {codex: PATH} or {file: PATH}"),
        ({"auth_header": "x-key"}, "auth_header must be one of"),
        ({"headers": {"a": "b"}}, "headers must be"),
        ({"headers": [["a", "b\r\nc: d"]]}, "printable ASCII"),
        ({"headers": [["a b", "c"]]}, "one word"),
        ({"headers": [["a", "ü"]]}, "printable ASCII"),
        ({"headers": [["Authorization", "Bearer sk-secret"]]}, "goes by credential:"),
        ({"resolve": "h.example"}, "resolve must be an IP address"),
        ({"profile": "codex-cli-rustls-h3"}, "no profile"),
        ({"transport": "reqwest"}, "transport is not built yet"),
        ({"websocket": True}, "websocket is not built yet"),
        ({"proxy": "http://p"}, "proxy is not built yet"),
        ({"http_version": 2}, "http_version must be"),
        ({"ca_file": "/nowhere.pem"}, "there is no ca_file /nowhere.pem"),
        ({"ca_file": __file__}, "holds no PEM certificate"),
        ({"first_byte_timeout_s": -1}, "first_byte_timeout_s must be"),
    ],
)
def test_a_fault_in_an_entry_names_it(environ: dict[str, str], fields: dict[str, Any], expected: str) -> None:
    """Each wrong field stops with one line that names the provider, and shows no secret; one that we don't know has no
    base URL of ours, and a key stands nowhere itself (seeds S202, S203)."""
    with pytest.raises(SettingsError) as caught:
        provision.providers(BUILT_IN, {"work": entry(**fields)}, environ)
    message = str(caught.value)
    assert message.startswith("provider work: ") and expected in message
    assert "\n" not in message and "sk-secret" not in message


def test_a_whole_entry(environ: dict[str, str], tmp_path: Path) -> None:
    """Every field of an entry arrives in the Provider; http is fine on loopback; http_version 1.1 may be a number
    (seeds S203)."""
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    fields = {
        "kind": "azure",
        "base_url": "http://127.0.0.1:9/openai?api-version=1",
        "resolve": "127.0.0.1",
        "credential": {"stdin": True},
        "headers": [["X-B", "1"], ["X-A", "2"]],
        "http_version": 1.1,
        "ca_file": str(tmp_path / "ca.pem"),
        "first_byte_timeout_s": 0,
        "transport": "curl",
        "websocket": False,
    }
    found = provision.providers(BUILT_IN, {"work": fields}, environ)["work"]
    assert (found.kind, found.base_url, found.resolve) == ("azure", fields["base_url"], "127.0.0.1")
    assert (found.auth_header, found.credential) == ("api-key", CredentialRef("stdin"))
    assert found.headers == (("X-B", "1"), ("X-A", "2"))
    assert (found.http_version, found.ca_file, found.first_byte_timeout_s) == ("1.1", str(tmp_path / "ca.pem"), 0.0)


def test_shipped_profiles_can_be_named(environ: dict[str, str]) -> None:
    """Each file under fingerprints/ is a value of `profile`."""
    names = [file.stem for file in paths.fingerprints().glob("*.yaml")]
    assert names
    for name in names:
        assert provision.providers(None, {"work": entry(profile=name)}, environ)["work"].profile == name


@pytest.mark.parametrize("own", [{"auto": entry()}, {"demo": entry()}, [entry()], {"work": "x"}])
def test_the_table_is_checked(environ: dict[str, str], own: Any) -> None:
    """A reserved name, a list, an entry that is no mapping: refused."""
    with pytest.raises(SettingsError, match="providers"):
        provision.providers(BUILT_IN, own, environ)
