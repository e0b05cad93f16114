"""Credentials on disk, read-only: the Codex CLI's auth.json, key files, environment references.

The store is asynchronous so that another one (own login with refresh, a shared server) can take its place. Nothing here
refreshes a token or writes a file: refresh tokens are single use, and a second user of one logs the first out
(protocol.md 6.5).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

REREAD_S = 0.1
"""The Codex CLI writes its auth.json in place: one that makes no sense may be half written, so it is read once more."""


class CredentialError(Exception):
    """A credential is missing or unusable. The message names the file or variable and the command to run."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What pays for a call. ``repr`` shows no secret."""

    kind: str
    """bearer (ChatGPT tokens) | key (API key) | none"""
    secret: str = field(default="", repr=False)
    account_id: str = field(default="", repr=False)
    """The chatgpt-account-id; empty for API keys."""
    account: str = ""
    """An opaque name of the account for ConnectionKey: a short hash, no secret."""
    is_fedramp: bool = False
    source: str = ""
    """What a person is told: "codex: ~/.codex/auth.json", "env: NAME"."""
    remedy: str = ""
    """The command that mends it when it is refused: "codex login" …"""
    expires_at: float = 0.0
    """Unix seconds of the access token's ``exp``; 0 = unknown."""
    plan: str = ""
    """The account's plan when it logged in: free, plus, pro …; "" = unknown."""


class CredentialStore(Protocol):
    async def current(self) -> Credential:
        """The credential to use now; raises CredentialError."""

    async def refused(self, credential: Credential) -> Credential | None:
        """The upstream answered 401 to it: a different one to try once, or None."""


class Reference(Protocol):
    """Where a secret lies (``upstream.providers.CredentialRef``)."""

    @property
    def how(self) -> str:
        """codex | file | env | stdin | none"""

    @property
    def where(self) -> str:
        """A path or a variable's name."""


def store_for(ref: Reference, kind: str, stdin_key: bytes | bytearray | None = None) -> CredentialStore:
    """The store for a reference and a provider of this kind; raises CredentialError for a reference it can't serve.

    ``{file:}`` holds auth.json for kind chatgpt, the key's text for all others (house.md section 8). ``stdin_key`` is
    what was read from stdin at start.
    """
    if ref.how == "none":
        return NoCredential()
    if ref.how == "stdin":
        if not stdin_key:
            raise CredentialError("no key came from stdin: pipe it into the program's start")
        return KeyGiven(stdin_key)
    if ref.how == "env":
        return KeyEnv(ref.where)
    if ref.how == "codex" or (ref.how == "file" and kind == "chatgpt"):
        return CodexFile(ref.where, kind, how=ref.how)
    if ref.how == "file":
        return KeyFile(ref.where)
    raise CredentialError(f"a credential of form '{ref.how}' is not known: use codex, file, env, stdin or none")


def exists(ref: Reference, kind: str) -> bool:
    """Whether the reference leads to a usable credential now (for ``upstream: auto``); stdin counts as one."""
    if ref.how in ("none", "stdin"):
        return True
    try:
        store = store_for(ref, kind)
        if isinstance(store, StoredCredential):
            store.load()
    except CredentialError:
        return False
    return True


def expires_at(ref: Reference, kind: str) -> float:
    """When what the reference leads to expires, in Unix seconds; 0 = never, or nobody knows."""
    if ref.how not in ("codex", "file"):
        return 0.0
    try:
        store = store_for(ref, kind)
        return store.load().expires_at if isinstance(store, StoredCredential) else 0.0
    except CredentialError:
        return 0.0


class NoCredential:
    """For a provider that asks for none."""

    async def current(self) -> Credential:
        return Credential("none", account="none", source="no credential")

    async def refused(self, credential: Credential) -> Credential | None:
        return None


class KeyGiven:
    """A key from stdin. Python needs it as text for the header: that copy can be neither locked nor wiped."""

    def __init__(self, key: bytes | bytearray) -> None:
        source = "key from stdin"
        text = _checked(key.decode("ascii", "replace"), source, "give another key at the next start")
        self._credential = _key_credential(text, source, "restart with a valid key on stdin")

    async def current(self) -> Credential:
        return self._credential

    async def refused(self, credential: Credential) -> Credential | None:
        return None


class StoredCredential(ABC):
    """A credential that may change where it lies."""

    def __init__(self) -> None:
        self._credential: Credential | None = None

    @abstractmethod
    def load(self) -> Credential:
        """Read it now; raises CredentialError."""

    def is_stale(self) -> bool:
        """Whether it may have changed since it was read; cheap, as each request asks."""
        return True

    async def current(self) -> Credential:
        if self._credential is None or self.is_stale():
            self._credential = await self._loaded()
        return self._credential

    async def _loaded(self) -> Credential:
        try:
            return self.load()
        except CredentialError:
            await asyncio.sleep(REREAD_S)
            return self.load()

    async def refused(self, credential: Credential) -> Credential | None:
        self._credential = await self._loaded()
        return self._credential if self._credential.secret != credential.secret else None


class KeyEnv(StoredCredential):
    """An API key in an environment variable."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def load(self) -> Credential:
        remedy = f"set the environment variable {self._name}"
        source = f"env: {self._name}"
        return _key_credential(_checked(os.environ.get(self._name, ""), source, remedy), source, remedy)


class StoredFile(StoredCredential):
    """A file that is read again when it changes, told by (mtime, size, inode): a rename over it changes the inode."""

    _MAX_BYTES = 1 << 20

    def __init__(self, where: str, how: str, remedy: str) -> None:
        super().__init__()
        self._path = Path(where).expanduser()
        self.source = f"{how}: {where}"
        self.remedy = remedy
        self._seen: tuple[int, int, int] | None = None

    @abstractmethod
    def parse(self, text: str) -> Credential:
        """Raises CredentialError."""

    def is_stale(self) -> bool:
        try:
            return _identity(os.stat(self._path)) != self._seen
        except OSError:
            return True

    def load(self) -> Credential:
        try:
            with open(self._path, "rb") as file:
                seen = _identity(os.fstat(file.fileno()))
                data = file.read(self._MAX_BYTES)
        except FileNotFoundError:
            raise CredentialError(f"{self.source} does not exist: {self.remedy}") from None
        except OSError as error:
            raise CredentialError(f"{self.source} can't be read ({error.strerror}): {self.remedy}") from None
        credential = self.parse(data.decode("utf-8", "replace"))
        self._seen = seen
        return credential


class KeyFile(StoredFile):
    """A file whose text is an API key."""

    def __init__(self, where: str) -> None:
        super().__init__(where, "file", f"put the key into {where}")

    def parse(self, text: str) -> Credential:
        return _key_credential(_checked(text, self.source, self.remedy), self.source, self.remedy)


class CodexFile(StoredFile):
    """The Codex CLI's auth.json (protocol.md 6.4, 6.6): its tokens for kind chatgpt, its API key for all others."""

    def __init__(self, where: str, kind: str, how: str = "codex") -> None:
        login = "run `codex login`" if kind == "chatgpt" else "run `codex login --with-api-key`"
        super().__init__(where, how, login)
        self._takes_tokens = kind == "chatgpt"

    def parse(self, text: str) -> Credential:
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise CredentialError(f"{self.source} is no JSON object: {self.remedy}")
        return self._tokens(content) if self._takes_tokens else self._key(content)

    def _key(self, content: dict[str, Any]) -> Credential:
        key = content.get("OPENAI_API_KEY")
        if not isinstance(key, str) or not key:
            raise CredentialError(f"{self.source} holds no API key: {self.remedy}, or use `upstream: chatgpt`")
        return _key_credential(_checked(key, self.source, self.remedy), self.source, self.remedy)

    def _tokens(self, content: dict[str, Any]) -> Credential:
        mode = content.get("auth_mode") or "chatgpt"
        if mode == "apikey":
            raise CredentialError(
                f"{self.source} holds an API key, no ChatGPT tokens: {self.remedy}, or use `upstream: openai`"
            )
        if mode not in ("chatgpt", "chatgptAuthTokens"):
            raise CredentialError(f"{self.source} holds a login of another kind than ChatGPT tokens: {self.remedy}")
        tokens = content.get("tokens")
        tokens = tokens if isinstance(tokens, dict) else {}
        access = _checked(_text(tokens.get("access_token")), f"the access token in {self.source}", self.remedy)
        claims = _claims(_text(tokens.get("id_token")))
        account_id = _text(tokens.get("account_id")) or _text(_auth_claims(claims).get("chatgpt_account_id"))
        account_id = _checked(account_id, f"the account id in {self.source}", self.remedy)
        return Credential(
            kind="bearer",
            secret=access,
            account_id=account_id,
            account=_opaque(account_id),
            is_fedramp=_auth_claims(claims).get("chatgpt_account_is_fedramp") is True,
            source=self.source,
            remedy=self.remedy,
            expires_at=_expiry(_claims(access)),
            plan=_text(_auth_claims(claims).get("chatgpt_plan_type")),
        )


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_mtime_ns, status.st_size, status.st_ino


def _key_credential(key: str, source: str, remedy: str) -> Credential:
    return Credential("key", secret=key, account=_opaque(key), source=source, remedy=remedy)


def _checked(value: str, source: str, remedy: str) -> str:
    """The value without surrounding blanks; it goes into a header, so it must be one word of printable ASCII."""
    value = value.strip()
    if not value:
        raise CredentialError(f"{source} is missing or empty: {remedy}")
    if not all("!" <= ch <= "~" for ch in value):
        raise CredentialError(f"{source} holds characters that no key has: {remedy}")
    return value


def _opaque(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _claims(token: str) -> dict[str, Any]:
    """The claims of a JWT, its signature unchecked as in the CLI; empty when it has no such form."""
    parts = token.split(".")
    if len(parts) != 3 or not all(parts):
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}


def _auth_claims(claims: dict[str, Any]) -> dict[str, Any]:
    auth = claims.get("https://api.openai.com/auth")
    return auth if isinstance(auth, dict) else {}


def _expiry(claims: dict[str, Any]) -> float:
    expires = claims.get("exp")
    return float(expires) if isinstance(expires, int | float) else 0.0
