"""Many clients, from different addresses, that talk to one simulated server."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from attrs import define

from smtpproto import Handler, ServerConfig
from smtpproto.server import Usage
from smtpproto.testing.simulation import SimulatedStream, Simulation

PORT = 25


@define(eq=False)
class Talker:
    """A client's end of a connection."""

    _stream: SimulatedStream

    @property
    def ended(self) -> bool:
        """Whether the server has closed the connection."""
        return self._stream._ended

    async def line(self) -> str:
        """Return the next line that the server sends; "" at the end."""
        stream = self._stream
        await stream._simulation.wait(lambda: b"\r\n" in stream._arrived or stream._ended, None)
        line, found, rest = stream._arrived.partition(b"\r\n")
        stream._arrived[:] = rest
        assert found or not line, line
        return line.decode()

    async def ask(self, *lines: str) -> str:
        """Send *lines*; return the last line of the reply to the last of them."""
        reply = ""
        for line in lines:
            await self.send(line.encode() + b"\r\n")
            reply = await self.reply()
        return reply

    async def reply(self) -> str:
        """Return the last line of the next reply; "" at the end."""
        while (line := await self.line())[3:4] == "-":
            pass
        return line

    async def send(self, octets: bytes) -> None:
        await self._stream.write(octets, None)

    async def hang_up(self) -> None:
        """Close the connection, and let the server notice it."""
        await self._stream.close()
        await self._stream._simulation.sleep(1)


class Crowd(Simulation):
    """A simulation with one server, which clients can reach from any address."""

    def __init__(
        self,
        config: ServerConfig | None = None,
        handler: Handler | Callable[[], Handler] | None = None,
        *,
        seed: int = 1,
    ) -> None:
        super().__init__(seed)
        self._address = ""
        self.listen(PORT, handler or Handler(), config or ServerConfig())

    @property
    def usage(self) -> Usage:
        """What the connections of the server use."""
        return self._servers[PORT][2]

    def pair(self) -> tuple[SimulatedStream, SimulatedStream]:
        near, far = super().pair()
        far.peername = (self._address, 4711)
        return near, far

    async def connect(self, address: str = "192.0.2.1") -> Talker:
        """Connect from *address*."""
        self._address = address
        return Talker(await self.dial("mx.example", PORT, None))

    async def greeting(self, address: str = "192.0.2.1") -> str:
        """Connect from *address*, and keep the connection open. Return the server's greeting."""
        return await (await self.connect(address)).line()

    def play(self, talk: Callable[[Crowd], Coroutine[Any, Any, Any]]) -> Any:
        """Run *talk* until it and all conversations have ended; return its result."""
        return self.run(talk(self))[0]

    def assert_unused(self) -> None:
        """Assert that the server's connections have given back all that they used."""
        assert (self.usage.connections, self.usage.memory, self.usage.networks) == (0, 0, {})
