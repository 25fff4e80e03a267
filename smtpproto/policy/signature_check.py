"""The check of one signature over header fields and a body (RFC 6376 6.1)."""

from __future__ import annotations

from collections.abc import Callable

from ..grammar.reply import GrammarError
from ..option_types import maker
from .canonical import BodyHash, Canonicalization
from .dkim_check import DKIMCheck, DKIMLimits, DKIMResult
from .dkim_key import DKIMKey
from .dkim_signature import DKIMSignature, is_within, signed_octets
from .header_section import HeaderSection
from .key_lookup import KeyLookup, Refused, algorithm_of

_make_check = maker(
    DKIMCheck,
    *("result", "reason", "signature", "key", "bits", "expired", "signed", "unsigned_copies"),
    "body_octets",
)


class BodyHashes:
    """The hashes of one body that its signatures need: one for each form, whatever their ``l=``."""

    def __init__(self) -> None:
        self._hashes: dict[Canonicalization, BodyHash] = {}

    def require(self, signature: DKIMSignature) -> BodyHash:
        """Return the hash that *signature* needs. Call it before the body is fed."""
        form, limit = signature.body_form, signature.body_octets
        found = self._hashes.get(form) or self._hashes.setdefault(form, BodyHash(form))
        if limit is not None:
            found.limit(limit)
        return found

    def feed(self, data: bytes) -> None:
        """Take the next slice of the body."""
        for it in self._hashes.values():
            it.feed(data)

    def finish(self) -> None:
        """The body has ended."""
        for it in self._hashes.values():
            it.finish()


class SignatureCheck:
    """Begun when the header section was read, ended when the body was."""

    def __init__(
        self,
        field: bytes,
        parse: Callable[[bytes], DKIMSignature],
        header: HeaderSection,
        bodies: BodyHashes,
        limits: DKIMLimits,
    ) -> None:
        self._field = field
        self._header = header
        self._body: BodyHash | None = None
        self._limits = limits
        self._refused: Refused | None = None
        self._signature: DKIMSignature | None = None
        self._key: DKIMKey | None = None
        self._bits = 0
        self._names: list[bytes] = []
        self._signed: list[tuple[bytes, bytes]] = []
        try:
            self._signature = signature = parse(field.partition(b":")[2])
            self._names = signature.header_names
            self._signed = header.select(self._names)
            self._require_sound(signature)
            self._body = bodies.require(signature)
        except GrammarError as error:
            self._refused = Refused(DKIMResult.NEUTRAL, error.message)
        except Refused as refused:
            self._refused = refused

    async def result(self, lookup: KeyLookup, now: float) -> DKIMCheck:
        """Verify the signature. The body was read, and its hashes are finished."""
        result, reason = DKIMResult.PASS, "the signature is right"
        try:
            if self._refused is not None:
                raise self._refused
            if self._signature is not None and self._body is not None:
                await self._require_signed(self._signature, self._body, lookup)
                self._require_acceptable(self._signature, self._body, now)
        except Refused as refused:
            result, reason = refused.result, refused.reason
        return self._made(result, reason, now)

    def _made(self, result: DKIMResult, reason: str, now: float) -> DKIMCheck:
        signature = self._signature
        if signature is None:
            return DKIMCheck(result=result, reason=reason)
        return _make_check(
            result,
            reason,
            signature,
            self._key,
            self._bits,
            self._has_expired(signature, now),
            tuple([name.decode() for name, _ in self._signed]),
            self._unsigned_copies(),
            self._body.octets if self._body else 0,
        )

    def _require_sound(self, signature: DKIMSignature) -> None:
        """Raise Refused if the header section alone shows that *signature* cannot pass."""
        header = self._header
        algorithm_of(signature)
        if header.fault:
            raise Refused(DKIMResult.PERMERROR, header.fault)
        if (number := len(header.named(b"from"))) != 1:
            raise Refused(DKIMResult.PERMERROR, f"the message has {number} From fields, not one")
        if b"from" not in self._names:
            raise Refused(DKIMResult.PERMERROR, "the From field is not signed")
        if signature.identity and not is_within(signature.identity_domain, signature.domain_name):
            raise Refused(DKIMResult.PERMERROR, "the domain of i= is not within that of d=")

    async def _require_signed(
        self, signature: DKIMSignature, body: BodyHash, lookup: KeyLookup
    ) -> None:
        """Raise Refused unless the message is what was signed."""
        if body.digest(signature.body_octets) != signature.body_hash:
            raise Refused(DKIMResult.FAIL, "the body was changed after it was signed")
        if (signature.body_octets or 0) > body.octets:
            reason = f"the body has {body.octets} octets, fewer than l= says"
            raise Refused(DKIMResult.PERMERROR, reason)
        self._key = key = await lookup.record(signature)
        public_key = lookup.public_key(signature, key)
        self._bits = public_key.bits
        form, known = signature.header_form, self._header.relaxed
        signed = signed_octets([field for _, field in self._signed], self._field, form, known)
        if not public_key.verify(signed, signature.signature):
            reason = "a signed header field was changed, or the key is not the one that signed"
            raise Refused(DKIMResult.FAIL, reason)

    def _require_acceptable(self, signature: DKIMSignature, body: BodyHash, now: float) -> None:
        """Raise Refused for a signature that is right, but not one to rely on."""
        limits, octets = self._limits, body.octets
        signed = octets if signature.body_octets is None else signature.body_octets
        if self._has_expired(signature, now):
            raise Refused(DKIMResult.POLICY, "the signature has expired")
        if signed < octets and not limits.partial_body:
            reason = f"only {signed} of the {octets} octets of the body are signed (l=)"
            raise Refused(DKIMResult.POLICY, reason)
        if not limits.unsigned_copies and (copies := self._unsigned_copies()):
            reason = f"there is a second field that is not signed: {', '.join(copies)}"
            raise Refused(DKIMResult.POLICY, reason)
        if not limits.testing_keys and self._key is not None and self._key.testing:
            raise Refused(DKIMResult.NONE, "the domain only tests DKIM (t=y)")

    def _has_expired(self, signature: DKIMSignature, now: float) -> bool:
        return signature.expires is not None and now > signature.expires + self._limits.clock_skew

    def _unsigned_copies(self) -> tuple[str, ...]:
        return tuple([name.decode() for name in self._header.copies(self._names)])
