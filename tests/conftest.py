"""Fixtures of the whole suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from support.auth import ACCOUNT_ID, API_KEY, Login, write_login
from support.backend import Backend
from support.codex import HOW_TO_GET, find_codex
from support.strictness import Strictness
from support.tls import Authority


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def make_backend() -> Iterator[Callable[..., Backend]]:
    """Starts backends (arguments of Backend); the test fails when one of them has seen a violation."""
    with ExitStack() as stack:
        backends: list[Backend] = []

        def make(**options: object) -> Backend:
            backends.append(stack.enter_context(Backend(**options)))  # type: ignore[arg-type]
            return backends[-1]

        yield make
    assert [violation for backend in backends for violation in backend.violations] == []


@pytest.fixture
def login(tmp_path_factory: pytest.TempPathFactory) -> Login:
    """A ChatGPT login in an auth.json of its own."""
    return write_login(tmp_path_factory.mktemp("login") / "auth.json")


@pytest.fixture
def backend(make_backend: Callable[..., Backend], ca: Authority, login: Login) -> Backend:
    """The strict ChatGPT backend behind TLS, for ``login``; its name resolves nowhere: use ``resolve: 127.0.0.1``."""
    strictness = Strictness("chatgpt", login.access_token, ACCOUNT_ID)
    return make_backend(tls=ca.server_context(), strictness=strictness, name="codex-backend.test")


@pytest.fixture
def api_backend(make_backend: Callable[..., Backend], ca: Authority) -> Backend:
    """The strict API-key backend behind TLS, for ``support.auth.API_KEY``."""
    strictness = Strictness("api-key", API_KEY)
    return make_backend(tls=ca.server_context(), strictness=strictness, name="codex-backend.test")


@pytest.fixture
def make_service(make_backend: Callable[..., Backend], ca: Authority) -> Callable[[str], Backend]:
    """Starts the strict service of a kind (chat | messages | gemini) behind TLS, for ``support.auth.API_KEY``."""
    return lambda kind: make_backend(
        tls=ca.server_context(), strictness=Strictness(kind, API_KEY), name="codex-backend.test"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if find_codex() is None:
        left_out = [item for item in items if item.get_closest_marker("codex")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # Said whether or not tests were left out: under xdist only the workers know which.
    if find_codex() is None:
        terminalreporter.write_line(f"Left out: all tests with the real Codex CLI, which is not here. {HOW_TO_GET}")
