"""What exchanges share: connections, cookie jars, credential stores, profiles, ids. Made at first use, kept by Process.

Everything is kept by ConnectionKey (credential stores: by where the secret lies), so that two accounts never mix, and
by what it was made from besides: after a reload an edited provider never gets what the old one used.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import uuid

from mitmcodex import paths
from mitmcodex.exchange import WireIdentity
from mitmcodex.process import Process
from mitmcodex.state import credentials
from mitmcodex.state.cookies import CookieJar
from mitmcodex.state.credentials import CredentialStore
from mitmcodex.state.installations import first_account, installation_id
from mitmcodex.state.responses import ResponseStore
from mitmcodex.upstream import fingerprint
from mitmcodex.upstream.curl import CurlTransport
from mitmcodex.upstream.demo import DemoTransport
from mitmcodex.upstream.fingerprint import Profile
from mitmcodex.upstream.providers import Provider
from mitmcodex.upstream.transport import ConnectionKey, ConnectTarget, Transport

log = logging.getLogger(__name__)


def key_name(key: ConnectionKey) -> str:
    """A file name for what is kept by this key."""
    return hashlib.sha256("\0".join(dataclasses.astuple(key)).encode()).hexdigest()[:24]


class Resources:
    def __init__(self, process: Process) -> None:
        self._process = process
        self._profiles: dict[str, Profile] = {}
        self._installations: dict[ConnectionKey, str] = {}
        self._owners: dict[str, str] = {}
        self._responses: dict[int, ResponseStore] = {}

    def transport(self, identity: WireIdentity, provider: Provider) -> Transport:
        transports = self._process.transports
        target = ConnectTarget(provider.resolve, provider.ca_file, provider.http_version)
        if (identity.key, target) not in transports:
            is_demo = provider.kind == "demo"
            made = DemoTransport() if is_demo else CurlTransport(identity.profile, target)
            transports[identity.key, target] = made
        return transports[identity.key, target]

    def jar(self, key: ConnectionKey, provider: Provider) -> CookieJar:
        jars = self._process.jars
        if (key, provider.base_url) not in jars:
            file = self._process.current.state_dir / "cookies" / key_name(key)
            jars[key, provider.base_url] = CookieJar(file, provider.base_url)
        return jars[key, provider.base_url]

    def store(self, provider: Provider) -> CredentialStore:
        stores = self._process.stores
        ref, kind = provider.credential, provider.kind
        if (ref, kind) not in stores:
            stores[ref, kind] = credentials.store_for(ref, kind, self._process.stdin_key)
        return stores[ref, kind]

    def responses(self) -> ResponseStore:
        """The responses that are kept here; by their bound, which a live edit may change."""
        settings = self._process.current
        bound = settings.response_store_max_bytes
        if bound not in self._responses:
            self._responses = {bound: ResponseStore(settings.state_dir / "responses", bound)}
        return self._responses[bound]

    def profile(self, name: str) -> Profile:
        """Raises ProfileError."""
        if name not in self._profiles:
            self._profiles[name] = fingerprint.load(name, paths.fingerprints())
        return self._profiles[name]

    def installation(self, key: ConnectionKey) -> str:
        """The id is made once and kept on disk; where the disk refuses, for this run alone."""
        if key not in self._installations:
            try:
                self._installations[key] = installation_id(self._process.current.state_dir, key_name(key))
            except OSError as error:
                log.warning(f"the installation id can't be kept in {self._process.current.state_dir}: {error.strerror}")
                self._installations[key] = str(uuid.uuid4())
        return self._installations[key]

    def owner(self, installation: str, account: str) -> str:
        """The account that a Codex client's own installation id belongs to: the first with which it was used. Where
        the disk refuses, the first of this run."""
        if installation not in self._owners:
            try:
                found = first_account(self._process.current.state_dir, installation, account)
            except OSError as error:
                log.warning(f"a client's id can't be kept in {self._process.current.state_dir}: {error.strerror}")
                found = account
            self._owners[installation] = found
        return self._owners[installation]
