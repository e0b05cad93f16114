"""What each client is told, from config/clients.yaml."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from mitmcodex import setup_clients
from mitmcodex.schema import Listen, Ollama, Settings, SettingsError
from mitmcodex.setup_clients import Client, Values, content, find, holds_key, settings_in, text, values_of
from mitmcodex.upstream.providers import CredentialRef

OPEN = Values("http://127.0.0.1:4711", "http://127.0.0.1:11434", "gpt-x")
KEYED = Values(OPEN.origin, OPEN.ollama, OPEN.model, "TEAM_KEY")
CLIENTS = setup_clients.clients()

each_client = pytest.mark.parametrize("client", CLIENTS.values(), ids=lambda client: client.name)


@each_client
@pytest.mark.parametrize("values", [OPEN, KEYED], ids=["open", "keyed"])
@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_all_places_are_filled(client: Client, values: Values, platform: str) -> None:
    """No $name of ours is left, and the text says where to go."""
    told = text(client, values, platform)
    assert not re.search(r"\$(origin|base|ollama|model|key|variable)\b", told)
    assert (values.ollama if client.name == "ollama" else values.origin) in told


@each_client
def test_a_key_is_asked_for_where_there_is_one(client: Client) -> None:
    """By reference to its variable, or by a word that is to be replaced; Ollama's clients have none."""
    told = text(client, KEYED, "linux")
    assert ("TEAM_KEY" in told or setup_clients.KEY_SHOWN in told) == (client.name != "ollama")
    assert setup_clients.KEY_SHOWN not in text(client, OPEN, "linux")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("openai", "OPENAI_BASE_URL=http://127.0.0.1:4711/v1"),
        ("claude-code", "ANTHROPIC_BASE_URL=http://127.0.0.1:4711"),
        ("anthropic", "ANTHROPIC_BASE_URL=http://127.0.0.1:4711"),
        ("aider", "OPENAI_API_BASE=http://127.0.0.1:4711/v1"),
        ("gemini", "GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:4711"),
        ("ollama", "OLLAMA_HOST=http://127.0.0.1:11434"),
    ],
)
def test_variables_have_the_base_that_the_client_wants(name: str, line: str) -> None:
    """seeds S331, S336, S347, S349: with ``/v1`` or without."""
    assert f"\nexport {line}\n" in text(CLIENTS[name], OPEN, "linux")


def test_the_shell_is_the_platforms() -> None:
    """PowerShell on Windows; the key by reference in both."""
    assert 'export OPENAI_API_KEY="$TEAM_KEY"' in text(CLIENTS["openai"], KEYED, "linux")
    assert '$env:OPENAI_API_KEY = "$env:TEAM_KEY"' in text(CLIENTS["openai"], KEYED, "win32")


@pytest.mark.parametrize(
    ("name", "field"), [("cursor", "/v1"), ("windsurf", "/v1"), ("cline", "/v1"), ("cherry-studio", "/v1")]
)
def test_a_window_is_told_in_steps(name: str, field: str) -> None:
    """seeds S343, S344, S345, S348, S350: base URL, key and model, and where they go."""
    told = text(CLIENTS[name], OPEN, "linux")
    assert "1. Settings → " in told and f"`{OPEN.origin}{field}`" in told and "`gpt-x`" in told and "`none`" in told


def test_known_traps_are_told() -> None:
    """seeds S336, S341, pains P33: what else makes these clients fail without a word."""
    code, desktop = text(CLIENTS["claude-code"], OPEN, "linux"), text(CLIENTS["claude-desktop"], OPEN, "linux")
    assert "ANTHROPIC_AUTH_TOKEN" in code and "CLAUDE_CODE_AUTO_COMPACT_WINDOW=272000" in code
    assert "ssh -L 8787:127.0.0.1:8787" in desktop


def test_claude_desktops_settings() -> None:
    """seeds S339, S340: the keys of its file, with names of Claude's."""
    block = re.search(r"```json\n(.*?)```", text(CLIENTS["claude-desktop"], KEYED, "darwin"), re.DOTALL)
    assert block
    settings = json.loads(block[1])
    assert settings["inferenceGatewayBaseUrl"] == OPEN.origin and settings["inferenceProvider"] == "gateway"
    assert all(name.startswith("claude-") for name in settings["inferenceModels"])


def test_opencode_and_claude_code_refer_to_the_key() -> None:
    """seeds S336, S353: the file holds no secret, so it may be anywhere."""
    files = {name: CLIENTS[name].file for name in ("opencode", "claude-code")}
    assert files["opencode"] and files["claude-code"]
    opencode = settings_in(files["opencode"], KEYED, "canary")
    assert opencode["provider"]["mitmcodex"]["options"] == {"baseURL": f"{OPEN.origin}/v1", "apiKey": "{env:TEAM_KEY}"}
    assert opencode["$schema"] and opencode["model"] == "mitmcodex/gpt-x"
    assert list(opencode["provider"]["mitmcodex"]["models"]) == ["gpt-x"]
    assert settings_in(files["claude-code"], KEYED, "canary")["apiKeyHelper"] == "printenv TEAM_KEY"
    assert not any(holds_key(file, KEYED) for file in files.values() if file)


def test_vs_code_holds_the_key_itself() -> None:
    """seeds S342: it knows no reference; the key stands in the file and not in what is printed."""
    client = CLIENTS["claude-vscode"]
    assert client.file and holds_key(client.file, KEYED) and not holds_key(client.file, OPEN)
    assert settings_in(client.file, KEYED, "canary") == {
        "claude.apiEndpoint": OPEN.origin,
        "claude.apiKey": "canary",
    }
    assert "Library/Application Support" in text(client, OPEN, "darwin") and "AppData" in text(client, OPEN, "win32")


def test_continues_file_is_yaml() -> None:
    """seeds S346: the newer form as a file, the older one told."""
    client = CLIENTS["continue"]
    assert client.file
    (model,) = yaml.safe_load(content(client.file, KEYED, ""))["models"]
    assert model["apiBase"] == f"{OPEN.origin}/v1" and model["apiKey"] == "${{ secrets.TEAM_KEY }}"
    assert '"apiBase": "http://127.0.0.1:4711/v1"' in text(client, OPEN, "linux")


def test_aiders_model_is_one_of_an_openai_service() -> None:
    """seeds S347: with the prefix by which it knows whose protocol to speak; the key is in no argument."""
    assert "aider --model openai/gpt-x\n" in text(CLIENTS["aider"], KEYED, "linux")
    assert 'export OPENAI_API_KEY="$TEAM_KEY"' in text(CLIENTS["aider"], KEYED, "linux")


def test_sdk_code_compiles() -> None:
    """seeds S351, S352: what is pasted runs as it stands."""
    code = CLIENTS["openai"].code["text"]
    compile(code, "snippet", "exec")
    assert "chunk.choices[0].delta.content" in code and "for await" in text(CLIENTS["openai"], OPEN, "linux")


def test_a_near_miss_is_named() -> None:
    """One line with what was meant and all that there is."""
    with pytest.raises(SettingsError, match=r"'claude_code'\. Did you mean claude-code\? Clients: codex, claude-code"):
        find("claude_code")
    with pytest.raises(SettingsError, match=r"'zzz'\. Clients:"):
        find("zzz")


def test_values_come_from_the_settings() -> None:
    """The port, an address that can be reached, the default model, the key's variable."""
    keys = (CredentialRef("file", "/k"), CredentialRef("env", "TEAM_KEY"))
    ollama = Ollama(listen=Listen("127.0.0.1", 2))
    settings = Settings(listen=Listen("0.0.0.0", 1), default_model="gpt-x", client_keys=keys, ollama=ollama)
    assert values_of(settings) == Values("http://127.0.0.1:1", "http://127.0.0.1:2", "gpt-x", "TEAM_KEY")
    assert values_of(Settings()).variable == "" and values_of(Settings()).model
    with pytest.raises(SettingsError, match="port 0"):
        values_of(Settings(listen=Listen("127.0.0.1", 0)))
