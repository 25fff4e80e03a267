"""The check of one signature over header fields and a body (RFC 6376 6.1)."""

from __future__ import annotations

from collections.abc import Callable

from ..grammar.reply import GrammarError
from .canonical import BodyHash, Canonicalization
from .dkim_check import DKIMCheck, DKIMLimits, DKIMResult
from .dkim_key import DKIMKey
from .dkim_signature import DKIMSignature, is_within, signed_octets
from .header_section import Field, HeaderSection
from .key_lookup import KeyLookup, Refused, algorithm_of

# Fields of which a message has at most one (RFC 5322 3.6, RFC 2045 3, RFC 8058 3).
_ONCE = frozenset(
    b"from sender reply-to to cc subject date message-id in-reply-to references mime-version "
    b"content-type content-transfer-encoding list-unsubscribe list-unsubscribe-post".split()
)
_BodyKind = tuple[Canonicalization, int | None]


class BodyHashes:
    """The hashes of one body that its signatures need, each made once."""

    def __init__(self) -> None:
        self._bodies: dict[_BodyKind, BodyHash] = {}
        self._digests: dict[_BodyKind, bytes] = {}

    def require(self, signature: DKIMSignature) -> None:
        """Make the hash that *signature* needs. Call it before the body is fed."""
        kind = signature.body_form, signature.body_octets
        if kind not in self._bodies:
            self._bodies[kind] = BodyHash(*kind)

    def feed(self, data: bytes) -> None:
        """Take the next slice of the body."""
        for body in self._bodies.values():
            body.feed(data)

    def finish(self) -> None:
        """The body has ended. This may be called twice."""
        if not self._digests:
            self._digests = {kind: body.finish() for kind, body in self._bodies.items()}

    def digest(self, signature: DKIMSignature) -> tuple[bytes, int]:
        """Return the hash for *signature*, and the size of the canonical body."""
        kind = signature.body_form, signature.body_octets
        return self._digests[kind], self._bodies[kind].octets


class SignatureCheck:
    """Begun when the header section was read, ended when the body was."""

    def __init__(
        self,
        field: Field,
        parse: Callable[[bytes], DKIMSignature],
        header: HeaderSection,
        bodies: BodyHashes,
        limits: DKIMLimits,
    ) -> None:
        self._field = field
        self._header = header
        self._bodies = bodies
        self._limits = limits
        self._refused: Refused | None = None
        self._signature: DKIMSignature | None = None
        self._key: DKIMKey | None = None
        self._bits = 0
        self._signed: list[Field] = []
        try:
            self._signature = signature = parse(field.value)
            self._signed = header.select(signature.header_names)
            self._require_sound(signature)
            bodies.require(signature)
        except GrammarError as error:
            self._refused = Refused(DKIMResult.NEUTRAL, error.message)
        except Refused as refused:
            self._refused = refused

    async def result(self, lookup: KeyLookup, now: float) -> DKIMCheck:
        """Verify the signature. The body was read, and its hashes are finished."""
        result, reason = DKIMResult.PASS, "the signature is right"
        try:
            if self._refused is not None or self._signature is None:
                raise self._refused or AssertionError
            await self._require_signed(self._signature, lookup)
            self._require_acceptable(self._signature, now)
        except Refused as refused:
            result, reason = refused.result, refused.reason
        return self._made(result, reason, now)

    def _made(self, result: DKIMResult, reason: str, now: float) -> DKIMCheck:
        signature = self._signature
        if signature is None:
            return DKIMCheck(result=result, reason=reason)
        octets = 0 if self._refused else self._bodies.digest(signature)[1]
        return DKIMCheck(
            result=result,
            reason=reason,
            signature=signature,
            key=self._key,
            bits=self._bits,
            expired=self._has_expired(signature, now),
            signed=tuple(it.name.decode() for it in self._signed),
            unsigned_copies=self._unsigned_copies(signature),
            body_octets=octets,
        )

    def _require_sound(self, signature: DKIMSignature) -> None:
        """Raise Refused if the header section alone shows that *signature* cannot pass."""
        header = self._header
        algorithm_of(signature)
        if header.fault:
            raise Refused(DKIMResult.PERMERROR, header.fault)
        if (number := len(header.named(b"from"))) != 1:
            raise Refused(DKIMResult.PERMERROR, f"the message has {number} From fields, not one")
        if b"from" not in signature.header_names:
            raise Refused(DKIMResult.PERMERROR, "the From field is not signed")
        if not is_within(signature.identity_domain, signature.domain_name):
            raise Refused(DKIMResult.PERMERROR, "the domain of i= is not within that of d=")

    async def _require_signed(self, signature: DKIMSignature, lookup: KeyLookup) -> None:
        """Raise Refused unless the message is what was signed."""
        digest, octets = self._bodies.digest(signature)
        if digest != signature.body_hash:
            raise Refused(DKIMResult.FAIL, "the body was changed after it was signed")
        if (signature.body_octets or 0) > octets:
            raise Refused(DKIMResult.PERMERROR, f"the body has {octets} octets, fewer than l= says")
        self._key = key = await lookup.record(signature)
        public_key = lookup.public_key(signature, key)
        self._bits = public_key.bits
        form = signature.header_form
        signed = signed_octets(self._signed, self._field.octets, form)
        if not public_key.verify(signed, signature.signature):
            reason = "a signed header field was changed, or the key is not the one that signed"
            raise Refused(DKIMResult.FAIL, reason)

    def _require_acceptable(self, signature: DKIMSignature, now: float) -> None:
        """Raise Refused for a signature that is right, but not one to rely on."""
        limits, octets = self._limits, self._bodies.digest(signature)[1]
        signed = octets if signature.body_octets is None else signature.body_octets
        if self._has_expired(signature, now):
            raise Refused(DKIMResult.POLICY, "the signature has expired")
        if signed < octets and not limits.partial_body:
            reason = f"only {signed} of the {octets} octets of the body are signed (l=)"
            raise Refused(DKIMResult.POLICY, reason)
        if not limits.unsigned_copies and (copies := self._unsigned_copies(signature)):
            reason = f"there is a second field that is not signed: {', '.join(copies)}"
            raise Refused(DKIMResult.POLICY, reason)
        if not limits.testing_keys and self._key is not None and self._key.testing:
            raise Refused(DKIMResult.NONE, "the domain only tests DKIM (t=y)")

    def _has_expired(self, signature: DKIMSignature, now: float) -> bool:
        return signature.expires is not None and now > signature.expires + self._limits.clock_skew

    def _unsigned_copies(self, signature: DKIMSignature) -> tuple[str, ...]:
        names = dict.fromkeys(signature.header_names)
        count = signature.header_names.count
        return tuple(
            name.decode()
            for name in names
            if name in _ONCE and len(self._header.named(name)) > count(name)
        )
