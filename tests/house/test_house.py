"""The rules of the house that a machine can hold: who imports whom, sizes, names, tests, documents."""

from __future__ import annotations

import ast
import dataclasses
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mitmcodex import paths, provision
from mitmcodex.exchange import Exchange
from mitmcodex.schema import KEYS

PACKAGE = paths.PACKAGE
ROOT = PACKAGE.parent.parent
MODULES = sorted(PACKAGE.rglob("*.py"))
ROOMS = ("wire", "upstream", "state", "proxy", "inspection")
PRIVATE = ("mitmproxy.proxy.layers", "mitmproxy.proxy.events", "mitmproxy.proxy.commands", "mitmproxy.proxy.tunnel")
STANDARD = {"__future__", *sys.stdlib_module_names}


def name_of(path: Path) -> str:
    """Dotted, below the package: ``wire.errors``."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """Every imported module, dotted; ``from mitmcodex import x`` counts as ``mitmcodex.x``."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def is_addon(path: Path) -> bool:
    """A module in the top room with a class that stack.py lists."""
    return path.parent == PACKAGE and path.stem in {name.split(".")[1] for name in listed_in_stack()}


def listed_in_stack() -> list[str]:
    """``mitmcodex.gate.Gate``: what stack.py imports and calls as a class named after its module."""
    tree = parsed(PACKAGE / "stack.py")
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    found = []
    for name in imports(PACKAGE / "stack.py"):
        parts = name.split(".")
        if len(parts) == 3 and parts[0] == "mitmcodex" and parts[2] in called:
            found.append(name)
    return [name for name in found if name.split(".")[1] not in ("process", "resources", "catalogs")]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


each_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


@each_module
def test_rooms_import_downwards_only(path: Path) -> None:
    """wire: standard library; state, upstream: no mitmproxy, not each other, no addon."""
    room = name_of(path).split(".")[0]
    for name in imports(path):
        if room == "wire":
            assert name.split(".")[0] in STANDARD or is_below(name, "mitmcodex.wire"), name
        elif room in ("state", "upstream"):
            assert not is_below(name, "mitmproxy"), name
            assert not is_below(name, "mitmcodex") or is_below(name, f"mitmcodex.{room}") or is_below(
                name, "mitmcodex.wire"
            ), name


@each_module
def test_foreign_code_has_one_door(path: Path) -> None:
    """curl_cffi is known to upstream/curl.py alone; addons don't use the layers of mitmproxy's core, proxy/ does."""
    for name in imports(path):
        if is_below(name, "curl_cffi"):
            assert name_of(path) == "upstream.curl", name
        if any(is_below(name, private) for private in PRIVATE):
            assert name_of(path).startswith("proxy."), name


@each_module
def test_an_addon_imports_no_other(path: Path) -> None:
    """They meet in the Exchange; only stack.py knows them all."""
    if path.name == "stack.py":
        return
    for name in imports(path):
        for addon in listed_in_stack():
            module = addon.rpartition(".")[0]
            assert not is_below(name, module) or name_of(path) == module.removeprefix("mitmcodex."), name


def test_the_stack_is_understood() -> None:
    """The rule above looks at something: the known addons are found in stack.py."""
    assert {"mitmcodex.gate.Gate", "mitmcodex.egress.Egress", "mitmcodex.settings.Settings"} <= {*listed_in_stack()}


def test_main_does_nothing_else() -> None:
    """main.py imports build (or stops), calls it: nothing in it may need a reload or clash with mitmproxy's loader."""
    kinds = [type(node) for node in parsed(PACKAGE.parent / "main.py").body]
    assert kinds == [ast.Expr, ast.Import, ast.Try, ast.Assign]
    assert [file.name for file in PACKAGE.parent.glob("*.py")] == ["main.py"], "more would shadow the standard library"


@each_module
def test_sizes(path: Path) -> None:
    """A file has at most 400 lines, a function 50 and 6 parameters (self not counted)."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    for function in functions(path):
        assert function.end_lineno is not None
        assert function.end_lineno - function.lineno < 50, function.name
        arguments = function.args
        parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        counted = [argument for argument in parameters if argument.arg not in ("self", "cls")]
        assert len(counted) <= 6, function.name


@each_module
def test_names(path: Path) -> None:
    """No drawer for odds and ends, no verb that says nothing."""
    assert not re.search(r"util|helper|manager|common|misc", path.stem)
    for function in functions(path):
        if function.name not in ("_handle_event", "handle_lifecycle"):  # mitmproxy's names, overridden in proxy/
            assert not re.match(r"_*(process|handle|convert)_", function.name), function.name


@each_module
def test_a_blind_except_says_why(path: Path) -> None:
    """`except Exception` stands only where an exchange ends, with its reason; cleaning up and raising is fine."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for node in ast.walk(parsed(path)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = {"BaseException"} if node.type is None else set(re.findall(r"\w+", ast.unparse(node.type)))
        if caught & {"Exception", "BaseException"} and not isinstance(node.body[-1], ast.Raise):
            assert re.search(r"noqa: BLE001\W+\w+", lines[node.lineno - 1]), f"line {node.lineno}"


@each_module
def test_each_module_has_its_test(path: Path) -> None:
    """A test file of its name, or one that imports it; stack.py is run whole, shapes without functions have none."""
    module = name_of(path)
    if path.name == "__init__.py" or module == "stack" or not [*functions(path)]:
        return
    tests = [*(ROOT / "tests").rglob("test_*.py")]
    names = (f"test_{path.stem}.py", f"test_{module.replace('.', '_')}.py")
    imported = re.compile(rf"mitmcodex\.{re.escape(module)}\b|import .*\b{path.stem}\b")
    own = [test for test in tests if test.name in names]
    named = [test for test in tests if imported.search(test.read_text(encoding="utf-8"))]
    assert own or named


def test_each_field_of_an_exchange_has_its_writers_named() -> None:
    """The table in the docstring lists every field that a part writes while the exchange runs."""
    rows = set(re.findall(r"^\s*\| (\w+) +\|", Exchange.__doc__ or "", re.MULTILINE)) - {"field"}
    given = {"flow", "admission", "started_at"}
    assert rows == {field.name for field in dataclasses.fields(Exchange)} - given


def test_only_the_named_parts_write_a_field() -> None:
    """`exchange.provider = …` stands in the modules of that row alone."""
    table = dict(re.findall(r"^\s*\| (\w+) +\| (.+?) *\|$", Exchange.__doc__ or "", re.MULTILINE))
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                if re.fullmatch(r"(self\._?)?exchange", ast.unparse(node.value)):
                    assert path.stem in table.get(node.attr, ""), f"{name_of(path)} writes {node.attr}"


def test_default_yaml_holds_every_key_with_a_reason() -> None:
    """Each scalar option is in default.yaml, each line there says why; each field of a provider is described."""
    text = paths.default_config().read_text(encoding="utf-8")
    keys = yaml.safe_load(text)
    assert {key.name for key in KEYS} - {"config"} <= keys.keys()
    for name in set(keys) - {"providers"}:
        assert re.search(rf"^{name}:.* # \S", text, re.MULTILINE), name
    for name in provision.FIELDS:
        assert re.search(rf"^#   {name}:", text, re.MULTILINE), name


def test_every_package_is_in_the_wheel() -> None:
    """pyproject.toml names each folder with modules, and the three that travel inside the package."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    found = {".".join(("mitmcodex", *path.relative_to(PACKAGE).parts[:-1])) for path in MODULES}
    assert {*listed} == found | {"mitmcodex._config", "mitmcodex._fingerprints", "mitmcodex._script"}


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def test_dependencies_are_those_that_are_imported() -> None:
    """pyproject.toml names what the package imports, no more and no less."""
    import_names = {"pyyaml": "yaml", "splintr-rs": "splintr"}
    packages = [re.split("[<>=]", entry)[0] for entry in project()["dependencies"]]
    named = {import_names.get(package, package) for package in packages}
    imported = {name.split(".")[0] for path in MODULES for name in imports(path)}
    assert named == imported - STANDARD - {"mitmcodex"}


def test_python_and_licence() -> None:
    """Python 3.12 is enough, and the code may be used freely."""
    assert project()["requires-python"] == ">=3.12"
    assert project()["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License\n")
