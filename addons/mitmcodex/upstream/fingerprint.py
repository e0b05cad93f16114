"""A profile: how one observed client looks on the wire, read from ``fingerprints/NAME.yaml``.

Pure: it knows what goes out and in which order, not what sends it. Facts from fingerprint.md and protocol.md 1.1.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

Pair = tuple[str, str]

SLOTS = ("provider", "client", "credential")
NOT_FORWARDED = frozenset(
    # One hop's own business: what frames the body and names the host is made anew for the upstream connection.
    ("connection", "content-length", "expect", "host", "http2-settings", "keep-alive", "proxy-authorization")
    + ("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "authorization")
)


class ProfileError(Exception):
    """One line for a person: which profile, what is wrong, and the remedy."""


@dataclass(frozen=True, slots=True)
class ObservedIn:
    """What the profile was measured on. ``capture`` names the fixture it is checked against, "" if there is none."""

    client: str
    version: str
    date: str
    capture: str = ""


@dataclass(frozen=True, slots=True)
class ClientValues:
    """What the observed client says of itself; used for callers that are not Codex."""

    version: str = ""
    originator: str = ""
    user_agent: str = ""
    beta_features: str = ""


@dataclass(frozen=True, slots=True)
class Tls:
    """Names as BoringSSL spells them; ``extensions`` are numbers, a set: their order is drawn once per transport."""

    min_version: str
    ciphers: tuple[str, ...]
    groups: tuple[str, ...]
    key_shares: int
    signature_algorithms: tuple[str, ...]
    extensions: tuple[int, ...]
    session_ticket: bool = True


@dataclass(frozen=True, slots=True)
class Http2:
    """The three fields of an Akamai fingerprint that are not PRIORITY frames (none of our clients sends any)."""

    settings: str
    window_update: int
    pseudo_headers: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One place in a header list: a named header with a ``fact`` (a field of HeaderFacts) or a fixed ``value``; or a
    slot for headers named elsewhere. ``kinds`` limits it to these kinds of provider, ``allow`` (globs) is for the
    slot ``client``."""

    name: str = ""
    fact: str = ""
    value: str = ""
    slot: str = ""
    kinds: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()


CallHeaders = tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    name: str
    about: str
    observed_in: ObservedIn
    values: ClientValues
    tls: Tls
    http2: Http2
    calls: Mapping[str, CallHeaders]
    """Header order by call: responses, compact, models, side."""
    http1_tail: tuple[str, ...]
    """On HTTP/1.1 these close the list, in this order."""
    explained: Mapping[str, str]
    """Accepted differences from the capture: field of the capture → reason."""


@dataclass(frozen=True, slots=True, repr=False)
class HeaderFacts:
    """What the headers of one call are made from; an empty fact leaves its header out. No repr: it holds secrets."""

    kind: str
    """The provider's kind (providers.KINDS): it decides which headers go."""
    credential: Pair | None = None
    """(header name, whole value), e.g. ("authorization", "Bearer …")."""
    provider_headers: tuple[Pair, ...] = ()
    """``headers:`` of the provider, first in the list."""
    client_headers: tuple[Pair, ...] = ()
    """The caller's own headers; a profile takes from them what its ``allow`` names."""
    version: str = ""
    originator: str = ""
    user_agent: str = ""
    account_id: str = ""
    is_fedramp: bool = False
    session_id: str = ""
    thread_id: str = ""
    request_id: str = ""
    window_id: str = ""
    installation_id: str = ""
    turn_metadata: str = ""
    turn_state: str = ""
    beta_features: str = ""
    routing_hint: str = ""
    routing_override: str = ""
    lite: bool = False
    anthropic_version: str = ""
    anthropic_beta: str = ""
    accept: str = ""
    content_encoding: str = ""
    content_type: str = ""
    content_length: str = ""
    cookie: str = ""


_NOT_FACTS = ("kind", "credential", "provider_headers", "client_headers")
FACTS = tuple(f.name for f in dataclasses.fields(HeaderFacts) if f.name not in _NOT_FACTS)


def headers_for(profile: Profile, call: str, facts: HeaderFacts) -> tuple[Pair, ...]:
    """The ordered headers of one call, names in lower case, without ``host`` (the transport adds it).

    A header that the provider sets is not set again; the client's headers never replace one that the list names.
    Raises KeyError for a call that the profile has no list for.
    """
    entries = [entry for entry in profile.calls[call] if not entry.kinds or facts.kind in entry.kinds]
    named = {entry.name for entry in profile.calls[call] if entry.name}
    if facts.credential:
        named.add(facts.credential[0].lower())
    own = {name.lower() for name, _ in facts.provider_headers}
    pairs: list[Pair] = []
    for entry in entries:
        if entry.slot == "provider":
            pairs += [(name.lower(), value) for name, value in facts.provider_headers]
        elif entry.slot == "client":
            pairs += _from_client(facts.client_headers, entry.allow, named | own)
        else:
            name, value = _named(entry, facts)
            if value and name not in own:
                pairs.append((name, value))
    return tuple(pairs)


def _named(entry: Entry, facts: HeaderFacts) -> Pair:
    if entry.slot == "credential":
        return (facts.credential[0].lower(), facts.credential[1]) if facts.credential else ("", "")
    value = getattr(facts, entry.fact) if entry.fact else ""
    return entry.name, "true" if value is True else value or entry.value


def _from_client(headers: tuple[Pair, ...], allow: tuple[str, ...], taken: set[str]) -> list[Pair]:
    lowered = [(name.strip().lower(), value) for name, value in headers]
    return [
        (name, value)
        for name, value in lowered
        if name not in taken and name not in NOT_FORWARDED and any(fnmatchcase(name, glob) for glob in allow)
    ]


def with_host(profile: Profile, headers: tuple[Pair, ...], host: str, is_http1: bool) -> tuple[Pair, ...]:
    """The list with ``host``, which HTTP/2 turns into ``:authority``; on HTTP/1.1 in that version's order."""
    pairs = (*(pair for pair in headers if pair[0].lower() != "host"), ("host", host))
    if not is_http1:
        return pairs
    tail = profile.http1_tail
    last = sorted((pair for pair in pairs if pair[0].lower() in tail), key=lambda pair: tail.index(pair[0].lower()))
    return (*(pair for pair in pairs if pair[0].lower() not in tail), *last)


def names(folder: Path) -> tuple[str, ...]:
    """The profiles that lie in ``folder``."""
    return tuple(sorted(path.stem for path in folder.glob("*.yaml")))


def load(name: str, folder: Path) -> Profile:
    """Read ``folder/name.yaml``; raises ProfileError."""
    known = names(folder)
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none'}"
        raise ProfileError(f"no profile {name!r} in {folder}; {hint}")
    try:
        raw = yaml.safe_load((folder / f"{name}.yaml").read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ProfileError(f"profile {name} can't be read: {' '.join(str(error).split())}") from error
    profile = _build(Profile, raw, name)
    if profile.name != name:
        raise ProfileError(f"profile {name}: its name says {profile.name!r}; name and file must agree")
    for call, entries in profile.calls.items():
        for number, entry in enumerate(entries):
            _check_entry(entry, f"{name}: calls.{call}[{number}]")
    return profile


def _check_entry(entry: Entry, where: str) -> None:
    if bool(entry.name) == bool(entry.slot):
        raise ProfileError(f"profile {where}: needs either a name or a slot")
    if entry.slot and entry.slot not in SLOTS:
        raise ProfileError(f"profile {where}: unknown slot {entry.slot!r}; there are: {', '.join(SLOTS)}")
    if entry.fact and entry.fact not in FACTS:
        raise ProfileError(f"profile {where}: unknown fact {entry.fact!r}; there are: {', '.join(FACTS)}")
    if entry.name and not (entry.fact or entry.value):
        raise ProfileError(f"profile {where}: {entry.name} needs a fact or a value")
    if entry.name != entry.name.lower():
        raise ProfileError(f"profile {where}: {entry.name} must be in lower case")


def _build[T](shape: type[T], raw: Any, where: str) -> T:
    """A dataclass from what YAML gave: every key known, every required one there, every type right."""
    hints = typing.get_type_hints(shape)
    shape_fields = dataclasses.fields(shape)  # type: ignore[arg-type]  # T is a dataclass; no bound can say so
    if not isinstance(raw, dict):
        raise ProfileError(f"profile {where}: must be a mapping of {', '.join(hints)}")
    for key in raw:
        if key not in hints:
            raise ProfileError(f"profile {where}: unknown key {key!r}; there are: {', '.join(hints)}")
    for f in shape_fields:
        if f.default is dataclasses.MISSING and f.name not in raw:
            raise ProfileError(f"profile {where}: {f.name} is missing")
    return shape(**{key: _value(hints[key], value, f"{where}: {key}") for key, value in raw.items()})


def _value(hint: Any, raw: Any, where: str) -> Any:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        if not isinstance(raw, list):
            raise ProfileError(f"profile {where}: must be a list")
        return tuple(_value(parts[0], item, f"{where}[{number}]") for number, item in enumerate(raw))
    if origin is Mapping:
        if not isinstance(raw, dict):
            raise ProfileError(f"profile {where}: must be a mapping")
        return {str(key): _value(parts[1], item, f"{where}.{key}") for key, item in raw.items()}
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type[Any], hint), raw, where)
    if type(raw) is not hint:
        raise ProfileError(f"profile {where}: must be {hint.__name__}, is {raw!r}")
    return raw
