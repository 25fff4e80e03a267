"""Ready-made authenticators for users in a mapping; no password can be read from them.

The mapping is read once, when the authenticator is made, so a wrong entry raises then and not at a
login. If users come and go, make a new authenticator, or define your own :class:`.Authenticator`
that returns :class:`.ScramKeys`.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

from attrs import field, frozen

from ..errors import GrammarError
from ..grammar.secret import Secret
from ..grammar.xtext import decode_base64, encode_base64
from ..limits import SCRAM_USUAL
from .authenticator import Authenticator
from .prepare import prepared, prepared_text
from .scram_keys import HASHES, ScramKeys

_log = logging.getLogger("smtpproto.server")

T = TypeVar("T")
V = TypeVar("V")

_COSTS = 14, 8, 5  # ln, r, p: one of those that OWASP asks for, and the one for the least memory
_KIND = "SHA-256", SCRAM_USUAL
_SIZE = 32  # octets of a hash
_MEMORY = 256 * 1024 * 1024  # octets that one login may take: what OWASP asks for is half of it
_SCRYPT = re.compile(
    r"\$scrypt\$ln=([1-9][0-9]?),r=([1-9][0-9]?),p=([1-9][0-9]?)"
    r"\$([A-Za-z0-9+/]{22,86})\$([A-Za-z0-9+/]{43})"
)


def hash_password(
    password: Secret | str,
    *,
    salt: bytes,
    ln: int = _COSTS[0],
    r: int = _COSTS[1],
    p: int = _COSTS[2],
) -> str:
    """What to keep of *password*, for :class:`HashedPasswords`: ``$scrypt$ln=..,r=..,p=..$..$..``.

    *salt* is random, and another for each user: 16 to 64 octets of ``secrets.token_bytes``. scrypt
    (RFC 7914) takes ``128 * r * 2**ln`` octets of memory, *p* times: by default 16 MiB and some
    tenths of a second. Raises GrammarError for other salts, for costs that are out of bounds, and
    for a password that SASLprep prohibits or leaves nothing of.
    """
    text = prepared(password.reveal()) if isinstance(password, Secret) else prepared_text(password)
    made = _Hash(ln, r, p, salt, bytes(_SIZE))
    return str(_Hash(ln, r, p, salt, made.of(text.encode())))


@frozen(repr=False)
class _Hash:
    """A hash by scrypt. Raises GrammarError for costs or a salt that are out of bounds."""

    ln: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    def __attrs_post_init__(self) -> None:
        if not (10 <= self.ln <= 20 and 1 <= self.r <= 32 and 1 <= self.p <= 16):
            raise GrammarError("costs of scrypt that are out of bounds")
        if 128 * self.r << self.ln > _MEMORY:
            raise GrammarError("scrypt that takes too much memory")
        if not 16 <= len(self.salt) <= 64:
            raise GrammarError("a salt that has not 16 to 64 octets")

    @classmethod
    def parse(cls, text: str) -> _Hash:
        """Read what ``str`` gives. Raises GrammarError, which does not show it."""
        match = _SCRYPT.fullmatch(text)
        if match is None:
            raise GrammarError("not a hash by scrypt as hash_password makes it")
        ln, r, p = (int(number) for number in match.groups()[:3])
        salt, digest = (_unpadded(part) for part in match.groups()[3:])
        return cls(ln, r, p, salt, digest)

    def of(self, password: bytes) -> bytes:
        """The hash of *password* by these costs."""
        block = 128 * self.r
        return hashlib.scrypt(
            password,
            salt=self.salt,
            n=1 << self.ln,
            r=self.r,
            p=self.p,
            maxmem=block * ((1 << self.ln) + self.p + 2),
            dklen=_SIZE,
        )

    def matches(self, password: bytes) -> bool:
        """Whether it was made of *password*."""
        return hmac.compare_digest(self.of(password), self.digest)

    def __str__(self) -> str:
        salt, digest = (
            encode_base64(part).decode().rstrip("=") for part in (self.salt, self.digest)
        )
        return f"$scrypt$ln={self.ln},r={self.r},p={self.p}${salt}${digest}"


def _unpadded(base64: str) -> bytes:
    return decode_base64((base64 + "=" * (-len(base64) % 4)).encode())


def _read(users: Mapping[str, V], read: Callable[[V], T]) -> dict[str, T]:
    """Prepared names, and what *read* gives. Raises GrammarError with the name of the user, and
    never with what is kept of the password."""
    known: dict[str, T] = {}
    for name, value in users.items():
        try:
            prepared_name, kept = prepared_text(name), read(value)
        except GrammarError as error:
            raise GrammarError(f"user {name!r}: {error.message}") from None
        if prepared_name in known:
            raise GrammarError(f"user {name!r} is there twice, once prepared (RFC 4013)")
        known[prepared_name] = kept
    return known


def _commonest(values: Iterable[T], default: T) -> T:
    return next((value for value, _ in Counter(values).most_common(1)), default)


def _hashes(users: Mapping[str, str]) -> dict[str, _Hash]:
    return _read(users, _Hash.parse)


@frozen(eq=False, repr=False)
class HashedPasswords(Authenticator):
    """Users and the hashes of their passwords, by :func:`hash_password`: for PLAIN and LOGIN.

    Raises GrammarError, with the user's name, for a hash that cannot be read. For a user who does
    not exist a hash is computed too, with the costs that most users have.
    """

    _users: Mapping[str, _Hash] = field(converter=_hashes)
    _nobody: _Hash = field(init=False)

    @_nobody.default
    def _costs_like_most(self) -> _Hash:
        costs = ((known.ln, known.r, known.p) for known in self._users.values())
        return _Hash(*_commonest(costs, _COSTS), salt=bytes(16), digest=bytes(_SIZE))

    def check_password(self, username: str, password: Secret) -> bool:
        known = self._users.get(username)
        return (known or self._nobody).matches(password.reveal()) and known is not None

    def __repr__(self) -> str:
        return f"HashedPasswords({len(self._users)} users)"


Stored = str | ScramKeys


def _keys(users: Mapping[str, Stored | Iterable[Stored]]) -> dict[str, dict[str, ScramKeys]]:
    return _read(users, _by_hash)


def _by_hash(value: Stored | Iterable[Stored]) -> dict[str, ScramKeys]:
    several = [value] if isinstance(value, str | ScramKeys) else value
    read = [keys if isinstance(keys, ScramKeys) else ScramKeys.parse(keys) for keys in several]
    keys_of = {keys.hash_name: keys for keys in read}
    if not read or len(keys_of) != len(read):
        raise GrammarError("no keys, or two for the same hash")
    return keys_of


@frozen(eq=False, repr=False)
class StoredKeys(Authenticator):
    """Users and their keys, :class:`.ScramKeys` or the text of these (RFC 5803), for one hash or
    for both: for SCRAM, and for PLAIN and LOGIN too.

    Raises GrammarError, with the user's name, for keys that cannot be read. A hash is offered if
    every user has keys for it.
    """

    _users: Mapping[str, Mapping[str, ScramKeys]] = field(converter=_keys)
    scram_hashes: Collection[str] = field(init=False)
    _nobody: ScramKeys = field(init=False)
    _shapes: Mapping[str, tuple[int, int]] = field(init=False)

    @scram_hashes.default
    def _hashes_of_all(self) -> tuple[str, ...]:
        names = tuple(name for name in HASHES if all(name in keys for keys in self._users.values()))
        if not names:
            _log.warning("no SCRAM will be offered: not all users have keys for the same hash")
        return names

    @_nobody.default
    def _iterations_like_most(self) -> ScramKeys:
        kinds = (_strongest(keys) for keys in self._users.values())
        kind = _commonest(((keys.hash_name, keys.iterations) for keys in kinds), _KIND)
        return ScramKeys.of_salted(b"", bytes(16), kind[1], kind[0])

    @_shapes.default
    def _shapes_like_most(self) -> dict[str, tuple[int, int]]:
        return {name: self._shape(name) for name in HASHES}

    def _shape(self, hash_name: str) -> tuple[int, int]:
        found = (keys[hash_name] for keys in self._users.values() if hash_name in keys)
        shapes = ((keys.iterations, len(keys.salt)) for keys in found)
        return _commonest(shapes, Authenticator.decoy_shape(self, hash_name))

    def scram_keys(self, username: str, hash_name: str) -> ScramKeys | None:
        return self._users.get(username, {}).get(hash_name)

    def decoy_shape(self, hash_name: str) -> tuple[int, int]:
        return self._shapes[hash_name]

    def check_password(self, username: str, password: Secret) -> bool:
        keys = self._users.get(username)
        kept = self._nobody if keys is None else _strongest(keys)
        return kept.matches(password) and keys is not None

    def __repr__(self) -> str:
        return f"StoredKeys({len(self._users)} users)"


def _strongest(keys: Mapping[str, ScramKeys]) -> ScramKeys:
    return next(keys[name] for name in HASHES if name in keys)
