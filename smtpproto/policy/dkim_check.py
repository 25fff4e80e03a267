"""What the verification of a DKIM signature ends with, and what it accepts."""

from __future__ import annotations

import enum

from attrs import field, frozen
from attrs.validators import ge

from ..option_types import checked
from .dkim_key import DKIMKey
from .dkim_signature import DKIMSignature

__all__ = ["DKIMCheck", "DKIMLimits", "DKIMResult"]


class DKIMResult(enum.Enum):
    """How the verification of a signature ended, in the words of RFC 8601 2.7.1."""

    PASS = "pass"
    NONE = "none"
    """The message has no signature."""
    FAIL = "fail"
    """The message is not what was signed."""
    POLICY = "policy"
    """The signature is not acceptable: expired, too weak, over a part of the body only."""
    NEUTRAL = "neutral"
    """The signature is malformed, or of a kind that is not known."""
    TEMPERROR = "temperror"
    """The DNS did not answer. A later attempt may end otherwise."""
    PERMERROR = "permerror"
    """The signature cannot be verified, for example because there is no key."""


@frozen(kw_only=True)
class DKIMCheck:
    """The result for one signature."""

    result: DKIMResult
    reason: str
    """Why, in words for people; printable."""
    signature: DKIMSignature | None = None
    """What the signature says; None if it is malformed."""
    key: DKIMKey | None = None
    """The key record, if one was found."""
    bits: int = 0
    """The size of the key."""
    expired: bool = False
    """Whether the signature has expired (``x=``)."""
    signed: tuple[str, ...] = ()
    """The names of the header fields of the message that are signed, in lower case, each as often
    as it is."""
    unsigned_copies: tuple[str, ...] = ()
    """The names of signed fields of which the message has another one, which is not signed, but may
    be the one that a reader sees (RFC 6376 8.15)."""
    body_octets: int = 0
    """The size of the canonical body."""

    @property
    def passed(self) -> bool:
        """Whether :attr:`domain` takes responsibility for the message."""
        return self.result is DKIMResult.PASS

    @property
    def domain(self) -> str:
        """``d=``, in lower case and A-labels; "" if the signature is malformed."""
        return self.signature.domain_name if self.signature else ""

    @property
    def testing(self) -> bool:
        """Whether the domain only tests DKIM (``t=y`` in the key record)."""
        return self.key is not None and self.key.testing

    @property
    def signed_octets(self) -> int:
        """How many octets of the canonical body are signed; fewer than :attr:`body_octets` if
        ``l=`` says so."""
        limit = self.signature.body_octets if self.signature else None
        return self.body_octets if limit is None else min(limit, self.body_octets)


@checked
@frozen(kw_only=True)
class DKIMLimits:
    """What a verifier does at most, and what it accepts."""

    signatures: int = field(default=10, validator=ge(1))
    """The signatures of a message that are verified, the upper ones."""
    least_bits: int = field(default=1024, validator=ge(1024))
    """The smallest RSA key that is accepted (RFC 8301 3.2)."""
    most_bits: int = field(default=8192, validator=ge(4096))
    """The largest RSA key that is accepted (RFC 8301 3.2); larger ones take long to verify."""
    clock_skew: float = field(default=300.0, validator=ge(0))
    """The seconds by which the clock of a signer may be slow, when a signature expires."""
    partial_body: bool = False
    """Whether a signature may cover only the first part of the body (``l=``). Anybody can add what
    follows (RFC 6376 8.2)."""
    unsigned_copies: bool = True
    """Whether a signature is accepted although the message has a second Subject, To or other such
    field, which is not signed. A second From field never is."""
    testing_keys: bool = True
    """Whether keys in testing mode (``t=y``) are accepted, as large receivers do. False: their
    signatures count as none (RFC 6376 3.6.1)."""
