"""wire/installation.py: where a Codex client's request tells its installation id (conformance 79)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mitmcodex.wire.installation import changes_with, headers_with, installation_of

THEIRS, OURS = "11111111-2222-4333-8444-555555555555", "66666666-7777-4888-9999-000000000000"


def metadata(installation: str) -> str:
    return json.dumps({"installation_id": installation, "turn_id": "t"}, separators=(",", ":"))


def told(installation: str) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    headers = [("X-Codex-Installation-Id", installation), ("x-codex-turn-metadata", metadata(installation)), ("a", "b")]
    held = {"x-codex-installation-id": installation, "x-codex-turn-metadata": metadata(installation), "turn_id": "t"}
    return headers, {"model": "m", "client_metadata": held}


def test_each_place_tells_the_id() -> None:
    """conformance 79: header, turn metadata, client_metadata, each by itself."""
    headers, fields = told(THEIRS)
    places = [([pair], {}) for pair in headers[:2]]
    places += [([], {"client_metadata": {name: value}}) for name, value in fields["client_metadata"].items()][:2]
    assert [installation_of(*place) for place in places] == [THEIRS] * 4
    assert installation_of([("session-id", THEIRS)], {"client_metadata": {"turn_id": THEIRS}}) == ""


def test_all_places_tell_the_same_afterwards() -> None:
    """conformance 79: rewritten consistently, everything else stays, and client_metadata is all of the body."""
    headers, fields = told(THEIRS)
    assert headers_with(headers, OURS) == told(OURS)[0]
    assert changes_with(fields, OURS) == {"client_metadata": told(OURS)[1]["client_metadata"]}


@pytest.mark.parametrize("held", [None, "x", [], {}, {"turn_id": "t"}, {"x-codex-installation-id": 7}])
def test_who_tells_none_is_given_none(held: Any) -> None:
    """An id is not made up, whatever client_metadata is."""
    assert changes_with({"client_metadata": held}, OURS) == changes_with({}, OURS) == {}
    assert installation_of([], {"client_metadata": held}) == ""


ODD = ["", "{", "[1]", "7", '{"installation_id": 7}', '{"installation_id": ""}', "[" * 99999]


@pytest.mark.parametrize("text", ODD)
def test_odd_metadata_stays(text: str) -> None:
    """It is the client's, and no JSON breaks us."""
    headers = [("x-codex-turn-metadata", text)]
    assert headers_with(headers, OURS) == headers and installation_of(headers, {}) == ""
