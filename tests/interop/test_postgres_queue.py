"""Several processes work on a queue in PostgreSQL, and the database fails."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

import psycopg
import pytest
from attrs import evolve

from smtpproto import cli
from smtpproto.adapters.asyncio_runtime import Runtime as AsyncioRuntime
from smtpproto.adapters.blocking import Runtime
from smtpproto.adapters.postgres_control import PostgresControl
from smtpproto.adapters.postgres_queue import PostgresQueue
from smtpproto.adapters.postgres_reader import Reader
from smtpproto.adapters.postgres_tables import Tables
from smtpproto.adapters.postgres_writer import Writer
from smtpproto.errors import QueueFailed
from smtpproto.mta.destination_stats import DestinationStats
from smtpproto.mta.queue import Attempt, Result, State
from smtpproto.mta.queue_limits import QueueLimits
from smtpproto.mta.settlement import Done, Fate, Later, Settlement
from smtpproto.mta.store import Claim, Selection
from smtpproto.testing.queue_samples import NOW, make_queued, read
from tests.interop.postgresql import PostgreSQL
from tests.support.queues import ALL, claim, do, due, names, relayed

pytestmark = pytest.mark.peer("postgresql")


LIMITS = QueueLimits(cache=0)


@contextlib.contextmanager
def opened(server: PostgreSQL) -> Iterator[PostgresQueue]:
    queue = PostgresQueue(server.url, LIMITS)
    do(queue.open(Runtime()))
    try:
        yield queue
    finally:
        do(queue.close())


@pytest.fixture
def queue(postgresql: PostgreSQL) -> Iterator[PostgresQueue]:
    with opened(postgresql) as queue:
        yield queue


@pytest.fixture
def other(postgresql: PostgreSQL, queue: PostgresQueue) -> Iterator[PostgresQueue]:
    """The same queue, in another process."""
    with opened(postgresql) as other:
        meet(queue, other)
        yield other


def meet(*queues: PostgresQueue) -> None:
    """Let the processes know of each other, so that they share limits, and may claim."""
    for queue in [*queues, *queues]:
        do(queue.claim(NOW, 0, due))


def writer_of(queue: PostgresQueue) -> Writer:
    assert queue._open is not None
    writer = queue._open.writer
    assert isinstance(writer, Writer)
    return writer


def take_claims_away(server: PostgreSQL, queue: PostgresQueue, by: PostgresQueue) -> None:
    """Let *by* find out that the process of *queue* has not told for long that it lives."""
    owner = writer_of(queue).owner
    server.execute("UPDATE owner SET beat = beat - interval '1 hour' WHERE key = %s", owner)
    writer_of(by)._up -= 1000
    writer_of(by)._kept -= 1000
    for _ in range(2):  # it looks after the first
        do(by.put([]))


class Cut:
    """A connection that is lost at the commit: before the database knows of it, or after."""

    def __init__(self, connection: Any, after: bool) -> None:
        self._connection, self._after = connection, after

    def execute(self, statement: Any, *values: Any) -> Any:
        if statement != "COMMIT":
            return self._connection.execute(statement, *values)
        if self._after:
            self._connection.execute(statement)
        self._connection.close()
        raise psycopg.OperationalError("the connection was lost")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def cut(queue: PostgresQueue, *, after: bool) -> None:
    """Let the connection of *queue* be lost at the next commit."""
    tables = writer_of(queue).tables
    assert tables is not None
    tables.connection = Cut(tables.connection, after)  # type: ignore[assignment]


# -- several processes ---------------------------------------------------------------------------


def test_two_processes_never_claim_the_same_delivery(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    do(queue.put([make_queued(f"m{number}", f"x@{number % 7}.test") for number in range(40)]))
    with ThreadPoolExecutor(4) as threads:
        claims = threads.map(lambda it: claim(it, 3), [queue, other] * 20)
        found = [name for its in claims for name in names(its)]
    assert sorted(found) == sorted(f"m{number}" for number in range(40))


def test_a_claim_passes_over_what_another_process_claims_at_the_moment(
    postgresql: PostgreSQL, queue: PostgresQueue
) -> None:
    do(queue.put([make_queued(f"m{number}") for number in range(3)]))
    with psycopg.connect(postgresql.url) as connection:
        connection.execute(
            "SELECT key FROM smtpproto.delivery ORDER BY key LIMIT 1 FOR UPDATE"
        ).fetchall()
        assert names(claim(queue)) == ["m1", "m2"]
    assert names(claim(queue)) == ["m0"]


def test_a_process_that_sleeps_is_woken_by_what_another_puts_into_the_queue(
    postgresql: PostgreSQL, queue: PostgresQueue, other: PostgresQueue
) -> None:
    woken: SimpleQueue[None] = SimpleQueue()
    other.watch(lambda: woken.put(None))
    woken.get(timeout=60)  # once, when it begins to listen
    assert claim(other) == []
    do(queue.put([make_queued("a")]))
    woken.get(timeout=60)
    assert names(claim(other)) == ["a"]
    do(queue.put([make_queued("b")]))  # it does not sleep
    do(queue.put([]))
    assert postgresql.execute("SELECT * FROM sleeper") == []
    assert woken.empty()


def test_what_a_process_claimed_waits_again_after_its_end(
    queue: PostgresQueue, postgresql: PostgreSQL
) -> None:
    with opened(postgresql) as ending:
        do(ending.put([make_queued("a")]))
        assert names(claim(ending)) == ["a"]
        assert claim(queue) == []
    (again,) = do(queue.claim(NOW + 1000, 10, due))
    assert again.deliveries[0].attempts == 2


def test_a_process_that_is_paused_for_too_long_loses_its_claims(
    postgresql: PostgreSQL,
    queue: PostgresQueue,
    other: PostgresQueue,
    caplog: pytest.LogCaptureFixture,
) -> None:
    do(queue.put([make_queued("a"), make_queued("b")]))
    claims = claim(queue)
    take_claims_away(postgresql, queue, by=other)
    (again,) = do(other.claim(NOW + 1000, 1, due))
    before = do(other.find(ALL))
    for settlement in relayed(claims):
        with pytest.raises(ValueError, match="not by this process any more"):
            do(queue.settle([settlement], NOW, [make_queued("report")]))
    assert do(other.find(ALL)) == before
    assert "the database did not hear from this process" in caplog.text
    do(other.settle(relayed([again]), NOW))
    meet(queue, other)
    (left,) = do(queue.claim(NOW + 1000, 10, due))
    do(queue.settle(relayed([left]), NOW))
    assert do(queue.find(ALL)) == []


def test_the_content_of_a_message_whose_claim_was_lost_is_not_read_for_sending(
    postgresql: PostgreSQL, queue: PostgresQueue, other: PostgresQueue
) -> None:
    do(queue.put([make_queued("a"), make_queued("b")]))
    (first, _) = claims = claim(queue)
    take_claims_away(postgresql, queue, by=other)
    writer_of(queue).beaten -= 1000  # as after a pause
    with pytest.raises(QueueFailed, match="message a was given to another process"):
        do(queue.content(first.message))
    for settlement in relayed(claims):
        with pytest.raises(ValueError, match="not leased"):
            do(queue.settle([settlement], NOW))
    assert writer_of(queue).lost == {}
    assert do(read_content(queue, first)) == make_queued().content


async def read_content(queue: PostgresQueue, claim: Claim) -> bytes:
    return await read(await queue.content(claim.message))


def test_a_late_settlement_is_refused_even_if_the_same_process_has_claimed_again(
    postgresql: PostgreSQL, queue: PostgresQueue, other: PostgresQueue
) -> None:
    do(queue.put([make_queued("a")]))
    late = relayed(claim(queue))
    take_claims_away(postgresql, queue, by=other)
    meet(queue, other)
    (again,) = do(queue.claim(NOW + 1000, 1, due))
    with pytest.raises(ValueError, match="not leased"):
        do(queue.settle(late, NOW))
    do(queue.settle(relayed([again]), NOW))


def test_windows_are_added_up_over_the_processes_that_live(
    postgresql: PostgreSQL, queue: PostgresQueue, other: PostgresQueue
) -> None:
    tried = Attempt(at=NOW, result=Result.UNREACHED)
    busy = DestinationStats(window=5, running=2, paused_until=None, trouble=None)
    dead = DestinationStats(window=1, running=0, paused_until=NOW + 1000, trouble=tried)
    for it, known in ((queue, {"x.test": busy, "y.test": busy}), (other, {"x.test": dead})):
        do(it.post(known, NOW))
    with PostgresControl(postgresql.url) as control:
        both = control.stats().destinations
        assert both["y.test"] == busy
        assert (both["x.test"].window, both["x.test"].running) == (6, 2)
        until = both["x.test"].paused_until  # NOW was the clock of those who posted
        assert until is not None
        assert both["x.test"].trouble == tried
        postgresql.execute(  # nobody has noticed yet that it is dead
            "UPDATE owner SET beat = beat - interval '1 hour' WHERE key = %s",
            writer_of(other).owner,
        )
        assert control.stats().destinations == {"x.test": busy, "y.test": busy}
        take_claims_away(postgresql, other, by=queue)
        assert postgresql.execute("SELECT owner FROM post") == [(writer_of(queue).owner,)]
        do(queue.close())
        assert control.stats().destinations == {}


def test_a_young_connection_takes_no_claims_away(
    postgresql: PostgreSQL, queue: PostgresQueue, other: PostgresQueue
) -> None:
    do(queue.put([make_queued("a")]))
    claims = claim(queue)
    postgresql.execute("UPDATE owner SET beat = beat - interval '1 hour'")
    writer_of(other)._kept -= 1000
    for _ in range(2):
        do(other.put([]))
    do(queue.settle(relayed(claims), NOW))


def test_a_message_leaves_if_two_processes_end_its_deliveries_at_the_same_time(
    postgresql: PostgreSQL, queue: PostgresQueue, other: PostgresQueue
) -> None:
    for number in range(10):
        do(queue.put([make_queued(f"m{number}", "x@one.test", "y@two.test")]))
        with ThreadPoolExecutor(2) as threads:
            both = [relayed(claim(it, 1)) for it in (queue, other)]
            settles = [(queue, both[0]), (other, both[1])]
            [*threads.map(lambda it: do(it[0].settle(it[1], NOW)), settles)]
    assert postgresql.execute("SELECT count(*) FROM body") == [(0,)]
    assert do(queue.stats()).messages == 0


def test_many_processes_at_once_do_each_delivery_once_and_find_every_lane(
    postgresql: PostgreSQL,
) -> None:
    done: Counter[tuple[str, int]] = Counter()
    lock = threading.Lock()
    messages, finished = 60, threading.Event()

    def receive(queue: PostgresQueue, part: int) -> None:
        dice = random.Random(part)
        for number in range(messages):
            domains = dice.sample(["one", "two", "three", "four"], dice.randint(1, 3))
            to = [f"x@{name}.test" for name in domains]
            at = NOW - dice.randint(0, 9)
            do(queue.put([make_queued(f"{part}.{number}", *to, due=at, origin=str(part))]))

    def relay(queue: PostgresQueue, part: int) -> None:
        dice = random.Random(part)
        while True:
            last = finished.is_set()
            claims = do(queue.claim(NOW, dice.randint(1, 9), due))
            settlements = []
            for it in (it for one in claims for it in one.deliveries):
                if dice.random() < 0.3:
                    decision: Any = Later(due=NOW - dice.randint(0, 9))
                else:
                    decision = Done(Fate.RELAYED)
                    with lock:
                        done[it.message, it.number] += 1
                settlements.append(Settlement(delivery=it, decision=decision))
            do(queue.settle(settlements, NOW))
            if last and not claims:
                return

    with contextlib.ExitStack() as stack, ThreadPoolExecutor(5) as threads:
        queues = [stack.enter_context(opened(postgresql)) for _ in range(5)]
        relaying = [threads.submit(relay, queue, part) for part, queue in enumerate(queues[2:])]
        [*threads.map(receive, queues[:2], range(2))]
        finished.set()
        for future in relaying:
            future.result()
        assert do(queues[0].find(ALL)) == []
    assert set(done.values()) == {1}
    assert {name for name, _ in done} == {f"{part}.{n}" for part in (0, 1) for n in range(messages)}
    assert postgresql.execute("SELECT * FROM lane") == []


# -- the database fails --------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_commit_whose_result_was_lost_has_happened_once(
    queue: PostgresQueue, after: bool
) -> None:
    cut(queue, after=after)
    do(queue.put([make_queued("a")]))
    cut(queue, after=after)
    (taken,) = claim(queue)
    assert taken.deliveries[0].attempts == 1
    cut(queue, after=after)
    do(queue.settle(relayed([taken]), NOW, [make_queued("report")]))
    assert names(do(queue.find(ALL))) == ["report"]
    cut(queue, after=after)
    with pytest.raises(ValueError, match="already"):
        do(queue.put([make_queued("report")]))


def test_connections_that_end_are_replaced(postgresql: PostgreSQL, queue: PostgresQueue) -> None:
    do(queue.put([make_queued("a")]))
    claims = claim(queue)
    do(queue.stats())
    postgresql.cut_connections()
    assert do(queue.stats()).messages == 1
    do(queue.put([make_queued("b")]))
    do(queue.settle(relayed(claims), NOW))
    assert names(do(queue.find(ALL))) == ["b"]


def test_what_fails_over_a_connection_that_is_not_lost_is_read_once() -> None:
    class Connection:
        closed = False

        def close(self) -> None:
            self.closed = True

    class Database:
        channel, errors, reconnect = "", contextlib.nullcontext, staticmethod(Connection)

    reader, reads = Reader(cast("Any", Database())), 0

    def fail(tables: Any) -> None:
        nonlocal reads
        reads += 1
        tables.connection.closed = reads > 1
        raise psycopg.OperationalError

    for most in (1, 3):  # the second time the connection is lost, and a new one is made
        assert reader.read(lambda tables: tables.channel) == ""
        with pytest.raises(psycopg.OperationalError):
            reader.read(fail)
        assert reads == most


def test_claims_that_a_crash_of_the_database_has_undone_are_made_again(
    postgresql: PostgreSQL, queue: PostgresQueue, other: PostgresQueue
) -> None:
    do(queue.put([make_queued("a")]))
    claims = claim(queue)
    postgresql.execute("UPDATE delivery SET state = 0, owner = NULL, attempts = 0, due = %s", NOW)
    postgresql.cut_connections()
    do(queue.put([]))
    assert claim(other) == []
    do(queue.settle(relayed(claims), NOW))


def test_a_claim_that_a_crash_has_undone_is_lost_if_another_process_has_made_it_since(
    postgresql: PostgreSQL, queue: PostgresQueue, other: PostgresQueue
) -> None:
    do(queue.put([make_queued("a")]))
    (mine,) = claim(queue)
    postgresql.execute("UPDATE delivery SET state = 0, owner = NULL, attempts = 0, due = %s", NOW)
    postgresql.execute(
        "INSERT INTO lane SELECT priority, domain, origin, due FROM delivery ON CONFLICT DO NOTHING"
    )
    (its,) = claim(other)
    assert its.deliveries[0].attempts == mine.deliveries[0].attempts
    with pytest.raises(ValueError, match="not leased"):
        do(queue.settle(relayed([mine]), NOW))
    postgresql.cut_connections()
    do(queue.put([]))
    with pytest.raises(QueueFailed, match="given to another process"):
        do(queue.content(mine.message))
    do(other.settle(relayed([its]), NOW))


def test_a_member_that_a_crash_of_the_database_has_undone_joins_again(
    postgresql: PostgreSQL, queue: PostgresQueue
) -> None:
    meet(queue)
    postgresql.execute("TRUNCATE member")
    postgresql.cut_connections()
    do(queue.put([make_queued("a")]))
    assert queue.share(10, "x.test") == 0
    assert names(claim(queue)) == ["a"]
    assert queue.share(10, "x.test") == 10


def test_claims_of_which_no_task_knows_are_given_up_after_a_lost_connection(
    postgresql: PostgreSQL, queue: PostgresQueue
) -> None:
    do(queue.put([make_queued("a")]))
    claim(queue)
    writer_of(queue).leased.clear()
    postgresql.cut_connections()
    assert names(do(queue.claim(NOW + 1000, 1, due))) == ["a"]


def test_the_queue_goes_on_after_a_crash_of_the_database(
    postgresql: PostgreSQL, queue: PostgresQueue
) -> None:
    do(queue.put([make_queued("a"), make_queued("b")]))
    (first, second) = claim(queue)
    with ThreadPoolExecutor(2) as threads:
        postgresql.stop()
        waiting = threads.submit(lambda: do(queue.settle(relayed([first]), NOW)))
        reading = threads.submit(lambda: do(queue.content(second.message)))
        postgresql.start()
        waiting.result(60)
        reading.result(60)
    do(queue.settle(relayed([second]), NOW))
    assert do(queue.find(ALL)) == []


def test_calls_fail_while_the_database_is_away_for_long(
    postgresql: PostgreSQL, queue: PostgresQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smtpproto.adapters.postgres_connection.RECONNECT", 0)
    operations: list[Callable[[], Any]] = [
        lambda: do(queue.put([make_queued("a")])),
        lambda: do(queue.find(ALL)),
        lambda: claim(queue),
    ]
    postgresql.stop()
    try:
        for operation in operations:
            with pytest.raises(QueueFailed, match="that the database runs"):
                operation()
    finally:
        postgresql.start()
    do(queue.put([make_queued("a")]))
    assert names(claim(queue)) == ["a"]


def test_octets_that_were_changed_in_the_database_are_not_sent(
    postgresql: PostgreSQL, queue: PostgresQueue
) -> None:
    contents = {"changed": b"x" * 40_000, "cut": b"y" * 600_000, "gone": b"z" * 40_000}
    do(queue.put([make_queued(name, content=octets) for name, octets in contents.items()]))
    of = "message = (SELECT key FROM message WHERE id = %s)"
    postgresql.execute(f"UPDATE body SET octets = set_byte(octets, 7, 0) WHERE {of}", "changed")
    postgresql.execute(f"DELETE FROM body WHERE number = 1 AND {of}", "cut")
    postgresql.execute(f"DELETE FROM body WHERE {of}", "gone")
    for it in claim(queue):
        what = f"message {it.message.id} is missing or damaged in the database"
        with pytest.raises(QueueFailed, match=what):
            do(queue.content(it.message))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE message SET data = 'x' WHERE id = 'a'",
        "UPDATE delivery SET attempts = 2147483647 WHERE key >> 20 = "
        "(SELECT key FROM message WHERE id = 'a')",
    ],
)
def test_a_message_that_cannot_be_read_is_held_and_the_others_are_delivered(
    postgresql: PostgreSQL, queue: PostgresQueue, statement: str
) -> None:
    do(queue.put([make_queued("a"), make_queued("b")]))
    postgresql.execute(statement)
    assert names(claim(queue)) == ["b"]
    (entry,) = do(queue.find(Selection(state=State.HELD)))
    assert "the queue's entry of message a cannot be read" in entry.deliveries[0].reason


def test_a_delivery_without_its_message_does_not_stop_the_others(
    postgresql: PostgreSQL, queue: PostgresQueue
) -> None:
    do(queue.put([make_queued("a"), make_queued("b")]))
    postgresql.execute("DELETE FROM message WHERE id = 'a'")
    assert names(claim(queue)) == ["b"]


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_transactions_see_what_others_have_committed_whatever_the_default_is(
    postgresql: PostgreSQL, level: str
) -> None:
    postgresql.execute(f"ALTER ROLE postgres SET default_transaction_isolation = '{level}'")
    try:
        with opened(postgresql) as queue:
            tables = writer_of(queue).tables
            assert tables is not None
            assert tables.execute("SHOW transaction_isolation").fetchone() == ("read committed",)
    finally:
        postgresql.execute("ALTER ROLE postgres RESET default_transaction_isolation")


# -- large contents ------------------------------------------------------------------------------


async def put_large(queue: PostgresQueue, name: str, octets: bytes) -> None:
    body = queue.body()
    await body.write(octets)
    await queue.put([evolve(make_queued(name, content=octets), content=body)])


def test_a_large_content_of_a_message_that_is_refused_is_removed(
    postgresql: PostgreSQL, queue: PostgresQueue
) -> None:
    octets = b"x" * 3_000_000
    do(put_large(queue, "a", octets))
    with pytest.raises(ValueError, match="already"):
        do(put_large(queue, "a", octets))
    do(queue.put([]))
    assert postgresql.execute("SELECT count(DISTINCT message) FROM body") == [(1,)]
    assert postgresql.execute("SELECT * FROM arriving") == []
    assert do(read_content(queue, claim(queue)[0])) == octets


def test_a_large_content_whose_put_is_cancelled_is_removed(
    postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, discard = Tables.store, Tables.discard
    began, cancelled, discarded = threading.Event(), threading.Event(), threading.Event()

    def store_late(*arguments: Any) -> Any:
        began.set()
        assert cancelled.wait(60)
        return store(*arguments)

    def note(*arguments: Any) -> None:
        discard(*arguments)
        discarded.set()

    async def main() -> None:
        queue = PostgresQueue(postgresql.url, LIMITS)
        await queue.open(AsyncioRuntime())
        putting = asyncio.ensure_future(put_large(queue, "a", b"x" * 3_000_000))
        await asyncio.to_thread(began.wait)
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting
        cancelled.set()
        assert await asyncio.to_thread(discarded.wait, 60)
        await queue.put([])
        assert postgresql.execute("SELECT count(*) FROM body") == [(0,)]
        await queue.close()

    monkeypatch.setattr(Tables, "store", store_late)
    monkeypatch.setattr(Tables, "discard", note)
    asyncio.run(main())


def test_a_large_content_of_a_process_that_died_is_removed_and_not_put(
    postgresql: PostgreSQL,
    queue: PostgresQueue,
    other: PostgresQueue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Tables.store

    def store_and_die(*arguments: Any) -> Any:
        stored = store(*arguments)
        take_claims_away(postgresql, queue, by=other)
        return stored

    monkeypatch.setattr(Tables, "store", store_and_die)
    with pytest.raises(QueueFailed, match="a content was given up"):
        do(put_large(queue, "a", b"x" * 3_000_000))
    assert postgresql.execute("SELECT count(*) FROM body") == [(0,)]
    assert do(queue.find(ALL)) == []


# -- opening -------------------------------------------------------------------------------------


def test_what_is_not_the_url_of_a_database_is_refused() -> None:
    with pytest.raises(
        ValueError, match="pass, for example, postgresql://user@host/name"
    ) as caught:
        PostgresQueue("postgresql://ann:sesame@[x")
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("password", ["open/sesame", "open@sesame", "se\ud800same"])
def test_a_password_that_is_not_quoted_is_not_shown(password: str) -> None:
    with pytest.raises(ValueError, match="URL") as caught:
        PostgresQueue(f"postgresql://ann:{password}@db.test/mail")
    assert "same" not in str(caught.value)


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        ("theirs.version (v text)", 'column "number" does not exist; check: that the schema'),
        ("theirs.message (v text)", 'relation "message" already exists; check: that the schema'),
        ("theirs.version AS SELECT 'x' AS number", "invalid input syntax for type integer"),
    ],
)
def test_tables_of_others_are_left_alone(postgresql: PostgreSQL, tables: str, told: str) -> None:
    postgresql.execute("CREATE SCHEMA theirs")
    postgresql.execute(f"CREATE TABLE {tables}")
    try:
        with pytest.raises(QueueFailed) as caught:
            do(PostgresQueue(postgresql.url, schema="theirs").open(Runtime()))
        assert told in str(caught.value) and "LINE" not in str(caught.value)
    finally:
        postgresql.execute("DROP SCHEMA theirs CASCADE")


def test_a_queue_that_can_only_be_read_is_not_opened(postgresql: PostgreSQL) -> None:
    url = f"{postgresql.url}&options=-c%20default_transaction_read_only%3Don"
    with pytest.raises(QueueFailed, match="default_transaction_read_only is off"):
        do(PostgresQueue(url).open(Runtime()))


def test_a_schema_has_a_plain_name() -> None:
    for name in ("", 'a"b', "a" * 51, "\xe4"):
        with pytest.raises(ValueError, match="schema must be a name of at most 50 letters"):
            PostgresQueue("postgresql://db.test/mail", schema=name)


def test_a_queue_without_its_server_is_not_opened_and_the_password_is_not_shown(
    postgresql: PostgreSQL,
) -> None:
    queue = PostgresQueue(f"postgresql://ann:sesame@/mail?host={postgresql.directory}/none")
    with pytest.raises(QueueFailed) as caught:
        do(queue.open(Runtime()))
    assert "/none/mail failed" in str(caught.value)
    assert "sesame" not in f"{caught.value}{caught.value.__cause__}{queue!r}"


def test_a_queue_of_a_newer_version_is_not_opened(
    postgresql: PostgreSQL, queue: PostgresQueue
) -> None:
    postgresql.execute("UPDATE version SET number = 9")
    try:
        with pytest.raises(QueueFailed, match="has version 9, and this program knows 1"):
            do(PostgresQueue(postgresql.url).open(Runtime()))
    finally:
        postgresql.execute("UPDATE version SET number = 1")


def test_two_queues_may_be_in_one_database(postgresql: PostgreSQL, queue: PostgresQueue) -> None:
    second = PostgresQueue(postgresql.url, schema="Second")
    do(second.open(Runtime()))
    do(second.put([make_queued("a")]))
    assert do(queue.find(ALL)) == []
    do(second.close())
    postgresql.execute('DROP SCHEMA "Second" CASCADE')


def test_a_database_that_is_not_in_utf8_is_refused(postgresql: PostgreSQL) -> None:
    postgresql.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    queue = PostgresQueue(postgresql.url.replace("/postgres?", "/latin?"))
    with pytest.raises(QueueFailed, match="has the encoding LATIN1, not UTF8"):
        do(queue.open(Runtime()))
    postgresql.execute("DROP DATABASE latin")


# -- from outside --------------------------------------------------------------------------------


def test_a_queue_is_changed_from_outside_while_a_process_works_on_it(
    postgresql: PostgreSQL, queue: PostgresQueue
) -> None:
    do(queue.put([make_queued("a"), make_queued("b"), make_queued("c")]))
    with PostgresControl(postgresql.url) as control:
        (taken,) = claim(queue, 1)
        assert control.hold(ALL, "wait") == 2
        assert control.drop(Selection(id="b")) == 1
        assert claim(queue) == []
        woken: SimpleQueue[None] = SimpleQueue()
        queue.watch(lambda: woken.put(None))
        woken.get(timeout=60)
        assert control.release(ALL) == 1
        woken.get(timeout=60)
        assert control.stats() == do(queue.stats())
        assert control.content(taken.message) == make_queued().content
    assert names(do(queue.claim(time.time(), 10, due))) == ["c"]


def test_a_queue_that_is_not_there_is_not_made_by_looking_into_it(postgresql: PostgreSQL) -> None:
    with pytest.raises(QueueFailed, match="there is no queue in postgresql://"):
        PostgresControl(postgresql.url, schema="elsewhere")


def test_the_command_line_takes_the_url_of_a_queue(
    postgresql: PostgreSQL,
    queue: PostgresQueue,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    do(queue.put([make_queued("a")]))
    assert cli.main(["queue", "list", "--queue", postgresql.url]) == 0
    assert cli.main(["queue", "hold", "a", "--queue", postgresql.url]) == 0
    assert "hold: 1 delivery" in capsys.readouterr().out
    file = tmp_path / "mail.toml"
    file.write_text(
        f'hostname = "mx.ours.test"\nqueue = "{postgresql.url}"\nstorage = {{ patience = 5 }}\n'
        'listen = [{ port = 0 }]\nroutes = { "*" = { smart_host = "192.0.2.1" } }\n'
    )
    assert cli.main(["mta", "--check", "--config", str(file)]) == 0
    file.write_text(file.read_text().replace("postgresql:///", "postgresql://u:sesame@["))
    assert cli.main(["mta", "--check", "--config", str(file)]) == 78
    error = capsys.readouterr().err
    assert "line 2: queue: not the URL of a PostgreSQL database" in error
    assert "sesame" not in error


def test_work_on_a_long_queue_reads_no_table_as_a_whole(postgresql: PostgreSQL) -> None:
    with opened(postgresql) as queue:
        do(queue.put([make_queued("m", "x@d0.test")]))
        copies = "generate_series(1, 20000) AS n"
        postgresql.execute(
            f"""INSERT INTO message SELECT nextval('message_key'), 'copy' || n, sender,
            sender_domain, priority, size, arrived, not_before, data, "left" FROM message, {copies};
            INSERT INTO delivery SELECT message.key << 20, d.priority, 'd' || message.key % 100
            || '.test', d.origin, address, state, d.due + message.key % 4000, attempts, warned,
            reason, recipient, log, fate, at, owner FROM message, delivery AS d
            WHERE message.id LIKE 'copy%'; TRUNCATE lane; INSERT INTO lane SELECT priority, domain,
            origin, min(due) FROM delivery GROUP BY priority, domain, origin"""
        )
        postgresql.execute("VACUUM ANALYZE")
    scans = "SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname IN ('message', 'delivery')"
    (before,) = postgresql.execute(scans)
    with opened(postgresql) as queue:
        for step in range(8):
            claims = do(queue.claim(NOW + 5000, 50, due))
            assert len(claims) == 50
            ended = relayed(claims)
            later = Settlement(delivery=ended.pop().delivery, decision=Later(due=NOW + 9000))
            do(queue.settle([*ended, later], NOW, [make_queued(f"report{step}")]))
            assert do(queue.next_due()) == NOW
            do(queue.content(make_queued(f"report{step}").message))
            take_claims_away(postgresql, queue, by=queue)
    assert postgresql.execute(scans) == [before]


# -- limits for all processes together -----------------------------------------------------------


def test_the_parts_of_a_limit_add_up_to_it_for_any_number_of_processes(
    postgresql: PostgreSQL,
) -> None:
    with contextlib.ExitStack() as stack:
        queues: list[PostgresQueue] = []
        for number in range(1, 5):
            queues.append(stack.enter_context(opened(postgresql)))
            assert queues[-1].share(7, "x.test") == 0
            meet(*queues)
            assert [it.share(9000, "x.test") for it in queues] == [9000 // number] * number
            for limit in (1, 2, 7):
                assert sum(it.share(limit, "x.test") for it in queues) == limit
    with opened(postgresql) as queue:
        meet(queue)
        assert queue.share(7, "x.test") == 7


def test_a_process_that_joins_waits_until_all_others_keep_to_smaller_parts(
    queue: PostgresQueue, postgresql: PostgreSQL
) -> None:
    do(queue.put([make_queued("a"), make_queued("b")]))
    assert names(claim(queue, 1)) == ["a"]
    assert queue.share(10, "x.test") == 10
    with opened(postgresql) as joining:
        for _ in range(2):
            assert claim(joining) == []
            assert joining.share(10, "x.test") == 0
        do(queue.put([]))
        assert queue.share(10, "x.test") == 5
        assert names(claim(joining)) == ["b"]
        assert joining.share(10, "x.test") == 5


def test_processes_that_listen_notice_at_once_who_joins_and_who_leaves(
    queue: PostgresQueue, postgresql: PostgreSQL
) -> None:
    meet(queue)
    noticed: SimpleQueue[int] = SimpleQueue()
    queue.watch(lambda: noticed.put(queue.share(10, "x.test")))
    assert noticed.get(timeout=60) == 10
    with opened(postgresql) as joining:
        do(joining.claim(NOW, 0, due))
        assert noticed.get(timeout=60) == 5
        do(joining.claim(NOW, 0, due))
        assert joining.share(10, "x.test") == 5
    assert noticed.get(timeout=60) == 10


def test_the_part_of_a_process_that_died_goes_to_the_others(
    postgresql: PostgreSQL, queue: PostgresQueue, other: PostgresQueue
) -> None:
    assert queue.share(10, "x.test") == 5
    take_claims_away(postgresql, other, by=queue)
    do(queue.put([]))
    assert queue.share(10, "x.test") == 10
    assert do(other.put([])) is None
    assert other.share(10, "x.test") == 0


def test_a_process_whose_entry_among_the_members_was_undone_joins_again(
    queue: PostgresQueue,
) -> None:
    cut(queue, after=False)
    do(queue.put([make_queued("a")]))
    cut(queue, after=False)
    assert names(claim(queue)) == ["a"]
    assert queue.share(10, "x.test") == 10
