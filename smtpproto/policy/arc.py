"""Verifying ARC, the Authenticated Received Chain (RFC 8617): what each host that passed a message
on found out about it, sealed by the host.

::

    verifier = ARCVerifier()
    for data in slices:
        verifier.feed(data)
    check = await verifier.check(resolver, keys, now=time.time())

A chain proves only who says what; whether to believe these hosts is for the receiver to decide.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from typing import Final

from attrs import define, frozen

from ..dns import Resolver
from ..grammar.pattern import pattern
from ..grammar.printable import printable
from ..grammar.reply import GrammarError
from .canonical import Canonicalization, canonical_fields
from .dkim_check import DKIMLimits, DKIMResult
from .dkim_signature import (
    DKIMSignature,
    make_signature,
    require_tags,
    seal_values,
    signature_values,
    signed_octets,
)
from .header_section import HeaderReader, HeaderSection
from .key_lookup import KeyLookup, Refused
from .keys import Keys
from .signature_check import BodyHashes, SignatureCheck
from .tag_list import parse_tag_list

__all__ = ["ARCCheck", "ARCResult", "ARCSet", "ARCVerifier"]

MAX_SETS = 50  # RFC 8617 4.2.1
_INSTANCE = pattern(r"0*([1-9][0-9]?)")
_RESULTS_INSTANCE = pattern(rb"[ \t\r\n]*i[ \t\r\n]*=[ \t\r\n]*([0-9]{1,4})[ \t\r\n]*;")
_SEALS, _SIGNATURES = b"arc-seal", b"arc-message-signature"
_RESULTS = b"arc-authentication-results"
_FORM: Final = Canonicalization.RELAXED  # of what is sealed
_DEFAULT = DKIMLimits()


class ARCResult(enum.Enum):
    """The state of a chain (RFC 8617 4.4)."""

    NONE = "none"
    """The message has no chain."""
    PASS = "pass"
    FAIL = "fail"


@frozen(kw_only=True)
class ARCSet:
    """What one host added to the chain."""

    instance: int
    """The number in the chain; the first host has 1."""
    domain: str
    """``d=`` of the seal, in lower case and A-labels."""
    selector: str
    """``s=`` of the seal."""
    chain: str
    """``cv=``: how the host found the chain before it: ``none``, ``pass`` or ``fail``."""
    authentication_results: bytes
    """What the host found out about the message: the value of ARC-Authentication-Results after the
    instance, as it was written."""


@frozen(kw_only=True)
class ARCCheck:
    """The result for the chain of a message."""

    result: ARCResult
    reason: str
    """Why, in words for people; printable."""
    sets: tuple[ARCSet, ...] = ()
    """From the first host to the last; () if they are malformed."""
    temporary: bool = False
    """Whether the DNS did not answer, so that a later attempt may end otherwise."""

    def trusted_set(self, sealers: Collection[str]) -> ARCSet | None:
        """Return the oldest set after which all hosts are among *sealers*; None if the chain does
        not pass, or if the last host is not among them. *sealers* are domains in A-labels and
        lower case.

        What is older proves nothing: a host that is not trusted can put an old chain above another
        message.
        """
        found = None
        for it in reversed(self.sets if self.result is ARCResult.PASS else ()):
            if it.domain not in sealers:
                break
            found = it
        return found


@define(eq=False)
class _Set:
    results: bytes
    message: bytes
    seal: bytes
    signature: DKIMSignature
    """What the seal says."""
    value: ARCSet


class ARCVerifier:
    """Verifies the chain of one message, whose octets come in slices, as :class:`.DKIMVerifier`
    does."""

    def __init__(self, limits: DKIMLimits = _DEFAULT) -> None:
        self._limits = limits
        self._reader = HeaderReader()
        self._bodies = BodyHashes()
        self._begun = False
        self._reason = ""
        self._sets: list[_Set] = []
        self._message: SignatureCheck | None = None  # of the last host

    def feed(self, data: bytes) -> None:
        """Take the next slice. Raises GrammarError if the header section is longer than 1 MiB."""
        data = self._reader.feed(data)
        if self._reader.ended:
            self._begin()
            self._bodies.feed(data)

    async def check(self, resolver: Resolver, keys: Keys, *, now: float) -> ARCCheck:
        """Return the result for the chain of the message, whose octets were all fed.

        *now* is the time in seconds since the epoch. Each key is asked for once. Raises nothing but
        what *resolver* raises.
        """
        self._reader.finish()
        self._begin()
        self._bodies.finish()
        sets = tuple(it.value for it in self._sets)
        if self._reason:
            return ARCCheck(result=ARCResult.FAIL, reason=self._reason, sets=sets)
        if not sets:
            return ARCCheck(result=ARCResult.NONE, reason="there is no chain")
        lookup = KeyLookup(resolver, keys, self._limits)
        try:
            await self._verify(lookup, now)
        except Refused as refused:
            temporary = refused.result is DKIMResult.TEMPERROR
            return ARCCheck(
                result=ARCResult.FAIL, reason=refused.reason, sets=sets, temporary=temporary
            )
        return ARCCheck(result=ARCResult.PASS, reason="the chain is right", sets=sets)

    def _begin(self) -> None:
        """Read the header section, and choose what of the body must be hashed."""
        if self._begun:
            return
        self._begun = True
        header = HeaderSection(self._reader.octets)
        try:
            self._sets = _read_sets(header)
        except GrammarError as error:
            self._reason = error.message
        if self._sets:
            last = self._sets[-1].message
            self._message = SignatureCheck(
                last, _parse_message_signature, header, self._bodies, self._limits
            )

    async def _verify(self, lookup: KeyLookup, now: float) -> None:
        """Raise Refused unless the chain is right (RFC 8617 5.2)."""
        for it in self._sets:
            expected = "none" if it.value.instance == 1 else "pass"
            if it.value.chain != expected:
                reason = f"set {it.value.instance} says cv={printable(it.value.chain[:20])}"
                raise Refused(DKIMResult.FAIL, reason)
        if self._message is not None:
            check = await self._message.result(lookup, now)
            if not check.passed:
                raise Refused(check.result, f"the last message signature: {check.reason}")
        sealed = [canonical_fields([it.results, it.message, it.seal], _FORM) for it in self._sets]
        for it in reversed(self._sets):
            sealed.pop()
            own = signed_octets([it.results, it.message], it.seal, _FORM)
            key = await lookup.record(it.signature)
            public_key = lookup.public_key(it.signature, key)
            if not public_key.verify(b"\r\n".join([*sealed, own]), it.signature.signature):
                reason = f"seal {it.value.instance} does not match what it seals"
                raise Refused(DKIMResult.FAIL, reason)


def _read_sets(header: HeaderSection) -> list[_Set]:
    """Return the sets of *header*, the first one first. Raises GrammarError."""
    seals, signatures = header.named(_SEALS), header.named(_SIGNATURES)
    results = header.named(_RESULTS)
    number = max(len(seals), len(signatures), len(results))
    if not number:
        return []
    if header.fault:
        raise GrammarError(header.fault)
    if number > MAX_SETS:
        raise GrammarError(f"a chain of more than {MAX_SETS} sets")
    by_results = {_results_instance(it): it for it in results}
    by_message = {_instance(_tags(it)): it for it in signatures}
    by_seal = {_instance(tags): (it, tags) for it, tags in ((it, _tags(it)) for it in seals)}
    expected = list(range(1, number + 1))
    for found in (by_results, by_message, by_seal):
        if sorted(found) != expected:
            raise GrammarError(f"a chain without each field once for each of 1 to {number}")
    return [_set(i, by_results[i], by_message[i], *by_seal[i]) for i in expected]


def set_fields(header: HeaderSection) -> list[bytes]:
    """Return the fields of all sets of *header*, in the order in which a seal signs them (RFC 8617
    5.1.1). Raises GrammarError."""
    return [field for it in _read_sets(header) for field in (it.results, it.message, it.seal)]


def _set(
    instance: int, results: bytes, message: bytes, seal: bytes, tags: Mapping[str, str]
) -> _Set:
    require_tags(tags, {"cv"})
    if "h" in tags or "bh" in tags:
        raise GrammarError(f"seal {instance} has h= or bh=, which only message signatures have")
    signature = make_signature(*seal_values(tags), "")
    found = _RESULTS_INSTANCE.match(_value(results))
    value = ARCSet(
        instance=instance,
        domain=signature.domain_name,
        selector=signature.selector,
        chain=tags["cv"],
        authentication_results=_value(results)[found.end() if found else 0 :],
    )
    return _Set(results, message, seal, signature, value)


def _parse_message_signature(value: bytes) -> DKIMSignature:
    """Read an ARC-Message-Signature: a DKIM-Signature without a version, whose ``i=`` is the
    instance (RFC 8617 4.1.2), and which is relaxed if it has no ``c=``. Raises GrammarError."""
    tags = {"c": "relaxed/relaxed"} | parse_tag_list(value, utf8=True)
    signature = make_signature(*signature_values(tags), "")
    if _SEALS in signature.header_names:
        raise GrammarError("a message signature must not sign ARC-Seal")
    return signature


def _value(field: bytes) -> bytes:
    return field.partition(b":")[2]


def _tags(field: bytes) -> dict[str, str]:
    return parse_tag_list(_value(field), utf8=True)


def _instance(tags: Mapping[str, str]) -> int:
    require_tags(tags, {"i"})
    return _number(tags["i"])


def _results_instance(field: bytes) -> int:
    found = _RESULTS_INSTANCE.match(_value(field))
    if found is None:
        raise GrammarError("an ARC-Authentication-Results field without its instance")
    return _number(found[1].decode())


def _number(text: str) -> int:
    found = _INSTANCE.fullmatch(text)
    if found is None or int(found[1]) > MAX_SETS:
        raise GrammarError(f"not the instance of a set, 1 to {MAX_SETS}: {text[:20]!r}")
    return int(found[1])
