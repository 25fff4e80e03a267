"""The mail agent over real sockets, with a queue on a disk, on each adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smtpproto import Envelope, Handler, Reply, Session
from smtpproto.adapters.sqlite_queue import SQLiteQueue
from smtpproto.limits import ScheduleLimits
from smtpproto.mta.bounce import Reporter
from smtpproto.mta.exchangers import Self
from smtpproto.mta.judge import Judge
from smtpproto.mta.retry import RetrySchedule
from smtpproto.mta.route import Local, Routes, SmartHost
from smtpproto.mta.schedule import Schedule
from smtpproto.mta.store import Queued, Selection
from smtpproto.ports import Runtime
from smtpproto.testing import Zone
from smtpproto.transfer.agent import Agent
from smtpproto.transfer.relay import Relay
from tests.adapters.harness import Blocking
from tests.support.queued import delivery, message
from tests.support.queues import LIMITS
from tests.support.runtimes import Run, on_real

BODY = b"Subject: hi\r\n\r\nhello\r\n"


class Recipient(Handler):
    """Refuses each message once, and user 7 always."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}
        self.got: list[str] = []
        self.bodies: set[bytes] = set()

    def rcpt(self, session: Session, recipient: Any, parameters: Any) -> Reply | None:
        name = recipient.local_part
        self.seen[name] = self.seen.get(name, 0) + 1
        if name == "u7":
            return Reply(550, "5.1.1", "No such user")
        return None if self.seen[name] > 1 else Reply(451, "4.7.1", "Greylisted")

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        self.got += [str(path) for path in envelope.recipients]
        self.bodies.add(body)


def queued(number: int, now: float, body: bytes) -> Queued:
    facts = {"arrived": now, "expires": now + 86400, "size": len(body), "origin": "here"}
    name = f"{number:04}"
    to = delivery(name, to=f"u{number}@example.net", due=now, attempts=0)
    return Queued(message=message(name, **facts), deliveries=(to,), content=body)


@on_real
@pytest.mark.parametrize(
    "body", [BODY, BODY + b"x" * 70 + b"\r\n" + b"y\r\n" * 50_000], ids=["row", "file"]
)
def test_messages_are_delivered_retried_and_reported(run: Run, body: bytes, tmp_path: Path) -> None:
    recipient, reports = Recipient(), list[Any]()
    retry = RetrySchedule(steps=(0.05,), jitter=0)

    async def work(runtime: Runtime, port: int) -> int:
        queue = SQLiteQueue(tmp_path / "queue.db", LIMITS)
        await queue.open(runtime)
        host = SmartHost("127.0.0.1", port, tls="none")
        local = Local(lambda *args: reports.append(args))
        agent = Agent(
            runtime,
            queue,
            Routes({"*": host, "example.org": local}),
            Relay(runtime, Zone({}), Self(), "mx.us.test"),
            Reporter(hostname="mx.us.test"),
            Judge(retry),
            Schedule(ScheduleLimits()),
        )
        async with runtime.tasks() as tasks:
            tasks.start(agent.run())
            await queue.put([queued(number, runtime.utc(), body) for number in range(20)])
            agent.wake()
            while (await queue.stats()).messages:
                await runtime.sleep(0.01)
            agent.stop()
        left = len(await queue.find(Selection(), 100))
        await queue.close()
        return left

    server = Blocking.serve(recipient)
    try:

        async def main(runtime: Runtime) -> int:
            return await work(runtime, server.port)

        assert run(main) == 0
    finally:
        server.stop()
    assert sorted(recipient.got) == sorted(f"u{n}@example.net" for n in range(20) if n != 7)
    assert recipient.bodies == {body}
    [(_, [to], content)] = reports
    assert str(to.recipient) == "ann@example.org"
    assert b"u7@example.net" in content
