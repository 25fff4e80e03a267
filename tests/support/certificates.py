"""Valid and invalid certificates, and server contexts that present them."""

from __future__ import annotations

import datetime
import hashlib
import ssl
import warnings
from collections.abc import Iterable

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
    """Return a server's context that presents *leaf*."""
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
    key, subject = ec.generate_private_key(ec.SECP256R1()), _common_name(name)
    alternative = x509.SubjectAlternativeName([x509.DNSName(name)])
    return _signed(_builder(key, subject, subject, alternative), key, key)


def issued(
    ca: trustme.CA,
    *names: x509.GeneralName,
    subject: str = "x",
    usage: Iterable[x509.ObjectIdentifier] = (),
    extension: x509.ExtensionType | None = None,
) -> trustme.LeafCert:
    """Return a certificate that *ca* issued for *names* of any kind, or none, and for *usage*.

    trustme itself makes only some kinds of names.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(ca.cert_pem.bytes()).subject
    signer = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    signer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    extensions: list[x509.ExtensionType] = [signer_id]
    if names:
        extensions.append(x509.SubjectAlternativeName(names))
    if extension is not None:
        extensions.append(extension)
    if purposes := [*usage]:
        extensions.append(x509.ExtendedKeyUsage(purposes))
    return _signed(_builder(key, _common_name(subject), issuer, *extensions), key, signer)


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _builder(
    key: ec.EllipticCurvePrivateKey,
    subject: x509.Name,
    issuer: x509.Name,
    *extensions: x509.ExtensionType,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder


def _signed(
    builder: x509.CertificateBuilder,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
) -> trustme.LeafCert:
    certificate, pem = builder.sign(signer, hashes.SHA256()), serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return trustme.LeafCert(secret, certificate.public_bytes(pem), [])


def der(leaf: trustme.LeafCert) -> bytes:
    """Return the certificate in DER."""
    return ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())


def fingerprint(leaf: trustme.LeafCert) -> str:
    """Return the SHA-256 of the certificate, in hexadecimal digits."""
    return hashlib.sha256(der(leaf)).hexdigest()
