"""Measure a PostgreSQL queue: ``python -m bench.postgres_speed URL``. It empties the queue at URL.

First it measures claims as the queue grows. It is filled by SQL with messages that are due, to
1,000 domains; half of them to one domain. Then it measures what a message costs the server, which
must run on this machine: the CPU time of its processes for our connections.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from itertools import pairwise
from pathlib import Path

import psycopg

from smtpproto.adapters.asyncio import Runtime
from smtpproto.adapters.postgres_queue import PostgresQueue
from smtpproto.mta.settlement import Later, Settlement

from .queue_speed import LOADS, drain, enqueue, message

SIZES = (1_000, 10_000, 100_000, 1_000_000)
CLAIMED, ROUNDS = 50, 20
MESSAGES = 4096
TABLES = "message, body, arriving, delivery, lane, owner, member, sleeper, post"


def empty(url: str) -> None:
    """Remove all that is in the queue."""
    with psycopg.connect(url) as connection:
        connection.execute("SET search_path = smtpproto")
        connection.execute(f"TRUNCATE {TABLES}")


def fill(url: str, number: int, now: float) -> None:
    """Put *number* messages into the queue, copies of the one that is there."""
    with psycopg.connect(url) as connection:
        execute = connection.execute
        execute("SET search_path = smtpproto")
        numbers = (number,)
        execute(
            """INSERT INTO message SELECT nextval('message_key'), 'copy' || n, sender,
            sender_domain, priority, size, arrived, not_before, data, "left"
            FROM message, generate_series(2, %s) AS n""",
            numbers,
        )
        execute(
            """INSERT INTO body SELECT message.key, number, crc, octets FROM message, body
            WHERE message.id LIKE 'copy%'""",
        )
        execute(
            """INSERT INTO delivery SELECT message.key << 20, d.priority,
            CASE message.key % 2 WHEN 0 THEN 'giant.test'
            ELSE 'd' || message.key % 1000 || '.test' END, d.origin, address, state,
            d.due - message.key % 4000, attempts, warned, reason, recipient, log, fate, at,
            owner FROM message, delivery AS d WHERE message.id LIKE 'copy%'""",
        )
        execute("TRUNCATE lane")
        execute(
            """INSERT INTO lane SELECT priority, domain, origin, min(due) FROM delivery
            GROUP BY priority, domain, origin"""
        )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


async def measure(url: str, number: int) -> None:
    """Print what claims and settlements cost with *number* messages in the queue."""
    now = time.time()
    empty(url)
    queue = PostgresQueue(url)
    await queue.open(Runtime())
    await queue.put([message(400, now)])
    fill(url, number, now)
    claims, settles, nexts = [], [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        claimed = await queue.claim(now, CLAIMED, lambda it: it.due + 60)
        middle = time.perf_counter()
        deliveries = [it for claim in claimed for it in claim.deliveries]
        assert len(deliveries) == CLAIMED or number < 10_000
        await queue.settle(
            [Settlement(delivery=it, decision=Later(due=now + 9000)) for it in deliveries], now
        )
        end = time.perf_counter()
        await queue.next_due()
        claims.append(middle - start)
        settles.append(end - middle)
        nexts.append(time.perf_counter() - end)
    await queue.close()
    figures = "".join(f"{statistics.median(it) * 1000:12.1f}" for it in (claims, settles, nexts))
    print(f"{number:10,}{figures}")


def server_cpu(url: str) -> float:
    """Return the seconds of CPU that the server has spent for our connections."""
    with psycopg.connect(url) as connection:
        pids = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'smtpproto'"
        ).fetchall()
    return sum(cpu_of(pid) for (pid,) in pids)


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU that a process has spent."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure_cost(url: str, workers: int) -> None:
    """Print what a message costs, if so many workers put messages into the queue, and then deliver
    them."""
    empty(url)
    now, queues = time.time(), [PostgresQueue(url) for _ in range(workers)]
    for queue in queues:
        await queue.open(Runtime())
    messages = [message(4096, now, f"x@d{number % 100}.test") for number in range(MESSAGES)]
    load, seconds, cpu = LOADS["4 kB, groups of 32"], [time.perf_counter()], [server_cpu(url)]
    for work in (
        [enqueue(queue, load, messages[at::workers]) for at, queue in enumerate(queues)],
        [drain(queue, load, now) for queue in queues],
    ):
        await asyncio.gather(*work)
        seconds.append(time.perf_counter())
        cpu.append(server_cpu(url))
    for queue in queues:
        await queue.close()
    rates = "".join(f"{MESSAGES / (b - a):10.0f}/s" for a, b in pairwise(seconds))
    costs = "".join(f"{(b - a) / MESSAGES * 1000:9.2f} ms" for a, b in pairwise(cpu))
    print(f"{workers:7}{rates}{costs}")


async def main(url: str) -> None:
    """Measure all sizes."""
    print(f"   waiting  claim of {CLAIMED}   settle     next due   (ms, medians of {ROUNDS})")
    for size in SIZES:
        await measure(url, size)
    print("workers    enqueue       drain     CPU of the server for each")
    for workers in (1, 4):
        await measure_cost(url, workers)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
