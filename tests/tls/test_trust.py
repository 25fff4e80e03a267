"""Which server certificates a client trusts: by CA, by fingerprint, or all of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import trustme
from OpenSSL import SSL

from smtpproto import TLSFailed, TLSVerify
from smtpproto.tls.context import client_context
from tests.support.certificates import CA, LEAF, NAME, der, expired, fingerprint, self_signed
from tests.support.tls_libraries import (
    PEM,
    Pair,
    PyOpenSSL,
    Standard,
    client_of,
    connected_by,
    context_of,
    each_pair,
    move,
    server_of,
    shake_hands,
)

# -- with the context of this library ------------------------------------------------------------


@pytest.mark.req("RFC8314-3.3-02")
def test_a_ca_that_is_not_trusted_fails_on_both_sides() -> None:
    client, server = client_of(client_context()), server_of(context_of(Standard, True))
    assert not client.handshake()
    move(client, server)
    assert not server.handshake()
    move(server, client)
    with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED") as caught:
        client.handshake()
    assert "the CA in use" in caught.value.check
    move(client, server)  # the alert
    with pytest.raises(TLSFailed, match="UNKNOWN_CA") as alert:
        server.handshake()
    assert "CA of your certificate" in alert.value.check


@pytest.mark.parametrize("kind", ["text", "octets", "path", "Path"])
def test_a_ca_may_be_text_or_a_file(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(PEM)
    kinds: dict[str, str | bytes | Path] = {
        "text": PEM.decode(),
        "octets": PEM,
        "path": str(file),
        "Path": file,
    }
    ca = kinds[kind]
    assert connected_by(TLSVerify.by_ca(ca), LEAF)[0].info.verified
    with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED"):
        connected_by(TLSVerify.by_ca(ca), trustme.CA().issue_cert(NAME))


def test_a_trusted_ca_need_not_be_a_root() -> None:
    between = CA.create_child_ca()
    leaf = between.issue_cert(NAME)
    assert connected_by(TLSVerify.by_ca(between.cert_pem.bytes()), leaf)[0].info.verified


@pytest.mark.parametrize(
    ("leaf", "name", "why", "check"),
    [
        (LEAF, "mx.example.net", "Hostname mismatch", "server_name"),
        (LEAF, "192.0.2.1", "IP address mismatch", "server_name"),
        (expired(CA), NAME, "has expired", "the certificate's dates"),
        (trustme.CA().issue_cert(NAME), NAME, "local issuer", "TLSVerify.by_ca"),
        (self_signed(), NAME, "self-signed", "TLSVerify.by_fingerprint"),
    ],
    ids=["name", "address", "expired", "CA", "self-signed"],
)
@pytest.mark.req("RFC8314-3.3-02", "RFC8314-5-01")
def test_bad_certificates_fail_by_name_but_not_by_fingerprint(
    leaf: trustme.LeafCert, name: str, why: str, check: str
) -> None:
    with pytest.raises(TLSFailed, match=why) as caught:
        connected_by(TLSVerify.by_ca(PEM), leaf, name)
    assert caught.value.phase == "TLS"
    assert check in caught.value.check
    by_fingerprint = TLSVerify.by_fingerprint("00" * 32, fingerprint(leaf))
    assert connected_by(by_fingerprint, leaf, name)[0].info.verified
    assert not connected_by(TLSVerify.none(), leaf, name)[0].info.verified


def test_another_fingerprint_fails_although_ca_and_name_are_good() -> None:
    with pytest.raises(TLSFailed, match="another fingerprint") as caught:
        connected_by(TLSVerify.by_fingerprint("00" * 32), LEAF)
    assert caught.value.phase == "TLS"
    assert caught.value.check


def test_a_client_that_verifies_nothing_accepts_any_certificate() -> None:
    client, server = connected_by(TLSVerify.none(), LEAF, "mx.example.net")
    client.write(b"x")
    move(client, server)
    assert server.read() == b"x"


# -- with either library -------------------------------------------------------------------------


@each_pair
def test_a_ca_that_is_not_trusted_fails_on_both_sides_with_either_library(libraries: Pair) -> None:
    client_library, server_library = libraries
    client, server = (
        client_of(client_library.client(None)),
        server_of(context_of(server_library, True)),
    )
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
def test_expired_and_self_signed_certificates_are_refused(
    libraries: Pair, leaf: trustme.LeafCert, why: str
) -> None:
    client_library, server_library = libraries
    client, server = (
        client_of(context_of(client_library, False)),
        server_of(server_library.server(leaf)),
    )
    with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED") as caught:
        shake_hands(client, server)
    dates = "the certificate's dates"  # part of the general advice, as pyOpenSSL gives no reason
    check = dates if client_library is PyOpenSSL or why == "EXPIRED" else "TLSVerify.by_fingerprint"
    assert check in caught.value.check
    move(client, server)
    with pytest.raises(TLSFailed, match=why):
        server.handshake()


@each_pair
def test_only_the_certificate_with_the_fingerprint_is_accepted(libraries: Pair) -> None:
    client_library, server_library = libraries
    own = hashlib.sha256(der(LEAF)).digest()
    trusting = context_of(client_library, False)
    client, server = (
        client_of(trusting, verify=TLSVerify(fingerprints=(own,))),
        server_of(context_of(server_library, True)),
    )
    shake_hands(client, server)
    assert client.info.verified
    client, server = (
        client_of(trusting, verify=TLSVerify(fingerprints=(own[::-1],))),
        server_of(server_library.server(LEAF)),
    )
    with pytest.raises(TLSFailed, match="another fingerprint") as caught:
        shake_hands(client, server)
    assert (caught.value.phase, bool(caught.value.check)) == ("TLS", True)


def test_by_fingerprint_neither_name_nor_ca_matters() -> None:
    own = hashlib.sha256(der(LEAF)).digest()
    client = client_of(
        SSL.Context(SSL.TLS_METHOD), "mx.example.net", verify=TLSVerify(fingerprints=(own,))
    )
    shake_hands(client, server_of(context_of(PyOpenSSL, True)))
    assert client.info.verified
