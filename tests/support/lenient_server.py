"""A server in memory that accepts everything, and messages in every form for it."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

from attrs import define, field

from smtpproto import (
    ClientConfig,
    ClientProtocol,
    Envelope,
    Extensions,
    TimedOut,
    TLSMode,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import Client
from smtpproto.client.deadline import Deadline
from smtpproto.client.link import Link
from smtpproto.mail.planning import Plan
from smtpproto.mail.preparation import Source
from tests.support.pieces import async_pieces

SMALL_CHUNK = 16  # octets

ALL_EXTENSIONS = {
    "PIPELINING": "", "SIZE": "", "8BITMIME": "", "SMTPUTF8": "", "CHUNKING": "",
    "BINARYMIME": "", "AUTH": "PLAIN", "DSN": "", "REQUIRETLS": "", "DELIVERBY": "",
    "FUTURERELEASE": "999999999 9999-12-31T23:59:59Z", "MT-PRIORITY": "", "RRVS": "",
    "NO-SOLICITING": "",
}  # fmt: skip


@define(eq=False)
class LenientServer:
    """A stream to a server that accepts everything and keeps the commands and contents."""

    offered: Extensions
    peername: tuple[str, int] = ("192.0.2.1", 25)
    sockname: tuple[str, int] = ("127.0.0.1", 49152)
    commands: list[str] = field(factory=list)
    contents: list[bytes] = field(factory=list)
    _input: bytes = b""
    _output: bytes = b"220 mx\r\n"
    _chunk: tuple[int, bool] | None = None
    _data: bool = False
    _rcpts: int = 0
    _lmtp: bool = False
    _content: bytes = b""

    async def read(self, timeout: float | None) -> bytes:
        if timeout == 0 and not self._output:
            raise TimedOut("nothing has arrived")
        assert self._output, "client and server wait for each other"
        output, self._output = self._output, b""
        return output

    async def write(self, data: bytes, timeout: float | None) -> None:
        self._input += data
        while self._step():
            pass

    async def end(self) -> None: ...

    async def close(self) -> None:
        assert not self._input

    def interrupt(self) -> None: ...

    def _step(self) -> bool:
        """Process one line, content or chunk. Return whether there was one."""
        if self._chunk is not None:
            size, last = self._chunk
            return len(self._input) >= size and self._take_chunk(size, last)
        if self._data:
            at = self._input.find(b"\r\n.\r\n") + 2 if not self._input.startswith(b".\r\n") else 0
            return (at >= 2 or self._input.startswith(b".\r\n")) and self._take_dotted(at)
        line, crlf, rest = self._input.partition(b"\r\n")
        if crlf:
            self._input = rest
            self._process(line.decode())
        return bool(crlf)

    def _take_chunk(self, size: int, last: bool) -> bool:
        self._content += self._input[:size]
        self._input, self._chunk = self._input[size:], None
        return self._end_content() if last else self._reply("250 ok")

    def _take_dotted(self, at: int) -> bool:
        lines = self._input[:at].split(b"\r\n")
        self._content = b"\r\n".join(line.removeprefix(b".") for line in lines)
        self._input, self._data = self._input[at + 3 :], False
        return self._end_content()

    def _end_content(self) -> bool:
        self.contents.append(self._content)
        self._content = b""
        return self._reply(*["250 taken"] * (self._rcpts if self._lmtp else 1))

    def _process(self, line: str) -> None:
        verb, *arguments = line.split()
        if verb in ("EHLO", "LHLO"):
            lines = ["mx", *self.offered.lines()]
            self._lmtp = verb == "LHLO"
            self._reply(*[f"250-{text}" for text in lines[:-1]], f"250 {lines[-1]}")
            return
        self.commands.append(line)
        self._rcpts = 0 if verb == "MAIL" else self._rcpts + (verb == "RCPT")
        if verb == "BDAT":
            self._chunk = int(arguments[0]), arguments[1:] == ["LAST"]
        else:
            self._data = verb == "DATA"
            self._reply("354 go" if self._data else "250 ok")

    def _reply(self, *lines: str) -> bool:
        self._output += "".join(f"{line}\r\n" for line in lines).encode()
        return True


def converse(
    stream: LenientServer,
    talk: Callable[[Client], object],
    *,
    secure: bool = False,
    lmtp: bool = False,
) -> None:
    """Open a client on *stream* and run *talk* with it. With *secure* the client believes that it
    uses TLS."""

    async def main() -> None:
        runtime = Runtime()
        machine = ClientProtocol(secure=secure, lmtp=lmtp)
        link = Link(stream, runtime, machine, Deadline(runtime.now, None))
        client = Client(link, ClientConfig(lmtp=lmtp), "mx.example.org")
        client._trusted = secure
        await client._open(TLSMode.NONE)
        await talk(client)  # type: ignore[misc]

    run(main())


SOURCE_FORMS: Mapping[str, Callable[[list[bytes]], Source]] = {
    "octets": b"".join,
    "file": lambda pieces: io.BytesIO(b"".join(pieces)),
    "list": lambda pieces: pieces,
    "iterator": iter,
    "async": async_pieces,
}
"""Functions that turn pieces of content into each form in which it can be sent."""


def planned_lines(planned: Plan) -> list[str]:
    """Return the command lines of a plan."""
    return [bytes(command).decode() for command in planned.commands()]


TO_FIVE = Envelope("ann@example.org", [f"{name}@example.org" for name in "abcde"])
