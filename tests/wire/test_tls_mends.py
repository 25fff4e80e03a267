"""TLS: faults that a hostile review found, and their mends."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from smtpproto import ClientCertificate, TLSFailed, Verify
from smtpproto.wire.tls import TLSFilter
from smtpproto.wire.tls_context import client_context, own_certificate

NAME = "mx.example.org"
Kinds = list[trustme.KeyType]


def server(ca: trustme.CA, kinds: Kinds, mode: ssl.VerifyMode) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for kind in kinds:
        ca.issue_cert(NAME, key_type=kind).configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = mode
    return context


each_mode = pytest.mark.parametrize("mode", list(ssl.VerifyMode), ids=lambda mode: mode.name)


@each_mode
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_of_two_certificates_neither_is_the_servers_own(
    mode: ssl.VerifyMode, newest: ssl.TLSVersion
) -> None:
    """Whether or not it wants to see one itself, so that with TLS 1.2 no stranger sees any of its:
    a login bound to the one would fail for the clients that were shown the other."""
    context = server(trustme.CA(), [trustme.KeyType.RSA, trustme.KeyType.ECDSA], mode)
    context.maximum_version = newest
    assert own_certificate(context) is None


@each_mode
@pytest.mark.parametrize("kind", list(trustme.KeyType), ids=lambda kind: kind.name)
def test_one_certificate_is_the_servers_own(mode: ssl.VerifyMode, kind: trustme.KeyType) -> None:
    assert own_certificate(server(trustme.CA(), [kind], mode)) is not None


def test_a_server_of_another_fingerprint_does_not_learn_who_we_are(tmp_path: Path) -> None:
    """With TLS 1.3 ours is the last flight, when we know already that it is not the server meant;
    nor is the handshake then done for that server."""
    ca = trustme.CA()
    ca.issue_cert("ann@example.org").private_key_and_cert_chain_pem.write_to_path(
        str(tmp_path / "ann.pem")
    )
    verify = Verify.by_fingerprint("00" * 32)
    context = client_context(verify, ClientCertificate(tmp_path / "ann.pem"))
    client = TLSFilter(
        context, server_side=False, server_hostname=NAME, fingerprints=verify.fingerprints
    )
    stranger = TLSFilter(server(ca, [trustme.KeyType.ECDSA], ssl.CERT_OPTIONAL), server_side=True)
    assert not client.handshake()
    stranger.receive(client.data_to_send())
    assert not stranger.handshake()
    client.receive(stranger.data_to_send())
    with pytest.raises(TLSFailed, match="another fingerprint"):
        client.handshake()
    assert client.data_to_send() == b""
