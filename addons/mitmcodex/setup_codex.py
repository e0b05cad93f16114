"""The profile file that sends the Codex CLI through us (the form of 0.169: protocol.md section 8)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mitmcodex.schema import Listen, SettingsError
from mitmcodex.upstream.providers import CredentialRef

PROVIDER_ID = "mitmcodex"
KEY_VARIABLE = "MITMCODEX_CLIENT_KEY"
PROFILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a profile file. ``difference`` is a unified diff when the file there differs, and was left."""

    path: Path
    is_new: bool = False
    difference: str = ""


def reachable(listen: Listen) -> Listen:
    """Where a client on this machine connects to: no address of "all interfaces"."""
    return Listen({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host), listen.port)


def profile_text(listen: Listen, client_keys: Sequence[CredentialRef] = ()) -> str:
    """``NAME.config.toml``; ``env_key`` only with a client key, as Codex fails a turn when the variable is not set.

    It names the variable that the key comes from; for a key from a file, one that the user is to set.
    """
    lines = [
        f'model_provider = "{PROVIDER_ID}"',
        "",
        f"[model_providers.{PROVIDER_ID}]",
        f'name = "{PROVIDER_ID}"',
        f'base_url = "http://{reachable(listen)}/v1"',
        'wire_api = "responses"',
        "supports_websockets = false",
    ]
    if client_keys:
        variables = [ref.where for ref in client_keys if ref.how == "env"]
        lines.append(f'env_key = "{[*variables, KEY_VARIABLE][0]}"')
    return "\n".join(lines) + "\n"


def profile_path(codex_home: Path, name: str) -> Path:
    """Raises SettingsError for a name that Codex does not take as a profile, or that is no file name."""
    if not PROFILE_NAME.fullmatch(name):
        raise SettingsError(f"--profile takes letters, digits, - and _, not {name!r}")
    return codex_home / f"{name}.config.toml"


def write(path: Path, text: str) -> Written:
    """Puts the profile there unless a differing file is in the way; raises SettingsError when it can't."""
    try:
        if path.exists():
            return Written(path, difference=_difference(path, text))
        path.parent.mkdir(parents=True, exist_ok=True)
        # "x": a file that appears meanwhile is not overwritten either.
        with path.open("x", encoding="utf-8") as profile:
            profile.write(text)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"can't write {path}: {error}") from None
    return Written(path, is_new=True)


def _difference(path: Path, text: str) -> str:
    there = path.read_text(encoding="utf-8").splitlines(keepends=True)
    new = text.splitlines(keepends=True)
    return "".join(difflib.unified_diff(there, new, str(path), f"{path} (mitmcodex)"))
