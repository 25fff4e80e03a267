"""What work on a message costs in an SQLite queue, in steps of SQLite, however many wait."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smtpproto.adapters.segments import Segments
from smtpproto.adapters.sqlite_rows import in_row
from smtpproto.adapters.sqlite_schema import connect, find_lanes
from smtpproto.adapters.sqlite_tables import Tables
from smtpproto.mta.settlement import Done, Fate, Later, Settlement
from smtpproto.mta.store import Selection
from smtpproto.testing.queue_samples import NOW, due_if_lost, make_queued

FEW, MANY = 1000, 100_000
SOME = {(f"d{number}", "o1") for number in range(10)}


def filled(path: Path, messages: int, *, domains: int, origins: int) -> Tables:
    """Return the tables of a queue with copies of one message, all due, one second apart."""
    connection = connect(path, create=True)
    tables = Tables(connection, Segments(path.with_suffix(".bodies")))
    connection.execute("BEGIN")
    tables.put(make_queued("m", "x@d.test", content=b"hello"), in_row(b"hello"))
    numbers = (
        f"WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {messages})"
    )
    connection.execute(
        f"""INSERT INTO message {numbers} SELECT i, id || i, sender, sender_domain, priority, size,
        arrived, not_before, data, segment, start, crc, left FROM message, n"""
    )
    connection.execute(f"INSERT INTO body {numbers} SELECT i, octets FROM body, n")
    connection.execute(
        f"""INSERT INTO delivery {numbers} SELECT i << 20, priority, 'd' || (i % {domains}),
        'o' || (i / {domains} % {origins}), address, state, due - {messages} + i, attempts, warned,
        reason, recipient, log, fate, at FROM delivery, n"""
    )
    find_lanes(connection)
    connection.execute("ANALYZE")
    return tables


def steps_of(tables: Tables, work: Callable[[Tables], Any]) -> int:
    """Return how many steps SQLite takes for *work*."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    tables.connection.set_progress_handler(count, 1)
    work(tables)
    tables.connection.set_progress_handler(None, 0)
    return steps


def work_on(tables: Tables, excluded: set[tuple[str, str]]) -> None:
    """Put ten messages, claim twenty, read and settle them, half of them for later."""
    for number in range(10):
        queued = make_queued(f"new{number}", f"x@d{number}", origin="o1")
        tables.put(queued, in_row(b"x" * queued.message.size))

    def pass_over(*lane: str) -> bool:
        return lane in excluded

    claims = tables.claim(NOW, 20, due_if_lost, pass_over)
    assert len(claims) == 20
    for claim in claims:
        tables.content(claim.message)
    tables.next_due(pass_over)
    settlements = [
        Settlement(
            delivery=claim.deliveries[0],
            decision=Later(due=NOW + 60) if number % 2 else Done(Fate.RELAYED),
        )
        for number, claim in enumerate(claims)
    ]
    tables.settle(settlements, NOW)
    tables.forget(NOW - 100)


@pytest.mark.parametrize(
    ("domains", "origins", "excluded"),
    [
        pytest.param(1, 1, set(), id="one lane"),
        pytest.param(200, 1, set(), id="many domains", marks=pytest.mark.soak),
        pytest.param(1, 200, set(), id="many origins", marks=pytest.mark.soak),
        pytest.param(20, 20, SOME, id="some excluded", marks=pytest.mark.soak),
    ],
)
def test_work_on_a_message_takes_as_many_steps_with_a_hundred_thousand_in_the_queue(
    tmp_path: Path, domains: int, origins: int, excluded: set[tuple[str, str]]
) -> None:
    steps = []
    for messages in (FEW, MANY):
        tables = filled(tmp_path / f"{messages}.db", messages, domains=domains, origins=origins)
        steps.append(steps_of(tables, lambda its: work_on(its, excluded)))
        tables.connection.close()
    few, many = steps
    assert many <= 1.2 * few


def test_a_claim_writes_only_lanes_that_it_takes_from(tmp_path: Path) -> None:
    """After all was made due at once, it must look at each lane to see which is first."""
    tables = filled(tmp_path / "queue.db", 400, domains=200, origins=1)
    tables.retry(Selection(), NOW)
    statements: list[str] = []
    tables.connection.set_trace_callback(statements.append)
    tables.claim(NOW, 10, due_if_lost, lambda *_: False)
    written = [it for it in statements if it.startswith(("UPDATE lane", "DELETE FROM lane"))]
    assert len(written) == 10
    tables.connection.close()
