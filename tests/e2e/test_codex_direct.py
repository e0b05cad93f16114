"""The real Codex CLI against the fake backend, with nothing between: the backend is one that Codex believes."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from support.auth import ACCOUNT_ID, API_KEY, write_login
from support.backend import Backend
from support.codex import Codex
from support.strictness import Strictness
from support.tls import Authority

pytestmark = pytest.mark.codex

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


@pytest.fixture
def api(make_backend: Callable[..., Backend]) -> Backend:
    return make_backend(strictness=Strictness("api-key", API_KEY))


@pytest.fixture
def codex(api: Backend, tmp_path: Path) -> Codex:
    return Codex(tmp_path / "home", api.base_url, key=API_KEY)


def test_text(codex: Codex, tmp_path: Path) -> None:
    """A text turn ends well and shows the backend's text."""
    run = codex.exec("Please [[say:hello from the backend]]", tmp_path / "work")
    assert (run.code, run.said) == (0, ["hello from the backend"]), run.errors


def test_shell_and_patch_in_one_turn(codex: Codex, api: Backend, tmp_path: Path) -> None:
    """Codex runs the command, changes the file and sends both outputs back paired with their calls."""
    run = codex.exec("[[shell:echo made > made.txt]] [[patch:out.txt:patched]]", tmp_path / "work")
    assert (run.code, run.said) == (0, ["done"]), run.errors
    assert (tmp_path / "work" / "made.txt").read_text() == "made\n"
    assert (tmp_path / "work" / "out.txt").read_text() == "patched\n"
    assert len(api.calls) == 3
    assert len({request.first("session-id") for request in api.requests}) == 1


def test_image_arrives_as_it_is(codex: Codex, tmp_path: Path) -> None:
    """The backend sees the file's own bytes as a data URL."""
    picture = tmp_path / "pixel.png"
    picture.write_bytes(PIXEL)
    run = codex.exec("[[image]]", tmp_path / "work", "-i", str(picture))
    url = f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"
    assert run.said == [f"image sha256 {hashlib.sha256(url.encode()).hexdigest()}"], run.errors


def test_usage_limit_is_told_once(codex: Codex, api: Backend, tmp_path: Path) -> None:
    """The 429 is understood as a usage limit and not tried again."""
    run = codex.exec("[[limit]]", tmp_path / "work")
    assert run.code != 0 and "usage limit" in run.errors
    assert len(api.calls) == 1


def test_cut_is_tried_again(codex: Codex, api: Backend, tmp_path: Path) -> None:
    """After a premature cut Codex asks again and gets the text."""
    run = codex.exec("[[cut:second try]]", tmp_path / "work")
    assert (run.code, run.said) == (0, ["second try"]), run.errors
    assert len(api.calls) == 2


@pytest.fixture
def native(make_backend: Callable[..., Backend], ca: Authority, tmp_path: Path) -> tuple[Backend, Codex]:
    """The ChatGPT backend behind TLS and the CLI's built-in provider, logged in."""
    login = write_login(tmp_path / "home" / "auth.json")
    strictness = Strictness("chatgpt", login.access_token, ACCOUNT_ID, forbidden=(login.refresh_token,))
    backend = make_backend(tls=ca.server_context(), strictness=strictness)
    return backend, Codex(tmp_path / "home", backend.base_url, native=True, ca_file=ca.pem)


def test_chatgpt_login_over_tls(native: tuple[Backend, Codex], tmp_path: Path) -> None:
    """The native client keeps every rule of the strict ChatGPT backend: discovery, zstd, account and body."""
    backend, codex = native
    run = codex.exec("[[patch:out.txt:patched]]", tmp_path / "work")
    assert (run.code, run.said) == (0, ["done"]), run.errors
    turns = [request for request in backend.requests if request.method == "POST" and request.has("thread-id")]
    assert {request.http_version for request in turns} == {"HTTP/2"}
    assert (tmp_path / "work" / "out.txt").read_text() == "patched\n"


def test_lite_model_with_login(native: tuple[Backend, Codex], tmp_path: Path) -> None:
    """The Lite form of the newer models, without tools and instructions, is accepted too."""
    backend, codex = native
    run = replace(codex, model="gpt-6-astra").exec("[[shell:echo made > made.txt]]", tmp_path / "work")
    assert (run.code, run.said) == (0, ["done"]), run.errors
    assert (tmp_path / "work" / "made.txt").read_text() == "made\n"
    lite = [request for request in backend.requests if request.first("x-openai-internal-codex-responses-lite")]
    assert len(lite) == 2 and not any("tools" in request.json for request in lite)
