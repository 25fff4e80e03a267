"""Valid and invalid certificates, and server contexts that show them."""

from __future__ import annotations

import datetime
import ssl
import warnings

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NAME = "mx.example.org"
CA = trustme.CA()
"""The CA that tests trust, unless they make their own."""
LEAF = CA.issue_cert(NAME)
"""A valid certificate of CA for a server named NAME."""
_DAY = datetime.timedelta(days=1)


def server_context(leaf: trustme.LeafCert) -> ssl.SSLContext:
    """Return a server's context that shows *leaf*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return context


def old_server_context(leaf: trustme.LeafCert) -> ssl.SSLContext:
    """Return a server's context that supports TLS 1.1 at most."""
    context = server_context(leaf)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def expired(ca: trustme.CA, name: str = NAME) -> trustme.LeafCert:
    """Return a certificate that *ca* issued and that expired yesterday."""
    now = datetime.datetime.now(datetime.UTC)
    return ca.issue_cert(name, not_before=now - 2 * _DAY, not_after=now - _DAY)


def self_signed(name: str = NAME) -> trustme.LeafCert:
    """Return a certificate that no CA issued."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return trustme.LeafCert(secret, certificate.public_bytes(pem), [])


def issued(ca: trustme.CA, *names: x509.GeneralName, subject: str = "x") -> trustme.LeafCert:
    """Return a certificate that *ca* issued for *names* of any kind, or none.

    trustme itself makes only some kinds of names.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    authority = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    signer = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(signer, hashes.SHA256())
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return trustme.LeafCert(secret, certificate.public_bytes(pem), [])


def der(leaf: trustme.LeafCert) -> bytes:
    """Return the certificate in DER."""
    return ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())
