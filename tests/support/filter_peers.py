"""Programs that filter mail, as the other side of streams in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from smtpproto import Envelope, Session
from smtpproto.errors import ConnectFailed, TimedOut
from smtpproto.filters import Filter, FilterMessage, FilterVerdict
from smtpproto.filters.milter_wire import COMMANDS, RESPONSES, Packet, PacketReader
from smtpproto.testing import Simulation

T = TypeVar("T")
HEADER = b"Subject: hello\r\nX-A:  1\r\n\t2\r\nx-a:3\r\n"


class PeerStream:
    """A stream to a program that answers what it is sent by *answer*, in pieces of *step* octets.
    After *most* octets it closes the connection."""

    peername = sockname = ("", 0)

    def __init__(self, answer: Callable[[bytes], bytes], step: int, most: int | None) -> None:
        self._answer, self._step, self._most = answer, step, most
        self._out = b""
        self._read = 0
        self.closed = False

    async def read(self, timeout: float | None) -> bytes:
        if self._most is not None and self._read >= self._most:
            return b""
        if not self._out:
            raise TimedOut("nothing arrives", phase="filter")
        data, self._out = self._out[: self._step], self._out[self._step :]
        self._read += len(data)
        return data

    async def write(self, data: bytes, timeout: float | None) -> None:
        self._out += self._answer(data)

    async def end(self) -> None: ...

    def interrupt(self) -> None: ...

    async def close(self) -> None:
        self.closed = True


class FilterNetwork(Simulation):
    """A simulation where a program *peer* filters mail on port 8891; None: nothing listens."""

    def __init__(
        self,
        peer: Callable[[], Callable[[bytes], bytes]] | None,
        *,
        step: int = 100_000,
        most: int | None = None,
    ) -> None:
        super().__init__(1)
        self._peer, self._piece, self._most = peer, step, most
        self.streams: list[PeerStream] = []

    async def dial(
        self, host: str, port: int, timeout: float | None, source: tuple[str, int] | None = None
    ) -> Any:
        if port != 8891:
            return await super().dial(host, port, timeout, source)
        if self._peer is None:
            raise ConnectFailed("nothing listens", phase="connect")
        stream = PeerStream(self._peer(), self._piece, self._most)
        self.streams.append(stream)
        return stream

    def result(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run *coroutine*, and return its result."""
        [found] = self.run(coroutine)
        returned: T = found
        return returned


class ScriptedMilter:
    """A milter that notes the packets it is *told*, and answers by *answers*: to the packet with
    this name, for the n-th time if the key has a number; else it says "continue"."""

    def __init__(
        self, answers: Mapping[Any, list[Packet]], *, actions: int = 0xFD, steps: int = 0x100400
    ) -> None:
        self._answers = answers
        self._options = Packet("optneg", (6, actions, steps, b""))
        self._steps = steps
        self._reader = PacketReader(COMMANDS)
        self.told: list[Packet] = []

    def __call__(self, data: bytes) -> bytes:
        self._reader.feed(data)
        out = b""
        while (packet := self._reader.next()) is not None:
            self.told.append(packet)
            out += b"".join(it.write(RESPONSES) for it in self._answers_to(packet.name))
        return out

    def names(self) -> list[str]:
        """Return the names of all packets but macros."""
        return [it.name for it in self.told if it.name != "macro"]

    def _answers_to(self, name: str) -> list[Packet]:
        number = self.names().count(name)
        for key in ((name, number), name):
            if key in self._answers:
                return self._answers[key]
        if name == "optneg":
            return [self._options]
        silent = name in ("macro", "quit", "abort") or self._steps & _UNANSWERED.get(name, 0)
        return [] if silent else [Packet("continue")]


_UNANSWERED = {"header": 0x80, "body": 0x80000, "rcpt": 0x8000}


def message(header: bytes = HEADER, *body: bytes, **changes: Any) -> FilterMessage:
    """Return a message with *header* and *body*."""

    async def slices() -> AsyncGenerator[bytes, None]:
        for it in body:
            yield it

    values: dict[str, Any] = {
        "id": "01abc",
        "hostname": "mx.example.org",
        "session": Session(peer=("192.0.2.1", 4000)),
        "envelope": Envelope("ann@example.com", ["bob@example.org", "al@example.org"]),
        "trusted": False,
        "header": header,
        "body_size": sum(map(len, body)),
        "body": slices,
    }
    return FilterMessage(**values | changes)


def ask(asked: Filter, network: FilterNetwork, mail: FilterMessage) -> FilterVerdict:
    """Return what *asked* decides."""
    return network.result(asked.check(mail, network))
