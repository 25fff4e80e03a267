"""Channel bindings for TLS: values that tie a login to a connection or a server (RFC 5056).

This module reads nothing from a certificate but its signature algorithm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

EXPORTER = "tls-exporter"  # unique to the connection (RFC 9266)
SERVER_END_POINT = "tls-server-end-point"  # of the server's certificate (RFC 5929 4)

_OID = 0x06  # the tag of an object identifier
_PSS_HASH, _PSS_MASK = 0xA0, 0xA1  # the tags of two fields of RSASSA-PSS-params
_RSA = bytes.fromhex("2a864886f70d0101")  # 1.2.840.113549.1.1
_ECDSA = bytes.fromhex("2a8648ce3d0403")  # 1.2.840.10045.4.3
_NIST_SIGNATURES = bytes.fromhex("6086480165030403")  # 2.16.840.1.101.3.4.3
_NIST_HASHES = bytes.fromhex("6086480165030402")  # 2.16.840.1.101.3.4.2
_SHA1, _ECDSA_SHA1 = bytes.fromhex("2b0e03021a"), bytes.fromhex("2a8648ce3d0401")
_PSS, _MGF1 = _RSA + b"\x0a", _RSA + b"\x08"


def _rows(arc: bytes, first: int, *names: str) -> dict[bytes, str]:
    """Return rows of a table: *names* by the object identifiers below *arc*, from *first* on."""
    return {arc + bytes([first + number]): name for number, name in enumerate(names)}


# The hash that each algorithm uses, by the object identifier in DER.
_SHA2, _SHA3 = ("sha256", "sha384", "sha512"), ("sha3_224", "sha3_256", "sha3_384", "sha3_512")
_HASHES: Mapping[bytes, str] = {
    _SHA1: "sha1",
    **_rows(_NIST_HASHES, 1, *_SHA2, "sha224"),
    **_rows(_NIST_HASHES, 7, *_SHA3),
}
_SIGNATURES: Mapping[bytes, str] = {
    **_rows(_RSA, 4, "md5", "sha1"),
    **_rows(_RSA, 11, *_SHA2, "sha224"),
    _ECDSA_SHA1: "sha1",
    **_rows(_ECDSA, 1, "sha224", *_SHA2),
    **_rows(_NIST_SIGNATURES, 1, "sha224", *_SHA2),  # DSA
    **_rows(_NIST_SIGNATURES, 9, *_SHA3),  # ECDSA
    **_rows(_NIST_SIGNATURES, 13, *_SHA3),  # RSA
}


@lru_cache(maxsize=64)
def server_end_point(certificate: bytes) -> bytes | None:
    """Return the binding *tls-server-end-point*: a hash of the server's *certificate* in DER
    (RFC 5929 4.1).

    Return None where it is not defined: the signature algorithm has no hash (for example Ed25519),
    has two different ones or is unknown here, or *certificate* is not DER.
    """
    try:
        name = _signature_hash(certificate)
    except (ValueError, IndexError):
        return None
    if name is None:
        return None
    # RFC 5929 4.1: SHA-256 replaces the two broken hashes.
    import hashlib  # noqa: PLC0415

    return hashlib.new("sha256" if name in ("md5", "sha1") else name, certificate).digest()


def _signature_hash(certificate: bytes) -> str | None:
    """Return the hash that the signature algorithm uses (RFC 5280 4.1.1.2)."""
    _, (_, algorithm), _ = elements(inner(certificate))
    identifier, parameters = _algorithm(algorithm)
    return _pss_hash(parameters) if identifier == _PSS else _SIGNATURES.get(identifier)


def _pss_hash(parameters: bytes) -> str | None:
    """Return the hash of RSASSA-PSS if message and mask use the same one (RFC 4055 3.1)."""
    fields = dict(elements(parameters))
    message: str | None = "sha1"
    mask: str | None = "sha1"
    if _PSS_HASH in fields:
        message = _hash(inner(fields[_PSS_HASH]))
    if _PSS_MASK in fields:
        generator, hash_algorithm = _algorithm(inner(fields[_PSS_MASK]))
        mask = _hash(hash_algorithm) if generator == _MGF1 else None
    return message if message == mask else None


def _hash(algorithm: bytes) -> str | None:
    return _HASHES.get(_algorithm(algorithm)[0])


def inner(octets: bytes) -> bytes:
    """Return the content of the only element in *octets*."""
    [(_, content)] = elements(octets)
    return content


def _algorithm(content: bytes) -> tuple[bytes, bytes]:
    """Return the object identifier of an AlgorithmIdentifier and the content of its parameters."""
    (tag, identifier), *parameters = elements(content)
    if tag != _OID:
        raise ValueError("an algorithm without an object identifier")
    return identifier, parameters[0][1] if parameters else b""


def elements(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the tag and the content of each element of DER. Raises ValueError or IndexError."""
    at = 0
    while at < len(octets):
        tag, length = octets[at], octets[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(octets[at : at + size])
            at += size
        if at + length > len(octets):
            raise ValueError("an incomplete element")
        yield tag, octets[at : at + length]
        at += length
