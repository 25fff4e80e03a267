"""A mail store without a bug, and scenes that check a store and a mail agent."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field, frozen

from smtpproto import (
    Envelope,
    Handler,
    Reply,
    SendRefused,
    ServerConfig,
    Session,
    SMTPError,
    Timeouts,
)
from smtpproto.client.pool import make_pool
from smtpproto.testing import SimulatedSemaphore, Simulation
from smtpproto.testing.internet import Behaviour, Internet

SPAM = Reply(550, "5.7.1", "Spam is not taken")
FULL = Reply(452, "4.2.2", "The mailbox is full")
CONFIG = ServerConfig(timeouts=Timeouts(hook=30, commit=60))


@frozen
class Stored:
    """A message in the store."""

    sender: str
    recipients: tuple[str, ...]
    key: str


def key_of(body: bytes) -> str:
    return body.decode().strip()


@define(eq=False)
class Store(Handler):
    """Keeps messages. This one has no bug."""

    simulation: Simulation
    kept: list[Stored] = field(factory=list)
    count: int = 0
    sessions: list[tuple[str, int]] = field(factory=list)
    lock: SimulatedSemaphore = field(init=False)
    opened: int = 0
    closed: int = 0
    most = 99
    files = 0

    def __attrs_post_init__(self) -> None:
        self.lock = self.simulation.semaphore(1)

    async def pause(self) -> None:
        """Do what takes time, such as writing to a disk."""
        await self.simulation.checkpoint()

    async def connect(self, session: Session) -> None:
        self.opened += 1
        self.sessions.append(session.peer)
        await self.pause()

    async def close(self, session: Session) -> None:
        self.sessions.remove(session.peer)
        await self.pause()
        self.closed += 1

    async def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:
        if key_of(body).startswith("spam"):
            return SPAM
        await self.lock.acquire()
        try:
            await self.pause()
            if self.count >= self.most:
                return FULL
            self.keep(envelope, body)
            self.count += 1
        finally:
            self.lock.release()
        return None

    def keep(self, envelope: Envelope, body: bytes) -> None:
        recipients = tuple(str(path) for path in envelope.recipients)
        self.kept.append(Stored(str(envelope.sender), recipients, key_of(body)))


def play(simulation: Simulation, make: Callable[[Simulation], Store] = Store) -> None:
    """Let four clients send messages over two connections, and check the laws of a store."""
    store = make(simulation)
    simulation.listen(25, store, CONFIG)
    pool = make_pool(simulation, "mx.example", 25, {"tls": "none", "max_connections": 2})
    fates = dict[str, str]()

    async def send(key: str) -> None:
        fates[key] = "unknown"
        outcome = await pool.send(
            f"{key}\r\n".encode(), Envelope(f"{key}@a.example", "bob@b.example")
        )
        fates[key] = "accepted" if outcome.accepted else "unknown"
        if outcome.accepted:
            assert [it.key for it in store.kept].count(key) == 1, f"{key} is accepted, not kept"

    async def client(keys: list[str]) -> None:
        for key in keys:
            for _ in range(2):  # a client that tries again
                try:
                    await send(key)
                    break
                except SendRefused:
                    fates[key] = "refused"
                except SMTPError:
                    break

    async def scene() -> None:
        async with simulation.tasks() as tasks:
            for keys in (["a"], ["spam1", "b"], ["c", "d"], ["e"]):
                tasks.start(client(keys))

    simulation.run(scene())
    simulation.run(pool.close(), return_errors=True)
    check(simulation, store, fates)


def check(simulation: Simulation, store: Store, fates: dict[str, str]) -> None:
    """Raise AssertionError if a law of a store is broken."""
    keys = [it.key for it in store.kept]
    for key, fate in fates.items():
        expected = {"accepted": (1,), "refused": (0,), "unknown": (0, 1)}[fate]
        assert keys.count(key) in expected, f"{key} is {fate}, and kept {keys.count(key)} times"
    for it in store.kept:
        assert it == Stored(f"{it.key}@a.example", ("bob@b.example",), it.key)
    assert store.count == len(store.kept) <= store.most
    assert store.lock.free == 1 and not store.files and not store.sessions, "something is left"
    assert simulation._servers[25][2].connections == 0, "connections are not given back"
    faults = simulation.fault_points.keys()
    assert store.closed == store.opened or "hang_at" in faults, "a close hook did not end"
    if not faults - {"jump_at"} and store.most == Store.most:
        refused = {key for key, fate in fates.items() if fate != "accepted"}
        assert refused == {"spam1"}, f"not accepted, without a fault: {sorted(refused)}"


def play_agent(internet: Internet) -> None:
    """Let a mail agent that may crash pass a message on to a host that is often busy."""
    busy = Behaviour(busy=0.3, lost_replies=0.1)
    internet.domain("b.example", internet.mail_host("mx.b.example", busy).name)
    agent = internet.mta("relay.a.example", crash_rate=0.01)

    async def scene() -> None:
        await internet.submit(agent, "hello", "ann@a.example", ["bob@b.example"])
        await internet.until_delivered(days=6)

    internet.run(scene())
    internet.check()
