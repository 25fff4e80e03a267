"""Keys for signatures, with the library cryptography: private keys that sign, public ones that
verify.

::

    key = PrivateKey.load(Path("s1.pem"))
    print(key.record())  # v=DKIM1; k=rsa; p=MIIB..., to be published at s1._domainkey

cryptography is an extra: ``pip install "smtpproto-sansio[auth]"``.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Self

try:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_der_private_key,
        load_der_public_key,
        load_pem_private_key,
    )
except ImportError as _error:
    raise ImportError(
        "smtpproto.adapters.cryptography_keys needs cryptography: "
        'pip install "smtpproto-sansio[auth]"'
    ) from _error

from ..errors import GrammarError
from ..grammar.secret import Secret, keeps_secret
from ..option_types import require_type
from ..policy.dkim_key import DKIMKey
from ..policy.keys import Algorithm, PublicKey

__all__ = ["CryptographyKeys", "PrivateKey"]

_LEAST_BITS = 2048  # of RSA keys that sign (RFC 8301 3.2)
_MOST_OCTETS = 65536  # of a file with a key
_KEPT = 256  # public keys that were read
_MOST_KEY_OCTETS = 4096  # of a public key; an RSA key of 16384 bits has half of it
_PADDING, _HASH = PKCS1v15(), SHA256()


class PrivateKey:
    """A private key that signs. Implements :class:`smtpproto.policy.SigningKey`.

    :meth:`load` reads one, :meth:`generate` makes one. It is never printed.
    """

    __slots__ = ("_key", "algorithm")

    algorithm: Algorithm
    """The algorithm of its signatures."""

    def __init__(
        self, key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, *, allow_short: bool = False
    ) -> None:
        """Take a *key* of cryptography. *allow_short* allows RSA keys of 1024 to 2047 bits, which
        should not sign (RFC 8301 3.2). Raises GrammarError if it is not a key that may sign."""
        is_rsa = isinstance(key, rsa.RSAPrivateKey)
        if not is_rsa and not isinstance(key, ed25519.Ed25519PrivateKey):
            raise GrammarError("not a key that can sign: pass one for RSA or Ed25519")
        self._key = key
        self.algorithm = Algorithm.RSA_SHA256 if is_rsa else Algorithm.ED25519_SHA256
        least = 1024 if allow_short else _LEAST_BITS
        if is_rsa and self.bits < least:
            raise GrammarError(f"an RSA key of {self.bits} bits; use one of at least {least}")

    @classmethod
    @keeps_secret
    def load(
        cls,
        source: bytes | Path,
        password: str | bytes | Secret | None = None,
        *,
        allow_short: bool = False,
    ) -> Self:
        """Read a key: PKCS #8 or PKCS #1, in PEM or DER, from octets or a file.

        *password* decrypts it. *allow_short* allows RSA keys of 1024 to 2047 bits. Raises
        GrammarError if it is not a key that may sign, and OSError if the file cannot be read.
        """
        require_type("source", source, bytes | Path, "a Path, or the octets of the key")
        if isinstance(source, Path):
            with source.open("rb") as file:
                source = file.read(_MOST_OCTETS)
        is_pem = b"-----BEGIN" in source
        secret = None if password is None else _secret(password).reveal()
        try:
            read = load_pem_private_key if is_pem else load_der_private_key
            key = read(source, secret)
        except TypeError:
            needed = "the key is encrypted: give its password"
            unneeded = "the key is not encrypted: give no password"
            raise GrammarError(needed if secret is None else unneeded) from None
        except (ValueError, UnsupportedAlgorithm):
            wrong = " with this password" if secret is not None else ""
            raise GrammarError(f"not a private key in PEM or DER{wrong}") from None
        return cls(key, allow_short=allow_short)  # type: ignore[arg-type]  # it may raise

    @classmethod
    def generate(cls, algorithm: Algorithm = Algorithm.RSA_SHA256, bits: int = 2048) -> Self:
        """Return a new key. *bits* is the size of an RSA key, at least 2048."""
        require_type("algorithm", algorithm, Algorithm, "Algorithm.RSA_SHA256 or ED25519_SHA256")
        if algorithm is Algorithm.ED25519_SHA256:
            return cls(ed25519.Ed25519PrivateKey.generate())
        if bits < _LEAST_BITS:
            raise ValueError(f"bits must be {_LEAST_BITS} or more (RFC 8301 3.2), not {bits}")
        return cls(rsa.generate_private_key(public_exponent=65537, key_size=bits))

    @property
    def bits(self) -> int:
        """The size of the key."""
        return self._key.key_size if isinstance(self._key, rsa.RSAPrivateKey) else 256

    def sign(self, octets: bytes) -> bytes:
        """Return the signature of *octets* by :attr:`algorithm`."""
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(octets, _PADDING, _HASH)
        return self._key.sign(sha256(octets).digest())

    def record(self) -> str:
        """Return the text of the TXT record at ``<selector>._domainkey.<domain>``."""
        key = DKIMKey(key_type=self.algorithm.key_type, public_key=self.public_key())
        return key.format()

    def public_key(self) -> bytes:
        """Return the public key, as ``p=`` of a key record has it in base64."""
        public = self._key.public_key()
        if isinstance(public, ed25519.Ed25519PublicKey):
            return public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @keeps_secret
    def pem(self, password: str | bytes | Secret | None = None) -> bytes:
        """Return the key in PEM (PKCS #8), encrypted if there is a *password*."""
        encryption = NoEncryption() if password is None else _encryption(password)
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

    def __repr__(self) -> str:
        return f"PrivateKey({self.algorithm.value}, {self.bits} bits, ***)"

    def __reduce__(self) -> str:
        raise TypeError("a PrivateKey cannot be pickled or copied")


class CryptographyKeys:
    """Reads public keys, and keeps the last 256. Implements :class:`smtpproto.policy.Keys`."""

    def __init__(self) -> None:
        self._read = lru_cache(_KEPT)(_read)

    def read(self, algorithm: Algorithm, octets: bytes) -> PublicKey:
        """Return the key of a key record. Raises GrammarError, also for more than 4096 octets."""
        if len(octets) > _MOST_KEY_OCTETS:
            raise GrammarError(f"a public key of more than {_MOST_KEY_OCTETS} octets")
        return self._read(octets, algorithm is Algorithm.RSA_SHA256)


class _RSAKey:
    def __init__(self, key: rsa.RSAPublicKey) -> None:
        self._key = key
        self.bits = key.key_size

    def verify(self, octets: bytes, signature: bytes) -> bool:
        try:
            self._key.verify(signature, octets, _PADDING, _HASH)
        except (InvalidSignature, ValueError):
            return False
        return True


class _Ed25519Key:
    bits = 256

    def __init__(self, key: ed25519.Ed25519PublicKey) -> None:
        self._key = key

    def verify(self, octets: bytes, signature: bytes) -> bool:
        try:
            self._key.verify(signature, sha256(octets).digest())
        except InvalidSignature:
            return False
        return True


def _read(octets: bytes, is_rsa: bool) -> PublicKey:
    try:
        if not is_rsa:
            return _Ed25519Key(ed25519.Ed25519PublicKey.from_public_bytes(octets))
        key = load_der_public_key(octets)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPublicKey):
        raise GrammarError(f"not a public key for {'RSA' if is_rsa else 'Ed25519'}")
    return _RSAKey(key)


def _secret(password: str | bytes | Secret) -> Secret:
    return password if isinstance(password, Secret) else Secret(password)


def _encryption(password: str | bytes | Secret) -> BestAvailableEncryption:
    return BestAvailableEncryption(_secret(password).reveal())
