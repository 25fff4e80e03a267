"""The keys that a server stores for SCRAM (RFC 5802 3, RFC 5803). They do not reveal the password,
and do not allow a login."""

from __future__ import annotations

import hashlib
import hmac

from attrs import frozen

from ..errors import GrammarError
from ..grammar.pattern import pattern
from ..grammar.secret import Secret, keeps_secret
from ..grammar.xtext import decode_base64, encode_base64
from ..limits import SCRAM_DEFAULT_ITERATIONS, SCRAM_ITERATIONS
from ..option_types import checked, require_type
from .prepare import prepared_secret

HASHES = {"SHA-256": "sha256", "SHA-1": "sha1"}
"""The name of each hash in mechanisms and in hashlib, the strongest first."""

_STORED = pattern(r"SCRAM-(SHA-256|SHA-1) *\$ *([1-9][0-9]{0,9}):([^$:]+?) *\$ *([^$:]+):([^$:]+)")


@checked
@frozen(repr=False)
class ScramKeys:
    """The keys of one user for one hash.

    ``str(keys)`` is the form of RFC 5803, to store in a file or a database; ``repr`` shows no key.
    Raises GrammarError for a hash other than SHA-1 and SHA-256, for iterations outside
    :data:`.limits.SCRAM_ITERATIONS`, for an empty salt, and for keys of the wrong length.
    """

    hash_name: str
    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    def __attrs_post_init__(self) -> None:
        _check(self.hash_name, self.iterations, self.salt)
        size = hashlib.new(HASHES[self.hash_name]).digest_size
        if not len(self.stored_key) == len(self.server_key) == size:
            raise GrammarError(f"SCRAM keys for {self.hash_name} must have {size} octets each")

    @classmethod
    @keeps_secret
    def derive(
        cls,
        password: Secret | str,
        *,
        salt: bytes,
        iterations: int = SCRAM_DEFAULT_ITERATIONS,
        hash_name: str = "SHA-256",
    ) -> ScramKeys:
        """Return the keys of *password*; *salt* should be 16 random octets or more.

        Raises GrammarError like the class, and for a password that SASLprep prohibits or empties.
        """
        require_type("salt", salt, bytes, "bytes, for example secrets.token_bytes(16)")
        salted = salted_password(password, salt, iterations, hash_name)
        return cls.of_salted(salted, salt, iterations, hash_name)

    @classmethod
    def of_salted(cls, salted: bytes, salt: bytes, iterations: int, hash_name: str) -> ScramKeys:
        """Return the keys of a SaltedPassword."""
        stored = _hash(client_key(salted, hash_name), hash_name)
        server = hmac.digest(salted, b"Server Key", HASHES[hash_name])
        return cls(hash_name, iterations, salt, stored, server)

    @classmethod
    @keeps_secret
    def parse(cls, text: str) -> ScramKeys:
        """Read what ``str(keys)`` returned. Raises GrammarError, which does not show *text*."""
        match = _STORED.fullmatch(text)
        if match is None:
            raise GrammarError("not SCRAM keys in the form of RFC 5803")
        salt, stored, server = (decode_base64(part.encode()) for part in match.groups()[2:])
        return cls(match[1], int(match[2]), salt, stored, server)

    @keeps_secret
    def matches(self, password: Secret | str) -> bool:
        """Return whether the keys are those of *password*. This takes as long as to derive them."""
        salted = salted_password(password, self.salt, self.iterations, self.hash_name)
        key = _hash(client_key(salted, self.hash_name), self.hash_name)
        return hmac.compare_digest(key, self.stored_key)

    def masked(self, octets: bytes, message: bytes) -> bytes:
        """Return *octets* XOR ClientSignature, which turns ClientKey into ClientProof and back."""
        signature = hmac.digest(self.stored_key, message, HASHES[self.hash_name])
        return bytes(a ^ b for a, b in zip(octets, signature, strict=True))

    def proved(self, proof: bytes, message: bytes) -> bool:
        """Return whether *proof*, a ClientProof, proves the password. Compares in constant time."""
        if len(proof) != len(self.stored_key):
            return False
        key = _hash(self.masked(proof, message), self.hash_name)
        return hmac.compare_digest(key, self.stored_key)

    def signature(self, message: bytes) -> bytes:
        """Return ServerSignature, which proves to the client that the server has the keys."""
        return hmac.digest(self.server_key, message, HASHES[self.hash_name])

    def __str__(self) -> str:
        salt, stored, server = (
            encode_base64(part).decode() for part in (self.salt, self.stored_key, self.server_key)
        )
        return f"SCRAM-{self.hash_name}${self.iterations}:{salt}${stored}:{server}"

    def __repr__(self) -> str:
        return f"ScramKeys({self.hash_name!r}, {self.iterations}, ***)"


def salted_password(password: Secret | str, salt: bytes, iterations: int, hash_name: str) -> bytes:
    """Return SaltedPassword: ``Hi`` of *password*, prepared by SASLprep (RFC 5802 2.2, 3)."""
    _check(hash_name, iterations, salt)
    octets = prepared_secret(password).reveal()
    return hashlib.pbkdf2_hmac(HASHES[hash_name], octets, salt, iterations)


def client_key(salted: bytes, hash_name: str) -> bytes:
    """Return ClientKey, from which a client proves that it knows the password (RFC 5802 3)."""
    return hmac.digest(salted, b"Client Key", HASHES[hash_name])


def _check(hash_name: str, iterations: int, salt: bytes) -> None:
    """Raise GrammarError for unsafe parameters, on both sides.

    With too few iterations the password could be guessed; too many would waste our CPU.
    """
    if hash_name not in HASHES:
        raise GrammarError(f"SCRAM with {hash_name!r} is not supported; use SHA-256 or SHA-1")
    fewest, most = SCRAM_ITERATIONS
    if not fewest <= iterations <= most:
        raise GrammarError(f"{iterations} iterations: SCRAM allows only {fewest} to {most}")
    if not salt:
        raise GrammarError("the salt is empty")


def _hash(octets: bytes, hash_name: str) -> bytes:
    return hashlib.new(HASHES[hash_name], octets).digest()
