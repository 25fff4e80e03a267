"""Reports about TLS: where a domain wants them, and what is in them (RFC 8460 3, 4)."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable

from attrs import frozen

from ..errors import GrammarError
from ..grammar.domain import to_a_labels
from ..grammar.pattern import pattern
from .dane import DANEFinding
from .mta_sts import MTASTSPolicy

__all__ = [
    "ReportedPolicy", "TLSFailure", "TLSPolicyResult", "TLSPolicyType", "TLSReport",
    "TLSResultType", "tls_report_uris",
]  # fmt: skip

_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}"
_VALUE = r"[!-:<-~]+(?:[ \t]+[!-:<-~]+)*"
_URI = r"(?:mailto|https):[!-+./0-:<-~-]+"  # without comma and semicolon
_RECORD = pattern(rf"v=TLSRPTv1((?:[ \t]*;[ \t]*{_NAME}={_VALUE})+)(?:[ \t]*;[ \t]*)?", re.ASCII)
_FIELD = pattern(rf";[ \t]*({_NAME})=({_VALUE})", re.ASCII)
_URIS = pattern(rf"{_URI}(?:[ \t]*,[ \t]*{_URI})*", re.ASCII)
_SHOWN = 100  # characters of a record in an error


def tls_report_uris(records: Iterable[bytes]) -> tuple[str, ...]:
    """Return where reports about a domain go, by the TXT *records* at ``_smtp._tls.`` and the
    domain: URIs that begin with ``mailto:`` or ``https:``.

    Raises GrammarError if there is no record for reports, or more than one, or if it is malformed;
    then there are none to send (RFC 8460 3).
    """
    found = [record for record in records if record.startswith(b"v=TLSRPTv1;")]
    if len(found) != 1:
        raise GrammarError(f"{len(found)} records begin with v=TLSRPTv1;, and one is needed")
    text = found[0].decode("ascii", "replace")
    match = _RECORD.fullmatch(text)
    fields = [] if match is None else _FIELD.findall(match[1])
    value = next((value for name, value in fields if name == "rua"), "")
    if not _URIS.fullmatch(value):
        raise GrammarError(f"no rua= with mailto: or https: {text[:_SHOWN]!r}")
    return tuple(uri.strip(" \t") for uri in value.split(","))


class TLSPolicyType(enum.StrEnum):
    """The kinds of policies (RFC 8460 4.4)."""

    TLSA = "tlsa"
    STS = "sts"
    NONE = "no-policy-found"


class TLSResultType(enum.StrEnum):
    """Why a session failed: the registered words (RFC 8460 4.3, 6.6)."""

    STARTTLS_NOT_SUPPORTED = "starttls-not-supported"
    CERTIFICATE_HOST_MISMATCH = "certificate-host-mismatch"
    CERTIFICATE_NOT_TRUSTED = "certificate-not-trusted"
    CERTIFICATE_EXPIRED = "certificate-expired"
    VALIDATION_FAILURE = "validation-failure"
    TLSA_INVALID = "tlsa-invalid"
    DNSSEC_INVALID = "dnssec-invalid"
    DANE_REQUIRED = "dane-required"
    STS_POLICY_FETCH_ERROR = "sts-policy-fetch-error"
    STS_POLICY_INVALID = "sts-policy-invalid"
    STS_WEBPKI_INVALID = "sts-webpki-invalid"


@frozen(kw_only=True)
class TLSFailure:
    """Sessions that failed alike. Text of others may have other words than :class:`TLSResultType`,
    and anything in the rest."""

    result: str
    count: int = 1
    """How many sessions."""
    sending_ip: str = ""
    host: str = ""
    """The name of the receiving host, from the MX record."""
    helo: str = ""
    """What the receiving host calls itself."""
    receiving_ip: str = ""
    information: str = ""
    """The URI of more information."""
    reason: str = ""
    """A code or a text of the program that reports."""


@frozen(kw_only=True)
class ReportedPolicy:
    """A policy that was applied."""

    type: str
    """A :class:`TLSPolicyType`; reports of others may have other words."""
    domain: str = ""
    """Whose policy it is, in A-labels."""
    lines: tuple[str, ...] = ()
    """What it says: the lines of an MTA-STS policy, or TLSA records."""
    hosts: tuple[str, ...] = ()
    """The patterns of hosts in an MTA-STS policy."""

    @classmethod
    def of_sts(cls, domain: str, policy: MTASTSPolicy) -> ReportedPolicy:
        """Return an MTA-STS policy as it is reported."""
        lines = tuple(bytes(policy).decode().splitlines())
        name = to_a_labels(domain)
        return cls(type=TLSPolicyType.STS, domain=name, lines=lines, hosts=policy.mx)

    @classmethod
    def of_dane(cls, domain: str, found: DANEFinding) -> ReportedPolicy:
        """Return the TLSA records of a host as they are reported."""
        lines = (f"{it.usage} {it.selector} {it.matching} {it.data.hex()}" for it in found.records)
        return cls(type=TLSPolicyType.TLSA, domain=to_a_labels(domain), lines=tuple(lines))

    @classmethod
    def none(cls, domain: str) -> ReportedPolicy:
        """Return what is reported of *domain*, which has no policy."""
        return cls(type=TLSPolicyType.NONE, domain=to_a_labels(domain))


@frozen(kw_only=True)
class TLSPolicyResult:
    """What came of a policy in the time of the report."""

    policy: ReportedPolicy
    successes: int = 0
    """Sessions whose TLS met the policy."""
    failed: int = 0
    """Sessions whose TLS did not."""
    failures: tuple[TLSFailure, ...] = ()
    """Some or all of those that failed, by their reasons."""


@frozen(kw_only=True)
class TLSReport:
    """A report about one domain. :func:`.write_tls_report` and :func:`.read_tls_report` turn it
    into octets and back."""

    organization: str
    """Who reports."""
    contact: str
    """An address, or another way to ask who reports."""
    id: str
    """Unique among the reports of the organization."""
    start: float
    """Seconds since the epoch."""
    end: float
    """Seconds since the epoch, the last one of the time of the report."""
    results: tuple[TLSPolicyResult, ...] = ()
