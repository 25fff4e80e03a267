"""The ports for cryptography: keys that sign, and public keys that verify.

:mod:`smtpproto.adapters.cryptography_keys` implements them.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable
from typing import Protocol

__all__ = ["Algorithm", "Keys", "PublicKey", "SigningKey"]


class Algorithm(enum.Enum):
    """The algorithms of signatures that may be used (RFC 8301 3.1, RFC 8463 3)."""

    RSA_SHA256 = "rsa-sha256"
    """RSASSA-PKCS1-v1_5 with SHA-256, over the octets (RFC 8017 8.2)."""
    ED25519_SHA256 = "ed25519-sha256"
    """PureEdDSA over the SHA-256 digest of the octets (RFC 8463 3)."""

    @property
    def key_type(self) -> str:
        """What ``k=`` of a key record says: ``rsa`` or ``ed25519``."""
        return self.value.partition("-")[0]


class SigningKey(Protocol):
    """A private key, wherever it is: in memory, or in a hardware security module."""

    @property
    def algorithm(self) -> Algorithm:
        """The algorithm of its signatures."""
        ...

    def sign(self, octets: bytes) -> bytes | Awaitable[bytes]:
        """Return the signature of *octets* by :attr:`algorithm`, or an awaitable of it.

        It hashes *octets* itself, with SHA-256. What it raises leaves the function that signs.
        """
        ...


class PublicKey(Protocol):
    """A public key that was read."""

    @property
    def bits(self) -> int:
        """The size of the key; that of an RSA key is the length of its modulus."""
        ...

    def verify(self, octets: bytes, signature: bytes) -> bool:
        """Return whether *signature* is one of *octets* by this key. Never raises."""
        ...


class Keys(Protocol):
    """Reads public keys."""

    def read(self, algorithm: Algorithm, octets: bytes) -> PublicKey:
        """Return the key of a key record, whose tag ``p=`` holds *octets* in base64.

        For RSA they are a SubjectPublicKeyInfo or an RSAPublicKey in DER, for Ed25519 the 32 octets
        of the key. Raises GrammarError if they are not.
        """
        ...
