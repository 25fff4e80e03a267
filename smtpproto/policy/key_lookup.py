"""The keys of signatures, found in the DNS (RFC 6376 6.1.2)."""

from __future__ import annotations

from functools import lru_cache

from attrs import define, field

from ..dns import Kind, Resolver, Status
from ..grammar.printable import printable
from ..grammar.reply import GrammarError
from ..option_types import require_method, require_resolver
from .dkim_check import DKIMLimits, DKIMResult
from .dkim_key import DKIMKey
from .dkim_signature import DKIMSignature
from .keys import Algorithm, Keys, PublicKey

_RECORDS = 5  # TXT records at one name that are read
_KEPT, _KEPT_OCTETS = 256, 4096  # records that were read, if they are not longer
_ALGORITHMS = {it.value: it for it in Algorithm}
_HISTORIC = {"rsa-sha1"}  # RFC 8301 3.1

_parse_key = lru_cache(_KEPT)(DKIMKey.parse)


class Refused(Exception):
    """Ends the verification of a signature with *result*."""

    def __init__(self, result: DKIMResult, reason: str) -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason


def algorithm_of(signature: DKIMSignature) -> Algorithm:
    """Return the algorithm of *signature*. Raises Refused if it may not be used."""
    if algorithm := _ALGORITHMS.get(signature.algorithm):
        return algorithm
    name = printable(signature.algorithm[:40])
    if signature.algorithm in _HISTORIC:
        raise Refused(DKIMResult.POLICY, f"{name} must not be used any more (RFC 8301)")
    raise Refused(DKIMResult.NEUTRAL, f"not a known algorithm: a={name}")


@define(eq=False)
class KeyLookup:
    """Finds the keys for the signatures of one message; asks for each name once."""

    _resolver: Resolver
    _keys: Keys
    _limits: DKIMLimits
    _found: dict[str, DKIMKey | Refused] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        require_resolver(self._resolver)
        require_method("keys", self._keys, "read", "CryptographyKeys()")

    async def record(self, signature: DKIMSignature) -> DKIMKey:
        """Return the key record that *signature* names. Raises Refused."""
        name = signature.key_name
        if name not in self._found:
            self._found[name] = await self._ask(name)
        found = self._found[name]
        if isinstance(found, Refused):
            raise found
        return found

    def public_key(self, signature: DKIMSignature, key: DKIMKey) -> PublicKey:
        """Return the public key of *key*. Raises Refused if it cannot be for *signature*."""
        algorithm = algorithm_of(signature)
        if reason := _unsuitable(signature, key, algorithm):
            raise Refused(DKIMResult.PERMERROR, reason)
        try:
            public_key = self._keys.read(algorithm, key.public_key)
        except GrammarError as error:
            raise Refused(DKIMResult.PERMERROR, error.message) from None
        least, most = self._limits.least_bits, self._limits.most_bits
        if algorithm is Algorithm.RSA_SHA256 and not least <= public_key.bits <= most:
            reason = f"an RSA key of {public_key.bits} bits, not {least} to {most}"
            raise Refused(DKIMResult.POLICY, reason)
        return public_key

    async def _ask(self, name: str) -> DKIMKey | Refused:
        answer = await self._resolver.lookup(name, Kind.TXT)
        if not answer.known:
            detail = f": {printable(answer.detail[:200])}" if answer.detail else ""
            reason = f"no answer of the DNS for the key at {name}: {answer.status.value}{detail}"
            return Refused(DKIMResult.TEMPERROR, reason)
        records = answer.octets
        if answer.status is not Status.FOUND or not records:
            reason = f"there is no key at {name}: {answer.status.value}"
            return Refused(DKIMResult.PERMERROR, reason)
        return _first_key(name, records[:_RECORDS])


def _first_key(name: str, records: tuple[bytes, ...]) -> DKIMKey | Refused:
    """Return the first of *records* that is a key, or why the first is none."""
    reason = ""
    for record in records:
        try:
            return (_parse_key if len(record) <= _KEPT_OCTETS else DKIMKey.parse)(record)
        except GrammarError as error:
            reason = reason or f"the record at {name} is not a key: {error.message}"
    return Refused(DKIMResult.PERMERROR, reason)


def _unsuitable(signature: DKIMSignature, key: DKIMKey, algorithm: Algorithm) -> str:
    """Return why *key* may not be used for *signature*, or ""."""
    if key.revoked:
        return "the key was revoked"
    if key.key_type != algorithm.key_type:
        return f"the key is not one for {algorithm.value}: k={printable(key.key_type[:40])}"
    if key.hashes and "sha256" not in key.hashes:
        return "the key may not be used with SHA-256"
    if not key.for_mail:
        return "the key may not be used for mail"
    if key.strict and signature.identity_domain != signature.domain_name:
        return "the domains of i= and d= differ, which the key does not allow (t=s)"
    return ""
