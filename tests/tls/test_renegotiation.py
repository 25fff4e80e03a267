"""A server that asks to renegotiate TLS 1.2 in the middle of a session (RFC 5246 7.4.1.1)."""

from __future__ import annotations

import pytest

from smtpproto import TLSFailed
from smtpproto.tls.context import Context
from smtpproto.tls.filter import Filter
from smtpproto.tls.openssl import OpenSSLFilter
from tests.support.certificates import CA, LEAF
from tests.support.tls_libraries import (
    Library,
    PyOpenSSL,
    connected,
    each_library,
    trusting_context,
)


def client_asked_to_renegotiate(context: Context) -> Filter:
    """Return a client whose server has asked to renegotiate TLS 1.2, and has then sent a reply."""
    client, server = connected(context, PyOpenSSL.server(LEAF, "TLSv1.2"))
    assert isinstance(server, OpenSSLFilter)
    server._tls.renegotiate()
    server._tls.do_handshake()
    server.write(b"250 OK\r\n")
    client.receive(server.data_to_send())
    return client


def test_a_client_with_client_context_declines_and_goes_on() -> None:
    client = client_asked_to_renegotiate(trusting_context())
    assert client.read() == b"250 OK\r\n"
    client.write(b"NOOP\r\n")  # the server decides what follows from the refusal
    assert client.data_to_send()


@each_library
def test_a_write_during_a_renegotiation_raises_tls_failed(library: Library) -> None:
    client = client_asked_to_renegotiate(library.client(CA))
    assert client.read() == b"250 OK\r\n"
    with pytest.raises(TLSFailed, match="the peer wants to renegotiate"):
        client.write(b"NOOP\r\n")
