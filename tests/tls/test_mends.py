"""TLS: faults that a hostile review found, and their mends."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from smtpproto import ClientCertificate, TLSFailed, TLSVerify
from smtpproto.tls.context import Context, client_context, own_certificate
from smtpproto.tls.filter import Filter, failure
from smtpproto.tls.openssl import OpenSSLFilter
from smtpproto.tls.stream import TLSFilter
from tests.support.certificates import issued
from tests.support.tls_libraries import (
    CA,
    LEAF,
    Library,
    PyOpenSSL,
    client_of,
    each_library,
    server_of,
)
from tests.support.tls_libraries import shake_hands as agree

NAME = "mx.example.org"
Kinds = list[trustme.KeyType]


def server(
    ca: trustme.CA, kinds: Kinds, mode: ssl.VerifyMode, leaf: trustme.LeafCert | None = None
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if leaf is not None:
        leaf.configure_cert(context)
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
    verify = TLSVerify.by_fingerprint("00" * 32)
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


# -- TLS begun anew (RFC 5246 7.4.1.1) -----------------------------------------------------------


def _asked_to_renegotiate(context: Context) -> tuple[Filter, Filter]:
    """A client of *context* whose server, by TLS 1.2, wants to begin anew, and goes on talking."""
    client, server = client_of(context), server_of(PyOpenSSL.server(LEAF, "TLSv1.2"))
    agree(client, server)
    assert isinstance(server, OpenSSLFilter)
    server._tls.renegotiate()
    server._tls.do_handshake()
    server.write(b"250 OK\r\n")
    client.receive(server.data_to_send())
    return client, server


def test_contexts_of_ours_do_not_renegotiate() -> None:
    client, _ = _asked_to_renegotiate(client_context(TLSVerify.by_ca(CA.cert_pem.bytes())))
    assert client.read() == b"250 OK\r\n"
    client.write(b"NOOP\r\n")  # the server, which was told no, decides what comes of it
    assert client.data_to_send()


@each_library
def test_what_cannot_be_said_meanwhile_is_no_closed_connection(library: Library) -> None:
    client, _ = _asked_to_renegotiate(library.client(CA))
    assert client.read() == b"250 OK\r\n"
    with pytest.raises(TLSFailed, match="the peer wants to renegotiate"):
        client.write(b"NOOP\r\n")


# -- what is to be trusted -----------------------------------------------------------------------


@pytest.mark.parametrize("nothing", ["", b"", None])
def test_no_ca_is_not_that_of_everybody(nothing: Any) -> None:
    """As of a variable that is not set: OpenSSL would take the system's."""
    with pytest.raises(ValueError, match="PEM"):
        TLSVerify.by_ca(nothing)


@pytest.mark.parametrize("kind", [str, bytes])
def test_comments_around_a_certificate_may_have_any_letters(kind: type[str] | type[bytes]) -> None:
    text = "# F\N{LATIN SMALL LETTER O WITH DOUBLE ACUTE}tan\N{LATIN SMALL LETTER U WITH ACUTE}\n"
    text += CA.cert_pem.bytes().decode()
    context = client_context(TLSVerify.by_ca(text if kind is str else text.encode()))
    assert len(context.get_ca_certs()) == 1


def test_a_log_of_keys_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "no" / "keys"))
    for verify in (TLSVerify.by_name(), TLSVerify.by_ca(CA.cert_pem.bytes())):
        with pytest.raises(ValueError, match="No such file or directory"):
            client_context(verify)


def test_a_session_of_who_needs_a_name_for_it_is_explained() -> None:
    """What OpenSSL wants to resume sessions of clients with certificates (SSL_CTX_set_session_id_
    context), pyOpenSSL does not set by itself."""
    assert "set_session_id" in failure("SESSION_ID_CONTEXT_UNINITIALIZED").check


def test_what_fails_behind_the_handshake_is_no_longer_its_phase() -> None:
    client, server = _asked_to_renegotiate(client_context(TLSVerify.by_ca(CA.cert_pem.bytes())))
    server.write(b"x")
    record = bytearray(server.data_to_send())
    record[-1] ^= 1
    client.receive(bytes(record))
    with pytest.raises(TLSFailed) as caught:
        while client.read() is not None:
            pass
    assert caught.value.phase == ""


@pytest.mark.req("RFC4954-14-03")
def test_a_common_name_is_no_host() -> None:
    """What a subject is called, anybody may be called; names of hosts have a field of their own."""
    authority = trustme.CA()
    leaf = issued(authority, subject=NAME)
    near = client_of(client_context(TLSVerify.by_ca(authority.cert_pem.bytes())))
    with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED: Hostname mismatch"):
        agree(near, server_of(server(authority, [], ssl.CERT_NONE, leaf)))
