"""The stores of guards keep the contract, and what each of them adds."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from attrs import evolve

from smtpproto.adapters import sqlite_states
from smtpproto.adapters.blocking import run
from smtpproto.adapters.blocking_runtime import Runtime
from smtpproto.adapters.sqlite_states import SQLiteStates
from smtpproto.errors import StatesFailed
from smtpproto.policy import MemoryStates, Record, State, StateStore
from smtpproto.testing.state_contract import StateContract


class TestMemoryStates(StateContract):
    def make(self, most: int) -> MemoryStates:
        return MemoryStates(most)


class TestSQLiteStates(StateContract):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.path = tmp_path / "states.db"

    def make(self, most: int) -> SQLiteStates:
        return SQLiteStates(self.path, most=most)

    def again(self, store: StateStore) -> SQLiteStates:
        assert isinstance(store, SQLiteStates)
        return evolve(store)


def add(states: Sequence[State], now: float) -> tuple[float, Sequence[Record]]:
    (number,) = states[0] or (0.0,)
    return number, [Record((number + 1,), now + 1000)]


def count(store: StateStore) -> float:
    return run(store.update(["a:1"], add, Runtime()))


def test_a_store_of_the_same_file_is_equal() -> None:
    assert SQLiteStates(Path("a.db")) == SQLiteStates(Path("a.db")) != SQLiteStates(Path("b.db"))


def test_no_other_process_comes_between_what_an_update_reads_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_states, "_PATIENCE", 0.0)
    store, other = SQLiteStates(tmp_path / "states.db"), SQLiteStates(tmp_path / "states.db")
    count(store)
    count(other)

    def change(states: Sequence[State], now: float) -> tuple[None, Sequence[None]]:
        with pytest.raises(StatesFailed, match="locked"):
            count(other)
        return None, [None]

    run(store.update(["a:1"], change, Runtime()))
    assert count(store) == 2
    run(store.close())


def test_a_damaged_file_is_put_aside_and_the_next_update_works(tmp_path: Path) -> None:
    path = tmp_path / "states.db"
    path.write_bytes(b"no database" * 1000)
    store = SQLiteStates(path)
    with pytest.raises(StatesFailed, match=r"states\.db"):
        count(store)
    assert [count(store), count(store)] == [0, 1]
    assert (tmp_path / "states.db.damaged").exists()
    run(store.close())


def test_a_file_that_cannot_be_made_is_a_failure_of_the_states(tmp_path: Path) -> None:
    with pytest.raises(StatesFailed, match="unable to open"):
        count(SQLiteStates(tmp_path / "missing" / "states.db"))


def test_only_the_user_of_the_server_may_read_who_writes_to_whom(tmp_path: Path) -> None:
    store = SQLiteStates(tmp_path / "states.db")
    count(store)
    assert {it.stat().st_mode & 0o077 for it in tmp_path.iterdir()} == {0}
    run(store.close())


def test_expired_states_leave_the_file(tmp_path: Path) -> None:
    store = SQLiteStates(tmp_path / "states.db")
    count(store)
    run(store.close())
    with sqlite3.connect(tmp_path / "states.db") as database:
        database.execute("UPDATE states SET expires = 1")
        database.execute("INSERT INTO states VALUES ('b', '2', 1, X'')")
    database.close()
    assert count(store) == 0
    run(store.close())
    with sqlite3.connect(tmp_path / "states.db") as database:
        assert database.execute("SELECT kind, name FROM states").fetchall() == [("a", "1")]
    database.close()
