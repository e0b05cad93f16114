"""The settings as live options."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.exceptions import OptionsError
from mitmproxy.test import taddons

from mitmcodex import configuration
from mitmcodex.process import Process
from mitmcodex.schema import KEYS
from mitmcodex.settings import Settings


@pytest.fixture
def process(tmp_path: Path) -> Process:
    environ = {name: str(tmp_path) for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "CODEX_HOME")}
    return Process(settings=configuration.load({}, environ))


@pytest.fixture
def context(process: Process) -> Iterator[Any]:
    with taddons.context() as made:
        made.options.mode = ["reverse:http://codex.invalid@127.0.0.1:0"]
        made.master.addons.add(Settings(process))
        yield made


def test_each_key_is_an_option_with_help(context: Any) -> None:
    """Every scalar is there as codex_NAME with its default and a text."""
    for key in KEYS:
        assert getattr(context.options, key.option) == configuration.default_values()[key.name]
        assert context.options._options[key.option].help


def test_an_edit_takes_effect(context: Any, process: Process) -> None:
    """A live value changes process.settings, and a reload will keep it."""
    context.options.codex_max_queue = 3
    context.options.codex_allowed_hosts = ["box.example"]
    assert (process.current.max_queue, process.current.allowed_hosts) == (3, ("box.example",))
    assert process.set_names == {"max_queue", "allowed_hosts"}


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("codex_listen", "127.0.0.1:1", "codex_listen needs a restart"),
        ("codex_secure", True, "codex_secure needs a restart"),
        ("codex_max_body_bytes", 0, "must be more than 0"),
        ("codex_max_queue", -1, "whole number from 0 up"),
        ("mode", ["regular"], "can't run in mode 'regular'"),
        ("mode", ["reverse:http://codex.invalid@0.0.0.0:0"], "no client key is set"),
    ],
)
def test_an_edit_that_can_not_be_is_rolled_back(
    context: Any, process: Process, option: str, value: object, expected: str
) -> None:
    """The editor is told why, option and settings stay as they were: no forward proxy by an edit of mode."""
    before, settings = getattr(context.options, option), process.current
    with pytest.raises(OptionsError, match=expected):
        context.options.update(**{option: value})
    assert getattr(context.options, option) == before
    assert process.current is settings
