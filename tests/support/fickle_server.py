"""A server in memory that sends more replies than it was asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from attrs import define, field

from smtpproto import TimedOut


@define(eq=False)
class FickleServer:
    """A stream to a server that inserts superfluous replies into a dialogue.

    A *moment* is after each of its own replies, and after each piece of content that it reads, up
    to the end of a message. *extras* has the replies to insert, by the number of the moment. They
    arrive in the same segment as the reply before them if *joined*; else in the next one. *size* is
    the most octets that a read returns. *final* are the replies to the end of a message, which in
    LMTP are one for each recipient.
    """

    keywords: Sequence[str] = ()
    extras: Mapping[int, Sequence[str]] = field(factory=dict)
    joined: bool = True
    size: int = 65536
    final: Sequence[str] = ("250 queued",)

    moments: int = field(default=0, init=False)
    """How many moments there were."""
    ended: bool = field(default=False, init=False)
    """Whether the end of a message has arrived completely."""
    closed: bool = field(default=False, init=False)
    lines: list[bytes] = field(factory=list, init=False)
    """The lines that have arrived, without the octets of chunks."""
    looks: int = field(default=0, init=False)
    """How many reads must not wait."""
    codes_after_end: list[int] = field(factory=list, init=False)
    """The codes of the replies sent after that."""
    peername: tuple[str, int] = ("192.0.2.1", 25)
    sockname: tuple[str, int] = ("127.0.0.1", 49152)
    _segments: deque[bytes] = field(factory=deque, init=False)
    _input: bytes = field(default=b"", init=False)
    _body: bool = field(default=False, init=False)
    _chunk: int = field(default=-1, init=False)
    _last: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._reply("220 mx")

    async def read(self, timeout: float | None) -> bytes:
        self.looks += timeout == 0
        if not self._segments:
            if timeout == 0:
                raise TimedOut("nothing has arrived")
            return b""
        segment = self._segments.popleft()
        if segment[self.size :]:
            self._segments.appendleft(segment[self.size :])
        return segment[: self.size]

    async def write(self, data: bytes, timeout: float | None) -> None:
        self._input += data
        while self._step():
            pass

    async def end(self) -> None: ...

    async def close(self) -> None:
        self.closed = True

    def interrupt(self) -> None: ...

    def say(self, text: str) -> None:
        """Send a reply now, in a segment of its own."""
        self._segments.append(text.encode() + b"\r\n")

    def _step(self) -> bool:
        """Process one line, or a piece of content. Return whether to go on."""
        if self._chunk >= 0:
            return self._step_in_chunk()
        line, crlf, rest = self._input.partition(b"\r\n")
        if not crlf:
            return False
        self._input = rest
        self.lines.append(line)
        if not self._body:
            self._command(line)
        elif line == b".":
            self._body = False
            self._end()
        else:
            self._moment()
        return True

    def _step_in_chunk(self) -> bool:
        taken = len(self._input[: self._chunk])
        self._input, self._chunk = self._input[taken:], self._chunk - taken
        if self._chunk:
            if taken:
                self._moment()
            return False
        self._chunk = -1
        self._end() if self._last else self._reply("250 chunk")
        return True

    def _command(self, line: bytes) -> None:
        match line[:4]:
            case b"EHLO" | b"LHLO":
                lines = ["mx", *self.keywords]
                texts = [f"250-{text}" for text in lines[:-1]]
                self._reply("\r\n".join([*texts, f"250 {lines[-1]}"]))
            case b"DATA":
                self._body = True
                self._reply("354 go")
            case b"BDAT":
                self._chunk, self._last = int(line.split()[1]), line.endswith(b"LAST")
                if len(self._input) < self._chunk:  # else the client has sent all of it already
                    self._moment()
            case b"QUIT":
                self._reply("221 bye")
            case _:
                self._reply("250 ok")

    def _end(self) -> None:
        self.ended = True
        for text in self.final:
            self._reply(text)

    def _reply(self, text: str) -> None:
        self._segments.append(text.encode() + b"\r\n")
        if self.ended:
            self.codes_after_end.append(int(text[:3]))
        self._moment()

    def _moment(self) -> None:
        if self.ended:
            return
        for text in self.extras.get(self.moments, ()):
            octets = text.encode() + b"\r\n"
            if self.joined and self._segments:
                self._segments[-1] += octets
            else:
                self._segments.append(octets)
        self.moments += 1
