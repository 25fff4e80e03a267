"""Measure claims from a PostgreSQL queue as it grows: ``python -m bench.postgres_speed URL``.

The queue at URL is emptied. It is filled by SQL with messages that wait, to 1,000 domains, and are
due; half of them to one domain.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time

import psycopg

from smtpproto.adapters.asyncio import Runtime
from smtpproto.adapters.postgres_queue import PostgresQueue
from smtpproto.mta.settlement import Later, Settlement

from .queue_speed import message

SIZES = (1_000, 10_000, 100_000, 1_000_000)
CLAIMED, ROUNDS = 50, 20
TABLES = "message, body, delivery, lane, owner, sleeper"


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
    with psycopg.connect(url) as connection:
        connection.execute("SET search_path = smtpproto")
        connection.execute(f"TRUNCATE {TABLES}")
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


async def main(url: str) -> None:
    """Measure all sizes."""
    print(f"   waiting  claim of {CLAIMED}   settle     next due   (ms, medians of {ROUNDS})")
    for size in SIZES:
        await measure(url, size)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
