"""The outcome that a client reports is true: up to 10,000 seeded sessions with faults."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator

from attrs import define, field

from smtpproto import (
    ClientConfig,
    Envelope,
    ForwardPath,
    Handler,
    RcptParameters,
    Reply,
    SendRefused,
    ServerConfig,
    Session,
    SMTPError,
)
from smtpproto.client.connection import open_client
from smtpproto.testing.simulation import Simulation

SESSIONS = 10_000


@define(eq=False)
class RecordingSink:
    """A sink that records whether it was committed or aborted."""

    server: RandomServer
    slices: list[bytes] = field(factory=list)
    ends: list[str] = field(factory=list)

    def write(self, data: bytes) -> None:
        self.slices.append(data)
        if self.server.happens(0.01):
            raise OSError("disk full")

    async def commit(self) -> Reply | None:
        self.ends.append("commit")
        if self.server.happens(0.05):
            raise OSError("disk on fire")
        if self.server.happens(0.05):
            return Reply(554, "5.6.0", "Not that")
        self.server.received[b"".join(self.slices)] += 1
        return None

    def abort(self) -> None:
        self.ends.append("abort")


@define(eq=False)
class RandomServer(Handler):
    """Refuses and fails at random, as the seed decides."""

    random: random.Random
    received: Counter[bytes] = field(factory=Counter)
    sinks: list[RecordingSink] = field(factory=list)
    closed: int = 0

    def happens(self, probability: float) -> bool:
        return self.random.random() < probability

    def connect(self, session: Session) -> Reply | None:
        return Reply(554, "5.7.1", "Not you") if self.happens(0.01) else None

    async def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        if self.happens(0.02):
            raise LookupError("no directory")
        return Reply(550, "5.1.1", "No such user") if self.happens(0.2) else None

    def data(self, session: Session, envelope: Envelope) -> RecordingSink | Reply:
        if self.happens(0.03):
            return Reply(451, "4.3.1", "Full")
        self.sinks.append(RecordingSink(self))
        return self.sinks[-1]

    def close(self, session: Session) -> None:
        self.closed += 1


@define
class ReportedOutcomes:
    """The contents that one client sent, by the outcome that it reported."""

    accepted: list[bytes] = field(factory=list)
    unknown: list[bytes] = field(factory=list)
    rejected: list[bytes] = field(factory=list)


def _content(rng: random.Random, number: int) -> bytes:
    lines = rng.choices(
        [b".", b"..", b"", b".x", b"text", b"QUIT", b"x" * 900], k=rng.randint(0, 6)
    )
    return b"".join(line + b"\r\n" for line in (b"Message: %d" % number, *lines))


async def _session(simulation: Simulation, results: ReportedOutcomes) -> None:
    rng = simulation.dice
    try:
        client = await open_client(simulation, "mx.example", 25, ClientConfig())
    except SMTPError:
        return
    async with client:
        for number in range(rng.randint(1, 3)):
            recipients = [f"r{i}@example.org" for i in range(rng.randint(1, 5))]
            content = _content(rng, number)
            pieces = iter([content[:7], content[7:]]) if rng.random() < 0.3 else content
            try:
                outcome = await client.send(pieces, Envelope("ann@example.org", recipients))
            except SendRefused:
                results.rejected.append(content)
                if not client.usable:  # 421
                    return
            except SMTPError:
                results.rejected.append(content)
                return
            else:
                (results.unknown if outcome.unknown else results.accepted).append(content)
                if outcome.unknown:
                    return


def _run(seed: int) -> tuple[Simulation, RandomServer, ReportedOutcomes]:
    rng = random.Random(seed)
    simulation = Simulation(seed, cut_at=rng.randint(0, 60) if rng.random() < 0.7 else None)
    server = RandomServer(random.Random(seed + 1))
    simulation.listen(25, server, ServerConfig())
    results = ReportedOutcomes()
    simulation.run(_session(simulation, results))
    return simulation, server, results


def test_a_message_reported_as_accepted_is_received_exactly_once(
    seeds: Callable[[int, int], Iterator[int]],
) -> None:
    """Only a connection that breaks after the final dot leaves the outcome unknown."""
    seen: Counter[str] = Counter()
    for seed in seeds(SESSIONS, 20):
        seen["sessions"] += 1
        _, server, results = _run(seed)
        for content in results.accepted:
            assert server.received[content] == 1, seed
        for content in results.rejected:
            assert server.received[content] == 0, seed
        for content in results.unknown:
            assert server.received[content] <= 1, seed
            seen["unknown, received" if server.received[content] else "unknown, lost"] += 1
        possible = len(results.accepted) + len(results.unknown)
        assert server.received.total() <= possible, seed
        seen["accepted"] += len(results.accepted)
        seen["rejected"] += len(results.rejected)
        for sink in server.sinks:
            assert len(sink.ends) == 1, seed
        assert server.closed <= 1
    # Each kind of fault has happened often enough.
    assert min(seen.values()) > seen["sessions"] // 200, seen
    assert len(seen) == 5, seen


def test_a_seed_reproduces_its_run() -> None:
    for seed in range(50):
        first, second = _run(seed), _run(seed)
        assert first[0].operations == second[0].operations
        assert first[1].received == second[1].received
