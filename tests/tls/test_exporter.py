"""Channel bindings by library and version of TLS; tls-exporter needs pyOpenSSL (RFC 9266)."""

from __future__ import annotations

import hashlib

import pytest
import trustme
from OpenSSL import SSL

from smtpproto.tls.binding import EXPORTER, SERVER_END_POINT
from tests.support.certificates import CA, LEAF, NAME, der
from tests.support.tls_libraries import (
    Pair,
    PyOpenSSL,
    after_handshake,
    connected,
    context_of,
    each_pair,
    move,
    present,
)


@pytest.mark.req("RFC9266-4.2-01/client", "RFC9266-4.2-01/server")
@each_pair
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_the_exporter_is_preferred_and_needs_pyopenssl_and_tls_1_3(
    libraries: Pair, version: str
) -> None:
    client_library, server_library = libraries
    client, server = connected(client_library.client(CA, version), server_library.server(LEAF))
    end_point = hashlib.sha256(der(LEAF)).digest()
    for side, library in zip((client, server), libraries, strict=True):
        exporter = [EXPORTER] if (library.name, version) == ("pyOpenSSL", "TLSv1.3") else []
        assert list(side.info.bindings) == [*exporter, SERVER_END_POINT]
        assert side.info.bindings[SERVER_END_POINT] == end_point


def exported() -> bytes:
    """Return the tls-exporter that both sides of a new connection derive."""
    client, server = after_handshake((PyOpenSSL, PyOpenSSL))
    found = {side.info.bindings[EXPORTER] for side in (client, server)}
    [octets] = found
    assert octets.hex() not in repr(client.info)
    return octets


@pytest.mark.req("RFC9266-2-01/client")
def test_each_connection_has_an_exporter_of_its_own_on_which_both_sides_agree() -> None:
    first, second = exported(), exported()
    assert len(first) == len(second) == 32
    assert first != second


def test_the_bindings_do_not_change_during_a_connection() -> None:
    client, server = after_handshake((PyOpenSSL, PyOpenSSL))
    before = client.info.bindings
    for _ in range(3):
        server.write(b"x" * 1000)  # goes out after the session tickets
        move(server, client)
        assert client.read() == b"x" * 1000
    assert client.info.bindings == server.info.bindings == before


@pytest.mark.parametrize("kind", ["RSA", "ECDSA"])
def test_with_two_certificates_the_binding_is_of_the_one_that_was_shown(kind: str) -> None:
    """With ``ssl`` there is no binding then."""
    leaves = {key.name: CA.issue_cert(NAME, key_type=key) for key in trustme.KeyType}
    context = SSL.Context(SSL.TLS_METHOD)
    for leaf in leaves.values():
        present(context, leaf)
    client_context = PyOpenSSL.client(CA, "TLSv1.2")
    client_context.set_cipher_list(f"a{kind}".encode())
    client, server = connected(client_context, context)
    end_point = hashlib.sha256(der(leaves[kind])).digest()
    assert client.info.bindings == server.info.bindings == {SERVER_END_POINT: end_point}


def test_the_bindings_are_of_the_context_that_a_callback_chose() -> None:
    other = CA.issue_cert("other.example")
    first, second = PyOpenSSL.server(LEAF), PyOpenSSL.server(other)
    first.set_tlsext_servername_callback(lambda connection: connection.set_context(second))
    client, server = connected(context_of(PyOpenSSL, False), first, "other.example")
    assert client.info.bindings == server.info.bindings
    assert server.own_certificate == der(other)
