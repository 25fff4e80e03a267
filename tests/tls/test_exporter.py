"""What a login can be tied to, by library and version of TLS (RFC 9266)."""

from __future__ import annotations

import hashlib

import pytest
import trustme
from OpenSSL import SSL

from smtpproto.tls.binding import EXPORTER, SERVER_END_POINT
from tests.support.certificates import NAME, der
from tests.support.tls_libraries import (
    CA,
    LEAF,
    Pair,
    PyOpenSSL,
    agreed,
    client_of,
    context_of,
    each_pair,
    move,
    server_of,
    shake_hands,
    show,
)


@each_pair
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_bindings_by_library_and_version(libraries: Pair, version: str) -> None:
    """The exporter comes first, and only with TLS 1.3."""
    client = client_of(libraries[0].client(CA, version))
    server = server_of(libraries[1].server(LEAF))
    shake_hands(client, server)
    end_point = hashlib.sha256(der(LEAF)).digest()
    for side, library in zip((client, server), libraries, strict=True):
        exporter = [EXPORTER] if (library.name, version) == ("pyOpenSSL", "TLSv1.3") else []
        assert list(side.info.bindings) == [*exporter, SERVER_END_POINT]
        assert side.info.bindings[SERVER_END_POINT] == end_point


def exported() -> bytes:
    """What both sides of a new connection derive."""
    client, server = agreed((PyOpenSSL, PyOpenSSL))
    found = {side.info.bindings[EXPORTER] for side in (client, server)}
    [octets] = found
    assert octets.hex() not in repr(client.info)
    return octets


def test_both_sides_derive_the_same_and_no_other_connection_does() -> None:
    first, second = exported(), exported()
    assert len(first) == len(second) == 32
    assert first != second


def test_the_binding_stays_as_records_go_to_and_fro() -> None:
    client, server = agreed((PyOpenSSL, PyOpenSSL))
    before = client.bindings
    for _ in range(3):
        server.write(b"x" * 1000)  # and the tickets
        move(server, client)
        assert client.read() == b"x" * 1000
    assert client.bindings == server.bindings == before


@pytest.mark.parametrize("kind", ["RSA", "ECDSA"])
def test_of_two_certificates_the_one_that_was_shown(kind: str) -> None:
    """What ``ssl`` cannot tell."""
    leaves = {key.name: CA.issue_cert(NAME, key_type=key) for key in trustme.KeyType}
    context = SSL.Context(SSL.TLS_METHOD)
    for leaf in leaves.values():
        show(context, leaf)
    asked = PyOpenSSL.client(CA, "TLSv1.2")
    asked.set_cipher_list(f"a{kind}".encode())
    client, server = client_of(asked), server_of(context)
    shake_hands(client, server)
    end_point = hashlib.sha256(der(leaves[kind])).digest()
    assert client.bindings == server.bindings == {SERVER_END_POINT: end_point}


def test_of_the_context_that_a_callback_chose() -> None:
    other = CA.issue_cert("other.example")
    first, second = PyOpenSSL.server(LEAF), PyOpenSSL.server(other)
    first.set_tlsext_servername_callback(lambda connection: connection.set_context(second))
    client, server = client_of(context_of(PyOpenSSL, False), "other.example"), server_of(first)
    shake_hands(client, server)
    assert client.bindings == server.bindings
    assert server.own_certificate == der(other)
