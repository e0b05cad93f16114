"""The fingerprint table accepts what we send today and nothing else."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from mitmcodex import paths
from mitmcodex.upstream.fingerprint import load
from support import clienthello, fingerprint_table
from support.fingerprint_table import CAPTURE, PROFILE, SCSV, Row, compare, measure

JSON = dict[str, Any]
REAL: JSON = json.loads(CAPTURE.read_text())
EXPLAINED = load(PROFILE, paths.fingerprints()).explained


def nearest() -> JSON:
    """What we can send at best: the capture without the SCSV, extensions in another order, another authority."""
    ours = copy.deepcopy(REAL)
    hello = ours["client_hello"]
    hello["ciphers"].remove(SCSV)
    hello["hello_len"] -= 2
    hello["ext_order"].reverse()
    hello["fp"] = clienthello.fingerprints(hello)
    ours["headers"][2][1] += ":4430"
    return ours


def different(ours: JSON) -> set[str]:
    return {row.field for row in compare(REAL, ours, EXPLAINED) if not row.is_accepted}


def test_our_transport_is_as_near_as_can_be() -> None:
    """Against a capturing backend, our transport differs in the explained fields and in no other."""
    rows = measure()
    assert [row for row in rows if not row.is_accepted] == []
    explained = {row.field for row in rows if row.verdict.startswith("explained")}
    ja = {"ja3", "ja3_hash", "ja3n", "ja3n_hash", "ja4", "ja4_r", "ja4_ro"}
    assert explained == {"ciphers", "hello_len", "ext_order", ":authority"} | ja


def test_nearest_is_accepted_and_needs_its_reasons() -> None:
    """The accepted differences pass with the profile's reasons, and are plain differences without them."""
    assert different(nearest()) == set()
    bare = {row.field for row in compare(REAL, nearest(), {}) if not row.is_accepted}
    assert {"ciphers", "hello_len", "ext_order", "ja3", "ja4", ":authority"} <= bare


def _swap_headers(ours: JSON) -> None:
    ours["headers"][7], ours["headers"][8] = ours["headers"][8], ours["headers"][7]


def _drop_extension(ours: JSON) -> None:
    ours["client_hello"]["ext_order"].remove(23)
    ours["client_hello"]["fp"] = clienthello.fingerprints(ours["client_hello"])


def _drop_cipher(ours: JSON) -> None:
    ours["client_hello"]["ciphers"].remove(4865)


def _grow(ours: JSON) -> None:
    ours["client_hello"]["hello_len"] += 1


def _other_host(ours: JSON) -> None:
    ours["headers"][2][1] = "other.test:4430"


def _other_window(ours: JSON) -> None:
    ours["h2_frames"][2]["increment"] = 1


def _priority(ours: JSON) -> None:
    ours["h2_frames"][3]["flags"] = ["END_HEADERS", "PRIORITY"]


def _extra_header(ours: JSON) -> None:
    ours["headers"].append(["accept-encoding", "gzip"])


def _other_value(ours: JSON) -> None:
    ours["headers"][4][1] = "0.1.0"


def _upper_case(ours: JSON) -> None:
    ours["headers"][4][0] = "Version"


def _extra_extension_key(ours: JSON) -> None:
    ours["client_hello"]["renegotiation_info"] = "00"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (_swap_headers, "header names, in order"),
        (_extra_header, "header names, in order"),
        (_upper_case, "header names, in order"),
        (_other_value, "version"),
        (_drop_extension, "ext_order"),
        (_drop_extension, "ja4"),
        (_extra_extension_key, "renegotiation_info"),
        (_drop_cipher, "ciphers"),
        (_grow, "hello_len"),
        (_other_host, ":authority"),
        (_other_window, "opening frames"),
        (_priority, "opening frames"),
    ],
)
def test_change_is_a_difference(change: Callable[[JSON], None], field: str) -> None:
    """One header swapped, one extension missing, or any other field changed is a difference in that field."""
    ours = nearest()
    change(ours)
    assert field in different(ours)


def test_command_fails_on_a_difference(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The command's exit code is 1 and it names the field when one differs, and 0 when none does."""
    monkeypatch.setattr(fingerprint_table, "measure", lambda: [Row("a", 1, 1), Row("b", 1, 2)])
    assert fingerprint_table.main() == 1
    assert "2 fields, 1 different: b" in capsys.readouterr().out
    monkeypatch.setattr(fingerprint_table, "measure", lambda: [Row("a", 1, 1), Row("b", 1, 2, "reason")])
    assert fingerprint_table.main() == 0
