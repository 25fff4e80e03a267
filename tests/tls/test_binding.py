"""tls-server-end-point (RFC 5929 4): the hash of certificates with all kinds of signatures."""

from __future__ import annotations

import datetime
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.tls.binding import server_end_point

RSA, EC = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())


def signed(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    algorithm: hashes.HashAlgorithm | None,
    rsa_padding: padding.PSS | None = None,
) -> bytes:
    """Return a certificate in DER, signed with *key* and *algorithm*."""
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


def sequence(content: bytes, tag: int = 0x30) -> bytes:
    """Return an element of DER."""
    length = len(content)
    size = b"" if length < 128 else length.to_bytes(2)
    return bytes([tag]) + (bytes([0x80 | len(size)]) + size if size else bytes([length])) + content


def with_pss(parameters: bytes) -> bytes:
    """Return the skeleton of a certificate signed with RSASSA-PSS and *parameters*."""
    algorithm = sequence(bytes.fromhex("06092a864886f70d01010a") + sequence(parameters))
    return sequence(sequence(b"\0\0" * 100) + algorithm + b"\x03\x01\0")


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


@pytest.mark.req("RFC5929-4.1-01/client", "RFC5929-4.1-01/server")
@pytest.mark.parametrize("name", SHA)
def test_the_binding_uses_the_hash_of_the_signature(name: str) -> None:
    for certificate in (
        signed(EC, SHA[name]),
        signed(RSA, SHA[name]),
        signed(RSA, SHA[name], pss(SHA[name])),
    ):
        assert server_end_point(certificate) == hashlib.new(name, certificate).digest()


# No library signs with SHA-1 or MD5 any more, so a test replaces the identifier of the algorithm.
_SHA256_RSA, _SHA256_EC = "2a864886f70d01010b", "2a8648ce3d040302"


@pytest.mark.req("RFC5929-4.1-01/client", "RFC5929-4.1-01/server")
@pytest.mark.parametrize(
    ("key", "was", "becomes"),
    [
        (RSA, _SHA256_RSA, "2a864886f70d010104"),
        (RSA, _SHA256_RSA, "2a864886f70d010105"),
        (EC, "06082a8648ce3d040302", "06072a8648ce3d0401"),
    ],
    ids=["MD5", "SHA-1", "ECDSA with SHA-1"],
)
def test_sha256_replaces_md5_and_sha1(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, was: str, becomes: str
) -> None:
    algorithm = sequence(bytes.fromhex(becomes if key is EC else "0609" + becomes))
    certificate = sequence(sequence(b"") + algorithm + b"\x03\x01\0")
    assert server_end_point(certificate) == hashlib.sha256(certificate).digest()
    if key is RSA:  # a real certificate, too: the identifier is in it twice
        real = signed(key, hashes.SHA256()).replace(bytes.fromhex(was), bytes.fromhex(becomes))
        assert server_end_point(real) == hashlib.sha256(real).digest()


def test_pss_without_parameters_means_sha1() -> None:
    certificate = with_pss(b"")
    assert server_end_point(certificate) == hashlib.sha256(certificate).digest()


@pytest.mark.req("RFC5929-4.1-02/client", "RFC5929-4.1-02/server")
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
def test_a_certificate_without_exactly_one_hash_has_no_binding(certificate: bytes) -> None:
    assert server_end_point(certificate) is None


@given(st.binary(max_size=200))
def test_octets_that_are_not_a_certificate_raise_nothing(octets: bytes) -> None:
    server_end_point(octets)
    server_end_point(sequence(octets))
    server_end_point(sequence(sequence(b"") + sequence(octets) + sequence(b"")))
    server_end_point(with_pss(octets))


_REAL = signed(RSA, hashes.SHA256(), pss(hashes.SHA256()))


@given(st.integers(0, len(_REAL) - 1), st.integers(0, 255))
def test_a_certificate_with_one_changed_octet_raises_nothing(at: int, octet: int) -> None:
    octets = bytearray(_REAL)
    octets[at] = octet
    server_end_point(bytes(octets))
