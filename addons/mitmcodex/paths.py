"""Where folders and files are: ours (in a checkout and in a wheel) and the user's (XDG, CODEX_HOME)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mitmcodex.schema import SettingsError

PACKAGE = Path(__file__).resolve().parent


def _ours(in_checkout: str, in_wheel: str) -> Path:
    """pyproject.toml puts the folders beside ``addons/`` into the package when it builds a wheel."""
    checkout = PACKAGE.parent.parent / in_checkout
    return checkout if checkout.exists() else PACKAGE / in_wheel


def default_config() -> Path:
    return _ours("config/default.yaml", "_config/default.yaml")


def model_catalog() -> Path:
    return _ours("config/models.yaml", "_config/models.yaml")


def clients() -> Path:
    return _ours("config/clients.yaml", "_config/clients.yaml")


def fingerprints() -> Path:
    return _ours("fingerprints", "_fingerprints")


def script() -> Path:
    """What ``mitmdump -s`` is given."""
    return _ours("addons/main.py", "_script/main.py")


def user_config(environ: Mapping[str, str]) -> Path:
    return _xdg(environ, "XDG_CONFIG_HOME", ".config") / "mitmcodex" / "config.yaml"


def state_folder(environ: Mapping[str, str]) -> Path:
    return _xdg(environ, "XDG_STATE_HOME", ".local/state") / "mitmcodex"


def codex_home(environ: Mapping[str, str]) -> Path:
    return expanded(environ.get("CODEX_HOME") or "~/.codex")


def expanded(text: str) -> Path:
    """A path with ``~`` and ``~NAME`` resolved; raises SettingsError where there is no such home."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise SettingsError(f"{text}: there is no such home folder (is HOME set?)") from None


def _xdg(environ: Mapping[str, str], variable: str, fallback: str) -> Path:
    # The XDG specification: a relative path in these variables is invalid and ignored.
    named = environ.get(variable, "")
    return Path(named) if Path(named).is_absolute() else expanded(f"~/{fallback}")
