"""What exchanges share, and what must never be shared: two accounts, two providers, before and after an edit."""

from __future__ import annotations

import dataclasses
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mitmcodex.exchange import WireIdentity
from mitmcodex.identity import DEFAULT_PROFILE
from mitmcodex.process import Process
from mitmcodex.resources import Resources, key_name
from mitmcodex.schema import Settings
from mitmcodex.upstream.demo import DemoTransport
from mitmcodex.upstream.fingerprint import ProfileError
from mitmcodex.upstream.providers import CredentialRef, Provider
from mitmcodex.upstream.transport import ConnectionKey

KEY = ConnectionKey("work", "account", "direct", DEFAULT_PROFILE, "curl")
PROVIDER = Provider("work", "chatgpt", "https://u.example/backend-api/codex", CredentialRef("file", "/a"))
EACH_PART = [field.name for field in dataclasses.fields(ConnectionKey)]


@pytest.fixture
def process(tmp_path: Path) -> Process:
    return Process(settings=Settings(state_dir=tmp_path))


@pytest.fixture
def resources(process: Process) -> Resources:
    return Resources(process)


def identity(resources: Resources, key: ConnectionKey = KEY) -> WireIdentity:
    return WireIdentity(resources.profile(DEFAULT_PROFILE), key, "")


@pytest.mark.parametrize("part", EACH_PART)
def test_another_key_shares_nothing(resources: Resources, part: str) -> None:
    """Connections, cookies and ids of one key stay its own, whichever part of the key differs."""
    other = replace(KEY, **{part: "other"})
    assert resources.transport(identity(resources), PROVIDER) is not resources.transport(
        identity(resources, other), PROVIDER
    )
    assert resources.jar(KEY, PROVIDER) is not resources.jar(other, PROVIDER)
    assert resources.installation(KEY) != resources.installation(other)
    assert key_name(KEY) != key_name(other)


def test_a_key_has_one_name_alone() -> None:
    """Two keys whose parts join to the same text have two files."""
    assert key_name(replace(KEY, provider="ab", account="c")) != key_name(replace(KEY, provider="a", account="bc"))


def test_the_same_key_shares_all_also_after_a_reload(resources: Resources, process: Process) -> None:
    """A reload builds new Resources around the same Process."""
    reloaded = Resources(process)
    assert reloaded.transport(identity(reloaded), PROVIDER) is resources.transport(identity(resources), PROVIDER)
    assert reloaded.jar(KEY, PROVIDER) is resources.jar(KEY, PROVIDER)
    assert reloaded.store(PROVIDER) is resources.store(PROVIDER)
    assert reloaded.installation(KEY) == resources.installation(KEY)


@pytest.mark.parametrize("edit", [{"resolve": "127.0.0.2"}, {"ca_file": "/ca.pem"}, {"http_version": "1.1"}], ids=str)
def test_a_provider_that_is_reached_otherwise_gets_new_connections(resources: Resources, edit: dict[str, Any]) -> None:
    """An edit holds after the reload, and not at the next start alone."""
    before = resources.transport(identity(resources), PROVIDER)
    assert resources.transport(identity(resources), replace(PROVIDER, **edit)) is not before


def test_another_host_gets_another_jar(resources: Resources) -> None:
    """A jar keeps the cookies of the provider's own host alone: an edited one would keep none."""
    edited = replace(PROVIDER, base_url="https://v.example/backend-api/codex")
    resources.jar(KEY, PROVIDER)
    jar = resources.jar(KEY, edited)
    jar.store("https://v.example/backend-api/codex", ["__cf_bm=1; Path=/; Secure"])
    assert jar.header("https://v.example/backend-api/codex/responses") == "__cf_bm=1"


@pytest.mark.parametrize("edit", [{"credential": CredentialRef("file", "/b")}, {"kind": "openai"}], ids=str)
def test_an_edited_credential_is_used(resources: Resources, edit: dict[str, Any]) -> None:
    """The old key must not go to where the edited provider leads."""
    before = resources.store(PROVIDER)
    assert resources.store(replace(PROVIDER, **edit)) is not before


def test_the_demo_has_its_own_transport(resources: Resources) -> None:
    """No socket is opened for it."""
    demo = Provider("demo", "demo", "http://demo.invalid/v1")
    assert isinstance(resources.transport(identity(resources), demo), DemoTransport)


def test_an_unknown_profile_is_named(resources: Resources) -> None:
    """With what there is."""
    with pytest.raises(ProfileError, match="no-such"):
        resources.profile("no-such")


def test_a_disk_that_refuses_costs_no_call(
    resources: Resources, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The id holds for this run, and the log says so once."""
    (tmp_path / "installations").write_text("a file where the folder belongs")
    made = resources.installation(KEY)
    assert uuid.UUID(made) and resources.installation(KEY) == made
    assert caplog.text.count("can't be kept") == 1


def test_a_clients_id_has_an_owner_without_a_disk_too(resources: Resources, tmp_path: Path) -> None:
    """conformance 79: the first account of this run."""
    (tmp_path / "installations").write_text("a file where the folder belongs")
    assert [resources.owner("id", account) for account in ("one", "two")] == ["one", "one"]
