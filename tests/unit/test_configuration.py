"""Layers, types and messages of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mitmcodex import configuration, paths
from mitmcodex.schema import KEYS, Listen, Ollama, SettingsError
from mitmcodex.upstream.providers import CredentialRef


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment without settings, keys or a Codex login."""
    home = tmp_path / "home"
    return {
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        "CODEX_HOME": str(home / "codex"),
    }


@pytest.fixture
def file(environ: dict[str, str]) -> Any:
    path = paths.user_config(environ)
    path.parent.mkdir(parents=True)

    def write(text: str) -> Path:
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refusal(sets: dict[str, object], environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        configuration.load(sets, environ)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_nothing_configured(environ: dict[str, str]) -> None:
    """Without any setting it is the demo on 127.0.0.1:8787, state under XDG_STATE_HOME, and no client key."""
    settings = configuration.load({}, environ)
    assert settings.listen == Listen("127.0.0.1", 8787)
    assert settings.provider.kind == "demo"
    assert settings.state_dir == Path(environ["XDG_STATE_HOME"]) / "mitmcodex"
    assert settings.dump_dir is None
    assert settings.client_keys == ()


def test_each_layer_wins_over_the_one_below(environ: dict[str, str], file: Any) -> None:
    """--set beats the environment, which beats the file, which beats the default; each value says whence it came."""
    file("max_queue: 1\nmax_concurrency: 1\nkeepalive_s: 1\n")
    environ |= {"MITMCODEX_MAX_QUEUE": "2", "MITMCODEX_MAX_CONCURRENCY": "2"}
    settings = configuration.load({"max_queue": ["3"]}, environ)
    assert (settings.max_queue, settings.max_concurrency, settings.keepalive_s) == (3, 2, 1)
    origins = [settings.origins[name] for name in ("max_queue", "max_concurrency", "keepalive_s", "listen")]
    assert origins == ["--set", "environment", "file", "default"]


@pytest.mark.parametrize("variable", ["MITMCODEX_UPSTREM", "MITMCODEX_LISTENS", "MITMCODEX_DUMPDIR"])
def test_a_near_miss_of_a_variable_is_refused(environ: dict[str, str], variable: str) -> None:
    """A typo would be ignored in silence; a variable that only begins like ours is somebody's key."""
    for name in ("MITMCODEX_CLIENT_KEY", "MITMCODEX_UPSTREAM_KEY", "MITMCODEX_CODEX", "UPSTREM"):
        environ[name] = "x"
    configuration.load({}, environ)
    environ[variable] = "x"
    assert f"unknown variable {variable}: did you mean MITMCODEX_" in refusal({}, environ)


@pytest.mark.parametrize("name", ["client_keys", "providers"])
def test_a_table_is_refused_where_it_can_not_stand(environ: dict[str, str], name: str) -> None:
    """A client key given by --set or as MITMCODEX_CLIENT_KEYS would leave the door open in silence."""
    assert "settings file only" in refusal({name: ["x"]}, environ)
    assert "settings file only" in refusal({}, {**environ, f"MITMCODEX_{name.upper()}": "x"})


@pytest.mark.parametrize("name", ["dump_dir", "server_info"])
def test_a_folder_that_can_not_be_written_is_named(environ: dict[str, str], tmp_path: Path, name: str) -> None:
    """Before it starts, also for a live edit; a folder that is not there yet is not made, and no fault."""
    (tmp_path / "file").touch()
    value = str(tmp_path / "file" / "below" / "it")
    assert f"{name}: {tmp_path / 'file'} is no folder" in refusal({name: [value]}, environ)
    settings = configuration.load({name: [str(tmp_path / "new" / "folder")]}, environ)
    assert not (tmp_path / "new").exists()
    if name == "dump_dir":
        with pytest.raises(SettingsError, match="is no folder"):
            configuration.edited(settings, {name: value})


def test_a_blank_client_key_is_none(environ: dict[str, str]) -> None:
    """Else a listener for others would start, and ask for nothing."""
    assert configuration.load({}, {**environ, "MITMCODEX_CLIENT_KEY": " \n"}).client_keys == ()


def test_no_client_key_is_an_empty_list(environ: dict[str, str], file: Any) -> None:
    """`none` is a credential of a provider; among client keys it says nothing."""
    file("client_keys: [none]")
    assert "client_keys" in refusal({}, environ)
    file("client_keys: []")
    assert configuration.load({}, environ).client_keys == ()


def test_set_of_the_default_wins_over_the_environment(environ: dict[str, str]) -> None:
    """--set codex_x=<the default> is a choice, too (mitmproxy.md 1.14)."""
    environ["MITMCODEX_LISTEN"] = "127.0.0.1:1"
    assert configuration.load({"listen": ["127.0.0.1:8787"]}, environ).listen.port == 8787


def test_other_programs_variables_are_not_read(environ: dict[str, str]) -> None:
    """What a shell holds for another proxy, or for every program, changes nothing here."""
    names = "PORT ENV OPENAI_API_KEY CODEX_PROXY_API_KEY PROXY_API_KEY CODEX_PROXY_TIMEOUT_MS"
    names += " CODEX_PROXY_MAX_BODY_BYTES CODEX_SECURE_MODE CODEX_PROXY_DEBUG_DUMP HTTPS_PROXY ACCESS_TOKEN ACCOUNT_ID"
    names += " CODEX_MODEL OLLAMA_BRIDGE_ENABLED"
    others = dict.fromkeys(names.split(), "1")
    assert configuration.load({}, {**environ, **others}) == configuration.load({}, environ)


def test_the_file_is_found(environ: dict[str, str], tmp_path: Path, file: Any) -> None:
    """codex_config wins over MITMCODEX_CONFIG, which wins over the XDG place; a named file must exist."""
    file("max_queue: 1")
    (tmp_path / "second.yaml").write_text("max_queue: 2")
    (tmp_path / "third.yaml").write_text("max_queue: 3")
    assert configuration.load({}, environ).max_queue == 1
    environ["MITMCODEX_CONFIG"] = str(tmp_path / "second.yaml")
    assert configuration.load({}, environ).max_queue == 2
    assert configuration.load({"config": [str(tmp_path / "third.yaml")]}, environ).max_queue == 3
    assert "missing.yaml: No such file" in refusal({"config": [str(tmp_path / "missing.yaml")]}, environ)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lisen: 127.0.0.1:1", "unknown setting lisen: did you mean listen?"),
        ("zzz: 1", "unknown setting zzz (config/default.yaml lists all)"),
        ("a: [", "not valid YAML"),
        ("- listen", "must be a mapping"),
        ("max_queue: many", "max_queue (file) must be a whole number"),
        ("max_queue: -1", "max_queue (file) must be a whole number"),
        ("max_queue: true", "max_queue (file) must be a whole number"),
        ("max_body_bytes: 0", "max_body_bytes must be more than 0"),
        ("secure: maybe", "secure (file) must be true or false"),
        ("dump_dir: [a, b]", "dump_dir (file) takes one value"),
        ("dump_dir: 5", "dump_dir (file) must be text"),
        ("allowed_hosts: {a: b}", "allowed_hosts (file) must be a list"),
        ("listen: '8787'", "listen must be host:port"),
        ("listen: 127.0.0.1:99999", "listen must be host:port"),
        ("listen: '::1:8787'", "IPv6 address stands in brackets"),
        ("client_keys: [secret]", "client_keys: must be a reference"),
        ("client_keys: [{stdin: true}]", "client_keys: must be a reference"),
        ("client_keys: [{file: /nowhere/key}]", "client_keys: there is no file /nowhere/key"),
        ("egress_proxy: http://p", "egress_proxy (file): not built yet"),
        ("unknown_model: maybe", "unknown_model must be one of pass, default, reject"),
        ("default_tier: slow", "default_tier must be one of fast, priority, flex, empty"),
        ("responses_lite: 3", "responses_lite (file) must be text"),
        ("ollama: true", "ollama must map names to values, like {enabled: true}"),
        ("ollama: {listen: abc}", "ollama.listen must be host:port"),
        ("ollama: {enabled: true, listen: '127.0.0.1:8787'}", "ollama.listen: 127.0.0.1:8787 is that of listen"),
        ("upstream: anthropic", "upstream: no provider 'anthropic': it needs an entry under providers"),
        ("aliases: {a: a}", "aliases: a leads to itself"),
        ("extra_instructions: /nowhere/text", "extra_instructions: /nowhere/text can't be read"),
    ],
)
def test_a_fault_in_the_file_is_one_line(environ: dict[str, str], file: Any, text: str, expected: str) -> None:
    """Bad YAML, an unknown key, a wrong value, a key not built yet: one line that names it."""
    file(text)
    assert expected in refusal({}, environ)


def test_bad_yaml_names_file_and_line_but_quotes_nothing(environ: dict[str, str], file: Any) -> None:
    """What stands in a broken file may be a secret: the message gives the place alone."""
    path = file("listen: 127.0.0.1:1\nkey: sk-secret: x\n")
    message = refusal({}, environ)
    assert message.startswith(f"{path}, line 2:") and "sk-secret" not in message


def test_an_unknown_set_has_a_hint(environ: dict[str, str]) -> None:
    """--set codex_lisen stops with the near miss."""
    assert refusal({"lisen": ["x"]}, environ) == "--set: unknown setting codex_lisen: did you mean codex_listen?"


def test_unbuilt_keys_accept_their_default(environ: dict[str, str], file: Any) -> None:
    """A file that writes out every default starts, and so does --set of one."""
    file(paths.default_config().read_text(encoding="utf-8"))
    assert configuration.load({"egress_proxy": ["direct"]}, environ).listen.port == 8787
    environ["MITMCODEX_EGRESS_PROXY"] = "auto"
    assert refusal({}, environ) == "egress_proxy (environment): not built yet, only its default works"


def test_texts_become_the_keys_type(environ: dict[str, str]) -> None:
    """Environment and --set carry texts: lists by comma or by repetition, true by a bare name or 1."""
    environ |= {"MITMCODEX_ALLOWED_HOSTS": "a, b", "MITMCODEX_SECURE": "1", "MITMCODEX_DUMP_DIR": ""}
    settings = configuration.load({"allowed_origins": ["c", "d"], "http_shutdown": []}, environ)
    assert settings.allowed_hosts == ("a", "b")
    assert settings.allowed_origins == ("c", "d")
    assert settings.secure and settings.http_shutdown and settings.dump_dir is None


def test_ollamas_listener_by_environment(environ: dict[str, str], file: Any) -> None:
    """One variable a field, over the file; a misspelt one is named, and no other program's is read (seeds S24, S38)."""
    file("ollama: {version: 0.19.0, disable_vision: true}")
    environ |= {"OLLAMA_BRIDGE_ENABLED": "1", "OLLAMA_BRIDGE_PORT": "1", "OLLAMA_HOST": "0.0.0.0:1"}
    assert not configuration.load({}, environ).ollama.enabled
    environ |= {"MITMCODEX_OLLAMA_ENABLED": "True", "MITMCODEX_OLLAMA_LISTEN": "[::1]:9"}
    environ |= {"MITMCODEX_OLLAMA_DISABLE_VISION": "0", "MITMCODEX_OLLAMA_ALLOW_REMOTE": ""}
    loaded = configuration.load({}, environ)
    assert loaded.ollama == Ollama(enabled=True, listen=Listen("::1", 9), version="0.19.0")
    assert loaded.origins["ollama"] == "environment"
    environ["MITMCODEX_OLLAMA_ENABLED"] = "maybe"
    assert "enabled must be true or false" in refusal({}, environ)
    assert "did you mean MITMCODEX_OLLAMA_VERSION" in refusal({}, {**environ, "MITMCODEX_OLLAMA_VERSIO": "1"})


def test_extra_instructions_are_the_users_file(environ: dict[str, str], file: Any, tmp_path: Path) -> None:
    """None by default; the setting names a file, whose text is taken (seeds S33, S133)."""
    assert configuration.load({}, environ).extra_instructions == ""
    (tmp_path / "own.md").write_text("Be brief.\n", encoding="utf-8")
    file(f"extra_instructions: {tmp_path / 'own.md'}")
    assert configuration.load({}, environ).extra_instructions == "Be brief."


def test_names_of_models_by_settings(environ: dict[str, str], file: Any) -> None:
    """The model that is meant where none is named, its effort and tier, and the model that is always meant, also by
    environment; aliases and custom models by the file (seeds S7, S33, S113, S117, S123, S132)."""
    file("default_effort: high\ndefault_tier: fast\naliases: {a: b}\ncustom_models: [own]")
    environ |= {"MITMCODEX_DEFAULT_MODEL": "gpt-6-sol", "MITMCODEX_FORCE_MODEL": "gpt-6-luna"}
    names = configuration.load({}, environ).names
    assert (names.default_model, names.force_model) == ("gpt-6-sol", "gpt-6-luna")
    assert (names.default_effort, names.default_tier) == ("high", "fast")
    assert names.aliases == {"a": "b"} and names.custom("own") is not None
    plain = configuration.load({}, {**environ, "XDG_CONFIG_HOME": "/nowhere"} | {"MITMCODEX_DEFAULT_MODEL": ""}).names
    assert (plain.default_model, plain.default_effort, plain.default_tier) == ("", "", "")


def test_client_keys_in_force(environ: dict[str, str], file: Any, tmp_path: Path) -> None:
    """A reference to an unset variable counts as none; the settings hold references, never a key."""
    assert configuration.load({}, environ).client_keys == ()
    environ["MITMCODEX_CLIENT_KEY"] = "canary"
    settings = configuration.load({}, environ)
    assert settings.client_keys == (CredentialRef("env", "MITMCODEX_CLIENT_KEY"),)
    assert "canary" not in repr(settings)
    (tmp_path / "key").write_text("k")
    file(f"client_keys: [{{file: {tmp_path / 'key'}}}]")
    assert configuration.load({}, environ).client_keys == (CredentialRef("file", str(tmp_path / "key")),)


def test_secure_takes_the_url_whole_and_the_key_from_stdin(environ: dict[str, str]) -> None:
    """secure: kind responses, passthrough profile, the URL with its query, the key from stdin alone, no time limit."""
    url = "https://x.example/openai/deployments/d/responses?api-version=1"
    provider = configuration.load({"secure": ["true"], "upstream_url": [url]}, environ).provider
    assert (provider.name, provider.kind, provider.base_url) == ("secure", "responses", url)
    assert (provider.profile, provider.credential.how) == ("passthrough", "stdin")
    assert provider.first_byte_timeout_s == 0


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ({"upstream_url": ["http://example.com/v1/responses"]}, "upstream_url: must be https"),
        ({"upstream_url": ["nonsense"]}, "upstream_url: must be like https://HOST/PATH"),
        ({"listen": ["0.0.0.0:1"]}, "secure mode listens on loopback only"),
    ],
)
def test_secure_refuses(environ: dict[str, str], sets: dict[str, object], expected: str) -> None:
    """secure: no plain http to another machine, no half URL, no listener for others."""
    assert expected in refusal({"secure": ["true"], **sets}, environ)


def test_edits_take_effect_and_are_checked(environ: dict[str, str]) -> None:
    """A live edit gives new settings with its value and origin; a wrong value is a SettingsError."""
    settings = configuration.load({}, environ)
    edited = configuration.edited(settings, {"max_queue": 7, "dump_dir": "/tmp/dumps"})
    assert (edited.max_queue, edited.dump_dir) == (7, Path("/tmp/dumps"))
    assert (edited.values["max_queue"], edited.origins["max_queue"], settings.max_queue) == (7, "--set", 64)
    with pytest.raises(SettingsError):
        configuration.edited(settings, {"max_body_bytes": 0})


def test_a_bare_on_or_off_is_a_choice(environ: dict[str, str], file: Any) -> None:
    """YAML reads them as true and false, and they are written so in the README."""
    for written, expected in (("on", "on"), ("off", "off"), ("auto", "auto")):
        file(f"responses_lite: {written}\nreasoning_out: off")
        found = configuration.load({}, environ)
        assert (found.responses_lite, found.reasoning_out) == (expected, "off")


def test_ipv6_listen() -> None:
    """[::1]:8787 is host ::1, shown in brackets again."""
    found = configuration.listen("[::1]:8787")
    assert (found.host, found.port, str(found)) == ("::1", 8787, "[::1]:8787")


def test_default_values_are_those_of_the_yaml_file() -> None:
    """What --options shows as default is what default.yaml says (an empty value is an empty text)."""
    written = yaml.safe_load(paths.default_config().read_text(encoding="utf-8"))
    expected = {key.name: written.get(key.name) if written.get(key.name) is not None else "" for key in KEYS}
    assert configuration.default_values() == expected
