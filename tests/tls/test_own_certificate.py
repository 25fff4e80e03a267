"""The server's own certificate, which the library has to find, and the binding to it."""

from __future__ import annotations

import hashlib
import ssl
import warnings

import pytest
import trustme

from smtpproto import TLSVerify
from smtpproto.tls.binding import SERVER_END_POINT
from smtpproto.tls.context import client_context, own_certificate
from smtpproto.tls.filter import Filter
from tests.support.certificates import CA, NAME, der, server_context
from tests.support.tls_libraries import connected

UNVERIFYING = client_context(TLSVerify.none())


def bindings(*sides: Filter) -> list[bytes]:
    """Return the tls-server-end-point of each side."""
    return [side.info.bindings[SERVER_END_POINT] for side in sides]


@pytest.mark.parametrize("kind", [trustme.KeyType.ECDSA, trustme.KeyType.RSA])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_sides_derive_the_same_binding(kind: trustme.KeyType, version: ssl.TLSVersion) -> None:
    leaf = trustme.CA().issue_cert(NAME, key_type=kind)
    context = server_context(leaf)
    context.minimum_version = context.maximum_version = version
    client, server = connected(UNVERIFYING, context)
    assert client.info.version == {771: "TLSv1.2", 772: "TLSv1.3"}[version]
    expected = hashlib.sha256(der(leaf)).digest()
    assert bindings(client, server) == [expected, expected]
    assert expected.hex() not in repr(client.info)


def test_a_server_that_requires_a_certificate_has_a_binding_too() -> None:
    ca = trustme.CA()
    leaf, context = ca.issue_cert(NAME), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    certified = client_context(TLSVerify.none())
    ca.issue_cert("client.example").configure_cert(certified)
    client, server = connected(certified, context)
    assert bindings(client, server) == [hashlib.sha256(der(leaf)).digest()] * 2


def test_the_binding_is_of_the_context_that_an_sni_callback_chose() -> None:
    ca = trustme.CA()
    leaves = {name: ca.issue_cert(name) for name in ("a.example", "b.example")}
    contexts = {name: server_context(leaf) for name, leaf in leaves.items()}
    first = server_context(ca.issue_cert(NAME))

    def choose(tls: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        tls.context = contexts.get(name or "", context)

    first.sni_callback = choose
    for name in (*leaves, NAME):
        client, server = connected(UNVERIFYING, first, name)
        assert len(set(bindings(client, server))) == 1


def test_if_clients_without_sni_see_another_certificate_there_is_no_binding() -> None:
    ca = trustme.CA()
    context, other = (server_context(ca.issue_cert(name)) for name in (NAME, "other.example"))

    def choose(tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name != NAME:
            tls.context = other

    context.sni_callback = choose
    client, server = connected(UNVERIFYING, context)
    assert client.info.bindings
    assert not server.info.bindings, "the binding may be that of the other certificate"


def test_a_server_with_two_certificates_has_no_binding() -> None:
    """Only the client and OpenSSL know which one the client was shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for kind in (trustme.KeyType.RSA, trustme.KeyType.ECDSA):
        trustme.CA().issue_cert(NAME, key_type=kind).configure_cert(context)
    assert not connected(UNVERIFYING, context)[1].info.bindings


def context_with(mode: ssl.VerifyMode, *kinds: trustme.KeyType) -> ssl.SSLContext:
    """Return a server's context with a certificate for each kind of key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for kind in kinds:
        CA.issue_cert(NAME, key_type=kind).configure_cert(context)
    CA.configure_trust(context)
    context.verify_mode = mode
    return context


each_mode = pytest.mark.parametrize("mode", list(ssl.VerifyMode), ids=lambda mode: mode.name)


@each_mode
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_with_two_certificates_there_is_no_own_certificate(
    mode: ssl.VerifyMode, newest: ssl.TLSVersion
) -> None:
    """A login bound to one would fail for the clients that are shown the other. With TLS 1.2, a
    server that requires a client certificate hides both from the library."""
    context = context_with(mode, trustme.KeyType.RSA, trustme.KeyType.ECDSA)
    context.maximum_version = newest
    assert own_certificate(context) is None


@each_mode
@pytest.mark.parametrize("kind", list(trustme.KeyType), ids=lambda kind: kind.name)
def test_a_single_certificate_is_the_own_certificate(
    mode: ssl.VerifyMode, kind: trustme.KeyType
) -> None:
    assert own_certificate(context_with(mode, kind)) is not None


def test_a_context_that_cannot_shake_hands_has_no_own_certificate() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert own_certificate(context) is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    assert own_certificate(context) is None


def test_a_context_is_examined_only_once() -> None:
    context = server_context(trustme.CA().issue_cert(NAME))
    own_certificate(context)
    asked = context.session_stats()["accept"]
    assert asked > 0
    own_certificate(context)
    assert context.session_stats()["accept"] == asked
