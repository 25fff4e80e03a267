"""Which TLS a message demands of a host, and why: the one place where policies meet."""

from __future__ import annotations

import enum
from typing import Any

from attrs import frozen

from .dane import DANEFinding, DANEStatus
from .mta_sts import MTASTSMode, MTASTSPolicy
from .mta_sts_cache import MTASTSFinding

__all__ = ["RULES", "TLSDemand", "TLSFacts", "TLSLevel", "TLSSource", "tls_demand"]


class TLSLevel(enum.Enum):
    """How much TLS there must be, the least first."""

    NONE = "none"
    """TLS is not used."""
    OPPORTUNISTIC = "opportunistic"
    """TLS if the host can do it; its certificate does not matter."""
    ENCRYPTED = "encrypted"
    """TLS; the certificate does not matter."""
    VERIFIED = "verified"
    """TLS, with a certificate that a trusted CA has issued for the host's name."""
    DANE = "dane"
    """TLS, with a certificate that fits a TLSA record."""
    REFUSED = "refused"
    """The host must not be used for this message now."""


class TLSSource(enum.Enum):
    """Who demands it."""

    ROUTE = "route"
    """The options of the route."""
    REQUIRETLS = "REQUIRETLS"
    """The sender of the message (RFC 8689 2)."""
    TLS_REQUIRED_NO = "TLS-Required: No"
    """The sender of the message, to whom delivery matters more (RFC 8689 3)."""
    DANE = "DANE"
    """The domain, by TLSA records (RFC 7672)."""
    MTA_STS = "MTA-STS"
    """The domain, by its policy (RFC 8461)."""


_NO_DANE = DANEFinding(status=DANEStatus.NONE, reason="DANE is not used")


@frozen(kw_only=True)
class TLSFacts:
    """All that the decision depends on."""

    host: str
    """A name from the MX records, in A-labels."""
    route: TLSLevel | None = None
    """What the options of the route say: NONE, ENCRYPTED or VERIFIED; None: nothing, or that TLS is
    opportunistic."""
    requires_tls: bool = False
    """Whether the message came with REQUIRETLS."""
    tls_optional: bool = False
    """Whether the message has ``TLS-Required: No``, and came without REQUIRETLS."""
    authentic: bool = False
    """Whether DNSSEC proves that the domain names the host."""
    dane: DANEFinding = _NO_DANE
    policy: MTASTSPolicy | None = None
    """The MTA-STS policy of the domain."""
    found: MTASTSFinding | None = None
    """Where the policy is from, or why there is none; for reports."""

    @property
    def named(self) -> bool:
        """Whether the domain's policy, which is in force, names the host."""
        return self._enforced and self.policy is not None and self.policy.allows(self.host)

    @property
    def excluded(self) -> bool:
        """Whether the domain's policy, which is in force, does not name the host."""
        return self._enforced and not self.named

    @property
    def _enforced(self) -> bool:
        return self.policy is not None and self.policy.mode is MTASTSMode.ENFORCE


@frozen(kw_only=True)
class TLSDemand:
    """The TLS that a message demands of a host."""

    level: TLSLevel
    source: TLSSource
    reason: str
    """Why, in words."""
    lasting: bool = False
    """Whether a refusal is for good, so that the message is returned if no other host is left."""


@frozen
class _Rule:
    """If all *conditions* hold of the facts, the rest is what is demanded. A condition is the value
    of an attribute of :class:`TLSFacts`, or of the finding of DANE."""

    conditions: dict[str, Any]
    level: TLSLevel
    source: TLSSource
    reason: str
    lasting: bool = False

    def fits(self, facts: TLSFacts) -> bool:
        """Return whether it applies to *facts*."""
        return all(_fact(facts, name) == value for name, value in self.conditions.items())


def _fact(facts: TLSFacts, name: str) -> object:
    return facts.dane.status if name == "dane" else getattr(facts, name)


_L, _S, _D = TLSLevel, TLSSource, DANEStatus
_REQUIRED = {"requires_tls": True}
RULES: tuple[_Rule, ...] = (
    _Rule(
        {**_REQUIRED, "dane": _D.FAILED},
        _L.REFUSED, _S.DANE, "it is not known whether the host has TLSA records",
    ),
    _Rule(
        {**_REQUIRED, "dane": _D.USABLE},
        _L.DANE, _S.REQUIRETLS, "the sender requires TLS, and the host has TLSA records",
    ),
    _Rule(
        {**_REQUIRED, "named": True},
        _L.VERIFIED, _S.REQUIRETLS, "the sender requires TLS, and an MTA-STS policy names the host",
    ),
    _Rule(
        {**_REQUIRED, "excluded": True},
        _L.REFUSED, _S.MTA_STS, "the domain's MTA-STS policy does not name the host",
    ),
    _Rule(
        {**_REQUIRED, "authentic": True},
        _L.VERIFIED, _S.REQUIRETLS, "the sender requires TLS, and DNSSEC proves the host's name",
    ),
    _Rule(
        _REQUIRED,
        _L.REFUSED, _S.REQUIRETLS,
        "the sender requires TLS, and neither DNSSEC nor an MTA-STS policy proves the host's name",
        lasting=True,
    ),
    _Rule({"route": _L.VERIFIED}, _L.VERIFIED, _S.ROUTE, "the route says so"),
    _Rule({"route": _L.NONE}, _L.NONE, _S.ROUTE, "the route says so"),
    _Rule(
        {"tls_optional": True, "route": _L.ENCRYPTED}, _L.ENCRYPTED, _S.ROUTE, "the route says so"
    ),
    _Rule(
        {"tls_optional": True},
        _L.OPPORTUNISTIC, _S.TLS_REQUIRED_NO, "to the sender, delivery matters more than TLS",
    ),
    _Rule(
        {"dane": _D.FAILED},
        _L.REFUSED, _S.DANE, "it is not known whether the host has TLSA records",
    ),
    _Rule({"dane": _D.USABLE}, _L.DANE, _S.DANE, "the host has TLSA records"),
    _Rule(
        {"excluded": True},
        _L.REFUSED, _S.MTA_STS, "the domain's MTA-STS policy does not name the host",
    ),
    _Rule({"named": True}, _L.VERIFIED, _S.MTA_STS, "the domain's MTA-STS policy is enforced"),
    _Rule(
        {"dane": _D.UNUSABLE},
        _L.ENCRYPTED, _S.DANE, "the host has TLSA records, of which none can be used",
    ),
    _Rule({"route": _L.ENCRYPTED}, _L.ENCRYPTED, _S.ROUTE, "the route says so"),
    _Rule({}, _L.OPPORTUNISTIC, _S.ROUTE, "nobody demands more"),
)  # fmt: skip
"""The first rule that fits decides. The route comes before the domain's wishes, because it is what
the operator agreed on with the other side; DANE comes before MTA-STS (RFC 8461 2)."""


def tls_demand(facts: TLSFacts) -> TLSDemand:
    """Return the TLS that is demanded by *facts*: see :data:`RULES`."""
    rule = next(rule for rule in RULES if rule.fits(facts))
    detail = f" ({facts.dane.reason})" if rule.source is _S.DANE else ""
    return TLSDemand(
        level=rule.level,
        source=rule.source,
        reason=rule.reason + detail,
        lasting=rule.lasting,
    )
