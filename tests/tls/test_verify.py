"""How a client verifies a server, what it shows itself, and who does not speak TLS at all."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import ClientCertificate, LocalProtocolError, Secret, TLSFailed, TLSVerify
from smtpproto.tls.context import client_context
from smtpproto.tls.stream import TLSFilter, begins_tls
from smtpproto.tls.verify import has_fingerprint
from tests.support.certificates import NAME, der, expired, self_signed, server_context

CA = trustme.CA()
LEAF = CA.issue_cert(NAME)
PEM = CA.cert_pem.bytes()


def fingerprint(leaf: trustme.LeafCert) -> str:
    return hashlib.sha256(der(leaf)).hexdigest()


def shake(
    verify: TLSVerify,
    leaf: trustme.LeafCert | ssl.SSLContext,
    name: str | None = NAME,
    certificate: ClientCertificate | None = None,
) -> tuple[TLSFilter, TLSFilter]:
    """Both sides, after their handshake."""
    near = TLSFilter(
        client_context(verify, certificate),
        server_side=False,
        server_hostname=name,
        fingerprints=verify.fingerprints,
    )
    context = leaf if isinstance(leaf, ssl.SSLContext) else server_context(leaf)
    far = TLSFilter(context, server_side=True)
    done = {near: False, far: False}
    while not all(done.values()):
        for side, other in ((near, far), (far, near)):
            done[side] = done[side] or side.handshake()
            if octets := side.data_to_send():
                other.receive(octets)
    return near, far


# -- the value -----------------------------------------------------------------------------------


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=3))
def test_fingerprints_may_have_colons_and_either_case(octets: list[bytes]) -> None:
    plain = [one.hex() for one in octets]
    colons = [one.hex(":").upper() for one in octets]
    assert TLSVerify.by_fingerprint(*plain) == TLSVerify.by_fingerprint(*colons)
    assert TLSVerify.by_fingerprint(*plain).fingerprints == tuple(octets)


@pytest.mark.parametrize(
    "text",
    ["", "ab" * 31, "ab" * 33, "ab" * 31 + "a", "xy" * 32, ":" + "ab" * 32, "ab::" * 32, "é" * 64],
)
def test_what_is_no_fingerprint(text: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        TLSVerify.by_fingerprint(text)


def test_one_way_to_verify() -> None:
    with pytest.raises(ValueError, match="at least one"):
        TLSVerify.by_fingerprint()
    with pytest.raises(ValueError, match="only one of"):
        TLSVerify(ca="ca.pem", at_all=False)
    with pytest.raises(ValueError, match="only one of"):
        TLSVerify(ca="ca.pem", fingerprints=(b"x" * 32,))
    with pytest.raises(ValueError, match="PEM"):
        TLSVerify.by_ca(b"\x30\x82")


@given(st.binary(), st.lists(st.binary(min_size=32, max_size=32)))
def test_a_fingerprint_is_of_all_of_the_certificate(der: bytes, others: list[bytes]) -> None:
    own = hashlib.sha256(der).digest()
    assert has_fingerprint(der, (*others, own))
    assert has_fingerprint(der, tuple(others)) == (own in others)
    assert not has_fingerprint(None, (*others, own, hashlib.sha256().digest()))


# -- by CA, by fingerprint, not at all -----------------------------------------------------------


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
    assert shake(TLSVerify.by_ca(ca), LEAF)[0].verified
    with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED"):
        shake(TLSVerify.by_ca(ca), trustme.CA().issue_cert(NAME))


def test_a_ca_may_be_below_another() -> None:
    between = CA.create_child_ca()
    leaf = between.issue_cert(NAME)
    assert shake(TLSVerify.by_ca(between.cert_pem.bytes()), leaf)[0].verified


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
def test_certificates_that_fail_by_name_and_not_by_fingerprint(
    leaf: trustme.LeafCert, name: str, why: str, check: str
) -> None:
    with pytest.raises(TLSFailed, match=why) as caught:
        shake(TLSVerify.by_ca(PEM), leaf, name)
    assert caught.value.phase == "TLS"
    assert check in caught.value.check
    assert shake(TLSVerify.by_fingerprint("00" * 32, fingerprint(leaf)), leaf, name)[0].verified
    assert not shake(TLSVerify.nothing(), leaf, name)[0].verified


def test_another_fingerprint_fails_though_ca_and_name_are_good() -> None:
    with pytest.raises(TLSFailed, match="another fingerprint") as caught:
        shake(TLSVerify.by_fingerprint("00" * 32), LEAF)
    assert caught.value.phase == "TLS"
    assert caught.value.check


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"], ids=["IPv4", "IPv6"])
def test_addresses_are_verified_and_not_said(address: str) -> None:
    said: list[str | None] = []
    context = server_context(CA.issue_cert(address))
    context.sni_callback = lambda tls, name, _: said.append(name)
    assert shake(TLSVerify.by_ca(PEM), context, address)[0].verified
    assert said[0] is None


def test_a_name_is_said_without_its_dot() -> None:
    said: list[str | None] = []
    context = server_context(LEAF)
    context.sni_callback = lambda tls, name, _: said.append(name)
    assert shake(TLSVerify.by_ca(PEM), context, NAME + ".")[0].verified
    assert said[0] == NAME


@pytest.mark.parametrize("name", [".example", "a\0b", "x" * 64 + ".example", "", None])
def test_what_cannot_be_a_name(name: str | None) -> None:
    with pytest.raises(LocalProtocolError, match="cannot use TLS with this name"):
        shake(TLSVerify.by_ca(PEM), LEAF, name)


def test_a_context_for_the_other_side() -> None:
    with pytest.raises(LocalProtocolError, match="context"):
        shake(TLSVerify.by_ca(PEM), client_context())


def test_cas_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.pem: No such file"):
        client_context(TLSVerify.by_ca(tmp_path / "nowhere.pem"))
    with pytest.raises(ValueError, match="the given PEM text"):
        client_context(TLSVerify.by_ca("-----BEGIN CERTIFICATE-----\n"))
    (tmp_path / "empty.pem").touch()
    with pytest.raises(ValueError, match=r"empty\.pem: "):
        client_context(TLSVerify.by_ca(tmp_path / "empty.pem"))


@pytest.mark.parametrize(
    "verify", [TLSVerify.by_name(), TLSVerify.by_ca(PEM), TLSVerify.by_fingerprint("00" * 32),
               TLSVerify.nothing()], ids=["name", "CA", "fingerprint", "none"],
)  # fmt: skip
@pytest.mark.req("RFC8314-4-01")
def test_contexts_of_ours_speak_1_2_at_least(verify: TLSVerify) -> None:
    assert client_context(verify).minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("mode", "by_name", "verified"),
    [
        (ssl.CERT_REQUIRED, True, True),
        (ssl.CERT_REQUIRED, False, False),
        (ssl.CERT_OPTIONAL, True, False),
        (ssl.CERT_NONE, False, False),
    ],
)
def test_a_context_of_ones_own_verifies_what_it_says(
    mode: ssl.VerifyMode, by_name: bool, verified: bool
) -> None:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    context.check_hostname = by_name
    context.verify_mode = mode
    near = TLSFilter(context, server_side=False, server_hostname=NAME)
    far = TLSFilter(server_context(LEAF), server_side=True)
    assert not near.handshake()
    far.receive(near.data_to_send())
    assert not far.handshake()
    near.receive(far.data_to_send())
    assert near.handshake()
    assert near.info.verified is verified


# -- a client's certificate ----------------------------------------------------------------------


def server_that_asks(mode: ssl.VerifyMode, ca: trustme.CA | None = CA) -> ssl.SSLContext:
    context = server_context(LEAF)
    context.verify_mode = mode
    if ca is not None:
        ca.configure_trust(context)
    return context


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> ClientCertificate:
    """A certificate in one file, its key encrypted in another."""
    directory, leaf = tmp_path_factory.mktemp("client"), CA.issue_cert("client.example")
    leaf.cert_chain_pems[0].write_to_path(directory / "certificate.pem")
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    (directory / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"open sesame"),
        )
    )
    return ClientCertificate(directory / "certificate.pem", directory / "key.pem", "open sesame")


@pytest.mark.parametrize("mode", [ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
def test_a_server_sees_and_verifies_it(mode: ssl.VerifyMode, shown: ClientCertificate) -> None:
    near, far = shake(TLSVerify.by_ca(PEM), server_that_asks(mode), certificate=shown)
    assert near.info.verified
    assert far.info.verified
    assert far.info.peer_certificate
    assert "sesame" not in repr(shown)


def test_who_shows_none_is_not_verified() -> None:
    info = shake(TLSVerify.by_ca(PEM), server_that_asks(ssl.CERT_OPTIONAL))[1].info
    assert (info.verified, info.peer_certificate) == (False, None)


@pytest.mark.parametrize(
    ("before", "after", "verified"),
    [
        (ssl.CERT_OPTIONAL, ssl.CERT_OPTIONAL, True),
        (ssl.CERT_OPTIONAL, ssl.CERT_NONE, False),
        (ssl.CERT_NONE, ssl.CERT_OPTIONAL, False),
    ],
)
def test_where_a_callback_changes_the_context_both_must_ask(
    before: ssl.VerifyMode, after: ssl.VerifyMode, verified: bool, shown: ClientCertificate
) -> None:
    first, second = server_that_asks(before), server_that_asks(after)

    def choose(tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        tls.context = second

    first.sni_callback = choose
    assert shake(TLSVerify.by_ca(PEM), first, certificate=shown)[1].info.verified is verified


def test_a_stranger_s_certificate_fails(shown: ClientCertificate) -> None:
    context = server_that_asks(ssl.CERT_OPTIONAL, trustme.CA())
    with pytest.raises(TLSFailed, match="CERTIFICATE_VERIFY_FAILED"):
        shake(TLSVerify.by_ca(PEM), context, certificate=shown)


def test_a_certificate_that_is_wanted_and_not_shown_is_named() -> None:
    with pytest.raises(TLSFailed, match="PEER_DID_NOT_RETURN_A_CERTIFICATE") as caught:
        shake(TLSVerify.by_ca(PEM), server_that_asks(ssl.CERT_REQUIRED))
    assert "certificate to show" in caught.value.check


@pytest.mark.parametrize("password", [None, "", "open barley", "x" * 2000])
def test_a_key_that_does_not_open(password: str | None, shown: ClientCertificate) -> None:
    """Nobody is asked at the terminal."""
    closed = ClientCertificate(shown.certfile, shown.keyfile, password)
    with pytest.raises(ValueError, match=r"cannot read certificate and key of .*pem: ") as caught:
        client_context(TLSVerify.nothing(), closed)
    assert not password or password not in str(caught.value)


def test_a_certificate_that_is_not_there(shown: ClientCertificate) -> None:
    for certificate in (
        ClientCertificate("nowhere.pem"),
        ClientCertificate(shown.certfile),
        ClientCertificate(shown.certfile, shown.certfile),
    ):
        with pytest.raises(ValueError, match="cannot read certificate and key of"):
            client_context(TLSVerify.nothing(), certificate)
    assert ClientCertificate("a", password=Secret("b")) == ClientCertificate("a", password="b")


# -- who does not speak TLS ----------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize(
    "greeting", [b"220 mx.example.org ESMTP\r\n", b"554 No\r\n", b"220-a\r\n220 b\r\n", b"421\r\n"]
)
def test_a_server_that_greets_in_clear_is_named(greeting: bytes, size: int) -> None:
    client = TLSFilter(client_context(TLSVerify.nothing()), server_side=False)
    client.handshake()
    client.data_to_send()
    with pytest.raises(TLSFailed, match="the server speaks plain SMTP here") as caught:
        for start in range(0, len(greeting), size):
            client.receive(greeting[start : start + size])
            client.handshake()
    assert "STARTTLS" in caught.value.check
    assert client.data_to_send() == b""


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize("line", [b"EHLO client.example\r\n", b"quit\r\n", b"NOOP\n"])
def test_a_client_that_speaks_in_clear_is_named(line: bytes, size: int) -> None:
    server = TLSFilter(server_context(LEAF), server_side=True)
    with pytest.raises(TLSFailed, match="the client speaks plain SMTP here"):
        for start in range(0, len(line), size):
            server.receive(line[start : start + size])
            server.handshake()


@pytest.mark.parametrize("octets", [b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", b"\0" * 20])
def test_what_is_neither_tls_nor_smtp(octets: bytes) -> None:
    for side in (
        TLSFilter(server_context(LEAF), server_side=True),
        TLSFilter(client_context(TLSVerify.nothing()), server_side=False),
    ):
        side.receive(octets)
        with pytest.raises(TLSFailed) as caught:
            side.handshake()
        assert "plain SMTP" not in str(caught.value)


def test_how_tls_begins() -> None:
    hello = TLSFilter(client_context(TLSVerify.nothing()), server_side=False)
    hello.handshake()
    octets = hello.data_to_send()
    for begin in (octets, octets[:1], b"\x15\x03\x03\0\2\2\x28"):
        assert begins_tls(begin)
    for begin in (b"", b"220 mx", b"EHLO x", b"\x16 mx", b"\x14\x03", b"\x17\x03"):
        assert not begins_tls(begin)
