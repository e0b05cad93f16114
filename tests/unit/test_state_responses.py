import asyncio
import json
import logging
import os
import stat
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from mitmcodex.state.responses import ResponseStore, StoredResponse

SIZE = 2000
"""One record of ``record`` takes a little less."""


def record(text: str = "", account: str = "acc") -> StoredResponse:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text or "x" * (SIZE - 250)}]}
    return StoredResponse({"id": "resp_1", "object": "response", "output": []}, [item], account, 1784650000.5)


def run[T](work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def held(folder: Path, *ids: str) -> list[bool]:
    """Which of them a new store on the folder finds."""
    store = ResponseStore(folder, 0)
    return [run(store.get(id)) is not None for id in ids]


def total(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def aged(folder: Path, *accounts: str) -> None:
    """Give the records of these accounts write times in this order, long ago."""
    for file in folder.iterdir():
        age = accounts.index(json.loads(file.read_bytes())["account"])
        os.utime(file, (1000 + age, 1000 + age))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "responses"


def test_what_was_put_is_got_as_it_was(folder: Path) -> None:
    """conformance 33: response, items, account and time come back whole, in another run too."""
    odd = StoredResponse({"id": "r", "x": [1.5, None, "\ud800 é 字"]}, [{"a": {"b": True}}, {}], "tag", 1.0)
    store = ResponseStore(folder, 10_000)
    assert run(store.put("resp_1", odd))
    assert run(store.get("resp_1")) == odd
    assert run(ResponseStore(folder, 10_000).get("resp_1")) == odd
    assert run(store.get("resp_2")) is None


def test_nothing_is_on_disk_before_the_first_put(folder: Path) -> None:
    """Asking makes no folder."""
    store = ResponseStore(folder, 10_000)
    assert run(store.get("resp_1")) is None
    assert run(store.delete("resp_1")) is False
    assert not folder.parent.exists()


def test_only_the_owner_may_read(folder: Path) -> None:
    """Files 0600 in a folder 0700: they hold conversations."""
    run(ResponseStore(folder, 10_000).put("resp_1", record()))
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("id", ["../../etc/passwd", "", "a/b\0c", "\ud800", "x" * 5000, "CON"])
def test_any_id_is_a_safe_name(folder: Path, id: str) -> None:
    """What a client sends as an id stays inside the folder and apart from other ids."""
    store = ResponseStore(folder, 10_000)
    assert run(store.put(id, record()))
    assert run(store.get(id)) == record()
    assert run(store.get(id + "_")) is None
    (file,) = folder.iterdir()
    assert file.name.removesuffix(".json").isalnum()


def test_deleted_is_gone(folder: Path) -> None:
    """The first delete says True, a second one False, and the place is free again."""
    store = ResponseStore(folder, SIZE + 200)
    run(store.put("a", record()))
    assert [run(store.delete("a")), run(store.delete("a"))] == [True, False]
    assert run(store.get("a")) is None
    assert run(store.put("b", record()))
    assert held(folder, "b") == [True]


def test_the_oldest_written_go_first(folder: Path) -> None:
    """conformance 33: the bound holds; writing again makes young, reading doesn't."""
    store = ResponseStore(folder, 3 * SIZE)
    for id in ("a", "b", "c"):
        assert run(store.put(id, record()))
    run(store.put("a", record("short")))
    run(store.get("b"))
    assert run(store.put("d", record()))
    assert held(folder, "a", "b", "c", "d") == [True, False, True, True]
    assert total(folder) <= 3 * SIZE


def test_the_bound_and_the_ages_survive_a_restart(folder: Path) -> None:
    """A new run counts what it finds and drops by the time of the last write."""
    first = ResponseStore(folder, 0)
    for id in ("a", "b", "c"):
        run(first.put(id, record(account=id)))
    aged(folder, "b", "c", "a")
    assert run(ResponseStore(folder, 3 * SIZE).put("d", record()))
    assert held(folder, "a", "b", "c", "d") == [True, False, True, True]
    assert run(ResponseStore(folder, SIZE).put("e", record()))
    assert held(folder, "a", "b", "c", "d", "e") == [False, False, False, False, True]


def test_what_a_crash_left_counts_and_goes(folder: Path) -> None:
    """A half written file of ours is part of the bound, so it can't stay for ever."""
    run(ResponseStore(folder, 0).put("a", record()))
    (file,) = folder.iterdir()
    left = folder / f".{file.name}.k3j2_x"
    left.write_bytes(b"x" * SIZE)
    os.utime(left, (1, 1))
    assert run(ResponseStore(folder, 2 * SIZE).put("b", record()))
    assert not left.exists()
    assert held(folder, "a", "b") == [True, True]


def test_other_files_are_left_alone(folder: Path) -> None:
    """What isn't ours is neither counted nor removed."""
    folder.mkdir(parents=True)
    others = [folder / "notes.json", folder / f"{'a' * 63}.json", folder / f"{'b' * 64}.txt"]
    for other in others:
        other.write_bytes(b"x" * 10 * SIZE)
        os.utime(other, (1, 1))
    store = ResponseStore(folder, 2 * SIZE)
    assert [run(store.put(id, record())) for id in ("a", "b", "c")] == [True, True, True]
    assert all(other.stat().st_size == 10 * SIZE for other in others)
    assert held(folder, "a", "b", "c") == [False, True, True]


def test_one_that_is_larger_than_the_store_is_not_kept(folder: Path) -> None:
    """It says False and costs no other its place; an older state under its id goes, as it would mislead."""
    store = ResponseStore(folder, 2 * SIZE)
    run(store.put("a", record()))
    run(store.put("b", record("short")))
    assert run(store.put("b", record("x" * 2 * SIZE))) is False
    assert held(folder, "a", "b") == [True, False]


def test_without_a_limit_all_is_kept(folder: Path) -> None:
    """0 = no limit, as for the dumps."""
    store = ResponseStore(folder, 0)
    ids = [str(number) for number in range(30)]
    assert all(run(store.put(id, record())) for id in ids)
    assert all(held(folder, *ids))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"response": {}, "input": [',
        b"[]",
        b'{"response": {}, "input": [1], "account": "a", "created_at": 1}',
        b'{"response": {}, "input": [], "account": "a", "created_at": "now"}',
        b'{"response": {}, "input": [], "created_at": 1}',
        b"\xff\xfe\xfd",
        b"[" * 100_000,
    ],
)
def test_a_corrupt_file_counts_as_missing(folder: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """It is removed, and a warning names it without quoting it."""
    store = ResponseStore(folder, 10_000)
    run(store.put("a", record()))
    (file,) = folder.iterdir()
    file.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert run(store.get("a")) is None
    assert [entry.message for entry in caplog.records] == [f"{file} holds no response: it is removed"]
    assert not file.exists()
    assert run(store.put("a", record()))


def test_tasks_at_once_keep_the_bound(folder: Path) -> None:
    """Many puts, gets and deletes at the same time: the bound holds and what is there is whole."""
    store = ResponseStore(folder, 5 * SIZE)

    async def all_at_once() -> list[bool]:
        async def one(number: int) -> bool:
            kept = await store.put(str(number), record())
            await store.get(str(number - 1))
            if number % 7 == 0:
                await store.delete(str(number))
            return kept

        return await asyncio.gather(*(one(number) for number in range(60)))

    assert all(run(all_at_once()))
    assert 0 < total(folder) <= 5 * SIZE
    assert all(json.loads(file.read_bytes())["account"] == "acc" for file in folder.iterdir())
    for id in ("x", "y", "z"):
        assert run(store.put(id, record()))
    assert total(folder) <= 5 * SIZE
    assert held(folder, "x", "y", "z") == [True, True, True]


def test_a_disk_that_refuses_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The answer to the client doesn't depend on it: put says False, get None."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    store = ResponseStore(blocked / "responses", 10_000)
    with caplog.at_level(logging.WARNING):
        assert run(store.put("a", record("secret words"))) is False
        assert run(store.get("a")) is None
    assert caplog.records and "secret words" not in caplog.text
    assert str(blocked) in caplog.text


def test_what_json_cannot_write_is_not_kept(folder: Path) -> None:
    """Nested too deep it is False, not an error."""
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert run(ResponseStore(folder, 0).put("a", StoredResponse(deep, [], "", 1.0))) is False
