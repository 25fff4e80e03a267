"""Whose certificate a client takes (RFC 7817 3, RFC 6125)."""

from __future__ import annotations

import datetime
import ssl

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from smtpproto.errors import TLSFailed
from smtpproto.wire.tls import TLSFilter
from smtpproto.wire.tls_context import client_context

NAME = "mx.example.org"
DNS, URI = x509.DNSName, x509.UniformResourceIdentifier


def issued(ca: trustme.CA, *names: x509.GeneralName) -> trustme.LeafCert:
    """A certificate of *ca* for any kind of names; trustme itself makes only some."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    authority = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    signer = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    certificate = builder.sign(signer, hashes.SHA256())
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return trustme.LeafCert(secret, certificate.public_bytes(pem), [])


def shake_hands(ca: trustme.CA, leaf: trustme.LeafCert) -> None:
    """Both sides of a handshake. Raises TLSFailed if the client refuses."""
    trusting, serving = client_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.configure_trust(trusting)
    leaf.configure_cert(serving)
    client = TLSFilter(trusting, server_side=False, server_hostname=NAME)
    server = TLSFilter(serving, server_side=True)
    done = {client: False, server: False}
    while not all(done.values()):
        for side, other in ((client, server), (server, client)):
            done[side] = done[side] or side.handshake()
            if octets := side.data_to_send():
                other.receive(octets)


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
def test_names_are_dns_names_and_wildcards_whole_first_labels(
    names: list[x509.GeneralName], good: bool
) -> None:
    ca = trustme.CA()
    leaf = issued(ca, *names)
    if good:
        shake_hands(ca, leaf)
    else:
        with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED"):
            shake_hands(ca, leaf)
