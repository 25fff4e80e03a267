"""Clients and servers against each other in memory: up to 10,000 seeded sessions with faults."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from attrs import define, field

from smtpproto import (
    ClientConfig,
    ConnectFailed,
    Envelope,
    ForwardPath,
    Handler,
    Limits,
    RcptParameters,
    Reply,
    SendRefused,
    ServerConfig,
    Session,
    SMTPError,
)
from smtpproto.client.connection import open_client
from smtpproto.testing.simulation import Deadlock, Simulation

SESSIONS = 10_000


@define(eq=False)
class Box:
    """A sink that remembers how it ended."""

    store: Store
    slices: list[bytes] = field(factory=list)
    ends: list[str] = field(factory=list)

    def write(self, data: bytes) -> None:
        self.slices.append(data)
        if self.store.chance(0.01):
            raise OSError("disk full")

    async def commit(self) -> Reply | None:
        self.ends.append("commit")
        if self.store.chance(0.05):
            raise OSError("disk on fire")
        if self.store.chance(0.05):
            return Reply(554, "5.6.0", "Not that")
        self.store.received[b"".join(self.slices)] += 1
        return None

    def abort(self) -> None:
        self.ends.append("abort")


@define(eq=False)
class Store(Handler):
    """A handler of whims, which the seed decides."""

    random: random.Random
    received: Counter[bytes] = field(factory=Counter)
    boxes: list[Box] = field(factory=list)
    closed: int = 0

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def connect(self, session: Session) -> Reply | None:
        return Reply(554, "5.7.1", "Not you") if self.chance(0.01) else None

    async def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        if self.chance(0.02):
            raise LookupError("no directory")
        return Reply(550, "5.1.1", "No such user") if self.chance(0.2) else None

    def data(self, session: Session, envelope: Envelope) -> Box | Reply:
        if self.chance(0.03):
            return Reply(451, "4.3.1", "Full")
        self.boxes.append(Box(self))
        return self.boxes[-1]

    def close(self, session: Session) -> None:
        self.closed += 1


@define
class Results:
    """What one session's client was told, by the content that it sent."""

    accepted: list[bytes] = field(factory=list)
    unknown: list[bytes] = field(factory=list)
    not_taken: list[bytes] = field(factory=list)


def _content(rng: random.Random, number: int) -> bytes:
    lines = rng.choices(
        [b".", b"..", b"", b".x", b"text", b"QUIT", b"x" * 900], k=rng.randint(0, 6)
    )
    return b"".join(line + b"\r\n" for line in (b"Message: %d" % number, *lines))


async def _session(simulation: Simulation, results: Results) -> None:
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
                results.not_taken.append(content)
                if not client.usable:  # 421
                    return
            except SMTPError:
                results.not_taken.append(content)
                return
            else:
                (results.unknown if outcome.unknown else results.accepted).append(content)
                if outcome.unknown:
                    return


def _run(seed: int) -> tuple[Simulation, Store, Results]:
    rng = random.Random(seed)
    simulation = Simulation(seed, cut_at=rng.randint(0, 60) if rng.random() < 0.7 else None)
    store = Store(random.Random(seed + 1))
    simulation.listen(25, store, ServerConfig())
    results = Results()
    simulation.run(_session(simulation, results))
    return simulation, store, results


def test_accepted_is_received_exactly_once(seeds: Callable[[int, int], Iterator[int]]) -> None:
    """What the client was told is true, but for the window after the final dot."""
    seen: Counter[str] = Counter()
    for seed in seeds(SESSIONS, 20):
        seen["sessions"] += 1
        _, store, results = _run(seed)
        for content in results.accepted:
            assert store.received[content] == 1, seed
        for content in results.not_taken:
            assert store.received[content] == 0, seed
        for content in results.unknown:
            assert store.received[content] <= 1, seed
            seen["unknown, received" if store.received[content] else "unknown, lost"] += 1
        told = len(results.accepted) + len(results.unknown)
        assert store.received.total() <= told, seed
        seen["accepted"] += len(results.accepted)
        seen["not taken"] += len(results.not_taken)
        for box in store.boxes:
            assert len(box.ends) == 1, seed
        assert store.closed <= 1
    # The faults do reach the places that matter.
    assert min(seen.values()) > seen["sessions"] // 200, seen
    assert len(seen) == 5, seen


def test_a_seed_reproduces_its_run() -> None:
    for seed in range(50):
        first, second = _run(seed), _run(seed)
        assert first[0].operations == second[0].operations
        assert first[1].received == second[1].received


def test_a_silent_server_is_a_time_out_by_the_clock() -> None:
    simulation = Simulation(1)

    async def silent() -> float:
        near, _ = simulation.pair()
        with pytest.raises(TimeoutError):
            await near.read(300)
        return simulation.now()

    assert simulation.run(silent()) == [300]


def test_waiting_for_ever_is_a_deadlock() -> None:
    simulation = Simulation(1)

    async def silent() -> None:
        near, _ = simulation.pair()
        await near.read(None)

    with pytest.raises(Deadlock):
        simulation.run(silent())


def test_nobody_listens() -> None:
    simulation = Simulation(1)
    with pytest.raises(ConnectFailed):
        simulation.run(open_client(simulation, "mx.example", 26, ClientConfig()))


def test_a_server_gives_up_on_a_silent_client() -> None:
    simulation = Simulation(3)
    store = Store(random.Random(3))
    simulation.listen(25, store, ServerConfig(limits=Limits()))

    async def client() -> bytes:
        stream = await simulation.dial("mx.example", 25, None)
        said = b""
        while octets := await stream.read(None):
            said += octets
        return said

    (said,) = simulation.run(client())
    assert said.startswith(b"220 ") and b"\r\n421 4.4.2 localhost " in said
    assert simulation.now() == 300
    assert store.closed == 1
