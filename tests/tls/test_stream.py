"""TLSStream: TLS over a stream, its time-outs and its end."""

from __future__ import annotations

from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from smtpproto.errors import ConnectionLost, TimedOut, TLSFailed
from smtpproto.limits import CHUNK
from smtpproto.tls.context import Context
from smtpproto.tls.stream import TLSStream
from tests.support.certificates import LEAF, NAME
from tests.support.tls_libraries import (
    LIBRARIES,
    Library,
    PyOpenSSL,
    Standard,
    client_of,
    context_of,
    server_of,
    trusting_context,
)

T = TypeVar("T")
TRUSTING = trusting_context()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    raise AssertionError("suspended")


class EchoServer:
    """A stream to a TLS server that echoes. A read returns *size* octets at most."""

    peername = ("192.0.2.1", 25)
    sockname = ("192.0.2.2", 50000)

    def __init__(self, size: int = CHUNK) -> None:
        self.tls = server_of(context_of(Standard, True))
        self.size = size
        self.handshake_done = False
        self.output = b""
        self.greeting = b""
        self.received = b""
        self.writes: list[int] = []
        self.timeouts: list[float | None] = []
        self.events: list[str] = []

    async def read(self, timeout: float | None) -> bytes:
        self.timeouts.append(timeout)
        if timeout == 0:
            raise TimedOut("silent")
        octets, self.output = self.output[: self.size], self.output[self.size :]
        return octets

    async def write(self, data: bytes, timeout: float | None) -> None:
        assert "close" not in self.events
        self.writes.append(len(data))
        self.tls.receive(data)
        try:
            self.serve()
        except TLSFailed as error:
            self.events.append(error.message)
        self.output += self.tls.data_to_send()

    def serve(self) -> None:
        if not self.handshake_done:
            self.handshake_done = self.tls.handshake()
            if self.handshake_done and self.greeting:
                self.tls.write(self.greeting)
        while self.handshake_done and (octets := self.tls.read()) is not None:
            if not octets:
                self.events.append("close_notify")
                break
            self.received += octets
            self.tls.write(octets)

    async def end(self) -> None:
        self.events.append("end")

    async def close(self) -> None:
        self.events.append("close")

    def interrupt(self) -> None:
        self.events.append("interrupt")


class Clock:
    """A clock that advances by *step* seconds whenever it is read."""

    def __init__(self, step: float = 0) -> None:
        self.time, self.step = 0.0, step

    def __call__(self) -> float:
        self.time += self.step
        return self.time


def stream_over(
    server: EchoServer, name: str = NAME, step: float = 0, context: Context = TRUSTING
) -> TLSStream:
    """Return a client's stream to *server*, which verifies *name*."""
    return TLSStream(server, client_of(context, name), Clock(step))


@pytest.mark.req("RFC8314-3.4-01/client", "RFC8314-3.4-01/server")
@pytest.mark.parametrize("size", [1, 1000, CHUNK])
def test_a_stream_carries_octets_both_ways_until_close(size: int) -> None:
    server = EchoServer(size)
    server.greeting = b"220 mx.example.org ready\r\n"
    stream = stream_over(server)
    run(stream.handshake(10))
    assert run(stream.read(5)) == server.greeting, "octets that came with the handshake are lost"
    run(stream.write(b"NOOP\r\n", 5))
    assert run(stream.read(5)) == server.received == b"NOOP\r\n"
    assert stream.info.version == "TLSv1.3"
    assert stream.info.cipher
    assert stream.info.peer_certificate
    assert (stream.peername, stream.sockname) == (server.peername, server.sockname)
    stream.interrupt()
    run(stream.close())
    assert server.events == ["interrupt", "close_notify", "close"]


def test_a_large_write_is_sent_in_bounded_pieces() -> None:
    server = EchoServer()
    stream = stream_over(server)
    run(stream.handshake(None))
    server.writes.clear()
    data = bytes(range(256)) * 1000
    run(stream.write(data, 5))
    assert server.received == data
    assert max(server.writes) < 1.1 * CHUNK
    run(stream.write(b"", 5))
    echoed = b""
    while len(echoed) < len(data):
        echoed += run(stream.read(5))
    assert echoed == data


def test_the_end_of_the_stream_is_read_as_the_end() -> None:
    stream = stream_over(EchoServer())
    run(stream.handshake(10))
    assert run(stream.read(5)) == b""


def test_the_timeout_is_for_the_whole_handshake() -> None:
    server = EchoServer(size=100)
    stream = stream_over(server, step=1)
    with pytest.raises(TimedOut):
        run(stream.handshake(10))
    assert server.timeouts == [8, 6, 4, 2, 0]


def test_the_timeout_of_a_read_is_for_a_whole_record() -> None:
    server = EchoServer(size=10)
    server.greeting = b"220 mx.example.org ready\r\n"
    stream = stream_over(server, step=1)
    run(stream.handshake(None))
    server.timeouts.clear()
    with pytest.raises(TimedOut):
        run(stream.read(3))
    assert server.timeouts == [2, 1, 0]


def test_a_read_that_must_not_wait_writes_nothing() -> None:
    """A part of a record might be written; the next call that may wait writes it."""
    server = EchoServer()
    stream = stream_over(server)
    run(stream.handshake(10))
    server.writes.clear()
    stream._filter.write(b"NOOP\r\n")  # like a record that the filter itself wants to send
    with pytest.raises(TimedOut):
        run(stream.read(0))
    assert server.writes == []
    assert run(stream.read(5)) == server.received == b"NOOP\r\n"


def test_without_a_timeout_every_read_may_wait_for_ever() -> None:
    server = EchoServer()
    run(stream_over(server).handshake(None))
    assert set(server.timeouts) == {None}


def test_a_handshake_that_fails_sends_an_alert() -> None:
    server = EchoServer()
    with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED"):
        run(stream_over(server, "mx.example.net").handshake(10))
    assert len(server.writes) == 2, "no alert was sent"
    assert len(server.events) == 1
    assert "ALERT_BAD_CERTIFICATE" in server.events[0]


def test_an_end_during_the_handshake_raises_an_error() -> None:
    class Silent(EchoServer):
        def serve(self) -> None:
            pass

    with pytest.raises(TLSFailed):
        run(stream_over(Silent()).handshake(10))


def test_close_closes_a_stream_that_cannot_be_written() -> None:
    class Dead(EchoServer):
        async def write(self, data: bytes, timeout: float | None) -> None:
            raise ConnectionLost("reset")

    server = Dead()
    run(stream_over(server).close())
    assert server.events == ["close"]


# -- a client with pyOpenSSL ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "count"),
    [(1, 300), pytest.param(1, 1000, marks=pytest.mark.soak), (1000, 1000), (CHUNK, 1000)],
)
def test_a_stream_with_pyopenssl_carries_octets_both_ways_until_close(
    size: int, count: int
) -> None:
    server = EchoServer(size)
    server.greeting = b"220 mx.example.org ready\r\n"
    stream = stream_over(server, context=context_of(PyOpenSSL, False))
    run(stream.handshake(10))
    assert run(stream.read(5)) == server.greeting, "octets that came with the handshake are lost"
    data = bytes(range(256)) * count
    run(stream.write(data, 5))
    echoed = b""
    while len(echoed) < len(data):
        echoed += run(stream.read(5))
    assert echoed == server.received == data
    assert max(server.writes) < 1.1 * CHUNK
    run(stream.close())
    assert server.events == ["close_notify", "close"]


def test_a_handshake_that_fails_with_pyopenssl_sends_an_alert() -> None:
    server = EchoServer()
    with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED"):
        run(
            stream_over(server, "mx.example.net", context=context_of(PyOpenSSL, False)).handshake(
                10
            )
        )
    assert server.writes[1:] == [7], "no alert was sent"
    assert len(server.events) == 1
    assert "ALERT_BAD_CERTIFICATE" in server.events[0]


# -- a peer that sends records without content ---------------------------------------------------


@pytest.mark.parametrize("method", ["handshake", "read"])
def test_records_without_content_do_not_extend_a_timeout(method: str) -> None:
    clock = 0.0

    class Flood(EchoServer):
        async def read(self, timeout: float | None) -> bytes:
            nonlocal clock
            clock += 1
            assert clock < 20
            return b"\x14\x03\x03\x00\x01\x01"

    never_ready: Any = SimpleNamespace(
        handshake=lambda: False,
        receive=lambda octets: None,
        read=lambda: None,
        data_to_send=lambda: b"",
    )
    stream = TLSStream(Flood(), never_ready, lambda: clock)
    with pytest.raises(TimedOut, match="only parts"):
        run(getattr(stream, method)(5))
    assert clock == 6


def test_a_client_s_handshake_ends_with_its_first_command_in_one_write() -> None:
    server = EchoServer()
    stream = stream_over(server)
    run(stream.handshake(10))
    assert not server.handshake_done
    server.writes.clear()
    run(stream.write(b"EHLO x\r\n", 5))
    assert server.handshake_done
    assert server.received == b"EHLO x\r\n"
    assert len(server.writes) == 1


def test_a_client_s_handshake_ends_before_it_waits_for_the_greeting() -> None:
    server = EchoServer()
    server.greeting = b"220 mx.example.org ready\r\n"
    stream = stream_over(server)
    run(stream.handshake(10))
    assert run(stream.read(5)) == server.greeting
    assert server.handshake_done


class ClientEnd(EchoServer):
    """A stream to a TLS client that sends *command* together with the end of its handshake."""

    def __init__(self, command: bytes) -> None:
        super().__init__()
        self.tls = client_of(TRUSTING, NAME)
        self.greeting = command
        self.serve()
        self.output = self.tls.data_to_send()


def test_a_server_s_handshake_ends_with_its_first_reply_in_one_write() -> None:
    client = ClientEnd(b"EHLO client.example\r\n")
    stream = TLSStream(client, server_of(context_of(Standard, True)), Clock())
    run(stream.handshake(10))
    assert len(client.writes) == 1
    assert run(stream.read(5)) == client.greeting
    assert len(client.writes) == 1
    run(stream.write(b"250 ok\r\n", 5))
    assert len(client.writes) == 2
    assert client.received == b"250 ok\r\n"


def test_a_server_s_handshake_ends_before_it_waits_for_the_first_command() -> None:
    client = ClientEnd(b"EHLO client.example\r\n")  # which TLS 1.2 does not let it send earlier
    stream = TLSStream(client, server_of(Standard.server(LEAF, "TLSv1.2")), Clock())
    run(stream.handshake(10))
    assert not client.handshake_done
    assert run(stream.read(5)) == client.greeting


def test_a_client_that_closes_at_once_still_ends_its_handshake() -> None:
    server = EchoServer()
    stream = stream_over(server)
    run(stream.handshake(10))
    run(stream.close())
    assert server.handshake_done
    assert server.events == ["close_notify", "close"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_stream_that_has_ended_its_direction_reads_what_the_peer_still_sends(
    library: Library,
) -> None:
    server = EchoServer()
    stream = stream_over(server, context=context_of(library, False))
    run(stream.handshake(10))
    run(stream.end())
    assert server.events == ["close_notify", "end"]
    server.tls.write(b"MAIL FROM:<>\r\n")
    server.output += server.tls.data_to_send()
    assert run(stream.read(5)) == b"MAIL FROM:<>\r\n"
