"""Several mail agents deliver from one queue in PostgreSQL: together they keep a limit, and each
message arrives once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter

import pytest
import trio

from smtpproto import Envelope, Handler, Session
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking
from smtpproto.adapters import trio as on_trio
from smtpproto.adapters.postgres_queue import PostgresQueue
from smtpproto.limits import ScheduleLimits
from smtpproto.mta import SmartHost
from tests.interop.our_server import Inbox, serving
from tests.interop.postgresql import PostgreSQL

pytestmark = pytest.mark.peer("postgresql")

MESSAGES, AGENTS, LIMIT = 40, 3, 2


class SlowHop(Handler):
    """Takes a moment for each message, and counts how many come at the same time."""

    def __init__(self) -> None:
        self.arrived: Counter[str] = Counter()
        self.by: Counter[str] = Counter()
        self.busy = self.most = 0
        self.all = asyncio.Event()

    async def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        self.busy += 1
        self.most = max(self.most, self.busy)
        await asyncio.sleep(0.02)
        self.busy -= 1
        self.arrived[str(envelope.recipients[0])] += 1
        self.by[str(session.hello)] += 1
        if len(self.arrived) == MESSAGES:
            self.all.set()


def test_agents_keep_the_limit_of_a_destination_together(postgresql: PostgreSQL) -> None:
    async def main() -> SlowHop:
        hop = SlowHop()
        async with contextlib.AsyncExitStack() as stack:
            server = await stack.enter_async_context(on_asyncio.serve(hop))
            routes = {"*": SmartHost("127.0.0.1", server.port, tls="none")}
            limits = ScheduleLimits(window=LIMIT, largest_window=LIMIT, active_per_destination=8)
            agents = [
                await stack.enter_async_context(
                    on_asyncio.MTA(
                        f"mx{number}.test", PostgresQueue(postgresql.url), routes, limits=limits
                    )
                )
                for number in range(AGENTS)
            ]
            while [agent.queue.share(AGENTS, "x.test") for agent in agents] != [1] * AGENTS:
                await asyncio.sleep(0.01)  # they get to know each other
            for number in range(MESSAGES):
                to = f"u{number}@a.test"
                await agents[0].send(b"Subject: hi\r\n\r\n", Envelope("ann@b.test", [to]))
            await asyncio.wait_for(hop.all.wait(), 60)
        return hop

    hop = asyncio.run(main())
    assert set(hop.arrived.values()) == {1}
    assert hop.most == LIMIT
    assert len(hop.by) == LIMIT  # the third agent has no part of it


def test_what_one_agent_takes_wakes_another_that_delivers(postgresql: PostgreSQL) -> None:
    async def main() -> SlowHop:
        hop = SlowHop()
        async with on_asyncio.serve(hop) as server:
            routes = {"*": SmartHost("127.0.0.1", server.port, tls="none")}
            relaying = on_asyncio.MTA("relay.test", PostgresQueue(postgresql.url), routes)
            none = ScheduleLimits(connections=0)
            receiving = on_asyncio.MTA(
                "mx.test", PostgresQueue(postgresql.url), routes, limits=none
            )
            async with relaying, receiving:
                for number in range(MESSAGES):
                    to = f"u{number}@a.test"
                    await receiving.send(b"Subject: hi\r\n\r\n", Envelope("ann@b.test", [to]))
                    while sum(hop.arrived.values()) <= number:
                        await asyncio.sleep(0.01)
        return hop

    hop = asyncio.run(asyncio.wait_for(main(), 60))
    assert set(hop.by) == {"relay.test"}
    assert set(hop.arrived.values()) == {1}


async def send_one(mail: on_asyncio.MTA | on_trio.MTA) -> None:
    async with mail:
        await mail.send(b"Subject: hi\r\n\r\n", Envelope("ann@b.test", ["bob@a.test"]))
        while (await mail.queue.stats()).messages:
            await mail._running.runtime.sleep(0.01)


def test_a_queue_works_on_each_adapter(adapter: str, postgresql: PostgreSQL, inbox: Inbox) -> None:
    with serving("asyncio", inbox) as port:
        queue = PostgresQueue(postgresql.url)
        routes = {"*": SmartHost("127.0.0.1", port, tls="none")}
        match adapter:
            case "asyncio":
                asyncio.run(send_one(on_asyncio.MTA("mx.test", queue, routes)))
            case "trio":
                trio.run(send_one, on_trio.MTA("mx.test", queue, routes))
            case _:
                with blocking.MTA("mx.test", queue, routes) as mail:
                    mail.send(b"Subject: hi\r\n\r\n", Envelope("ann@b.test", ["bob@a.test"]))
                    while blocking.run(mail.queue.stats()).messages:
                        time.sleep(0.01)
        assert inbox.next().recipients == ["bob@a.test"]
