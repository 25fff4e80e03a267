"""Whose certificate a client takes (RFC 7817 3, RFC 6125)."""

from __future__ import annotations

import ssl

import pytest
import trustme
from cryptography import x509

from smtpproto.errors import TLSFailed
from smtpproto.tls.context import client_context
from smtpproto.tls.stream import TLSFilter
from tests.support.certificates import issued

NAME = "mx.example.org"
DNS, URI = x509.DNSName, x509.UniformResourceIdentifier


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
