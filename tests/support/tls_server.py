"""An SMTP server in memory with TLS, which can misbehave and records what it receives."""

from __future__ import annotations

import ssl

from attrs import define, field

from smtpproto import ConnectionLost, TimedOut, TLSFailed
from smtpproto.tls.stream import TLSFilter

CRLF = b"\r\n"


def is_tls(octets: bytes) -> bool:
    """Return whether *octets* are nothing but records of TLS."""
    while octets:
        if octets[0] not in range(20, 24) or octets[1] != 3:
            return False
        octets = octets[5 + int.from_bytes(octets[3:5]) :]
    return True


@define(eq=False)
class TLSServer:
    """A stream to a server. *starttls* is its reply to STARTTLS, with octets injected after it.

    *handshake* is what the server does after 220: ``b"agree"`` completes the handshake;
    ``b"stall"``, ``b"close"`` or ``b"reset"`` take effect when the client has begun it; any other
    octets are sent in clear instead. *implicit* starts TLS at once, without STARTTLS.
    """

    context: ssl.SSLContext
    keyword: bytes = b"STARTTLS"
    starttls: bytes = b"220 go ahead\r\n"
    handshake: bytes = b"agree"
    implicit: bool = False

    clear: bytes = field(default=b"", init=False)
    """The octets received in clear, before the handshake."""
    records: bytes = field(default=b"", init=False)
    """The octets received after that, as they arrived."""
    hidden: bytes = field(default=b"", init=False)
    """The plain octets received under TLS."""
    closed: bool = field(default=False, init=False)
    """Whether the client has closed the stream."""
    _tls: TLSFilter | None = field(default=None, init=False)
    _handshake_done: bool = field(default=False, init=False)
    _body: bool = field(default=False, init=False)
    _line: bytes = field(default=b"", init=False)
    _output: bytes = field(default=b"", init=False)

    peername = ("192.0.2.1", 25)
    sockname = ("192.0.2.2", 49152)

    def __attrs_post_init__(self) -> None:
        if self.implicit:
            self._begin()
        else:
            self._output = b"220 mx ESMTP\r\n"

    async def read(self, timeout: float | None) -> bytes:
        octets, self._output = self._output, b""
        if octets:
            return octets
        if timeout == 0:
            raise TimedOut("nothing has arrived")
        if not self.records:
            return b""
        match self.handshake:
            case b"stall":
                raise TimedOut("the peer was silent for too long")
            case b"reset":
                raise ConnectionLost("connection reset by peer")
        return b""

    async def write(self, data: bytes, timeout: float | None) -> None:
        assert not self.closed
        if self._tls is None:
            self.clear += data
            self._output += self.replies_to(data)
            return
        self.records += data
        if self.handshake == b"agree":
            self._tls.receive(data)
            self._talk(self._tls)
        elif self.handshake not in (b"stall", b"close", b"reset"):
            self._output += self.handshake

    async def end(self) -> None: ...

    async def close(self) -> None:
        self.closed = True

    def interrupt(self) -> None:
        raise AssertionError("clients are not interrupted")

    def _begin(self) -> None:
        self._tls = TLSFilter(self.context, server_side=True)

    def _talk(self, tls: TLSFilter) -> None:
        try:
            if not self._handshake_done:
                self._handshake_done = tls.handshake()
                if self._handshake_done and self.implicit:
                    tls.write(b"220 mx ESMTP\r\n")
            while self._handshake_done and (octets := tls.read()):
                self.hidden += octets
                tls.write(self.replies_to(octets))
        except TLSFailed:
            pass  # one of the two sides has sent an alert
        self._output += tls.data_to_send()

    def replies_to(self, octets: bytes) -> bytes:
        """Return the replies to all lines that *octets* complete."""
        self._line += octets
        replies = b""
        while CRLF in self._line:
            line, _, self._line = self._line.partition(CRLF)
            replies += self._reply(line)
        return replies

    def _reply(self, line: bytes) -> bytes:
        if self._body:
            self._body = line != b"."
            return b"" if self._body else b"250 kept\r\n"
        match line[:4]:
            case b"EHLO" if self._handshake_done:
                return b"250-mx\r\n250 AUTH PLAIN\r\n"
            case b"EHLO":
                return b"250-mx\r\n250-AUTH PLAIN\r\n250 %s\r\n" % self.keyword
            case b"STAR":
                if self.starttls.startswith(b"220"):
                    self._begin()
                return self.starttls
            case b"AUTH":
                return b"235 welcome\r\n"
            case b"DATA":
                self._body = True
                return b"354 go\r\n"
            case b"QUIT":
                return b"221 bye\r\n"
        return b"250 ok\r\n"
