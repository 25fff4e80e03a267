"""A network in memory with faults and a simulated clock; one integer reproduces a run.

::

    simulation = Simulation(seed=7, cut_at=12)
    simulation.listen(25, handler, ServerConfig())

    async def client() -> None:
        async with await open_client(simulation, "mx.example", 25, ClientConfig()) as client:
            await client.send(message)

    simulation.run(client())

No real time passes. The seed decides which coroutine runs next, and how much of what has arrived
each read returns. When all coroutines wait, the clock jumps to the first deadline.

A server that listens without a host answers at every address. With hosts, each address is a
machine of its own, whose network may have faults, and which may crash::

    host = simulation.host("192.0.2.7")
    host.listen(25, handler, ServerConfig())
    host.faults.latency = 2.5
    host.crash()
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Unpack

from attrs import define, evolve, field

from ..errors import ConnectFailed, TimedOut
from ..server.config import ServerConfig
from ..server.conversation import Conversation
from ..server.handler import HandlerSource
from ..server.usage import Usage
from .fault_points import FaultPoints, SimulationOptions
from .run_trace import RunTrace
from .scheduler import Cancelled, Deadlock, Livelock, Scheduler, Task, Wait, never
from .simulated_ports import (
    EPOCH,
    Faults,
    SimulatedEvent,
    SimulatedRuntime,
    SimulatedSemaphore,
    SimulatedStream,
    SimulatedTasks,
)

__all__ = [
    "EPOCH", "Cancelled", "Deadlock", "Faults", "Livelock", "SimulatedEvent", "SimulatedHost",
    "SimulatedSemaphore", "SimulatedStream", "SimulatedTasks", "Simulation",
]  # fmt: skip

CLIENT = "192.0.2.2"  # the address of a client without a host
_FIRST_PORT = 49152  # of those from which clients connect
_PORTS = 16384
_DAY = 86400.0
_INFINITY = float("inf")

_Listener = tuple[HandlerSource, ServerConfig, Usage]


def _refused(text: str) -> ConnectFailed:
    error = ConnectFailed(text, phase="connect")
    error.fault = "connection-refused"
    return error


class Simulation(SimulatedRuntime[Scheduler], Scheduler):
    """A seeded network, clock and scheduler. Implements :class:`smtpproto.ports.Runtime`.

    *options* say at which point of the run what goes wrong, and more: see
    :class:`.SimulationOptions`.
    """

    def __init__(self, seed: int, **options: Unpack[SimulationOptions]) -> None:
        if unknown := options.keys() - SimulationOptions.__annotations__.keys():
            raise TypeError(f"no option of a simulation: {', '.join(sorted(unknown))}")
        super().__init__(seed, options.pop("max_steps", None))
        self._scheduler = self
        self.trace: RunTrace | None = RunTrace() if options.pop("traced", False) else None
        """Who did what at which simulated time. None: it is not traced."""
        self.fault_points: FaultPoints = options
        """Where what goes wrong. They may be changed at any time."""
        self.operations: int = 0
        """How many reads and writes there were."""
        self.hook_awaits: int = 0
        """How often an ``async`` hook has waited."""
        self._servers: dict[int, _Listener] = {}
        self.hosts: dict[str, SimulatedHost] = {}
        """By address."""
        self.conversations: list[Conversation] = []
        """Of the servers without a host."""

    async def dial(
        self, host: str, port: int, timeout: float | None, source: tuple[str, int] | None = None
    ) -> SimulatedStream:
        """Connect to the server on *port*. Raises ConnectFailed if there is none."""
        if (other := self.find(host)) is not None:
            return await other.accept(port, timeout, source or (CLIENT, 0), ())
        return self._dial_any(port)

    def _dial_any(self, port: int) -> SimulatedStream:
        """Connect to the server without a host on *port*."""
        if port not in self._servers:
            raise _refused(f"nothing listens on port {port}")
        handler, config, usage = self._servers[port]
        near, far = self.pair()
        near.peername, far.sockname = (near.peername[0], port), (far.sockname[0], port)
        name, config = self.name_server(config)
        conversation = Conversation(far, handler, config, self, usage)
        self.conversations.append(conversation)
        self.start(conversation.run(), name=name)
        return near

    def listen(
        self, port: int, handler: HandlerSource, config: ServerConfig, host: str | None = None
    ) -> None:
        """Serve *handler* on *port* of the host with the address *host*; None: of every address
        that no host has."""
        if host is None:
            self._servers[port] = handler, config, Usage(config.limits)
        else:
            self.host(host).listen(port, handler, config)

    def host(self, address: str) -> SimulatedHost:
        """Return the host with *address*, which is made at the first call."""
        return self.hosts.setdefault(address, SimulatedHost(self, address))

    def find(self, host: str) -> SimulatedHost | None:
        """Return the host that :meth:`dial` finds by the address *host*."""
        return self.hosts.get(host)

    def pair(self) -> tuple[SimulatedStream, SimulatedStream]:
        """Return the two ends of a new connection."""
        near, far = SimulatedStream(self), SimulatedStream(self)
        near.peer, far.peer = far, near
        return near, far

    # -- faults ------------------------------------------------------------------------------

    def count(self, stream: SimulatedStream) -> None:
        """Count a read or a write, and let happen what is to happen at its number."""
        number, faults = self.operations, self.fault_points
        self.operations += 1
        if not faults:
            return
        if number == faults.get("cut_at"):
            self.note("the connection breaks")
            stream.cut()
        if number == faults.get("stall_at"):
            seconds = 10 ** self.dice.uniform(0, 4)
            self.note(f"nothing passes on the connection for {seconds:.0f} seconds")
            stream.stall(seconds)
        if number == faults.get("half_close_at"):
            self.note("this side of the connection ends")
            stream.half_close()

    async def before_write(self) -> None:
        """Let the writer wait, if tasks are cancelled where they wait."""
        if self.fault_points.get("cancel_at") is not None:
            await self.checkpoint()

    def suspended(self, task: Task) -> None:
        """Cancel *task* or move the time of day, if this is the step to do it."""
        if self.trace is not None:
            self.trace.waits(self._now, task.name, task.coroutine)
        if not self.fault_points:
            return
        if self.steps - 1 == self.fault_points.get("cancel_at"):
            self.note("is cancelled")
            self.cancel(task)
        if self.steps - 1 == self.fault_points.get("jump_at"):
            self.shift_utc(jump := self.dice.uniform(-_DAY, _DAY))
            self.note(f"the time of day jumps by {jump:.0f} seconds")

    def hook_waits(self, coroutine: Coroutine[Any, Any, Any], wait: Wait) -> Wait:
        """Count an await of a hook, and let it hang if this is the one."""
        number = self.hook_awaits
        self.hook_awaits += 1
        if self.trace is not None and self.current is not None:
            self.trace.waits(self._now, self.current.name, coroutine)
        if number != self.fault_points.get("hang_at"):
            return wait
        self.note("hangs")
        return Wait(never, _INFINITY)

    # -- the trace ---------------------------------------------------------------------------

    def start(
        self,
        coroutine: Coroutine[Any, Any, Any],
        owner: Hashable = None,
        *,
        fails_all: bool = False,
        name: str = "",
    ) -> Task:
        """Run *coroutine* beside the others. *name* is its name in the trace."""
        if self.trace is not None and not name:
            name = self.trace.name(getattr(coroutine, "__name__", "task"))
        return super().start(coroutine, owner, fails_all=fails_all, name=name)

    def note(self, what: str) -> None:
        """Add a line on the task that runs to the trace, if there is one."""
        if self.trace is not None:
            self.trace.add(self._now, self.current.name if self.current else "", what)

    def name_server(self, config: ServerConfig) -> tuple[str, ServerConfig]:
        """Return a name for a new conversation, and *config* so that the trace has its dialogue."""
        trace, told = self.trace, config.trace
        if trace is None:
            return "", config
        name = trace.name("server")
        self.note(f"connects to {name}")

        def tell(speaker: str, line: str) -> None:
            trace.add(self._now, name, f"{speaker}: {line}")
            if told is not None:
                told(speaker, line)

        return name, evolve(config, trace=tell)


@define(eq=False)
class SimulatedHost(SimulatedRuntime["Simulation"]):
    """A machine of a :class:`Simulation`, with an address. Implements
    :class:`smtpproto.ports.Runtime` for what runs on it."""

    _scheduler: Simulation
    address: str
    faults: Faults = field(factory=Faults, init=False)
    """What is wrong with its network."""
    connections: int = field(default=0, init=False)
    """How many were accepted."""
    _servers: dict[int, _Listener] = field(factory=dict, init=False)
    _streams: dict[tuple[str, int], SimulatedStream] = field(factory=dict, init=False)
    _dialled: list[SimulatedStream] = field(factory=list, init=False)
    _forget_at: int = field(default=10, init=False)  # ended streams are forgotten at that many

    def listen(self, port: int, handler: HandlerSource, config: ServerConfig) -> None:
        """Serve *handler* on *port*."""
        self._servers[port] = handler, config, Usage(config.limits)

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run *coroutine* on this host, until it ends or the host crashes. What it raises is raised
        by :meth:`Simulation.run`."""
        self._scheduler.start(coroutine, self, fails_all=True)

    @property
    def _owner(self) -> Hashable:
        return self

    async def dial(
        self, host: str, port: int, timeout: float | None, source: tuple[str, int] | None = None
    ) -> SimulatedStream:
        """Connect from this host. Raises ConnectFailed, and TimedOut if nothing answers."""
        other = self._scheduler.find(host)
        if other is None:
            return self._scheduler._dial_any(port)
        address = self.address if source is None else source[0]
        near = await other.accept(port, timeout, (address, 0), (self.faults,))
        if len(self._dialled) >= self._forget_at:
            self._dialled = [stream for stream in self._dialled if not stream._ended]
            self._forget_at = 2 * len(self._dialled) + 10
        self._dialled.append(near)
        return near

    async def accept(
        self,
        port: int,
        timeout: float | None,
        client: tuple[str, int],
        faults: tuple[Faults, ...],
    ) -> SimulatedStream:
        """Return the end that a client at the address *client* has of a new connection to *port*;
        *faults* are those of its network."""
        every = (self.faults, *faults)
        if any(one.silent for one in every):
            await self._scheduler.wait(never, timeout)
            raise TimedOut(f"{self.address} did not answer", phase="connect")
        await self.sleep(sum(one.latency for one in every))
        if self.faults.refuses or port not in self._servers:
            raise _refused(f"{self.address} refused the connection")
        handler, config, usage = self._servers[port]
        self.connections += 1
        near, far = self._pair(port, client, every)
        name, config = self._scheduler.name_server(config)
        self._scheduler.start(self._serve(far, handler, config, usage), self, name=name)
        return near

    def _pair(
        self, port: int, client: tuple[str, int], faults: tuple[Faults, ...]
    ) -> tuple[SimulatedStream, SimulatedStream]:
        near, far = self._scheduler.pair()
        name = client[0], client[1] or _FIRST_PORT + self.connections % _PORTS
        near.sockname = far.peername = name
        near.peername = far.sockname = self.address, port
        near.faults = far.faults = faults
        return near, far

    async def _serve(
        self, stream: SimulatedStream, handler: HandlerSource, config: ServerConfig, usage: Usage
    ) -> None:
        self._streams[stream.peername] = stream
        try:
            await Conversation(stream, handler, config, self, usage).run()
        finally:
            self._streams.pop(stream.peername, None)

    def cut(self, peer: tuple[str, int]) -> None:
        """Break the connection of the client *peer*, as :attr:`.Session.peer` names it."""
        if (stream := self._streams.get(peer)) is not None:
            stream.cut()

    def crash(self, then: Callable[[], None] | None = None) -> None:
        """End all that runs on this host before the next step: its tasks are closed where they
        wait, its connections break, nothing listens. Call *then* after that.

        A coroutine of this host that calls this must not do anything more: it awaits
        :meth:`forever`.
        """

        def crash() -> None:
            self._end_all()
            if then is not None:
                then()

        self._scheduler.soon(crash)

    def _end_all(self) -> None:
        self._servers.clear()
        for stream in (*self._streams.values(), *self._dialled):
            stream.cut()
        self._dialled.clear()
        for task in [task for task in self._scheduler._tasks if task.owner is self]:
            self._scheduler.close(task)
        self._streams.clear()

    async def forever(self) -> None:
        """Wait until the host crashes."""
        while True:
            await self.sleep(1e9)
