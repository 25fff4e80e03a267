"""DANE: the certificates of mail hosts, named in the DNS (RFC 7672, RFC 7671, RFC 6698).

::

    found = await find_dane("mx.example.org", 25, resolver)
    if found.status is DANEStatus.USABLE:
        judge = DANEJudge(found.records, found.names, certificates, utc)
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from attrs import field, frozen

from ..dns import TLSA, Answer, Kind, Resolver, Status
from ..errors import GrammarError
from ..grammar.printable import printable
from ..limits import TLSA_RECORDS

__all__ = ["Certificates", "DANEFinding", "DANEJudge", "DANEStatus", "find_dane"]

_TA, _EE = 2, 3  # usages DANE-TA and DANE-EE; the others are not for mail (RFC 7672 3.1.3)
_CERTIFICATE, _KEY = 0, 1  # selectors
_FULL = 0  # matching type
_HASHES: dict[int, Callable[[bytes], hashlib._Hash]] = {1: hashlib.sha256, 2: hashlib.sha512}
_SIZES = {1: 32, 2: 64}  # octets


class DANEStatus(enum.Enum):
    """What DANE demands for a host (RFC 7672 2.2)."""

    NONE = "none"
    """Nothing: there are no records, or DNSSEC does not prove what leads to them."""
    USABLE = "usable"
    """TLS, with a certificate that fits one of the records."""
    UNUSABLE = "unusable"
    """TLS, with any certificate: no record is of a kind that can be used."""
    FAILED = "failed"
    """To leave out the host for now, because it is not known whether there are records."""


@frozen(kw_only=True)
class DANEFinding:
    """What the DNS says of a host's certificate."""

    status: DANEStatus
    reason: str
    """For people."""
    records: tuple[TLSA, ...] = ()
    """Those that can be used."""
    base: str = ""
    """The name at which the records are, without port and protocol: the server's name for SNI
    (RFC 7672 8.1)."""


class Certificates(Protocol):
    """Reads certificates, which are in DER."""

    def public_key(self, certificate: bytes) -> bytes:
        """Return the SubjectPublicKeyInfo of *certificate*, in DER. Raises GrammarError if it is
        malformed."""
        ...

    def path_fault(self, path: Sequence[bytes], names: Iterable[str], now: float) -> str:
        """Return why *path* is not valid at *now* (seconds since the epoch), or "" if it is.

        *path* is a server's certificate, then those that it shows besides, in any order, and at
        the end one that is trusted, whoever has issued it.
        *names* are those, in A-labels, of which the first certificate must have one.
        """
        ...


async def find_dane(host: str, port: int, resolver: Resolver) -> DANEFinding:
    """Return what DANE demands for *port* of *host*, a name in A-labels that DNSSEC has proved to
    be right, for example by the MX records.

    TLSA records are asked for only if DNSSEC proves the addresses of the host (RFC 7672 2.2.2); at
    the end of its aliases first, then at its own name. Never raises.
    """
    addresses = [await resolver.lookup(host, kind) for kind in (Kind.AAAA, Kind.A)]
    found = [it for it in addresses if it.status is Status.FOUND]
    if not any(it.authentic for it in found):
        failed = [it for it in addresses if not it.known]
        if failed and not found:
            return _failed(f"the addresses of {host}", failed[0])
        return _nothing(f"DNSSEC does not prove the addresses of {host}")
    ends = [it.name for it in found if it.authentic]
    for base in dict.fromkeys(name or host for name in (*ends, host)):
        answer = await resolver.lookup(f"_{port}._tcp.{base}", Kind.TLSA)
        if not answer.known:
            return _failed(f"the TLSA records of {base}", answer)
        if answer.authentic and answer.tlsa:
            return _judged(base, answer.tlsa[:TLSA_RECORDS])
    return _nothing(f"{host} has no TLSA records that DNSSEC proves")


def _nothing(reason: str) -> DANEFinding:
    return DANEFinding(status=DANEStatus.NONE, reason=reason)


def _failed(what: str, answer: Answer) -> DANEFinding:
    detail = f" ({printable(answer.detail[:200])})" if answer.detail else ""
    reason = f"the look-up of {printable(what)} ended with {answer.status.value}{detail}"
    return DANEFinding(status=DANEStatus.FAILED, reason=reason)


def _judged(base: str, records: Sequence[TLSA]) -> DANEFinding:
    usable = _strongest([record for record in records if _is_usable(record)])
    status = DANEStatus.USABLE if usable else DANEStatus.UNUSABLE
    reason = f"{len(usable)} of {len(records)} TLSA records of {printable(base)} are of use"
    return DANEFinding(status=status, reason=reason, records=usable, base=base)


def _is_usable(record: TLSA) -> bool:
    """Return whether *record* is of a kind that fits mail (RFC 7672 3.1), and well formed."""
    known = record.usage in (_TA, _EE) and record.selector in (_CERTIFICATE, _KEY)
    if record.matching == _FULL:
        return known and record.data.startswith(b"\x30")  # a SEQUENCE
    return known and len(record.data) == _SIZES.get(record.matching)


def _strongest(records: Sequence[TLSA]) -> tuple[TLSA, ...]:
    """Return *records* without weaker digests: for each usage and selector, only the strongest one
    counts (RFC 7671 9)."""
    best = dict[tuple[int, int], int]()
    for it in records:
        kind = it.usage, it.selector
        best[kind] = max(best.get(kind, 0), it.matching)
    return tuple(it for it in records if it.matching in (_FULL, best[it.usage, it.selector]))


@frozen(kw_only=True)
class DANEJudge:
    """Judges the certificates that a server shows by TLSA records."""

    records: tuple[TLSA, ...]
    names: tuple[str, ...]
    """Of which a certificate must have one if a record names a CA (RFC 7672 3.2.2)."""
    certificates: Certificates = field(eq=False, repr=False)
    utc: Callable[[], float] = field(eq=False, repr=False)
    """Returns the seconds since the epoch."""

    def fault(self, chain: Sequence[bytes]) -> str:
        """Return why *chain* fits no record, or "" if it fits one.

        *chain* is what the server showed: certificates in DER, its own first.
        """
        if not chain:
            return "the server shows no certificate"
        reason = "no TLSA record fits the certificate"
        try:
            for record in self.records:
                if record.usage == _EE and self._fits(record, chain[0]):
                    return ""  # names and dates do not count (RFC 7672 3.1.1)
            for record in self.records:
                for path in self._paths(record, chain) if record.usage == _TA else ():
                    if not (fault := self.certificates.path_fault(path, self.names, self.utc())):
                        return ""
                    reason = f"a TLSA record fits an issuer, but {fault}"
        except GrammarError as error:
            return error.message
        return reason

    def _paths(self, record: TLSA, chain: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
        """Yield the paths from the server's certificate to one that *record* makes trusted."""
        for end in range(1, len(chain)):
            if self._fits(record, chain[end]):
                yield [*chain[:end], *chain[end + 1 :], chain[end]]
                return
        if (record.selector, record.matching) == (_CERTIFICATE, _FULL):
            yield [*chain, record.data]  # the record itself brings the certificate

    def _fits(self, record: TLSA, certificate: bytes) -> bool:
        whole = record.selector == _CERTIFICATE
        octets = certificate if whole else self.certificates.public_key(certificate)
        digest = _HASHES.get(record.matching)
        return record.data == (octets if digest is None else digest(octets).digest())
