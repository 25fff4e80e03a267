"""A certificate that is the same in each run, so that a seed reproduces connections with TLS."""

from __future__ import annotations

import datetime
import ssl
import tempfile
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

NAMES = ("mail.first.example", "mail.second.example", "mx.verified.example")


@cache
def server_context() -> ssl.SSLContext:
    """Return a context of the servers with :data:`NAMES`."""
    key, certificate = _key_and_certificate()
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(key + certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file.name)
    return context


@cache
def client_context() -> ssl.SSLContext:
    """Return a context of clients that verify these servers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=_key_and_certificate()[1].decode())
    return context


@cache
def no_certificate() -> ssl.SSLContext:
    """Return a context of a server whose handshakes fail."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


@cache
def _key_and_certificate() -> tuple[bytes, bytes]:
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "simulated")])
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in NAMES])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(datetime.datetime(2020, 1, 1))
        .not_valid_after(datetime.datetime(2120, 1, 1))
        .add_extension(names, critical=False)
        .sign(key, None)
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return secret, certificate.public_bytes(Encoding.PEM)
