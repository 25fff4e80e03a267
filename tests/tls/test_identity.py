"""A client that accepts several names of a server, also names of services (RFC 7817, RFC 4985)."""

from __future__ import annotations

import pytest
import trustme
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError, TLSFailed, TLSVerify
from smtpproto.tls.context import client_context
from smtpproto.tls.identity import identities, name_fault
from tests.support.certificates import CA, LEAF, NAME, der, issued
from tests.support.tls_libraries import PEM, Standard, client_of, connected_by, move, server_of

MAIL_DOMAIN = "example.org"
SERVICE = "_submission.example.org"


def service_name(name: str) -> x509.OtherName:
    """Return an SRV-ID (RFC 4985 2)."""
    octets = name.encode()
    return x509.OtherName(
        x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7"), b"\x16" + bytes([len(octets)]) + octets
    )


FOR_SERVICE = issued(CA, service_name(SERVICE))
OTHER_KINDS = issued(
    CA,
    x509.UniformResourceIdentifier("smtp://example.org"),
    x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x01x"),
    x509.DNSName("mail.example.net"),
    service_name("_imap.example.org"),
)


def test_the_names_of_hosts_and_services_are_read() -> None:
    assert identities(der(LEAF)) == (NAME,)
    assert identities(der(FOR_SERVICE)) == (SERVICE,)
    assert identities(der(OTHER_KINDS)) == ("mail.example.net", "_imap.example.org")
    assert identities(der(issued(CA))) == ()


@given(st.lists(st.sampled_from(["a.test", "*.b.test", "xn--nxasmq6b.test", "c"]), max_size=4))
def test_the_names_are_those_that_another_library_reads(names: list[str]) -> None:
    leaf = der(issued(CA, *map(x509.DNSName, names)))
    assert identities(leaf) == tuple(names)


@given(st.integers(0, 2000), st.integers(0, 255), st.integers(0, 2000))
def test_a_malformed_certificate_has_no_name_that_the_original_lacks(
    place: int, octet: int, end: int
) -> None:
    leaf = bytearray(der(FOR_SERVICE))
    leaf[place % len(leaf)] = octet
    del leaf[end:]
    assert all(isinstance(it, str) for it in identities(bytes(leaf)))


@pytest.mark.req("RFC7817-3-02")
@pytest.mark.parametrize(
    ("presented", "accepted", "fits"),
    [
        ("mail.example.org", "MAIL.example.org.", True),
        ("*.example.org", "mail.example.org", True),
        ("*.example.org", "example.org", False),
        ("*.example.org", "a.b.example.org", False),
        ("m*.example.org", "mail.example.org", False),
        ("*.*.org", "mail.example.org", False),
        ("*.example.org", SERVICE, False),
        ("mail.example.org", "example.org", False),
    ],
)
def test_a_wildcard_is_the_whole_first_label(presented: str, accepted: str, fits: bool) -> None:
    leaf = der(issued(CA, x509.DNSName(presented)))
    assert (name_fault([leaf], [accepted]) == "") is fits


@pytest.mark.req("RFC7817-3-03")
def test_the_name_of_a_service_is_no_name_of_a_host() -> None:
    assert name_fault([der(FOR_SERVICE)], [SERVICE]) == ""
    assert name_fault([der(FOR_SERVICE)], [SERVICE.upper()]) == ""
    assert name_fault([der(FOR_SERVICE)], [MAIL_DOMAIN]) != ""
    assert name_fault([der(FOR_SERVICE)], ["_submissions.example.org"]) != ""
    assert name_fault([der(issued(CA, x509.DNSName(SERVICE)))], ["*.example.org"]) != ""


def test_a_name_counts_only_as_what_it_is_written() -> None:
    disguised = issued(CA, service_name("example.org"), x509.DNSName("_submission.example.org"))
    assert identities(der(disguised)) == ()


def restricted(kind: x509.ExtensionType) -> bytes:
    """Return a certificate with an extension of this kind."""
    return der(issued(CA, x509.DNSName("ca.test"), extension=kind))


def test_an_authority_whose_names_are_restricted_cannot_name_services() -> None:
    constraints = x509.NameConstraints([x509.DNSName("example.net")], None)
    chain = [der(FOR_SERVICE), restricted(constraints)]
    assert name_fault(chain, [SERVICE]) != ""
    assert name_fault([der(FOR_SERVICE), b"not DER"], [SERVICE]) != ""
    assert name_fault([der(LEAF), restricted(constraints)], [NAME]) == ""
    assert name_fault([der(FOR_SERVICE), restricted(x509.OCSPNoCheck())], [SERVICE]) == ""
    assert name_fault([], [NAME]) != ""


def accepts(leaf: trustme.LeafCert, *names: str) -> bool:
    verify = TLSVerify(ca=PEM, names=names)
    try:
        client, _ = connected_by(verify, leaf, "sni.example.org")
    except TLSFailed as error:
        assert error.certificate_fault in ("name", "untrusted")
        return False
    assert client.info.verified
    return True


@pytest.mark.req("RFC7817-3-01")
def test_one_of_the_names_is_enough() -> None:
    assert accepts(LEAF, MAIL_DOMAIN, NAME)
    assert accepts(FOR_SERVICE, MAIL_DOMAIN, SERVICE)
    assert not accepts(LEAF, MAIL_DOMAIN, SERVICE)
    assert not accepts(issued(CA), NAME)


def test_a_name_alone_proves_nothing() -> None:
    stranger = trustme.CA().issue_cert(NAME)
    assert not accepts(stranger, NAME)


def test_the_wrong_server_hears_nothing_but_the_end() -> None:
    verify = TLSVerify(ca=PEM, names=[MAIL_DOMAIN])
    client = client_of(client_context(verify), verify=verify)
    server = server_of(Standard.server(LEAF))
    assert not client.handshake()
    move(client, server)
    assert not server.handshake()
    move(server, client)
    with pytest.raises(TLSFailed, match=f"is for {NAME}: not valid for {MAIL_DOMAIN}"):
        client.handshake()
    assert client.data_to_send() == b""


def test_names_need_a_ca_that_counts() -> None:
    with pytest.raises(ValueError, match="only if a CA counts"):
        TLSVerify(names=["a.test"], enabled=False)
    with pytest.raises(TypeError, match="one str"):
        TLSVerify(names="a.test")
    with pytest.raises(GrammarError):
        TLSVerify.by_name("")
    assert TLSVerify.by_name("bücher.example").names == ("xn--bcher-kva.example",)
