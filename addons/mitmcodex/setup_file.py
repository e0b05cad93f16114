"""A client's settings file: ours is put into the JSON that is there, and nothing that is there is changed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mitmcodex.schema import SettingsError
from mitmcodex.setup_codex import Written
from mitmcodex.state.files import write_private

SECRET_NAME = re.compile(r"(?i)key|token|secret|password")
"""What stands under such a name is not shown."""


def write(path: Path, ours: dict[str, Any], holds_key: bool) -> Written:
    """Adds what is missing. A file that has other values for ours is left as it is: ``difference`` names them.

    ``holds_key``: the file is readable by its owner alone then. Raises SettingsError for a file that is no plain JSON
    object, or that can't be written.
    """
    there = _read(path)
    difference = "".join(_differences(there, ours, ""))
    if difference:
        return Written(path, difference=difference)
    merged = _merged(there, ours)
    if merged == there:
        return Written(path)
    try:
        # A link stays one: people keep such files elsewhere.
        whole = path.resolve()
        mode = whole.stat().st_mode & 0o777 if whole.exists() and not holds_key else 0o600
        write_private(whole, (json.dumps(merged, indent=2, ensure_ascii=False) + "\n").encode())
        os.chmod(whole, mode)
    except OSError as error:
        raise SettingsError(f"can't write {path}: {error}") from None
    return Written(path, is_new=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"can't read {path}: {error}") from None
    except ValueError:
        there = None  # with comments, say, which would be lost
    if not isinstance(there, dict):
        raise SettingsError(f"{path} is no plain JSON object: put the settings there yourself")
    return there


def _differences(there: dict[str, Any], ours: dict[str, Any], path: str) -> Iterator[str]:
    for name, value in ours.items():
        here = f"{path}.{name}" if path else name
        if name not in there or there[name] == value:
            continue
        if isinstance(value, dict) and isinstance(there[name], dict):
            yield from _differences(there[name], value, here)
        else:
            is_secret = SECRET_NAME.search(name) is not None
            old, new = ("…" if is_secret else json.dumps(held) for held in (there[name], value))
            yield f"-{here}: {old}\n+{here}: {new}\n"


def _merged(there: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    merged = dict(there)
    for name, value in ours.items():
        held = merged.get(name)
        merged[name] = _merged(held, value) if isinstance(held, dict) and isinstance(value, dict) else value
    return merged
