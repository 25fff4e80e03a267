"""Both libraries for TLS: contexts and filters, each made the same way."""

from __future__ import annotations

import ssl

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto

from smtpproto.limits import CHUNK
from smtpproto.tls.context import Context
from smtpproto.tls.filter import Filter
from smtpproto.tls.stream import filter_for
from tests.support.certificates import NAME

VERSIONS = {"TLSv1.2": SSL.TLS1_2_VERSION, "TLSv1.3": SSL.TLS1_3_VERSION}


class Standard:
    """``ssl``."""

    name = "ssl"

    @classmethod
    def client(cls, ca: trustme.CA | None, version: str = "") -> Context:
        """One that verifies by name and trusts *ca*, or nobody's certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if ca is not None:
            ca.configure_trust(context)
        return cls._limited(context, version)

    @classmethod
    def server(cls, leaf: trustme.LeafCert, version: str = "") -> Context:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf.configure_cert(context)
        return cls._limited(context, version)

    @staticmethod
    def _limited(context: ssl.SSLContext, version: str) -> ssl.SSLContext:
        if version:
            known = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
            context.minimum_version = context.maximum_version = known[version]
        return context


class PyOpenSSL:
    """``OpenSSL.SSL``."""

    name = "pyOpenSSL"

    @classmethod
    def client(
        cls, ca: trustme.CA | None, version: str = "", *, shown: trustme.LeafCert | None = None
    ) -> SSL.Context:
        """Likewise; it shows *shown* to who asks."""
        context = cls._limited(SSL.Context(SSL.TLS_CLIENT_METHOD), version)
        context.set_verify(SSL.VERIFY_PEER)
        if ca is not None:
            trust(context, ca)
        if shown is not None:
            show(context, shown)
        return context

    @classmethod
    def server(cls, leaf: trustme.LeafCert, version: str = "") -> SSL.Context:
        context = cls._limited(SSL.Context(SSL.TLS_SERVER_METHOD), version)
        show(context, leaf)
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
    store = context.get_cert_store()
    assert store is not None
    store.add_cert(crypto.load_certificate(crypto.FILETYPE_PEM, ca.cert_pem.bytes()))


def show(context: SSL.Context, leaf: trustme.LeafCert) -> None:
    first, *others = (x509.load_pem_x509_certificate(p.bytes()) for p in leaf.cert_chain_pems)
    context.use_certificate(first)
    for other in others:
        context.add_extra_chain_cert(other)
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    context.use_privatekey(key)


# -- filters of them ------------------------------------------------------------------------------

CA = trustme.CA()
LEAF = CA.issue_cert(NAME)

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
    """One for all tests: of a client that trusts CA, or of a server that shows LEAF."""
    return _CONTEXTS[library.name, server]


def client_of(context: Context, name: str | None = NAME, **options: tuple[bytes, ...]) -> Filter:
    return filter_for(context, server_side=False, server_hostname=name, **options)


def server_of(context: Context) -> Filter:
    return filter_for(context, server_side=True)


def sides_of(libraries: Pair, name: str = NAME) -> Sides:
    client, server = libraries
    return client_of(context_of(client, False), name), server_of(context_of(server, True))


def move(source: Filter, target: Filter, size: int = CHUNK) -> None:
    octets = source.data_to_send()
    for start in range(0, len(octets), size):
        target.receive(octets[start : start + size])


def shake_hands(client: Filter, server: Filter, size: int = CHUNK) -> None:
    """Handshake to the end on both sides, in pieces of *size*, each tried as it arrives."""
    done = {client: False, server: False}
    while not all(done.values()):
        for side, other in ((client, server), (server, client)):
            done[side] = done[side] or side.handshake()
            octets = side.data_to_send()
            for start in range(0, len(octets), size):
                other.receive(octets[start : start + size])
                done[other] = done[other] or other.handshake()


def agreed(libraries: Pair) -> Sides:
    client, server = sides_of(libraries)
    shake_hands(client, server)
    return client, server
