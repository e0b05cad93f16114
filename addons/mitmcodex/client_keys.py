"""The keys behind ``client_keys:``, which a client shows to come in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from mitmcodex.schema import SettingsError
from mitmcodex.upstream.providers import CredentialRef


def read(references: Iterable[CredentialRef], environ: Mapping[str, str]) -> tuple[bytes, ...]:
    """The keys. An unset or empty variable counts as none; raises SettingsError for a file that is missing or empty, as
    a proxy that opens up because a file is gone would be a trap."""
    keys = []
    for reference in references:
        if reference.how == "env":
            key = environ.get(reference.where, "").strip()
        else:
            try:
                key = Path(reference.where).read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = type(error).__name__
                raise SettingsError(f"client_keys: {reference.where} can't be read ({reason})") from error
            if not key:
                raise SettingsError(f"client_keys: {reference.where} is empty")
        if key:
            keys.append(key.encode())
    return tuple(keys)
