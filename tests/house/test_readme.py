"""What README.md and CONTRIBUTING.md say is so: commands, examples, tables, links."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from mitmcodex import cli, configuration, paths, provision, routes, setup_codex
from mitmcodex.schema import KEYS, Listen
from mitmcodex.upstream.providers import CredentialRef
from mitmcodex.wire import CODECS
from support.auth import write_login
from support.program import Program

ROOT = paths.PACKAGE.parent.parent
DOCUMENTS = ("README.md", "CONTRIBUTING.md")
README = (ROOT / "README.md").read_text(encoding="utf-8")
KEYS_BY_NAME = {key.name: key for key in KEYS}
WAIT_S = 20

each_document = pytest.mark.parametrize("document", DOCUMENTS)


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def rows(marker: str) -> dict[str, list[str]]:
    """The table behind ``<!-- marker -->``: its cells, by the name in the first one."""
    table = re.search(rf"<!-- {marker} -->\n(.*?)\n\n", README, re.DOTALL)
    assert table, f"no table {marker}"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()[2:]]
    return {first.strip("`"): rest for first, *rest in cells}


def assert_shown(shown: str, real: str) -> None:
    """``shown`` is ``real`` with parts left out, each marked by an ellipsis."""
    place = 0
    for part in shown.split("…"):
        found = real.find(part.strip(), place)
        assert found >= 0, f"{part!r} does not come in\n{real[place:]}"
        place = found + len(part.strip())


# -- as text --------------------------------------------------------------------------------------


@each_document
def test_links_lead_to_files(document: str) -> None:
    """Every relative link names something that is in the repository."""
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", read(document)) if "://" not in target]
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


@each_document
def test_make_targets_exist(document: str) -> None:
    """Every ``make …`` is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", read(document), re.MULTILINE))
    assert named and named <= targets


def test_mitmcodex_commands_are_understood() -> None:
    """Every ``mitmcodex …`` is a command with options that the console script has."""
    commands = re.findall(r"mitmcodex ((?:run|secure|setup|config)\b[^`|&\n]*)", README)
    assert {command.split()[0] for command in commands} == {"run", "secure", "setup", "config"}
    for command in commands:
        cli._parser().parse_args(shlex.split(command))


def test_make_run_is_mitmdump_with_our_script() -> None:
    """The tests start what ``make run`` starts."""
    assert "\n\t.venv/bin/mitmdump -s addons/main.py $(ARGS)\n" in read("Makefile")


def test_safety_is_told() -> None:
    """What a user must know before they trust it stands under one heading."""
    safety = README.partition("\n## Safety and privacy\n")[2].partition("\n## ")[0]
    for word in ("127.0.0.1", "client key", "Host", "Origin", "state_dir/cookies", "terms", "real backend"):
        assert word in safety, word


# -- tables ---------------------------------------------------------------------------------------


def test_settings_table_is_whole() -> None:
    """Every setting of config/default.yaml has a row, or is among those that are not built yet."""
    defaults = configuration._read_yaml(paths.default_config())
    built = [name for name in defaults if name in KEYS_BY_NAME or name in configuration.TABLES]
    assert list(rows("settings")) == built
    (unbuilt,) = re.findall(r"not built yet; any value but the default stops the start: (.*)\.\n", README)
    assert re.findall(r"`(\w+)`", unbuilt) == [name for name in defaults if name not in built]


@pytest.mark.parametrize("name", [name for name in rows("settings") if name != "providers"])
def test_settings_table_shows_default_and_live(name: str) -> None:
    """The default is that of config/default.yaml, and a live setting is marked."""
    default, text = rows("settings")[name]
    assert yaml.safe_load(default.strip("`")) == configuration._read_yaml(paths.default_config())[name]
    is_live = name in KEYS_BY_NAME and KEYS_BY_NAME[name].is_live
    assert text.startswith("*live* ") == is_live


def test_provider_fields_are_whole() -> None:
    """Every field of a provider that can be set has a row."""
    assert set(rows("provider fields")) == set(provision.FIELDS) - set(provision.UNBUILT_FIELDS)


def test_each_protocols_calls_are_named() -> None:
    """The table of protocols has a column for each codec, with its calls; images and what is counted stand below."""
    section = README.partition("\n## Protocols\n")[2].partition("\n## ")[0]
    header = section.partition("\n| ")[2].partition("\n")[0]
    assert len([name for name in header.split("|") if name.strip()]) == len(CODECS.keys() - {"images"})
    calls = [f"/v1{suffix}" for suffix in (*routes._SUFFIXES, *routes._CODEX_SUFFIXES)]
    calls += [f":{action}" for action in routes._GEMINI_CALLS] + [path for path in routes._OLLAMA if path != "/"]
    assert [call for call in calls if f"{call}`" not in section] == []


# -- examples -------------------------------------------------------------------------------------


@pytest.mark.parametrize("example", blocks("yaml"), ids=lambda text: list(yaml.safe_load(text)["providers"])[0])
def test_settings_examples_are_right(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each example is taken as it stands, and its provider is the one that is used."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "DEEPSEEK_API_KEY"):
        monkeypatch.setenv(name, "k")
    write_login(tmp_path / ".codex-work" / "auth.json")
    file = tmp_path / "config.yaml"
    file.write_text(example)
    settings = configuration.load({"config": str(file)}, os.environ)
    assert settings.provider.name == next(iter(yaml.safe_load(example)["providers"]))


def test_codex_block_is_the_one_that_we_print() -> None:
    """What is to be pasted is what the start block and ``mitmcodex setup codex`` give."""
    (block,) = blocks("toml")
    assert block == setup_codex.profile_text(Listen())
    for line in re.findall(r"`((?:env_key|http_headers) = [^`]*)`", README):
        tomllib.loads(block + line)
    key = CredentialRef("env", "MITMCODEX_CLIENT_KEY")
    assert 'env_key = "MITMCODEX_CLIENT_KEY"' in setup_codex.profile_text(Listen(), [key])


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """mitmdump with nothing configured but the README's own addon."""
    folder = tmp_path_factory.mktemp("readme")
    (own,) = blocks("python")
    (folder / "mine.py").write_text(own)
    with Program(folder, {}, command=("mitmdump", "-s", str(folder / "mine.py"))) as program:
        yield program


def curled(program: Program) -> tuple[http.client.HTTPResponse, str]:
    """What the README's curl command gets."""
    (line,) = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("curl -N ")]
    _, _, url, _, header, _, body = shlex.split(line)
    assert urlsplit(url).netloc == str(Listen()), "the default"
    with closing(http.client.HTTPConnection("127.0.0.1", program.port, timeout=WAIT_S)) as client:
        client.request("POST", urlsplit(url).path, body, dict([header.split(": ")]))
        with client.getresponse() as response:
            return response, response.read().decode()


def test_start_block_is_as_shown(program: Program) -> None:
    """With nothing configured it prints what the README shows, up to its addresses."""
    shown = blocks("text")[0]
    program.wait_for(re.escape("supports_websockets"))
    addresses = re.compile(r"http://[^\s,]+(, http://\S+)?")
    assert addresses.sub("", shown) in addresses.sub("", program.output)


def test_curl_command_streams_the_demo(program: Program) -> None:
    """The first screen's command gets the stream that is shown below it."""
    response, stream = curled(program)
    assert response.status == 200
    assert_shown(blocks("text")[1], stream)


def test_own_addon_sees_both_ways(program: Program) -> None:
    """The addon of the README, given by ``-s``, hears of the request and changes the answer."""
    response, _ = curled(program)
    assert response.headers["x-upstream-status"] == "200"
    program.wait_for("asking demo for gpt-5.5")


def test_own_addon_has_ten_lines_or_so() -> None:
    """It stays short enough to be an invitation."""
    (own,) = blocks("python")
    assert len([line for line in own.splitlines() if line]) <= 10
