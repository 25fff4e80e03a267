"""Whatever hosts do, each recipient comes to one end, and its sender hears of failures once."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from smtpproto import Envelope, Reply, Session
from smtpproto.errors import QueueFailed
from smtpproto.mta.memory_store import MemoryQueue
from smtpproto.mta.queue import Result
from smtpproto.mta.settlement import Fate
from smtpproto.testing.simulation import SimulatedHost, Simulation
from tests.support.hosts import Host, Hosts
from tests.transfer.relaying import Network
from tests.transfer.working import Working

REPLIES = [
    Reply(421, "4.3.2", "Closing"), Reply(451, "4.7.1", "Try again in 300 seconds"),
    Reply(452, "4.3.1", "Full"), Reply(550, "5.1.1", "No"), Reply(554, "5.7.1", "Never"),
]  # fmt: skip


class Moody(Host):
    """A host that refuses, delays and breaks connections as chance has it."""

    def __init__(self, dice: random.Random, simulation: Simulation, machine: SimulatedHost) -> None:
        super().__init__()
        self.dice, self.simulation, self.machine = dice, simulation, machine
        self.trouble = dice.choice([0.0, 0.1, 0.3])

    def _mood(self) -> Reply | None:
        return self.dice.choice(REPLIES) if self.dice.random() < self.trouble else None

    def connect(self, session: Session) -> Reply | None:
        super().connect(session)
        return self._mood()

    def mail(self, session: Session, sender: Any, parameters: Any) -> Reply | None:
        return self._mood()

    def rcpt(self, session: Session, recipient: Any, parameters: Any) -> Reply | None:
        if self.dice.random() < self.trouble / 4:
            self.machine.cut(session.peer)
        return self._mood()

    async def _message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:
        await self.simulation.sleep(self.dice.choice([0, 0, 1, 60]))
        if (refusal := self._mood()) is not None:
            return refusal
        if self.dice.random() < self.trouble / 2:
            self.machine.cut(session.peer)
        self.received.append((envelope, body))
        return None

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Any:
        return self._message(session, envelope, body)


class Shaky(MemoryQueue):
    """A queue that fails now and then, before it has done anything."""

    def __init__(self, dice: random.Random, odds: float) -> None:
        super().__init__()
        self.dice, self.odds = dice, odds

    def _shake(self) -> None:
        if self.dice.random() < self.odds:
            raise QueueFailed("the disk has a bad day")

    async def claim(self, *args: Any, **more: Any) -> Any:
        self._shake()
        return await super().claim(*args, **more)

    async def settle(self, *args: Any, **more: Any) -> None:
        self._shake()
        await super().settle(*args, **more)

    async def content(self, message: Any) -> Any:
        self._shake()
        return await super().content(message)


def world(seed: int) -> Working:
    dice, simulation = random.Random(seed), Hosts(seed)
    moody = tuple(
        Moody(dice, simulation, simulation.host(f"192.0.2.{n}"))
        for n in range(1, dice.randint(2, 4))
    )
    network = Network(moody, simulation=simulation)
    for n in range(1, len(moody) + 1):
        faults = simulation.host(f"192.0.2.{n}").faults
        faults.refuses = dice.random() < 0.1
        faults.silent = dice.random() < 0.1
    return Working(network, store=Shaky(dice, dice.choice([0.0, 0.05, 0.2])), look=3600.0)


def recipients_of(report: bytes) -> list[str]:
    """Return those who failed; the report may also tell that others are delayed."""
    groups = [each for each in report.decode().split("\r\n\r\n") if "Action: failed" in each]
    return re.findall(r"Final-Recipient: rfc822; ?(\S+)", "\n".join(groups))


def test_each_recipient_comes_to_one_end(seeds: Callable[[int, int], Iterator[int]]) -> None:
    for seed in seeds(400, 40):
        working = world(seed)
        dice = working.network.simulation.dice
        messages = [
            working.queued(*(f"u{n}@example.net" for n in range(dice.randint(1, 4))))
            for _ in range(dice.randint(1, 8))
        ]
        entries = working.deliver(*messages, hours=24 * 6)
        ended = working.ended(entries)
        asked = {(it.message.id, each.number) for it in messages for each in it.deliveries}
        assert {(it.delivery.message, it.delivery.number) for it in ended} == asked
        assert not any(entry.deliveries for entry in entries)

        failed = Counter(
            str(it.delivery.recipient) for it in ended if it.fate in (Fate.FAILED, Fate.EXPIRED)
        )
        told = Counter(
            name
            for report in dict.fromkeys(working.reports)  # one may arrive twice, as any message
            if b"Action: failed" in report
            for name in recipients_of(report)
        )
        assert told == failed

        got = Counter(
            str(path)
            for host in working.network.hosts
            for envelope, _ in host.received
            for path in envelope.recipients
        )
        relayed = Counter(str(it.delivery.recipient) for it in ended if it.fate is Fate.RELAYED)
        unknown = Counter(
            str(it.delivery.recipient)
            for it in ended
            for attempt in it.delivery.log
            if attempt.result is Result.UNKNOWN
        )
        assert relayed <= got <= relayed + unknown
        for it in ended:
            times = [attempt.at for attempt in it.delivery.log]
            assert times == sorted(times)
