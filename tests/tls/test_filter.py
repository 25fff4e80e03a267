"""TLS over memory: two sides pumped against each other, and one side over a stream."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
import trustme

from smtpproto.errors import ConnectionLost, SMTPError, TimedOut, TLSFailed
from smtpproto.limits import CHUNK
from smtpproto.tls.context import client_context
from smtpproto.tls.stream import TLSFilter, TLSStream
from smtpproto.tls.verify import TLSVerify

NAME = "mx.example.org"
T = TypeVar("T")


@functools.cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For a client and for a server that it trusts."""
    ca = trustme.CA()
    client = client_context()
    ca.configure_trust(client)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(NAME).configure_cert(server)
    return client, server


def pair(
    client: ssl.SSLContext | None = None, name: str | None = NAME
) -> tuple[TLSFilter, TLSFilter]:
    trusting, serving = contexts()
    return (
        TLSFilter(client or trusting, server_side=False, server_hostname=name),
        TLSFilter(serving, server_side=True),
    )


def feed(to: TLSFilter, octets: bytes, size: int) -> None:
    for start in range(0, len(octets), size):
        to.receive(octets[start : start + size])


def shake_hands(client: TLSFilter, server: TLSFilter, size: int = CHUNK) -> None:
    """Handshake to the end on both sides, in pieces of *size*, each tried as it arrives."""
    done = {client: False, server: False}
    for _ in range(10):
        for side, other in ((client, server), (server, client)):
            done[side] = done[side] or side.handshake()
            octets = side.data_to_send()
            for start in range(0, len(octets), size):
                other.receive(octets[start : start + size])
                done[other] = done[other] or other.handshake()
    assert all(done.values())


def move(source: TLSFilter, target: TLSFilter, size: int = CHUNK) -> None:
    feed(target, source.data_to_send(), size)


# -- two filters -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 7, 1000, CHUNK])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_handshake_at_any_split(size: int, version: ssl.TLSVersion) -> None:
    ca = trustme.CA()
    context = client_context()
    context.minimum_version = context.maximum_version = version
    ca.configure_trust(context)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(NAME).configure_cert(serving)
    client = TLSFilter(context, server_side=False, server_hostname=NAME)
    server = TLSFilter(serving, server_side=True)
    shake_hands(client, server, size)
    client.write(b"EHLO client.example\r\n")
    move(client, server, size)
    assert server.read() == b"EHLO client.example\r\n"
    assert server.read() is None


CLEAR = [
    b"220 mx.example.org ESMTP ready\r\n",
    b"554 No service here\r\n",
    b"421 mx.example.org Too many connections\r\n",
    b"220-a\r\n220 b\r\n",
]


@pytest.mark.parametrize("greeting", CLEAR)
@pytest.mark.parametrize("size", [1, CHUNK])
def test_a_client_that_meets_a_plain_greeting_is_told_what_to_check(
    greeting: bytes, size: int
) -> None:
    client, _ = pair()
    assert not client.handshake()
    feed(client, greeting, size)
    with pytest.raises(TLSFailed) as caught:
        client.handshake()
    assert caught.value.phase == "TLS"
    assert "STARTTLS" in caught.value.check
    assert "check: " in str(caught.value)


@pytest.mark.parametrize(
    "command", [b"EHLO client.example\r\n", b"QUIT\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 50]
)
def test_a_server_that_meets_plain_commands_fails(command: bytes) -> None:
    _, server = pair()
    server.receive(command)
    with pytest.raises(TLSFailed, match="TLS failed: "):
        for _ in range(2):
            server.handshake()
            server.receive(b"")  # a short command may look like the start of a record


@pytest.mark.req("RFC8314-3.3-02")
def test_an_untrusted_ca_fails_on_both_sides() -> None:
    client, server = pair(client_context())
    assert not client.handshake()
    move(client, server)
    assert not server.handshake()
    move(server, client)
    with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED") as caught:
        client.handshake()
    assert "the CA in use" in caught.value.check
    move(client, server)  # the alert
    with pytest.raises(TLSFailed, match="UNKNOWN_CA") as alert:
        server.handshake()
    assert "CA of your certificate" in alert.value.check


@pytest.mark.req("RFC8314-3.3-02")
@pytest.mark.parametrize("name", ["mx.example.net", "example.org", "192.0.2.1"])
def test_a_wrong_name_fails(name: str) -> None:
    client, server = pair(name=name)
    with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED: ") as caught:
        shake_hands(client, server)
    assert "host name" in caught.value.check


@pytest.mark.req("RFC4954-14-03", "RFC4954-14-05")
@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("a.example.com", True),
        ("A.Example.COM", True),
        ("example.com", False),
        ("a.b.example.com", False),
        ("a.example.net", False),
    ],
)
def test_a_wildcard_stands_for_one_label(name: str, good: bool) -> None:
    ca, client = trustme.CA(), client_context()
    ca.configure_trust(client)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("*.example.com").configure_cert(serving)
    sides = (
        TLSFilter(client, server_side=False, server_hostname=name),
        TLSFilter(serving, server_side=True),
    )
    if good:
        shake_hands(*sides)
    else:
        with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED"):
            shake_hands(*sides)


@pytest.mark.req("RFC8314-4-01")
@pytest.mark.parametrize("verify", [TLSVerify.by_name(), TLSVerify.nothing()], ids=["name", "none"])
def test_tls_is_1_2_or_later(verify: TLSVerify) -> None:
    assert client_context(verify).minimum_version >= ssl.TLSVersion.TLSv1_2


def test_unverified_is_tls_with_anybody() -> None:
    client, server = pair(client_context(TLSVerify.nothing()), name="mx.example.net")
    shake_hands(client, server)
    client.write(b"x")
    move(client, server)
    assert server.read() == b"x"


def test_writing_before_the_handshake_or_after_the_end_is_an_error_of_ours() -> None:
    client, server = pair()
    shake_hands(client, server)
    client.receive(b"")
    assert client.read() == b""
    client.close()
    with pytest.raises(SMTPError):
        client.write(b"x")


# -- the stream --------------------------------------------------------------------------------


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Drive what never suspends to its end."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    raise AssertionError("suspended")


class Peer:
    """A stream whose other end is a TLS server that echoes; reads give *size* octets at most."""

    peername = ("192.0.2.1", 25)
    sockname = ("192.0.2.2", 50000)

    def __init__(self, size: int = CHUNK) -> None:
        self.tls = TLSFilter(contexts()[1], server_side=True)
        self.size = size
        self.ready = False
        self.waiting = b""
        self.greeting = b""
        self.got = b""
        self.writes: list[int] = []
        self.timeouts: list[float | None] = []
        self.events: list[str] = []

    async def read(self, timeout: float | None) -> bytes:
        self.timeouts.append(timeout)
        if timeout == 0:
            raise TimedOut("silent")
        octets, self.waiting = self.waiting[: self.size], self.waiting[self.size :]
        return octets

    async def write(self, data: bytes, timeout: float | None) -> None:
        assert "close" not in self.events
        self.writes.append(len(data))
        self.tls.receive(data)
        try:
            self.serve()
        except TLSFailed as error:
            self.events.append(error.message)
        self.waiting += self.tls.data_to_send()

    def serve(self) -> None:
        if not self.ready:
            self.ready = self.tls.handshake()
            if self.ready and self.greeting:
                self.tls.write(self.greeting)
        while self.ready and (octets := self.tls.read()) is not None:
            if not octets:
                self.events.append("close_notify")
                break
            self.got += octets
            self.tls.write(octets)

    async def close(self) -> None:
        self.events.append("close")

    def interrupt(self) -> None:
        self.events.append("interrupt")


class Clock:
    def __init__(self, step: float = 0) -> None:
        self.time, self.step = 0.0, step

    def __call__(self) -> float:
        self.time += self.step
        return self.time


def stream_over(peer: Peer, name: str = NAME, step: float = 0) -> TLSStream:
    tls = TLSFilter(contexts()[0], server_side=False, server_hostname=name)
    return TLSStream(peer, tls, Clock(step))


@pytest.mark.req("RFC8314-3.4-01")
@pytest.mark.parametrize("size", [1, 1000, CHUNK])
def test_a_stream_carries_octets(size: int) -> None:
    peer = Peer(size)
    peer.greeting = b"220 mx.example.org ready\r\n"
    stream = stream_over(peer)
    run(stream.handshake(10))
    assert run(stream.read(5)) == peer.greeting, "what came with the handshake is not lost"
    run(stream.write(b"NOOP\r\n", 5))
    assert run(stream.read(5)) == peer.got == b"NOOP\r\n"
    assert stream.info.version == "TLSv1.3"
    assert stream.info.cipher
    assert stream.info.peer_certificate
    assert (stream.peername, stream.sockname) == (peer.peername, peer.sockname)
    stream.interrupt()
    run(stream.close())
    assert peer.events == ["interrupt", "close_notify", "close"]


def test_a_large_write_goes_out_in_bounded_pieces() -> None:
    peer = Peer()
    stream = stream_over(peer)
    run(stream.handshake(None))
    peer.writes.clear()
    data = bytes(range(256)) * 1000
    run(stream.write(data, 5))
    assert peer.got == data
    assert max(peer.writes) < 1.1 * CHUNK
    run(stream.write(b"", 5))
    echoed = b""
    while len(echoed) < len(data):
        echoed += run(stream.read(5))
    assert echoed == data


def test_the_end_of_the_stream_is_the_end() -> None:
    stream = stream_over(Peer())
    run(stream.handshake(10))
    assert run(stream.read(5)) == b""


def test_one_deadline_for_the_whole_handshake() -> None:
    peer = Peer(size=100)
    stream = stream_over(peer, step=1)
    with pytest.raises(TimedOut):
        run(stream.handshake(10))
    assert peer.timeouts == [8, 6, 4, 2, 0]


def test_one_deadline_for_all_octets_of_a_record() -> None:
    peer = Peer(size=10)
    peer.greeting = b"220 mx.example.org ready\r\n"
    stream = stream_over(peer, step=1)
    run(stream.handshake(None))
    peer.timeouts.clear()
    with pytest.raises(TimedOut):
        run(stream.read(3))
    assert all(timeout is not None and timeout < 3 for timeout in peer.timeouts)


def test_no_deadline() -> None:
    peer = Peer()
    run(stream_over(peer).handshake(None))
    assert set(peer.timeouts) == {None}


def test_a_handshake_that_fails_tells_the_peer() -> None:
    peer = Peer()
    with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED"):
        run(stream_over(peer, "mx.example.net").handshake(10))
    assert len(peer.writes) == 2, "the alert went out"
    assert len(peer.events) == 1
    assert "ALERT_BAD_CERTIFICATE" in peer.events[0]


def test_a_handshake_that_meets_the_end_fails() -> None:
    class Silent(Peer):
        def serve(self) -> None:
            pass

    with pytest.raises(TLSFailed):
        run(stream_over(Silent()).handshake(10))


def test_close_closes_even_if_nothing_can_be_said() -> None:
    class Dead(Peer):
        async def write(self, data: bytes, timeout: float | None) -> None:
            raise ConnectionLost("reset")

    peer = Dead()
    run(stream_over(peer).close())
    assert peer.events == ["close"]
