"""The certificates of clients: how a client shows one, and how a server verifies it."""

from __future__ import annotations

import ssl

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL

from smtpproto import ClientCertificate, Secret, TLSFailed, TLSVerify
from smtpproto.tls.context import client_context
from tests.support.certificates import CA, LEAF, der, server_context
from tests.support.tls_libraries import (
    PEM,
    USER,
    Library,
    PyOpenSSL,
    asking_context,
    client_of,
    connected_by,
    context_of,
    each_library,
    move,
    server_of,
    shake_hands,
)


def server_that_asks(mode: ssl.VerifyMode, ca: trustme.CA | None = CA) -> ssl.SSLContext:
    """Return a context of a server that asks for a certificate of *ca*."""
    context = server_context(LEAF)
    context.verify_mode = mode
    if ca is not None:
        ca.configure_trust(context)
    return context


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> ClientCertificate:
    """A certificate in one file, and its encrypted key in another."""
    directory, leaf = tmp_path_factory.mktemp("client"), CA.issue_cert("client.example")
    leaf.cert_chain_pems[0].write_to_path(directory / "certificate.pem")
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    (directory / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"open sesame"),
        )
    )
    return ClientCertificate(directory / "certificate.pem", directory / "key.pem", "open sesame")


@pytest.mark.parametrize("mode", [ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
def test_a_server_verifies_the_certificate_that_a_client_shows(
    mode: ssl.VerifyMode, shown: ClientCertificate
) -> None:
    client, server = connected_by(TLSVerify.by_ca(PEM), server_that_asks(mode), certificate=shown)
    assert client.info.verified
    assert server.info.verified
    assert server.info.peer_certificate
    assert "sesame" not in repr(shown)


def test_a_client_that_shows_no_certificate_is_not_verified() -> None:
    info = connected_by(TLSVerify.by_ca(PEM), server_that_asks(ssl.CERT_OPTIONAL))[1].info
    assert (info.verified, info.peer_certificate) == (False, None)


def test_a_client_certificate_of_another_ca_is_refused(shown: ClientCertificate) -> None:
    context = server_that_asks(ssl.CERT_OPTIONAL, trustme.CA())
    with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED"):
        connected_by(TLSVerify.by_ca(PEM), context, certificate=shown)


def test_the_error_names_the_missing_required_certificate() -> None:
    with pytest.raises(TLSFailed, match="PEER_DID_NOT_RETURN_A_CERTIFICATE") as caught:
        connected_by(TLSVerify.by_ca(PEM), server_that_asks(ssl.CERT_REQUIRED))
    assert "certificate to show" in caught.value.check


@pytest.mark.parametrize(
    ("before", "after", "verified"),
    [
        (ssl.CERT_OPTIONAL, ssl.CERT_OPTIONAL, True),
        (ssl.CERT_OPTIONAL, ssl.CERT_NONE, False),
        (ssl.CERT_NONE, ssl.CERT_OPTIONAL, False),
    ],
)
def test_if_an_sni_callback_replaces_the_context_both_must_ask_for_a_certificate(
    before: ssl.VerifyMode, after: ssl.VerifyMode, verified: bool, shown: ClientCertificate
) -> None:
    first, second = server_that_asks(before), server_that_asks(after)

    def choose(tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        tls.context = second

    first.sni_callback = choose
    assert connected_by(TLSVerify.by_ca(PEM), first, certificate=shown)[1].info.verified is verified


def test_a_server_with_another_fingerprint_does_not_receive_the_client_certificate(
    shown: ClientCertificate,
) -> None:
    """With TLS 1.3 it is in the client's last flight. The client then already knows that this is
    the wrong server, for which the handshake is not completed either."""
    verify = TLSVerify.by_fingerprint("00" * 32)
    client = client_of(client_context(verify, shown), verify=verify)
    server = server_of(server_that_asks(ssl.CERT_OPTIONAL))
    assert not client.handshake()
    move(client, server)
    assert not server.handshake()
    move(server, client)
    with pytest.raises(TLSFailed, match="another fingerprint"):
        client.handshake()
    assert client.data_to_send() == b""


# -- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", [None, "", "open barley", "x" * 2000])
def test_a_wrong_password_of_the_key_raises_value_error(
    password: str | None, shown: ClientCertificate
) -> None:
    """OpenSSL does not prompt for another one at the terminal."""
    closed = ClientCertificate(shown.certfile, shown.keyfile, password)
    with pytest.raises(ValueError, match=r"cannot read certificate and key of .*pem: ") as caught:
        client_context(TLSVerify.none(), closed)
    assert not password or password not in str(caught.value)


def test_a_missing_certificate_or_key_raises_value_error(shown: ClientCertificate) -> None:
    for certificate in (
        ClientCertificate("nowhere.pem"),
        ClientCertificate(shown.certfile),
        ClientCertificate(shown.certfile, shown.certfile),
    ):
        with pytest.raises(ValueError, match="cannot read certificate and key of"):
            client_context(TLSVerify.none(), certificate)
    assert ClientCertificate("a", password=Secret("b")) == ClientCertificate("a", password="b")


# -- with pyOpenSSL ------------------------------------------------------------------------------


@pytest.mark.parametrize("required", [False, True])
def test_a_server_with_pyopenssl_verifies_the_certificate_that_a_client_shows(
    required: bool,
) -> None:
    client, server = (
        client_of(PyOpenSSL.client(CA, own=USER)),
        server_of(asking_context(required=required)),
    )
    shake_hands(client, server)
    assert server.info.verified
    assert server.info.peer_certificate == der(USER)


def test_without_a_certificate_the_client_is_not_verified_with_pyopenssl() -> None:
    client, server = client_of(context_of(PyOpenSSL, False)), server_of(asking_context())
    shake_hands(client, server)
    assert (server.info.verified, server.info.peer_certificate) == (False, None)


@each_library
def test_the_errors_of_both_sides_name_the_missing_required_certificate(library: Library) -> None:
    client, server = client_of(context_of(library, False)), server_of(asking_context(required=True))
    with pytest.raises(TLSFailed, match="PEER_DID_NOT_RETURN_A_CERTIFICATE") as caught:
        shake_hands(client, server)
    assert "certificate to show" in caught.value.check
    move(server, client)
    with pytest.raises(TLSFailed, match="CERTIFICATE_REQUIRED") as alert:
        client.read()
    assert "set certificate" in alert.value.check


def test_a_client_certificate_of_another_ca_is_refused_with_pyopenssl() -> None:
    stranger = trustme.CA().issue_cert("ann@example.org")
    client, server = client_of(PyOpenSSL.client(CA, own=stranger)), server_of(asking_context())
    with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED"):
        shake_hands(client, server)


@pytest.mark.parametrize(
    ("before", "after", "verified"),
    [
        (SSL.VERIFY_PEER, SSL.VERIFY_PEER, True),
        (SSL.VERIFY_PEER, SSL.VERIFY_NONE, False),
        (SSL.VERIFY_NONE, SSL.VERIFY_PEER, False),
    ],
)
def test_if_a_callback_of_pyopenssl_replaces_the_context_both_must_ask_for_a_certificate(
    before: int, after: int, verified: bool
) -> None:
    first, second = asking_context(mode=before), asking_context(mode=after)
    first.set_tlsext_servername_callback(lambda connection: connection.set_context(second))
    client, server = client_of(PyOpenSSL.client(CA, own=USER)), server_of(first)
    shake_hands(client, server)
    assert server.info.verified is verified
