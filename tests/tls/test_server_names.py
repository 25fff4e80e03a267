"""The names of a server: which certificates fit a name, and which name a client sends in SNI.

RFC 6125, RFC 7817 3, RFC 9525.
"""

from __future__ import annotations

import ssl

import pytest
from cryptography import x509
from OpenSSL import SSL

from smtpproto import LocalProtocolError, TLSFailed, TLSVerify
from smtpproto.limits import CHUNK
from tests.support.certificates import CA, LEAF, NAME, der, issued, server_context
from tests.support.tls_libraries import (
    PEM,
    USER,
    Library,
    Pair,
    PyOpenSSL,
    Standard,
    asking_context,
    client_of,
    connected,
    connected_by,
    context_of,
    each_library,
    each_pair,
    move,
    server_of,
    shake_hands,
    trusting_context,
)

DNS, URI = x509.DNSName, x509.UniformResourceIdentifier


# -- with the context of this library ------------------------------------------------------------


@pytest.mark.req("RFC8314-3.3-02")
@pytest.mark.parametrize("name", ["mx.example.net", "example.org", "192.0.2.1"])
def test_a_certificate_for_another_name_is_refused(name: str) -> None:
    client, server = client_of(trusting_context(), name), server_of(Standard.server(LEAF))
    with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED: ") as caught:
        shake_hands(client, server)
    assert "host name" in caught.value.check


@pytest.mark.req("RFC9525-6.3-01", "RFC7817-3-02")
@pytest.mark.req("RFC7817-3-02")
@pytest.mark.parametrize(
    ("names", "good"),
    [
        ([DNS(NAME)], True),
        ([DNS("other.example"), DNS(NAME)], True),
        ([DNS("*.example.org")], True),
        ([DNS("mx.example.net")], False),
        ([DNS("*.*.org")], False),
        ([DNS("*.org")], False),
        ([DNS("m*.example.org")], False),
        ([DNS("mx.*.org")], False),
        ([URI(f"smtp://{NAME}")], False),
        ([URI(f"smtp:{NAME}"), DNS("mx.example.net")], False),
    ],
    ids=str,
)
def test_a_certificate_must_have_the_dns_name_or_a_wildcard_for_its_first_label(
    names: list[x509.GeneralName], good: bool
) -> None:
    contexts = trusting_context(), Standard.server(issued(CA, *names))
    if good:
        connected(*contexts)
    else:
        with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED"):
            connected(*contexts)


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
    contexts = trusting_context(), Standard.server(CA.issue_cert("*.example.com"))
    if good:
        connected(*contexts, name)
    else:
        with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED"):
            connected(*contexts, name)


@pytest.mark.req("RFC9525-6.3-02")
@pytest.mark.req("RFC4954-14-03")
def test_a_common_name_does_not_count_as_a_name() -> None:
    """A common name may be any text; the names of hosts are in subjectAltName."""
    with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED: Hostname mismatch"):
        connected_by(TLSVerify.by_ca(PEM), issued(CA, subject=NAME))


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"], ids=["IPv4", "IPv6"])
def test_an_address_is_verified_and_not_sent_in_sni(address: str) -> None:
    sent: list[str | None] = []
    context = server_context(CA.issue_cert(address))
    context.sni_callback = lambda tls, name, _: sent.append(name)
    assert connected_by(TLSVerify.by_ca(PEM), context, address)[0].info.verified
    assert sent[0] is None


def test_a_name_is_sent_in_sni_without_its_final_dot() -> None:
    sent: list[str | None] = []
    context = server_context(LEAF)
    context.sni_callback = lambda tls, name, _: sent.append(name)
    assert connected_by(TLSVerify.by_ca(PEM), context, NAME + ".")[0].info.verified
    assert sent[0] == NAME


@pytest.mark.parametrize("name", [".example", "a\0b", "x" * 64 + ".example", "", None])
def test_a_name_that_no_host_can_have_is_refused(name: str | None) -> None:
    with pytest.raises(LocalProtocolError, match="cannot use TLS with this name"):
        connected_by(TLSVerify.by_ca(PEM), LEAF, name)


# -- with either library -------------------------------------------------------------------------


@each_pair
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("name", ["mx.example.net", "example.org", "192.0.2.1", "2001:db8::1%eth0"])
def test_a_certificate_for_another_name_fails_on_both_sides(
    libraries: Pair, version: str, name: str
) -> None:
    client_library, server_library = libraries
    client = client_of(client_library.client(CA, version), name)
    server = server_of(server_library.server(LEAF))
    with pytest.raises(TLSFailed, match=r"CERTIFICATE_VERIFY_FAILED: .* not valid") as caught:
        shake_hands(client, server)
    assert "host name" in caught.value.check
    assert name.partition("%")[0] in caught.value.message
    move(client, server)
    with pytest.raises(TLSFailed, match="ALERT_BAD_CERTIFICATE"):
        server.handshake()


@pytest.mark.req("RFC9525-6.3-01", "RFC7817-3-02")
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
def test_either_library_requires_the_dns_name_or_a_wildcard_for_its_first_label(
    library: Library, names: list[x509.GeneralName], good: bool
) -> None:
    client = client_of(context_of(library, False))
    server = server_of(Standard.server(issued(CA, *names)))
    if good:
        shake_hands(client, server)
    else:
        with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED"):
            shake_hands(client, server)


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
def test_a_wildcard_stands_for_one_label_with_either_library(
    libraries: Pair, name: str, good: bool
) -> None:
    client_library, server_library = libraries
    client = client_of(context_of(client_library, False), name)
    server = server_of(server_library.server(CA.issue_cert("*.example.com")))
    if good:
        shake_hands(client, server)
        assert client.info.verified
    else:
        with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED"):
            shake_hands(client, server)


@pytest.mark.req("RFC9525-6.5-01")
@each_pair
@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_addresses_are_verified_with_either_library(libraries: Pair, address: str) -> None:
    client_library, server_library = libraries
    client = client_of(context_of(client_library, False), address)
    shake_hands(client, server_of(server_library.server(CA.issue_cert(address))))
    assert client.info.verified


@pytest.mark.req("RFC6066-3-01")
@each_library
@pytest.mark.parametrize(
    ("name", "expected"),
    [(NAME + ".", NAME), ("bücher.example", "xn--bcher-kva.example"), ("192.0.2.1", None)],
)
def test_sni_has_a_labels_and_no_addresses(
    library: Library, name: str, expected: str | None
) -> None:
    sent: list[str | None] = []
    context = Standard.server(CA.issue_cert(expected or name))
    assert isinstance(context, ssl.SSLContext)
    context.sni_callback = lambda tls, name, _: sent.append(name)
    client = client_of(context_of(library, False), name)
    shake_hands(client, server_of(context))
    assert client.info.verified
    assert sent == [expected]


@each_library
@pytest.mark.parametrize("name", [".example", "a\0b", "x" * 64 + ".example", "", None])
def test_either_library_refuses_a_name_that_no_host_can_have(
    library: Library, name: str | None
) -> None:
    with pytest.raises(LocalProtocolError, match="cannot use TLS with this name") as caught:
        client_of(context_of(library, False), name)
    assert caught.value.phase == "TLS"


def test_a_context_that_verifies_nothing_needs_no_name() -> None:
    client = client_of(SSL.Context(SSL.TLS_METHOD), None)
    server = server_of(context_of(PyOpenSSL, True))
    shake_hands(client, server)
    assert not client.info.verified
    assert client.info.peer_certificate == der(LEAF)


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("size", [1, CHUNK])
def test_a_server_with_another_name_receives_only_an_alert(version: str, size: int) -> None:
    """In particular it does not receive the client's certificate."""
    client = client_of(PyOpenSSL.client(CA, version, own=USER), "mx.example.net")
    server = server_of(asking_context(required=True))
    client.handshake()
    move(client, server)
    server.handshake()
    with pytest.raises(TLSFailed):
        for start in range(0, len(octets := server.data_to_send()), size):
            client.receive(octets[start : start + size])
            client.handshake()
    assert client.data_to_send() == bytes.fromhex("15 0303 0002 02 2a")
    assert client.data_to_send() == b""


@pytest.mark.parametrize("good", [True, False])
def test_a_verify_callback_decides_about_the_certificate_but_not_about_the_name(good: bool) -> None:
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
