"""Contexts and filters of the two TLS libraries, ``ssl`` and pyOpenSSL, with one interface."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto

from smtpproto import ClientCertificate, TLSVerify
from smtpproto.limits import CHUNK
from smtpproto.tls.context import Context, client_context
from smtpproto.tls.filter import Filter
from smtpproto.tls.stream import filter_for
from tests.support.certificates import CA, LEAF, NAME, server_context

VERSIONS = {"TLSv1.2": SSL.TLS1_2_VERSION, "TLSv1.3": SSL.TLS1_3_VERSION}


class Standard:
    """The library ``ssl``."""

    name = "ssl"

    @classmethod
    def client(cls, ca: trustme.CA | None, version: str = "") -> Context:
        """Return a client's context that verifies by name and trusts *ca*, or no CA."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if ca is not None:
            ca.configure_trust(context)
        return cls._limited(context, version)

    @classmethod
    def server(cls, leaf: trustme.LeafCert, version: str = "") -> Context:
        """Return a server's context that presents *leaf*."""
        return cls._limited(server_context(leaf), version)

    @staticmethod
    def _limited(context: ssl.SSLContext, version: str) -> ssl.SSLContext:
        if version:
            known = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
            context.minimum_version = context.maximum_version = known[version]
        return context


class PyOpenSSL:
    """The library pyOpenSSL."""

    name = "pyOpenSSL"

    @classmethod
    def client(
        cls, ca: trustme.CA | None, version: str = "", *, own: trustme.LeafCert | None = None
    ) -> SSL.Context:
        """Return a context as :meth:`Standard.client` does. It presents *own* if a server asks."""
        context = cls._limited(SSL.Context(SSL.TLS_CLIENT_METHOD), version)
        context.set_verify(SSL.VERIFY_PEER)
        if ca is not None:
            trust(context, ca)
        if own is not None:
            present(context, own)
        return context

    @classmethod
    def server(cls, leaf: trustme.LeafCert, version: str = "") -> SSL.Context:
        """Return a server's context that presents *leaf*."""
        context = cls._limited(SSL.Context(SSL.TLS_SERVER_METHOD), version)
        present(context, leaf)
        return context

    @staticmethod
    def _limited(context: SSL.Context, version: str) -> SSL.Context:
        if version:
            context.set_min_proto_version(VERSIONS[version])
            context.set_max_proto_version(VERSIONS[version])
        return context


Library = type[Standard | PyOpenSSL]
Pair = tuple[Library, Library]
Sides = tuple[Filter, Filter]
LIBRARIES: list[Library] = [Standard, PyOpenSSL]


def trust(context: SSL.Context, ca: trustme.CA) -> None:
    """Make *context* trust *ca*."""
    store = context.get_cert_store()
    assert store is not None
    store.add_cert(crypto.load_certificate(crypto.FILETYPE_PEM, ca.cert_pem.bytes()))


def present(context: SSL.Context, leaf: trustme.LeafCert) -> None:
    """Make *context* present *leaf*."""
    first, *others = (x509.load_pem_x509_certificate(p.bytes()) for p in leaf.cert_chain_pems)
    context.use_certificate(first)
    for other in others:
        context.add_extra_chain_cert(other)
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    context.use_privatekey(key)


# -- filters --------------------------------------------------------------------------------------

USER = CA.issue_cert("ann@example.org")
PEM = CA.cert_pem.bytes()

PAIRS = [(client, server) for client in LIBRARIES for server in LIBRARIES]
each_pair = pytest.mark.parametrize(
    "libraries", PAIRS, ids=[f"{client.name}-{server.name}" for client, server in PAIRS]
)
each_library = pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)
_CONTEXTS: dict[tuple[str, bool], Context] = {
    **{(library.name, False): library.client(CA) for library in LIBRARIES},
    **{(library.name, True): library.server(LEAF) for library in LIBRARIES},
}


def context_of(library: Library, server: bool) -> Context:
    """Return a shared context: a client's that trusts CA, or a server's that presents LEAF."""
    return _CONTEXTS[library.name, server]


def client_of(context: Context, name: str | None = NAME, **options: Any) -> Filter:
    """Return a client's filter for the server *name*."""
    return filter_for(context, server_side=False, server_hostname=name, **options)


def server_of(context: Context) -> Filter:
    """Return a server's filter."""
    return filter_for(context, server_side=True)


def before_handshake(libraries: Pair, name: str = NAME) -> Sides:
    """Return a client and a server that have not begun the handshake."""
    client, server = libraries
    return client_of(context_of(client, False), name), server_of(context_of(server, True))


def move(source: Filter, target: Filter, size: int = CHUNK) -> None:
    """Pass the records of *source* to *target*, in pieces of *size* octets."""
    octets = source.data_to_send()
    for start in range(0, len(octets), size):
        target.receive(octets[start : start + size])


def shake_hands(client: Filter, server: Filter, size: int = CHUNK) -> None:
    """Complete the handshake on both sides. Records are passed in pieces of *size* octets."""
    done = {client: False, server: False}
    while not all(done.values()):
        for side, other in ((client, server), (server, client)):
            done[side] = done[side] or side.handshake()
            octets = side.data_to_send()
            for start in range(0, len(octets), size):
                other.receive(octets[start : start + size])
                done[other] = done[other] or other.handshake()


def after_handshake(libraries: Pair) -> Sides:
    """Return a client and a server after their handshake."""
    client, server = libraries
    return connected(context_of(client, False), context_of(server, True))


def connected(
    client: Context, server: Context, name: str | None = NAME, **options: TLSVerify
) -> Sides:
    """Return filters for both contexts, after their handshake."""
    sides = client_of(client, name, **options), server_of(server)
    shake_hands(*sides)
    return sides


def connected_by(
    verify: TLSVerify,
    server: trustme.LeafCert | ssl.SSLContext,
    name: str | None = NAME,
    certificate: ClientCertificate | None = None,
) -> Sides:
    """Return both sides after a handshake. The client has the default context of smtpproto."""
    context = server if isinstance(server, ssl.SSLContext) else Standard.server(server)
    client = client_context(verify, certificate)
    return connected(client, context, name, verify=verify)


def trusting_context(ca: trustme.CA = CA) -> ssl.SSLContext:
    """Return the default context of a client of smtpproto, which also trusts *ca*."""
    context = client_context()
    ca.configure_trust(context)
    return context


def asking_context(*, required: bool = False, mode: int = SSL.VERIFY_PEER) -> SSL.Context:
    """Return a server's context of pyOpenSSL that asks for a certificate of CA."""
    context = PyOpenSSL.server(LEAF)
    trust(context, CA)
    context.set_verify(mode | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if required else 0))
    context.set_session_id(b"x")
    return context
