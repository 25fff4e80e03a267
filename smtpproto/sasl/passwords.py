"""Ready-made authenticators for users in a mapping.

Only :class:`PlainPasswords`, which is for tests, holds the passwords themselves.

The mapping is read once, when the authenticator is made, so that an invalid entry raises then and
not at a login. If your users change, make a new authenticator, or derive one of your own from
:class:`.Authenticator`.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

from attrs import Factory, field, frozen

from ..errors import GrammarError
from ..grammar.pattern import pattern
from ..grammar.secret import Secret, keeps_secret, keeps_secret_arguments
from ..grammar.xtext import decode_base64, encode_base64
from ..limits import SCRAM_DEFAULT_ITERATIONS
from ..option_types import checked, require_type
from .authenticator import Authenticator
from .prepare import prepared, prepared_secret
from .scram_keys import HASHES, ScramKeys

_log = logging.getLogger("smtpproto.server")

T = TypeVar("T")
V = TypeVar("V")

_DEFAULT_COSTS = 14, 8, 5  # ln, r, p: OWASP's recommendation with the least memory
_DEFAULT_ITERATIONS = "SHA-256", SCRAM_DEFAULT_ITERATIONS
_DIGEST_SIZE = 32  # octets
_MAX_MEMORY = 256 * 1024 * 1024  # octets for one login: twice the most that OWASP recommends
_SCRYPT = pattern(
    r"\$scrypt\$ln=([1-9][0-9]?),r=([1-9][0-9]?),p=([1-9][0-9]?)"
    r"\$([A-Za-z0-9+/]{22,86})\$([A-Za-z0-9+/]{43})"
)


@keeps_secret
def hash_password(
    password: Secret | str,
    *,
    salt: bytes,
    ln: int = _DEFAULT_COSTS[0],
    r: int = _DEFAULT_COSTS[1],
    p: int = _DEFAULT_COSTS[2],
) -> str:
    """Return a hash to store for :class:`HashedPasswords`: ``$scrypt$ln=..,r=..,p=..$..$..``.

    *salt* is 16 to 64 random octets, different for each user, for example
    ``secrets.token_bytes(16)``. scrypt (RFC 7914) needs ``128 * r * 2**ln`` octets of memory, and
    runs *p* times: by default 16 MiB and some tenths of a second. Raises GrammarError for any other
    salt, for costs that are out of bounds, and for a password that SASLprep prohibits or empties.
    """
    require_type("salt", salt, bytes, "bytes, for example secrets.token_bytes(16)")
    octets = prepared_secret(password).reveal()
    costs = _ScryptHash(ln, r, p, salt, bytes(_DIGEST_SIZE))
    return str(_ScryptHash(ln, r, p, salt, costs.compute(octets)))


@frozen(repr=False)
class _ScryptHash:
    """A hash by scrypt, with its costs. Raises GrammarError for a cost or salt out of bounds."""

    ln: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    def __attrs_post_init__(self) -> None:
        if not (10 <= self.ln <= 20 and 1 <= self.r <= 32 and 1 <= self.p <= 16):
            raise GrammarError(
                f"scrypt costs out of bounds: ln={self.ln}, r={self.r}, p={self.p}; "
                "ln must be 10 to 20, r 1 to 32, p 1 to 16"
            )
        if 128 * self.r << self.ln > _MAX_MEMORY:
            raise GrammarError(
                f"scrypt with ln={self.ln}, r={self.r} needs too much memory; 256 MiB are allowed"
            )
        if not 16 <= len(self.salt) <= 64:
            raise GrammarError(f"a salt of {len(self.salt)} octets; it must have 16 to 64")

    @classmethod
    def parse(cls, text: str) -> _ScryptHash:
        """Read what ``str`` returned. Raises GrammarError, which does not show *text*."""
        match = _SCRYPT.fullmatch(text)
        if match is None:
            raise GrammarError("not a scrypt hash as hash_password makes it")
        ln, r, p = (int(number) for number in match.groups()[:3])
        salt, digest = (_unpadded(part) for part in match.groups()[3:])
        return cls(ln, r, p, salt, digest)

    def compute(self, password: bytes) -> bytes:
        """Return the hash of *password* with these costs."""
        block = 128 * self.r
        return hashlib.scrypt(
            password,
            salt=self.salt,
            n=1 << self.ln,
            r=self.r,
            p=self.p,
            maxmem=block * ((1 << self.ln) + self.p + 2),
            dklen=_DIGEST_SIZE,
        )

    @keeps_secret
    def matches(self, password: bytes) -> bool:
        """Return whether it is the hash of *password*."""
        return hmac.compare_digest(self.compute(password), self.digest)

    def __str__(self) -> str:
        salt, digest = (
            encode_base64(part).decode().rstrip("=") for part in (self.salt, self.digest)
        )
        return f"$scrypt$ln={self.ln},r={self.r},p={self.p}${salt}${digest}"


def _unpadded(base64: str) -> bytes:
    return decode_base64((base64 + "=" * (-len(base64) % 4)).encode())


class _Users(Authenticator):
    """An authenticator with a mapping of users. Its ``repr`` shows only how many there are."""

    _users: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._users)} users)"


def _read_users(users: Mapping[str, V], read: Callable[[V], T]) -> dict[str, T]:
    """Return prepared names, each with what *read* returns for its value.

    Raises GrammarError that shows the name of the user, and never the value.
    """
    require_type("users", users, Mapping, "a mapping of user names")
    known: dict[str, T] = {}
    for name, value in users.items():
        require_type("the name of a user", name, str, "a str")
        try:
            prepared_name, stored = prepared(name), read(value)
        except GrammarError as error:
            raise GrammarError(f"user {name!r}: {error.message}") from None
        if prepared_name in known:
            raise GrammarError(f"user {name!r} occurs twice after SASLprep (RFC 4013)")
        known[prepared_name] = stored
    return known


def _most_common(values: Iterable[T], default: T) -> T:
    return next((value for value, _ in Counter(values).most_common(1)), default)


def _read_hashes(users: Mapping[str, str]) -> dict[str, _ScryptHash]:
    return _read_users(users, _ScryptHash.parse)


@keeps_secret_arguments
@checked
@frozen(eq=False, repr=False)
class HashedPasswords(_Users):
    """Users and the hashes of their passwords, made by :func:`hash_password`: for PLAIN and LOGIN.

    Raises GrammarError, with the user's name, for a hash that cannot be read. For a user who does
    not exist a hash is computed as well, with the costs that most users have, so that the time does
    not reveal which users exist.
    """

    _users: Mapping[str, _ScryptHash] = field(converter=_read_hashes)
    _decoy: _ScryptHash = field(
        init=False, default=Factory(lambda self: self._decoy_hash(), takes_self=True)
    )

    def _decoy_hash(self) -> _ScryptHash:
        """Return a hash with the costs that most users have."""
        costs = ((stored.ln, stored.r, stored.p) for stored in self._users.values())
        return _ScryptHash(
            *_most_common(costs, _DEFAULT_COSTS), salt=bytes(16), digest=bytes(_DIGEST_SIZE)
        )

    def check_password(self, username: str, password: Secret) -> bool:
        """Return whether *password* matches the hash of *username*."""
        stored = self._users.get(username)
        return (stored or self._decoy).matches(password.reveal()) and stored is not None


def _read_passwords(users: Mapping[str, Secret | str]) -> dict[str, Secret]:
    return _read_users(users, _prepared_secret)


def _prepared_secret(password: Secret | str) -> Secret:
    require_type("a password", password, Secret | str, 'a str, as in {"ann": "secret"}')
    return prepared_secret(password)


@keeps_secret_arguments
@checked
@frozen(eq=False, repr=False)
class PlainPasswords(_Users):
    """Users and their passwords: ``PlainPasswords({"ann": "secret"})``, for PLAIN, LOGIN and
    CRAM-MD5.

    This is for tests and demonstrations, because it keeps the passwords as they are. Use
    :class:`HashedPasswords` or :class:`StoredKeys` for real users. Raises GrammarError, with the
    user's name, for a password that SASLprep prohibits or empties (RFC 4013), and TypeError for a
    value that is not a password.
    """

    _users: Mapping[str, Secret] = field(converter=_read_passwords)

    def check_password(self, username: str, password: Secret) -> bool:
        """Return whether *password* is the password of *username*. Compares in constant time."""
        return self._users.get(username, Secret("")) == password and username in self._users

    def shared_secret(self, username: str) -> Secret | None:
        """Return the password of *username*, or None."""
        return self._users.get(username)


KeysOrText = str | ScramKeys


def _read_keys(
    users: Mapping[str, KeysOrText | Iterable[KeysOrText]],
) -> dict[str, dict[str, ScramKeys]]:
    return _read_users(users, _keys_by_hash)


def _keys_by_hash(value: KeysOrText | Iterable[KeysOrText]) -> dict[str, ScramKeys]:
    values = [value] if isinstance(value, str | ScramKeys) else value
    read = [keys if isinstance(keys, ScramKeys) else ScramKeys.parse(keys) for keys in values]
    by_hash = {keys.hash_name: keys for keys in read}
    if not read or len(by_hash) != len(read):
        raise GrammarError("no keys, or two for the same hash")
    return by_hash


@keeps_secret_arguments
@checked
@frozen(eq=False, repr=False)
class StoredKeys(_Users):
    """Users and their SCRAM keys: for SCRAM, and for PLAIN and LOGIN too.

    A user's value is :class:`.ScramKeys` or their text (RFC 5803), or several of these, one for
    each hash. Raises GrammarError, with the user's name, for keys that cannot be read. SCRAM is
    offered for the hashes for which all users have keys.
    """

    _users: Mapping[str, Mapping[str, ScramKeys]] = field(converter=_read_keys)
    scram_hashes: Collection[str] = field(
        init=False, default=Factory(lambda self: self._common_hashes(), takes_self=True)
    )
    _decoy: ScramKeys = field(
        init=False, default=Factory(lambda self: self._decoy_keys(), takes_self=True)
    )
    _shapes: Mapping[str, tuple[int, int]] = field(
        init=False, default=Factory(lambda self: self._decoy_shapes(), takes_self=True)
    )

    def _common_hashes(self) -> tuple[str, ...]:
        """Return the hashes for which all users have keys; log a warning if there is none."""
        names = tuple(name for name in HASHES if all(name in keys for keys in self._users.values()))
        if not names:
            _log.warning("no SCRAM mechanism is offered: no hash has keys for every user")
        return names

    def _decoy_keys(self) -> ScramKeys:
        """Return keys that cost as much as those of most users."""
        strongest = [_strongest(keys) for keys in self._users.values()]
        used = ((keys.hash_name, keys.iterations) for keys in strongest)
        hash_name, iterations = _most_common(used, _DEFAULT_ITERATIONS)
        return ScramKeys.of_salted(b"", bytes(16), iterations, hash_name)

    def _decoy_shapes(self) -> dict[str, tuple[int, int]]:
        """Return for each hash the iterations and the salt's octets that most users have."""
        shapes = {}
        for name in HASHES:
            found = (keys[name] for keys in self._users.values() if name in keys)
            used = ((keys.iterations, len(keys.salt)) for keys in found)
            shapes[name] = _most_common(used, Authenticator.decoy_shape(self, name))
        return shapes

    def scram_keys(self, username: str, hash_name: str) -> ScramKeys | None:
        """Return the keys of *username* for *hash_name*, or None."""
        return self._users.get(username, {}).get(hash_name)

    def decoy_shape(self, hash_name: str) -> tuple[int, int]:
        """Return the iterations and the salt's octets that most users have."""
        return self._shapes[hash_name]

    def check_password(self, username: str, password: Secret) -> bool:
        """Return whether *password* matches the strongest keys of *username*."""
        keys = self._users.get(username)
        stored = self._decoy if keys is None else _strongest(keys)
        return stored.matches(password) and keys is not None


def _strongest(keys: Mapping[str, ScramKeys]) -> ScramKeys:
    return next(keys[name] for name in HASHES if name in keys)
