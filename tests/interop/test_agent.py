"""The mail agent with a name server, an SQLite queue and Postfix as the next host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smtpproto import MailParameters, Notify, RcptParameters
from smtpproto.adapters.sqlite_queue import SQLiteQueue
from smtpproto.dns_cache import CachingResolver
from smtpproto.mta.bounce import Reporter
from smtpproto.mta.exchangers import Self
from smtpproto.mta.judge import Judge
from smtpproto.mta.report import read_report
from smtpproto.mta.retry import RetrySchedule
from smtpproto.mta.route import Direct, Local, Routes
from smtpproto.mta.schedule import Schedule
from smtpproto.mta.store import Entry, Queued, Selection
from smtpproto.ports import Runtime
from smtpproto.transfer.agent import Agent
from smtpproto.transfer.relay import Relay
from tests.interop.mailboxes import fields_above
from tests.interop.postfix import Postfix
from tests.support.queued import delivery, message
from tests.support.queues import LIMITS
from tests.support.runtimes import Run, on_real

pytest.importorskip("dns")

from smtpproto.adapters.dnspython import DNSResolver

pytestmark = [pytest.mark.peer("postfix"), pytest.mark.peer("nsd")]
NEVER_THERE = ("nobody@box.test", "bob@null.box.test", "bob@no-host.box.test", "bob@gone.box.test")


def queued(content: bytes, now: float, *recipients: str) -> Queued:
    asked = RcptParameters(notify={Notify.SUCCESS, Notify.FAILURE})
    to = tuple(
        delivery("m1", number, each, due=now, attempts=0, parameters=asked)
        for number, each in enumerate(recipients)
    )
    facts: dict[str, Any] = {"arrived": now, "expires": now + 86400, "size": len(content)}
    parameters = MailParameters(envid="QQ1")
    return Queued(message=message(**facts, parameters=parameters), deliveries=to, content=content)


@on_real
def test_mail_finds_its_way_to_postfix_and_reports_find_theirs(
    run: Run, content: bytes, zone: int, postfix: Postfix, tmp_path: Path
) -> None:
    reports: list[bytes] = []

    async def main(runtime: Runtime) -> Entry:
        queue = SQLiteQueue(tmp_path / "queue.db", LIMITS)
        await queue.open(runtime)
        resolver = CachingResolver(DNSResolver(["127.0.0.1"], port=zone, lifetime=5), runtime)
        local = Local(lambda message, deliveries, octets: reports.append(octets))
        agent = Agent(
            runtime,
            queue,
            Routes({"*": Direct(port=postfix.port), "example.org": local}),
            Relay(runtime, resolver, Self(names=["mx.us.test"], loopback=False), "mx.us.test"),
            Reporter(hostname="mx.us.test"),
            Judge(RetrySchedule()),
            Schedule(),
        )
        async with runtime.tasks() as tasks:
            tasks.start(agent.run())
            await queue.put([queued(content, runtime.utc(), "alice@box.test", *NEVER_THERE)])
            agent.wake()
            while (await queue.stats()).messages:
                await runtime.sleep(0.05)
            agent.stop()
        [entry] = await queue.find(Selection(id="m1"), 10)
        await queue.close()
        return entry

    entry = run(main)
    delivered = postfix.mailboxes.next("alice")
    fields_above(delivered, content)
    first = entry.ended[0].delivery.log[-1]
    assert (first.host, first.address) == ("mx.box.test", "127.0.0.1")
    assert first.earlier.startswith("dead.box.test [127.0.0.9]: ")
    assert first.tls.startswith("TLSv1.")
    read = [report for octets in reports if (report := read_report(octets)) is not None]
    told = {it.final_recipient.value: str(it.status) for one in read for it in one.recipients}
    assert told == dict(zip(NEVER_THERE, ["5.1.1", "5.1.10", "5.4.4", "5.1.2"], strict=True))
    assert {one.status.envelope_id for one in read} == {"QQ1"}
