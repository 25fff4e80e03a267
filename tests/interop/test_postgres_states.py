"""The states of guards in PostgreSQL keep the rules of every store."""

from __future__ import annotations

import threading
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import pytest
from attrs import evolve

from smtpproto.adapters.blocking import run
from smtpproto.adapters.blocking_runtime import Runtime
from smtpproto.adapters.postgres_states import PostgresStates
from smtpproto.errors import StatesFailed
from smtpproto.policy import Demand, Limit, Record, State, StateStore
from smtpproto.testing.state_contract import StateContract
from tests.interop.postgresql import PostgreSQL

pytestmark = pytest.mark.peer("postgresql")

T = TypeVar("T")


@pytest.fixture(autouse=True)
def _empty(postgresql: PostgreSQL) -> None:
    postgresql.execute("DROP TABLE IF EXISTS guard_state")


class TestPostgresStates(StateContract):
    @pytest.fixture(autouse=True)
    def _use(self, postgresql: PostgreSQL) -> None:
        self._url = postgresql.url

    def make(self, most: int) -> PostgresStates:
        return PostgresStates(self._url, most=most)

    def again(self, store: StateStore) -> PostgresStates:
        assert isinstance(store, PostgresStates)
        return evolve(store)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        self.runtime = Runtime()
        return run(coroutine)


def add(states: Sequence[State], now: float) -> tuple[float, Sequence[Record]]:
    (number,) = states[0] or (0.0,)
    return number, [Record((number + 1,), now + 1000)]


def test_a_restart_of_the_database_fails_no_update(postgresql: PostgreSQL) -> None:
    store = PostgresStates(postgresql.url)
    assert run(store.update(["a:1"], add, Runtime())) == 0
    postgresql.cut_connections()
    assert run(store.update(["a:1"], add, Runtime())) == 1
    run(store.close())


def test_threads_may_take_the_last_free_connection_at_the_same_time(postgresql: PostgreSQL) -> None:
    class Taken(list[Any]):
        def __bool__(self) -> bool:
            return True  # it was, before another thread took it

    store = PostgresStates(postgresql.url)
    store._free = Taken()
    assert run(store.update(["a:1"], add, Runtime())) == 0
    run(store.close())


def test_a_database_that_is_not_there_is_a_failure_without_the_password() -> None:
    store = PostgresStates("postgresql://ann:secret@127.0.0.1:1/mail")
    with pytest.raises(StatesFailed) as caught:
        run(store.update(["a:1"], add, Runtime()))
    assert "secret" not in f"{caught.value}{store}"


def test_a_limit_holds_among_threads_of_several_stores(postgresql: PostgreSQL) -> None:
    stores = [PostgresStates(postgresql.url) for _ in range(3)]
    demand = Demand({"user:ann": Limit.parse("50/d"), "network:x": Limit.parse("90/d")})
    granted = []

    def take(store: PostgresStates) -> None:
        for _ in range(10):
            granted.append(run(store.update(demand.keys, demand, Runtime())).number)

    threads = [threading.Thread(target=take, args=(stores[it % 3],)) for it in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(granted), sum(granted)) == (90, 50)
    for store in stores:
        run(store.close())
