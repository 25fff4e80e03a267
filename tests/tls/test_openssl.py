"""TLS by either library on either side."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpproto.errors import ConnectionLost, SMTPError, TLSFailed
from smtpproto.limits import CHUNK
from smtpproto.tls.context import own_certificate
from smtpproto.tls.openssl import OpenSSLFilter
from smtpproto.tls.stream import TLSFilter, TLSStream
from tests.support.certificates import NAME, der
from tests.support.tls_libraries import (
    CA,
    LEAF,
    PAIRS,
    Library,
    Pair,
    PyOpenSSL,
    Standard,
    agreed,
    client_of,
    context_of,
    each_library,
    each_pair,
    move,
    server_of,
    shake_hands,
    sides_of,
)
from tests.tls.test_filter import CLEAR, Clock, Peer, run

# -- the same, whichever library is on which side ------------------------------------------------


@each_library
def test_each_context_has_its_filter(library: Library) -> None:
    kind = {"ssl": TLSFilter, "pyOpenSSL": OpenSSLFilter}[library.name]
    assert [type(side) for side in sides_of((library, library))] == [kind, kind]


@each_pair
@pytest.mark.parametrize("size", [1, 7, 1000, CHUNK])
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_handshake_at_any_split(libraries: Pair, size: int, version: str) -> None:
    near, far = libraries
    client = client_of(near.client(CA, version))
    server = server_of(far.server(LEAF))
    shake_hands(client, server, size)
    client.write(b"EHLO client.example\r\n")
    move(client, server, size)
    assert server.read() == b"EHLO client.example\r\n"
    assert server.read() is None
    infos = client.info, server.info
    assert [info.version for info in infos] == [version, version]
    assert infos[0].cipher == infos[1].cipher != ""
    assert [info.peer_certificate for info in infos] == [der(LEAF), None]
    assert [info.verified for info in infos] == [True, False]


@settings(max_examples=60)
@given(
    st.sampled_from(PAIRS),
    st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=50000)), max_size=8),
    st.sampled_from([1, 100, 4096, CHUNK]),
)
def test_octets_go_both_ways_at_any_split(
    libraries: Pair, turns: list[tuple[bool, bytes]], size: int
) -> None:
    client, server = agreed(libraries)
    for forth, data in turns:
        source, target = (client, server) if forth else (server, client)
        source.write(data)
        octets = source.data_to_send()
        got = b""
        for start in range(0, len(octets), size):
            target.receive(octets[start : start + size])
            while piece := target.read():
                assert len(piece) <= CHUNK
                got += piece
        assert got == data
        assert target.read() is None


@each_pair
def test_much_at_once(libraries: Pair) -> None:
    client, server = agreed(libraries)
    data = bytes(range(256)) * 8000
    client.write(data)
    client.write(b"")
    move(client, server)
    pieces = list(iter(server.read, None))
    assert b"".join(filter(None, pieces)) == data
    assert max(len(piece or b"") for piece in pieces) <= CHUNK


@each_pair
def test_what_arrives_with_the_end_of_the_handshake_is_kept(libraries: Pair) -> None:
    """A client's last flight and its first command may come in one read."""
    client, server = sides_of(libraries)
    assert not client.handshake()
    move(client, server)
    assert not server.handshake()
    move(server, client)
    assert client.handshake()
    client.write(b"EHLO client.example\r\n")
    move(client, server)
    assert server.handshake()
    assert server.read() == b"EHLO client.example\r\n"


@pytest.mark.req("RFC8314-3.4-01")
@each_pair
def test_close_notify_is_the_end_of_one_direction(libraries: Pair) -> None:
    client, server = agreed(libraries)
    client.write(b"last")
    client.close()
    move(client, server)
    assert (server.read(), server.read(), server.read()) == (b"last", b"", b"")
    server.close()
    assert server.data_to_send()
    with pytest.raises(ConnectionLost, match="closed: PROTOCOL_IS_SHUTDOWN"):
        client.write(b"x")
    client.close()  # twice does no harm


@each_pair
@pytest.mark.parametrize("half_a_record", [False, True])
def test_an_end_without_close_notify_is_an_end(libraries: Pair, half_a_record: bool) -> None:
    client, server = agreed(libraries)
    client.write(b"whole")
    move(client, server)
    if half_a_record:
        client.write(b"never seen")
        server.receive(client.data_to_send()[:-1])
    server.receive(b"")
    assert (server.read(), server.read()) == (b"whole", b"")


@each_pair
@pytest.mark.parametrize("after", [0, 1])
def test_plain_octets_behind_the_handshake_are_no_content(libraries: Pair, after: int) -> None:
    """Injected behind the last flight, or between two records: an error, never octets to read."""
    client, server = agreed(libraries)
    if after:
        client.write(b"true")
        move(client, server)
        assert server.read() == b"true"
    server.receive(b"MAIL FROM:<evil@example.net>\r\n")
    with pytest.raises(TLSFailed):
        server.read()


@each_pair
def test_a_record_that_was_tampered_with_is_no_content(libraries: Pair) -> None:
    client, server = agreed(libraries)
    client.write(b"true")
    octets = bytearray(client.data_to_send())
    octets[-1] ^= 1
    server.receive(bytes(octets))
    with pytest.raises(TLSFailed):
        server.read()


@each_library
def test_writing_before_the_handshake_or_after_the_end_is_an_error_of_ours(
    library: Library,
) -> None:
    client, _ = sides_of((library, library))
    with pytest.raises(SMTPError):
        client.write(b"x")
    client, _ = agreed((library, library))
    client.receive(b"")
    assert client.read() == b""
    client.close()
    with pytest.raises(SMTPError):
        client.write(b"x")


@each_library
def test_closing_before_the_handshake_says_nothing(library: Library) -> None:
    server = server_of(context_of(library, True))
    server.close()
    assert server.data_to_send() == b""


# -- handshakes that fail ------------------------------------------------------------------------


@each_pair
def test_an_end_in_the_middle_of_the_handshake_fails(libraries: Pair) -> None:
    client, server = sides_of(libraries)
    assert not client.handshake()
    hello = client.data_to_send()
    client.receive(b"")
    server.receive(hello[:-1])
    server.receive(b"")
    for side in (client, server):
        with pytest.raises(TLSFailed, match="the peer closed the connection"):
            side.handshake()
        assert side.data_to_send()[:1] in (b"", b"\x15"), "an alert, if anything"


@each_library
@pytest.mark.parametrize("greeting", CLEAR)
@pytest.mark.parametrize("size", [1, CHUNK])
def test_a_plain_greeting_is_named(library: Library, greeting: bytes, size: int) -> None:
    client, _ = sides_of((library, library))
    client.handshake()
    client.data_to_send()
    with pytest.raises(TLSFailed, match="the server speaks plain SMTP here") as caught:
        for start in range(0, len(greeting), size):
            client.receive(greeting[start : start + size])
            client.handshake()
    assert "STARTTLS" in caught.value.check
    assert client.data_to_send() == b""


@each_library
@pytest.mark.parametrize(
    ("octets", "why", "check"),
    [
        (b"EHLO client.example\r\n", "the client speaks plain SMTP here", "STARTTLS"),
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP_REQUEST", "speaks HTTP"),
        (b"\0" * 50, "", ""),
    ],
    ids=["SMTP", "HTTP", "zeros"],
)
def test_what_is_no_tls_is_named(library: Library, octets: bytes, why: str, check: str) -> None:
    server = server_of(context_of(library, True))
    server.receive(octets)
    with pytest.raises(TLSFailed, match=f"^TLS failed: {why}") as caught:
        server.handshake()
    assert check in caught.value.check


# -- the stream ----------------------------------------------------------------------------------


def stream_over(peer: Peer, name: str = NAME) -> TLSStream:
    trusted = context_of(Standard, True)
    assert isinstance(trusted, ssl.SSLContext) and own_certificate(trusted)
    peer.tls = TLSFilter(trusted, server_side=True)
    return TLSStream(peer, client_of(context_of(PyOpenSSL, False), name), Clock())


@pytest.mark.parametrize("size", [1, 1000, CHUNK])
def test_a_stream_carries_octets(size: int) -> None:
    peer = Peer(size)
    peer.greeting = b"220 mx.example.org ready\r\n"
    stream = stream_over(peer)
    run(stream.handshake(10))
    assert run(stream.read(5)) == peer.greeting, "what came with the handshake is not lost"
    data = bytes(range(256)) * 1000
    run(stream.write(data, 5))
    echoed = b""
    while len(echoed) < len(data):
        echoed += run(stream.read(5))
    assert echoed == peer.got == data
    assert max(peer.writes) < 1.1 * CHUNK
    run(stream.close())
    assert peer.events == ["close_notify", "close"]


def test_a_handshake_that_fails_tells_the_peer() -> None:
    peer = Peer()
    with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED"):
        run(stream_over(peer, "mx.example.net").handshake(10))
    assert peer.writes[1:] == [7], "the alert went out"
    assert len(peer.events) == 1
    assert "ALERT_BAD_CERTIFICATE" in peer.events[0]
