"""TLS filters: a client and a server in memory, with either library on either side."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpproto.errors import ConnectionLost, SMTPError, TLSFailed
from smtpproto.limits import CHUNK
from smtpproto.tls.filter import failure
from smtpproto.tls.openssl import OpenSSLFilter
from smtpproto.tls.stream import TLSFilter
from tests.support.certificates import CA, LEAF, der
from tests.support.tls_libraries import (
    PAIRS,
    Library,
    Pair,
    PyOpenSSL,
    Standard,
    after_handshake,
    before_handshake,
    client_of,
    connected,
    context_of,
    each_library,
    each_pair,
    move,
    server_of,
    shake_hands,
    trusting_context,
)


@each_library
def test_filter_for_uses_the_library_of_the_context(library: Library) -> None:
    kind = {"ssl": TLSFilter, "pyOpenSSL": OpenSSLFilter}[library.name]
    assert [type(side) for side in before_handshake((library, library))] == [kind, kind]


# -- handshakes ----------------------------------------------------------------------------------


@each_pair
@pytest.mark.parametrize("size", [1, 7, 1000, CHUNK])
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_handshake_succeeds_at_any_split(libraries: Pair, size: int, version: str) -> None:
    client_library, server_library = libraries
    client = client_of(client_library.client(CA, version))
    server = server_of(server_library.server(LEAF))
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


@pytest.mark.parametrize("size", [1, 2, 7, 1000, CHUNK])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_handshake_with_client_context_succeeds_at_any_split(
    size: int, version: ssl.TLSVersion
) -> None:
    context = trusting_context()
    context.minimum_version = context.maximum_version = version
    client, server = client_of(context), server_of(Standard.server(LEAF))
    shake_hands(client, server, size)
    client.write(b"EHLO client.example\r\n")
    move(client, server, size)
    assert server.read() == b"EHLO client.example\r\n"
    assert server.read() is None


@each_pair
def test_octets_that_arrive_with_the_last_flight_are_kept(libraries: Pair) -> None:
    """One read may hold a client's last flight and its first command."""
    client, server = before_handshake(libraries)
    assert not client.handshake()
    move(client, server)
    assert not server.handshake()
    move(server, client)
    assert client.handshake()
    client.write(b"EHLO client.example\r\n")
    move(client, server)
    assert server.handshake()
    assert server.read() == b"EHLO client.example\r\n"


@each_pair
def test_an_end_during_the_handshake_raises_an_error(libraries: Pair) -> None:
    client, server = before_handshake(libraries)
    assert not client.handshake()
    hello = client.data_to_send()
    client.receive(b"")
    server.receive(hello[:-1])
    server.receive(b"")
    for side in (client, server):
        with pytest.raises(TLSFailed, match="the peer closed the connection"):
            side.handshake()
        assert side.data_to_send()[:1] in (b"", b"\x15"), (
            "the filter sends something other than an alert"
        )


# -- octets --------------------------------------------------------------------------------------


@settings(max_examples=settings().max_examples * 3 // 10)
@given(
    st.sampled_from(PAIRS),
    st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=50000)), max_size=8),
    st.sampled_from([1, 100, 4096, CHUNK]),
)
def test_octets_go_both_ways_at_any_split(
    libraries: Pair, turns: list[tuple[bool, bytes]], size: int
) -> None:
    client, server = after_handshake(libraries)
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
def test_a_large_write_is_read_in_bounded_pieces(libraries: Pair) -> None:
    client, server = after_handshake(libraries)
    data = bytes(range(256)) * 8000
    client.write(data)
    client.write(b"")
    move(client, server)
    pieces = list(iter(server.read, None))
    assert b"".join(filter(None, pieces)) == data
    assert max(len(piece or b"") for piece in pieces) <= CHUNK


@each_pair
@pytest.mark.parametrize("after", [0, 1])
def test_plain_octets_injected_into_tls_raise_an_error(libraries: Pair, after: int) -> None:
    """They are injected after the last flight or between two records, and are never read."""
    client, server = after_handshake(libraries)
    if after:
        client.write(b"true")
        move(client, server)
        assert server.read() == b"true"
    server.receive(b"MAIL FROM:<evil@example.net>\r\n")
    with pytest.raises(TLSFailed):
        server.read()


@each_pair
def test_a_record_that_was_changed_raises_an_error(libraries: Pair) -> None:
    client, server = after_handshake(libraries)
    client.write(b"true")
    octets = bytearray(client.data_to_send())
    octets[-1] ^= 1
    server.receive(bytes(octets))
    with pytest.raises(TLSFailed):
        server.read()


def test_an_error_after_the_handshake_has_no_phase() -> None:
    client, server = connected(trusting_context(), PyOpenSSL.server(LEAF, "TLSv1.2"))
    server.write(b"x")
    record = bytearray(server.data_to_send())
    record[-1] ^= 1
    client.receive(bytes(record))
    with pytest.raises(TLSFailed) as caught:
        while client.read() is not None:
            pass
    assert caught.value.phase == ""


# -- the end -------------------------------------------------------------------------------------


@pytest.mark.req("RFC8314-3.4-01/client", "RFC8314-3.4-01/server")
@each_pair
def test_close_notify_ends_one_direction(libraries: Pair) -> None:
    client, server = after_handshake(libraries)
    client.write(b"last")
    client.close()
    move(client, server)
    assert (server.read(), server.read(), server.read()) == (b"last", b"", b"")
    server.close()
    assert server.data_to_send()
    with pytest.raises(ConnectionLost, match="closed: PROTOCOL_IS_SHUTDOWN"):
        client.write(b"x")
    client.close()  # closing twice does no harm


@each_pair
@pytest.mark.parametrize("half_a_record", [False, True])
def test_an_end_without_close_notify_is_read_as_the_end(
    libraries: Pair, half_a_record: bool
) -> None:
    client, server = after_handshake(libraries)
    client.write(b"whole")
    move(client, server)
    if half_a_record:
        client.write(b"never seen")
        server.receive(client.data_to_send()[:-1])
    server.receive(b"")
    assert (server.read(), server.read()) == (b"whole", b"")


@each_library
def test_writing_before_the_handshake_or_after_closing_raises_an_error_of_this_library(
    library: Library,
) -> None:
    client, _ = before_handshake((library, library))
    with pytest.raises(SMTPError):
        client.write(b"x")
    client, _ = after_handshake((library, library))
    client.receive(b"")
    assert client.read() == b""
    client.close()
    with pytest.raises(SMTPError):
        client.write(b"x")


@each_library
def test_closing_before_the_handshake_sends_nothing(library: Library) -> None:
    server = server_of(context_of(library, True))
    server.close()
    assert server.data_to_send() == b""


# -- errors --------------------------------------------------------------------------------------


def test_the_error_for_a_missing_session_id_context_names_set_session_id() -> None:
    """OpenSSL needs one to resume sessions of clients with certificates; pyOpenSSL sets none."""
    assert "set_session_id" in failure("SESSION_ID_CONTEXT_UNINITIALIZED").check
