"""Whose certificate either library takes, on either side; and what is said before it is known."""

from __future__ import annotations

import hashlib
import ssl
import sys

import pytest
import trustme
from cryptography import x509
from OpenSSL import SSL

from smtpproto.errors import LocalProtocolError, TLSFailed
from smtpproto.limits import CHUNK
from smtpproto.tls.context import OpenSSLContext
from tests.support.certificates import NAME, der, expired, issued, self_signed
from tests.support.tls_libraries import (
    CA,
    LEAF,
    Library,
    Pair,
    PyOpenSSL,
    Standard,
    client_of,
    context_of,
    each_library,
    each_pair,
    move,
    server_of,
    shake_hands,
    trust,
)

USER = CA.issue_cert("ann@example.org")


@each_pair
def test_an_untrusted_ca_fails_on_both_sides(libraries: Pair) -> None:
    near, far = libraries
    client, server = client_of(near.client(None)), server_of(context_of(far, True))
    with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED") as caught:
        shake_hands(client, server)
    assert "the CA in use" in caught.value.check
    move(client, server)  # the alert
    with pytest.raises(TLSFailed, match="UNKNOWN_CA") as alert:
        server.handshake()
    assert "CA of your certificate" in alert.value.check


@each_pair
@pytest.mark.parametrize(
    ("leaf", "why"),
    [(expired(CA), "EXPIRED"), (self_signed(), "UNKNOWN_CA")],
    ids=["expired", "self-signed"],
)
def test_certificates_that_are_no_good(libraries: Pair, leaf: trustme.LeafCert, why: str) -> None:
    near, far = libraries
    client, server = client_of(context_of(near, False)), server_of(far.server(leaf))
    with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED") as caught:
        shake_hands(client, server)
    usual = "the certificate's dates"  # pyOpenSSL does not say why
    check = usual if near is PyOpenSSL or why == "EXPIRED" else "TLSVerify.by_fingerprint"
    assert check in caught.value.check
    move(client, server)
    with pytest.raises(TLSFailed, match=why):
        server.handshake()


@each_pair
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("name", ["mx.example.net", "example.org", "192.0.2.1", "2001:db8::1%eth0"])
def test_a_wrong_name_fails_on_both_sides(libraries: Pair, version: str, name: str) -> None:
    near, far = libraries
    client = client_of(near.client(CA, version), name)
    server = server_of(far.server(LEAF))
    with pytest.raises(TLSFailed, match=r"CERTIFICATE_VERIFY_FAILED: .* not valid") as caught:
        shake_hands(client, server)
    assert "host name" in caught.value.check
    assert name.partition("%")[0] in caught.value.message
    move(client, server)
    with pytest.raises(TLSFailed, match="ALERT_BAD_CERTIFICATE"):
        server.handshake()


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("size", [1, CHUNK])
def test_a_server_of_another_name_sees_nothing_but_the_alert(version: str, size: int) -> None:
    """Least of all the client's certificate."""
    client = client_of(PyOpenSSL.client(CA, version, shown=USER), "mx.example.net")
    server = server_of(asking(required=True))
    client.handshake()
    move(client, server)
    server.handshake()
    with pytest.raises(TLSFailed):
        for octet in range(0, len(octets := server.data_to_send()), size):
            client.receive(octets[octet : octet + size])
            client.handshake()
    assert client.data_to_send() == bytes.fromhex("15 0303 0002 02 2a")
    assert client.data_to_send() == b""


@each_pair
@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("a.example.com", True),
        ("A.Example.COM.", True),
        ("example.com", False),
        ("a.b.example.com", False),
        ("a.example.net", False),
    ],
)
def test_a_wildcard_stands_for_one_label(libraries: Pair, name: str, good: bool) -> None:
    near, far = libraries
    client = client_of(context_of(near, False), name)
    server = server_of(far.server(CA.issue_cert("*.example.com")))
    if good:
        shake_hands(client, server)
        assert client.verified
    else:
        with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED"):
            shake_hands(client, server)


DNS, URI = x509.DNSName, x509.UniformResourceIdentifier


@each_library
@pytest.mark.parametrize(
    ("names", "good"),
    [
        ([DNS(NAME)], True),
        ([DNS("other.example"), DNS(NAME)], True),
        ([DNS("*.example.org")], True),
        ([DNS("*.*.org")], False),
        ([DNS("*.org")], False),
        ([DNS("m*.example.org")], False),
        ([DNS("mx.*.org")], False),
        ([URI(f"smtp://{NAME}")], False),
        ([], False),
    ],
    ids=str,
)
def test_which_names_are_good(library: Library, names: list[x509.GeneralName], good: bool) -> None:
    client = client_of(context_of(library, False))
    server = server_of(Standard.server(issued(CA, *names)))
    if good:
        shake_hands(client, server)
    else:
        with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED"):
            shake_hands(client, server)


@each_pair
@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_addresses_are_verified(libraries: Pair, address: str) -> None:
    near, far = libraries
    client = client_of(context_of(near, False), address)
    shake_hands(client, server_of(far.server(CA.issue_cert(address))))
    assert client.verified


@each_library
@pytest.mark.parametrize(
    ("name", "said"),
    [(NAME + ".", NAME), ("bücher.example", "xn--bcher-kva.example"), ("192.0.2.1", None)],
)
def test_what_is_said_in_sni(library: Library, name: str, said: str | None) -> None:
    heard: list[str | None] = []
    context = Standard.server(CA.issue_cert(said or name))
    assert isinstance(context, ssl.SSLContext)
    context.sni_callback = lambda tls, name, _: heard.append(name)
    client = client_of(context_of(library, False), name)
    shake_hands(client, server_of(context))
    assert client.verified
    assert heard == [said]


@each_library
@pytest.mark.parametrize("name", [".example", "a\0b", "x" * 64 + ".example", "", None])
def test_what_cannot_be_a_name(library: Library, name: str | None) -> None:
    with pytest.raises(LocalProtocolError, match="cannot use TLS with this name") as caught:
        client_of(context_of(library, False), name)
    assert caught.value.phase == "TLS"


def test_without_verifying_there_need_not_be_a_name() -> None:
    client = client_of(SSL.Context(SSL.TLS_METHOD), None)
    server = server_of(context_of(PyOpenSSL, True))
    shake_hands(client, server)
    assert not client.verified
    assert client.info.peer_certificate == der(LEAF)


@each_library
def test_a_context_for_the_other_side(library: Library) -> None:
    with pytest.raises(LocalProtocolError, match="context"):
        client_of(context_of(library, True))
    with pytest.raises(LocalProtocolError, match="context"):
        server_of(context_of(library, False))


def test_what_is_no_context() -> None:
    class Another:
        def get_verify_mode(self) -> int:
            return 0

        get_verify_depth = get_verify_mode

    with pytest.raises(LocalProtocolError, match="not a TLS context: Another"):
        client_of(Another())


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smtpproto.tls.openssl", None)
    with pytest.raises(LocalProtocolError, match=r"smtpproto-sansio\[tls-exporter\]"):
        client_of(context_of(PyOpenSSL, False))
    client_of(context_of(Standard, False))


def test_by_what_contexts_are_known() -> None:
    assert isinstance(context_of(PyOpenSSL, False), OpenSSLContext)
    assert not isinstance(context_of(Standard, False), OpenSSLContext)


# -- by fingerprint, and clients' certificates ---------------------------------------------------


@each_pair
def test_by_fingerprint(libraries: Pair) -> None:
    near, far = libraries
    own = hashlib.sha256(der(LEAF)).digest()
    trusting = context_of(near, False)
    client, server = client_of(trusting, fingerprints=(own,)), server_of(context_of(far, True))
    shake_hands(client, server)
    assert client.verified
    client, server = client_of(trusting, fingerprints=(own[::-1],)), server_of(far.server(LEAF))
    with pytest.raises(TLSFailed, match="another fingerprint") as caught:
        shake_hands(client, server)
    assert (caught.value.phase, bool(caught.value.check)) == ("TLS", True)


def test_by_fingerprint_whatever_the_name_and_the_ca() -> None:
    own = hashlib.sha256(der(LEAF)).digest()
    client = client_of(SSL.Context(SSL.TLS_METHOD), "mx.example.net", fingerprints=(own,))
    shake_hands(client, server_of(context_of(PyOpenSSL, True)))
    assert client.verified


def asking(*, required: bool = False, mode: int = SSL.VERIFY_PEER) -> SSL.Context:
    """For a server that wants to see a certificate."""
    context = PyOpenSSL.server(LEAF)
    trust(context, CA)
    context.set_verify(mode | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if required else 0))
    context.set_session_id(b"x")
    return context


@pytest.mark.parametrize("required", [False, True])
def test_a_server_sees_and_verifies_a_client_s(required: bool) -> None:
    client, server = (
        client_of(PyOpenSSL.client(CA, shown=USER)),
        server_of(asking(required=required)),
    )
    shake_hands(client, server)
    assert server.info.verified
    assert server.info.peer_certificate == der(USER)


def test_who_shows_none_is_not_verified() -> None:
    client, server = client_of(context_of(PyOpenSSL, False)), server_of(asking())
    shake_hands(client, server)
    assert (server.info.verified, server.info.peer_certificate) == (False, None)


@each_library
def test_a_certificate_that_is_wanted_and_not_shown_is_named(library: Library) -> None:
    client, server = client_of(context_of(library, False)), server_of(asking(required=True))
    with pytest.raises(TLSFailed, match="PEER_DID_NOT_RETURN_A_CERTIFICATE") as caught:
        shake_hands(client, server)
    assert "certificate to show" in caught.value.check
    move(server, client)
    with pytest.raises(TLSFailed, match="CERTIFICATE_REQUIRED") as alert:
        client.read()
    assert "set certificate" in alert.value.check


def test_a_stranger_s_certificate_fails() -> None:
    stranger = trustme.CA().issue_cert("ann@example.org")
    client, server = client_of(PyOpenSSL.client(CA, shown=stranger)), server_of(asking())
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
def test_where_a_callback_changes_the_context_both_must_ask(
    before: int, after: int, verified: bool
) -> None:
    first, second = asking(mode=before), asking(mode=after)
    first.set_tlsext_servername_callback(lambda connection: connection.set_context(second))
    client, server = client_of(PyOpenSSL.client(CA, shown=USER)), server_of(first)
    shake_hands(client, server)
    assert server.info.verified is verified


@pytest.mark.parametrize("good", [True, False])
def test_a_callback_of_ones_own_decides_on_the_certificate_not_on_the_name(good: bool) -> None:
    seen: list[int] = []

    def decide(connection: SSL.Connection, certificate: object, error: int, *_: int) -> bool:
        seen.append(error)
        return good

    context = SSL.Context(SSL.TLS_METHOD)
    context.set_verify(SSL.VERIFY_PEER, decide)
    client, server = client_of(context), server_of(context_of(PyOpenSSL, True))
    if good:
        shake_hands(client, server)
        client, server = client_of(context, "mx.example.net"), server_of(PyOpenSSL.server(LEAF))
    with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED"):
        shake_hands(client, server)
    assert seen
