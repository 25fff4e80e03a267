"""Chunks, LMTP and several transactions in memory: some thousand seeded sessions with faults."""

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

SESSIONS = 3000
CHUNK = 40  # octets of a BDAT, here

Copy = tuple[str, bytes]  # of a message: for whom, and what


@define(eq=False)
class Box:
    """A sink that keeps a copy for each recipient it accepts, and remembers how it ended."""

    store: Store
    envelope: Envelope
    slices: list[bytes] = field(factory=list)
    ends: list[str] = field(factory=list)

    async def write(self, data: bytes) -> None:
        self.slices.append(data)
        if self.store.chance(0.01):
            raise OSError("disk full")

    def commit(self) -> Reply | list[Reply | None] | AsyncIterator[Reply | None] | None:
        self.ends.append("commit")
        if self.store.chance(0.05):
            raise OSError("disk on fire")
        if self.store.lmtp and self.store.chance(0.8):
            return self._one_by_one() if self.store.chance(0.5) else self._all()
        if self.store.chance(0.05):
            return Reply(554, "5.6.0", "Not that")
        for recipient in self.envelope.recipients:
            self._keep(recipient)
        return None

    def abort(self) -> None:
        self.ends.append("abort")

    def _all(self) -> list[Reply | None]:
        return [self._keep(recipient, 0.8) for recipient in self.envelope.recipients]

    async def _one_by_one(self) -> AsyncIterator[Reply | None]:
        for recipient in self.envelope.recipients:
            if self.store.chance(0.02):
                raise OSError("no more room")
            yield self._keep(recipient, 0.8)

    def _keep(self, recipient: ForwardPath, share: float = 1) -> Reply | None:
        if not self.store.chance(share):
            return Reply(452, "4.2.2", "Mailbox full")
        self.store.received[str(recipient), b"".join(self.slices)] += 1
        return None


@define(eq=False)
class Store(Handler):
    """A handler of whims, which the seed decides."""

    random: random.Random
    lmtp: bool
    received: Counter[Copy] = field(factory=Counter)
    boxes: list[Box] = field(factory=list)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        return Reply(550, "5.1.1", "No such user") if self.chance(0.15) else None

    def data(self, session: Session, envelope: Envelope) -> Box | Reply:
        if self.chance(0.03):
            return Reply(451, "4.3.1", "Full")
        self.boxes.append(Box(self, envelope))
        return self.boxes[-1]


@define
class Told:
    """What one session's client was told, copy by copy."""

    accepted: list[Copy] = field(factory=list)
    unknown: list[Copy] = field(factory=list)
    not_taken: list[Copy] = field(factory=list)
    cut: bool = False
    """Whether the link may have been."""

    def add(self, outcome: Outcome, content: bytes) -> None:
        self.accepted += [(str(path), content) for path in outcome.accepted]
        self.unknown += [(str(path), content) for path in outcome.unknown]
        self.not_taken += [(str(path), content) for path in outcome.refused]
        told = [*outcome.accepted, *outcome.refused, *outcome.unknown]
        assert sorted(map(str, told)) == sorted(map(str, outcome.envelope.recipients))


class Broken(Exception):
    """Of a message's source."""


def _content(rng: random.Random, number: int) -> bytes:
    """Of any size around those of some chunks."""
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
            raise Broken


async def _later(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _source(rng: random.Random, content: bytes) -> Source:
    form = rng.random()
    if form < 0.4:
        return content
    pieces = _iterator(rng, content, fails=form < 0.5)
    return (
        list(_iterator(rng, content, fails=False))
        if form > 0.8
        else (_later(pieces) if form > 0.65 else pieces)
    )


async def _session(simulation: Simulation, port: int, told: Told) -> None:
    rng = simulation.dice
    try:
        client = await open_client(simulation, "mx", port, ClientConfig(lmtp=port == 24))
    except SMTPError:
        return
    async with client:
        for number in range(rng.randint(1, 4)):
            if not await _message(client, rng, number, told):
                return


async def _message(client: Client, rng: random.Random, number: int, told: Told) -> bool:
    """Send one message; whether another one can follow."""
    envelope = Envelope("ann@example.org", [f"r{i}@example.org" for i in range(rng.randint(1, 5))])
    content = _content(rng, number)
    try:
        outcome = await client.send(_source(rng, content), envelope)
    except SendRefused as error:
        outcome = error.outcome
    except (SMTPError, Broken) as error:
        told.not_taken += [(str(path), content) for path in envelope.recipients]
        if isinstance(error, LocalProtocolError):
            assert "only once" in error.message, error
        return client.usable
    told.add(outcome, content)
    assert client.usable or told.cut
    return client.usable


def _run(seed: int) -> tuple[Simulation, Store, Told]:
    rng = random.Random(seed)
    cut = rng.randint(0, 90) if rng.random() < 0.6 else None
    simulation = Simulation(seed, cut_at=cut)
    port = rng.choice([24, 25])
    store = Store(random.Random(seed + 1), port == 24)
    config = ServerConfig(
        lmtp=port == 24,
        extensions={} if port == 24 or rng.random() < 0.5 else {"PIPELINING": None},
        limits=Limits(recipients=rng.choice([1, 2, 3, 1000])),
    )
    simulation.listen(port, store, config)
    told = Told(cut=cut is not None)
    simulation.run(_session(simulation, port, told))
    return simulation, store, told


@pytest.fixture(autouse=True)
def _small_chunks() -> Iterator[None]:
    with mock.patch.object(planning, "CHUNK", CHUNK), mock.patch.object(submit, "CHUNK", CHUNK):
        yield


def test_accepted_is_received_exactly_once_for_each_recipient(
    seeds: Callable[[int, int], Iterator[int]],
) -> None:
    """But for the window after the end of the message, where nobody can know."""
    seen: Counter[str] = Counter()
    for seed in seeds(SESSIONS, 6):
        seen["sessions"] += 1
        _, store, told = _run(seed)
        for copy in told.accepted:
            assert store.received[copy] == 1, (seed, copy)
        for copy in told.not_taken:
            assert store.received[copy] == 0, (seed, copy)
        for copy in told.unknown:
            assert store.received[copy] <= 1, (seed, copy)
            seen["unknown, received" if store.received[copy] else "unknown, lost"] += 1
        assert store.received.total() <= len(told.accepted) + len(told.unknown), seed
        for box in store.boxes:
            assert len(box.ends) == 1, (seed, box.ends)
        seen["accepted"] += len(told.accepted)
        seen["not taken"] += len(told.not_taken)
        seen["aborted"] += sum(box.ends == ["abort"] for box in store.boxes)
        seen["several transactions"] += len(store.boxes) > 4
        seen["both ways"] += bool(told.accepted and told.unknown)
    # The faults do reach the places that matter.
    assert min(seen.values()) > seen["sessions"] // 200, seen
    assert len(seen) == 8, seen


def test_a_seed_reproduces_its_run() -> None:
    for seed in range(50):
        first, second = _run(seed), _run(seed)
        assert first[0].operations == second[0].operations
        assert first[1].received == second[1].received
