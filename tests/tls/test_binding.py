"""tls-server-end-point (RFC 5929 4): of certificates of all kinds, on both sides alike."""

from __future__ import annotations

import datetime
import hashlib
import ssl
import warnings

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.tls.binding import SERVER_END_POINT, server_end_point
from smtpproto.tls.context import client_context, own_certificate
from smtpproto.tls.stream import TLSFilter
from smtpproto.tls.verify import TLSVerify
from tests.support.certificates import NAME, der, server_context

RSA, EC = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())


def signed(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    algorithm: hashes.HashAlgorithm | None,
    rsa_padding: padding.PSS | None = None,
) -> bytes:
    """A certificate in DER."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now)
    )
    certificate = builder.sign(key, algorithm, rsa_padding=rsa_padding)  # type: ignore[arg-type]
    return certificate.public_bytes(Encoding.DER)


def pss(mask: hashes.HashAlgorithm, salt: int = 20) -> padding.PSS:
    return padding.PSS(padding.MGF1(mask), salt)


SHA = {
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
    "sha3_224": hashes.SHA3_224(),
    "sha3_256": hashes.SHA3_256(),
    "sha3_384": hashes.SHA3_384(),
    "sha3_512": hashes.SHA3_512(),
}


@pytest.mark.parametrize("name", SHA)
def test_the_hash_is_that_of_the_signature(name: str) -> None:
    for certificate in (
        signed(EC, SHA[name]),
        signed(RSA, SHA[name]),
        signed(RSA, SHA[name], pss(SHA[name])),
    ):
        assert server_end_point(certificate) == hashlib.new(name, certificate).digest()


# Signed with SHA-1 and MD5, which nothing makes any more: the algorithms' names are put in.
_SHA256_RSA, _SHA256_EC = "2a864886f70d01010b", "2a8648ce3d040302"


@pytest.mark.parametrize(
    ("key", "was", "becomes"),
    [
        (RSA, _SHA256_RSA, "2a864886f70d010104"),
        (RSA, _SHA256_RSA, "2a864886f70d010105"),
        (EC, "06082a8648ce3d040302", "06072a8648ce3d0401"),
    ],
    ids=["MD5", "SHA-1", "ECDSA with SHA-1"],
)
def test_what_is_broken_makes_way_for_sha256(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, was: str, becomes: str
) -> None:
    algorithm = sequence(bytes.fromhex(becomes if key is EC else "0609" + becomes))
    certificate = sequence(sequence(b"") + algorithm + b"\x03\x01\0")
    assert server_end_point(certificate) == hashlib.sha256(certificate).digest()
    if key is RSA:  # a real one, too: the name stands in it twice
        real = signed(key, hashes.SHA256()).replace(bytes.fromhex(was), bytes.fromhex(becomes))
        assert server_end_point(real) == hashlib.sha256(real).digest()


def sequence(content: bytes, tag: int = 0x30) -> bytes:
    length = len(content)
    size = b"" if length < 128 else length.to_bytes(2)
    return bytes([tag]) + (bytes([0x80 | len(size)]) + size if size else bytes([length])) + content


def with_pss(parameters: bytes) -> bytes:
    algorithm = sequence(bytes.fromhex("06092a864886f70d01010a") + sequence(parameters))
    return sequence(sequence(b"\0\0" * 100) + algorithm + b"\x03\x01\0")


def test_pss_that_says_nothing_is_with_sha1() -> None:
    certificate = with_pss(b"")
    assert server_end_point(certificate) == hashlib.sha256(certificate).digest()


@pytest.mark.parametrize(
    "certificate",
    [
        signed(RSA, hashes.SHA256(), pss(hashes.SHA384())),
        with_pss(sequence(sequence(bytes.fromhex("06092a864886f70d010101")), 0xA0)),
        with_pss(sequence(sequence(bytes.fromhex("0603550403")), 0xA1)),
        signed(ed25519.Ed25519PrivateKey.generate(), None),
        signed(RSA, hashes.SHA256()).replace(bytes.fromhex(_SHA256_RSA), b"\x2a" * 9),
        signed(RSA, hashes.SHA256()) + b"\0",
        signed(RSA, hashes.SHA256())[:-1],
        b"",
    ],
    ids=["two hashes", "no hash", "no mask", "Ed25519", "unknown", "too long", "cut off", "empty"],
)
def test_what_has_no_one_hash_has_no_binding(certificate: bytes) -> None:
    assert server_end_point(certificate) is None


@given(st.binary(max_size=200))
def test_garbage_never_raises(octets: bytes) -> None:
    server_end_point(octets)
    server_end_point(sequence(octets))
    server_end_point(sequence(sequence(b"") + sequence(octets) + sequence(b"")))
    server_end_point(with_pss(octets))


_REAL = signed(RSA, hashes.SHA256(), pss(hashes.SHA256()))


@given(st.integers(0, len(_REAL) - 1), st.integers(0, 255))
def test_a_certificate_with_another_octet_never_raises(at: int, octet: int) -> None:
    octets = bytearray(_REAL)
    octets[at] = octet
    server_end_point(bytes(octets))


# -- the certificate of one's own ----------------------------------------------------------------


def agreed(
    client: ssl.SSLContext, server: ssl.SSLContext, name: str | None = NAME
) -> tuple[TLSFilter, TLSFilter]:
    """Both sides, after their handshake."""
    near = TLSFilter(client, server_side=False, server_hostname=name)
    far = TLSFilter(server, server_side=True)
    done = {near: False, far: False}
    while not all(done.values()):
        for side, other in ((near, far), (far, near)):
            done[side] = done[side] or side.handshake()
            if octets := side.data_to_send():
                other.receive(octets)
    return near, far


def bindings(*sides: TLSFilter) -> list[bytes]:
    return [side.info.bindings[SERVER_END_POINT] for side in sides]


TRUSTFUL = client_context(TLSVerify.nothing())


@pytest.mark.parametrize("kind", [trustme.KeyType.ECDSA, trustme.KeyType.RSA])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_sides_find_the_same(kind: trustme.KeyType, version: ssl.TLSVersion) -> None:
    leaf = trustme.CA().issue_cert(NAME, key_type=kind)
    context = server_context(leaf)
    context.minimum_version = context.maximum_version = version
    near, far = agreed(TRUSTFUL, context)
    assert near.info.version == {771: "TLSv1.2", 772: "TLSv1.3"}[version]
    expected = hashlib.sha256(der(leaf)).digest()
    assert bindings(near, far) == [expected, expected]
    assert expected.hex() not in repr(near.info)


def test_a_server_that_wants_a_certificate_has_a_binding_too() -> None:
    ca = trustme.CA()
    leaf, context = ca.issue_cert(NAME), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    client = client_context(TLSVerify.nothing())
    ca.issue_cert("client.example").configure_cert(client)
    near, far = agreed(client, context)
    assert bindings(near, far) == [hashlib.sha256(der(leaf)).digest()] * 2


def test_of_the_context_that_a_callback_chose() -> None:
    ca = trustme.CA()
    leaves = {name: ca.issue_cert(name) for name in ("a.example", "b.example")}
    contexts = {name: server_context(leaf) for name, leaf in leaves.items()}
    first = server_context(ca.issue_cert(NAME))

    def choose(tls: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        tls.context = contexts.get(name or "", context)

    first.sni_callback = choose
    for name in (*leaves, NAME):
        near, far = agreed(TRUSTFUL, first, name)
        assert len(set(bindings(near, far))) == 1


def test_no_binding_where_a_callback_shows_strangers_another_certificate() -> None:
    ca = trustme.CA()
    context, other = (server_context(ca.issue_cert(name)) for name in (NAME, "other.example"))

    def choose(tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name != NAME:
            tls.context = other

    context.sni_callback = choose
    near, far = agreed(TRUSTFUL, context)
    assert near.info.bindings
    assert not far.info.bindings, "which is that of the other certificate, or none"


def test_no_binding_where_there_are_two_certificates() -> None:
    """Which one a client is shown, only client and OpenSSL know."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for kind in (trustme.KeyType.RSA, trustme.KeyType.ECDSA):
        trustme.CA().issue_cert(NAME, key_type=kind).configure_cert(context)
    assert not agreed(TRUSTFUL, context)[1].info.bindings


def test_no_binding_of_what_cannot_shake_hands() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert own_certificate(context) is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    assert own_certificate(context) is None


def test_a_context_is_asked_once() -> None:
    context = server_context(trustme.CA().issue_cert(NAME))
    own_certificate(context)
    asked = context.session_stats()["accept"]
    assert asked > 0
    own_certificate(context)
    assert context.session_stats()["accept"] == asked
