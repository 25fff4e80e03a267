"""The outcome that a client reports is true for each recipient: seeded sessions with faults.

They use chunks, LMTP, sources of every form, and several transactions in a session.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from unittest import mock

import pytest
from attrs import define, field

from smtpproto import (
    ClientConfig,
    Envelope,
    ForwardPath,
    Handler,
    Limits,
    LocalProtocolError,
    Outcome,
    RcptParameters,
    Reply,
    SendRefused,
    ServerConfig,
    Session,
    SMTPError,
)
from smtpproto.client import submit
from smtpproto.client.connection import Client, open_client
from smtpproto.mail import planning
from smtpproto.mail.preparation import Source
from smtpproto.testing.simulation import Simulation
from tests.support.pieces import async_pieces

SESSIONS = 3000
CHUNK = 40  # octets of a BDAT

Copy = tuple[str, bytes]  # recipient and content of a message


@define(eq=False)
class RecordingSink:
    """A sink that keeps a copy for each recipient that it accepts, and records how it ended."""

    server: RandomServer
    envelope: Envelope
    slices: list[bytes] = field(factory=list)
    ends: list[str] = field(factory=list)

    async def write(self, data: bytes) -> None:
        self.slices.append(data)
        if self.server.happens(0.01):
            raise OSError("disk full")

    def commit(self) -> Reply | list[Reply | None] | AsyncIterator[Reply | None] | None:
        self.ends.append("commit")
        if self.server.happens(0.05):
            raise OSError("disk on fire")
        if self.server.lmtp and self.server.happens(0.8):
            return self._results_one_by_one() if self.server.happens(0.5) else self._all_results()
        if self.server.happens(0.05):
            return Reply(554, "5.6.0", "Not that")
        for recipient in self.envelope.recipients:
            self._keep(recipient)
        return None

    def abort(self) -> None:
        self.ends.append("abort")

    def _all_results(self) -> list[Reply | None]:
        return [self._keep(recipient, 0.8) for recipient in self.envelope.recipients]

    async def _results_one_by_one(self) -> AsyncIterator[Reply | None]:
        for recipient in self.envelope.recipients:
            if self.server.happens(0.02):
                raise OSError("no more room")
            yield self._keep(recipient, 0.8)

    def _keep(self, recipient: ForwardPath, probability: float = 1) -> Reply | None:
        if not self.server.happens(probability):
            return Reply(452, "4.2.2", "Mailbox full")
        self.server.received[str(recipient), b"".join(self.slices)] += 1
        return None


@define(eq=False)
class RandomServer(Handler):
    """Refuses and fails at random, as the seed decides."""

    random: random.Random
    lmtp: bool
    received: Counter[Copy] = field(factory=Counter)
    sinks: list[RecordingSink] = field(factory=list)

    def happens(self, probability: float) -> bool:
        return self.random.random() < probability

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        return Reply(550, "5.1.1", "No such user") if self.happens(0.15) else None

    def data(self, session: Session, envelope: Envelope) -> RecordingSink | Reply:
        if self.happens(0.03):
            return Reply(451, "4.3.1", "Full")
        self.sinks.append(RecordingSink(self, envelope))
        return self.sinks[-1]


@define
class ReportedOutcomes:
    """The copies that one client sent, by the outcome that it reported."""

    accepted: list[Copy] = field(factory=list)
    unknown: list[Copy] = field(factory=list)
    rejected: list[Copy] = field(factory=list)
    cut: bool = False
    """Whether the connection may have been cut."""

    def add(self, outcome: Outcome, content: bytes) -> None:
        self.accepted += [(str(path), content) for path in outcome.accepted]
        self.unknown += [(str(path), content) for path in outcome.unknown]
        self.rejected += [(str(path), content) for path in outcome.refused]
        reported = [*outcome.accepted, *outcome.refused, *outcome.unknown]
        assert sorted(map(str, reported)) == sorted(map(str, outcome.envelope.recipients))


class SourceError(Exception):
    """Raised by the source of a message."""


def _content(rng: random.Random, number: int) -> bytes:
    """Return content with about the size of zero to four chunks."""
    size = rng.choice([0, 1, 2, 3, 4]) * CHUNK + rng.randint(-3, 3)
    start = b"Message: %d\r\n" % number
    lines = rng.choices([b".\r\n", b"..\r\n", b"\r\n", b".x\r\n", b"BDAT 9\r\n", b"text\r\n"], k=60)
    body = b"".join([start, *lines])[: max(size - 2, len(start))]
    return body.rstrip(b"\r\n") + b"\r\n"


def _iterator(rng: random.Random, content: bytes, *, fails: bool) -> Iterator[bytes]:
    while content:
        size = rng.randint(1, 2 * CHUNK)
        yield content[:size]
        content = content[size:]
        if fails and rng.random() < 0.3:
            raise SourceError


def _source(rng: random.Random, content: bytes) -> Source:
    form = rng.random()
    if form < 0.4:
        return content
    pieces = _iterator(rng, content, fails=form < 0.5)
    return (
        list(_iterator(rng, content, fails=False))
        if form > 0.8
        else (async_pieces(pieces) if form > 0.65 else pieces)
    )


async def _session(simulation: Simulation, port: int, reported: ReportedOutcomes) -> None:
    rng = simulation.dice
    try:
        client = await open_client(simulation, "mx", port, ClientConfig(lmtp=port == 24))
    except SMTPError:
        return
    async with client:
        for number in range(rng.randint(1, 4)):
            if not await _message(client, rng, number, reported):
                return


async def _message(
    client: Client, rng: random.Random, number: int, reported: ReportedOutcomes
) -> bool:
    """Send one message, and return whether another one can follow."""
    envelope = Envelope("ann@example.org", [f"r{i}@example.org" for i in range(rng.randint(1, 5))])
    content = _content(rng, number)
    try:
        outcome = await client.send(_source(rng, content), envelope)
    except SendRefused as error:
        outcome = error.outcome
    except (SMTPError, SourceError) as error:
        reported.rejected += [(str(path), content) for path in envelope.recipients]
        if isinstance(error, LocalProtocolError):
            assert "only once" in error.message, error
        return client.usable
    reported.add(outcome, content)
    assert client.usable or reported.cut
    return client.usable


def _run(seed: int) -> tuple[Simulation, RandomServer, ReportedOutcomes]:
    rng = random.Random(seed)
    cut = rng.randint(0, 90) if rng.random() < 0.6 else None
    simulation = Simulation(seed, cut_at=cut)
    port = rng.choice([24, 25])
    server = RandomServer(random.Random(seed + 1), port == 24)
    config = ServerConfig(
        lmtp=port == 24,
        extensions={} if port == 24 or rng.random() < 0.5 else {"PIPELINING": None},
        limits=Limits(recipients=rng.choice([1, 2, 3, 1000])),
    )
    simulation.listen(port, server, config)
    reported = ReportedOutcomes(cut=cut is not None)
    simulation.run(_session(simulation, port, reported))
    return simulation, server, reported


@pytest.fixture(autouse=True)
def _small_chunks() -> Iterator[None]:
    with (
        mock.patch.object(planning, "BDAT_SIZE", CHUNK),
        mock.patch.object(submit, "BDAT_SIZE", CHUNK),
    ):
        yield


def test_a_copy_reported_as_accepted_is_received_exactly_once(
    seeds: Callable[[int, int], Iterator[int]],
) -> None:
    """Only a connection that breaks after the end of the message leaves the outcome unknown."""
    seen: Counter[str] = Counter()
    for seed in seeds(SESSIONS, 6):
        seen["sessions"] += 1
        _, server, reported = _run(seed)
        for copy in reported.accepted:
            assert server.received[copy] == 1, (seed, copy)
        for copy in reported.rejected:
            assert server.received[copy] == 0, (seed, copy)
        for copy in reported.unknown:
            assert server.received[copy] <= 1, (seed, copy)
            seen["unknown, received" if server.received[copy] else "unknown, lost"] += 1
        assert server.received.total() <= len(reported.accepted) + len(reported.unknown), seed
        for sink in server.sinks:
            assert len(sink.ends) == 1, (seed, sink.ends)
        seen["accepted"] += len(reported.accepted)
        seen["rejected"] += len(reported.rejected)
        seen["aborted"] += sum(sink.ends == ["abort"] for sink in server.sinks)
        seen["several transactions"] += len(server.sinks) > 4
        seen["both ways"] += bool(reported.accepted and reported.unknown)
    # Each kind of fault has happened often enough.
    assert min(seen.values()) > seen["sessions"] // 200, seen
    assert len(seen) == 8, seen


def test_a_seed_reproduces_its_run() -> None:
    for seed in range(50):
        first, second = _run(seed), _run(seed)
        assert first[0].operations == second[0].operations
        assert first[1].received == second[1].received
