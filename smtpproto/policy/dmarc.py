"""Whether the domain that an author claims in the From field answers for the message, and what it
asks receivers to do if not: DMARC (RFC 9989).

::

    check = await check_dmarc(author_domains(header), spf_check, dkim_checks, resolver)
    check.result        # DMARCResult.FAIL
    check.disposition   # DMARCPolicy.REJECT
    check.reason        # "nothing is aligned with example.org, ..."
    print(check)        # the whole story, with each question to the DNS

The domain of the organization is found by the tree walk, without a list of public suffixes, unless
the caller has one. A check asks the DNS only what can change its result.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from attrs import evolve, field, frozen

from ..dns import Resolver
from ..grammar.ascii_case import lower
from ..grammar.printable import printable
from ..option_types import check_type, require_resolver, require_type
from .dkim_check import DKIMCheck, DKIMResult
from .dkim_signature import is_within
from .dmarc_record import DMARCPolicy, DMARCRecord
from .dmarc_walk import DMARCStep, Unanswered, Walk, Walker
from .header_section import HeaderSection, from_domains
from .spf import SPFCheck
from .spf_evaluation import ascii_name
from .spf_record import SPFResult

__all__ = ["AuthenticatedDomain", "DMARCCheck", "DMARCResult", "author_domains", "check_dmarc"]

_DKIM = "a list of DKIMCheck, such as verify_dkim returns"
_MOST_AUTHORS = 4  # domains in a From field that are checked
_WEAKER: Final = {
    DMARCPolicy.REJECT: DMARCPolicy.QUARANTINE,
    DMARCPolicy.QUARANTINE: DMARCPolicy.NONE,
    DMARCPolicy.NONE: DMARCPolicy.NONE,
}
_STRICTNESS: Final = [*DMARCPolicy]


class DMARCResult(enum.Enum):
    """How a check ended, in the words of RFC 8601 2.7 and RFC 9989 9.2."""

    PASS = "pass"
    """The author's domain answers for the message."""
    FAIL = "fail"
    NONE = "none"
    """No record applies to the author's domain."""
    TEMPERROR = "temperror"
    """The DNS did not answer. A later attempt may end otherwise."""
    PERMERROR = "permerror"
    """There is no author's domain, or there are too many."""


@frozen(kw_only=True)
class AuthenticatedDomain:
    """A domain for which SPF or DKIM has passed, or would have if the DNS had answered."""

    method: str
    """``spf`` or ``dkim``."""
    domain: str
    aligned: bool
    """Whether it is, or belongs to, the organization of the author's domain."""
    passed: bool = True
    """False: the result of SPF or DKIM is temperror."""


@frozen(kw_only=True)
class DMARCCheck:
    """The result of a check, and how it came about."""

    result: DMARCResult
    reason: str
    """Why, in words for people; printable."""
    author: str = ""
    """The domain in the From field, in A-labels and lower case."""
    policy_domain: str = ""
    """The domain whose record applies; "" if none does."""
    organizational_domain: str = ""
    """That of the author's domain; "" if it does not matter."""
    discovery_method: str = "treewalk"
    """How it was found, in the words of RFC 9990: ``treewalk`` or ``psl``."""
    record: DMARCRecord | None = None
    """The record that applies."""
    policy: DMARCPolicy = DMARCPolicy.NONE
    """What the record says of the author's domain (``p``, ``sp`` or ``np``)."""
    domains: tuple[AuthenticatedDomain, ...] = ()
    """Those for which SPF and DKIM passed."""
    steps: tuple[DMARCStep, ...] = field(default=(), repr=False)
    """What was asked, in order."""

    @property
    def disposition(self) -> DMARCPolicy:
        """What the domain asks a receiver to do with this message: for ``t=y`` it is one step
        weaker than :attr:`policy`."""
        if self.result is not DMARCResult.FAIL:
            return DMARCPolicy.NONE
        return _WEAKER[self.policy] if self.record and self.record.testing else self.policy

    def is_aligned(self, method: str) -> bool:
        """Return whether a domain passed by *method*, ``spf`` or ``dkim``, and is aligned."""
        return any(it.aligned and it.passed and it.method == method for it in self.domains)

    def __str__(self) -> str:
        lines = [f"{self.result.value}: {printable(self.reason)}", *map(str, self.steps)]
        for it in self.domains:
            said = "aligned" if it.aligned else "not aligned"
            lines.append(f"{it.method} {printable(it.domain)}: {said}")
        return "\n".join(lines)


def author_domains(header: bytes) -> tuple[str, ...]:
    """Return the domains of the addresses in the From field of *header*, a header section with
    CRLF: in A-labels and lower case, each once.

    Raises GrammarError if there is not exactly one From field, or if it cannot be read.
    """
    end = header.find(b"\r\n\r\n")
    section = header if end < 0 else header[: end + 2]
    return tuple(dict.fromkeys(from_domains(HeaderSection(section))))


async def check_dmarc(
    authors: str | Iterable[str],
    spf: SPFCheck | None,
    dkim: Iterable[DKIMCheck],
    resolver: Resolver,
    *,
    organizational_domain: Callable[[str], str] | None = None,
) -> DMARCCheck:
    """Check a message whose From field has the domain *authors*, or these domains.

    *spf* is the check of the sender in MAIL; None: there was none. *dkim* are those of all
    signatures. With several authors, the result is the one that is worst for the message: each of
    them is what a reader takes for the author. It raises nothing: whatever the DNS says is a
    result.

    *organizational_domain* returns that of a domain in A-labels and lower case: the domain itself
    or one above it. It replaces the tree walk by the way of RFC 7489 3.2 and 6.6.3, for example
    with :func:`smtpproto.adapters.publicsuffixlist.public_suffixes`.
    """
    require_type("authors", authors, Iterable, "a domain, or what author_domains returns")
    check_type("spf", spf, SPFCheck, "what check_spf returns, or None")
    require_type("dkim", dkim, Iterable, _DKIM)
    require_resolver(resolver)
    given, signatures = (authors,) if isinstance(authors, str) else tuple(authors), tuple(dkim)
    for it in signatures:
        require_type("an element of dkim", it, DKIMCheck, _DKIM)
    names = tuple(dict.fromkeys(lower(ascii_name(it)) for it in given))
    if not names or len(names) > _MOST_AUTHORS:
        text = f"{len(names)} domains in the From field" if names else "no domain in the From field"
        return DMARCCheck(result=DMARCResult.PERMERROR, reason=text)
    identifiers = _identifiers(spf, signatures)
    checks = [
        await _check(name, identifiers, Walker(resolver, suffix_list=organizational_domain))
        for name in names
    ]
    return max(checks, key=_badness)


def _badness(check: DMARCCheck) -> tuple[int, bool, bool]:
    failed = check.result in (DMARCResult.FAIL, DMARCResult.TEMPERROR)
    strictness = _STRICTNESS.index(check.disposition)
    return strictness, failed, check.result is not DMARCResult.PASS


def _identifiers(spf: SPFCheck | None, dkim: Iterable[DKIMCheck]) -> list[AuthenticatedDomain]:
    """Return what passed, then what the DNS has kept from an end. Only the sender in MAIL counts
    for SPF, not the name in HELO (RFC 9989 4.4.2)."""
    found: dict[AuthenticatedDomain, None] = {}
    if spf is not None and spf.identity == "mailfrom":
        passed = spf.result is SPFResult.PASS
        if passed or spf.result is SPFResult.TEMPERROR:
            found[_authenticated("spf", spf.domain, passed)] = None
    for it in dkim:
        if it.domain and (it.passed or it.result is DKIMResult.TEMPERROR):
            found[_authenticated("dkim", it.domain, it.passed)] = None
    return sorted(found, key=lambda it: not it.passed)


def _authenticated(method: str, domain: str, passed: bool) -> AuthenticatedDomain:
    name = lower(ascii_name(domain))
    return AuthenticatedDomain(method=method, domain=name, aligned=False, passed=passed)


async def _check(
    author: str, identifiers: Sequence[AuthenticatedDomain], walker: Walker
) -> DMARCCheck:
    method = "psl" if walker.suffix_list else "treewalk"
    check = DMARCCheck(result=DMARCResult.NONE, reason="", author=author, discovery_method=method)
    try:
        check = await _evaluate(check, identifiers, walker)
    except Unanswered as error:
        check = evolve(check, result=DMARCResult.TEMPERROR, reason=str(error))
    return evolve(check, steps=tuple(walker.steps.values()))


async def _evaluate(
    check: DMARCCheck, identifiers: Sequence[AuthenticatedDomain], walker: Walker
) -> DMARCCheck:
    author = check.author
    walk = await _walk(author, identifiers, walker)
    if (found := walk.policy_record) is None:
        reason = f"neither {printable(author)} nor a domain above it has a DMARC record"
        return evolve(check, reason=reason)
    domain, record = found
    organization = walk.organizational_domain
    check = evolve(check, policy_domain=domain, organizational_domain=organization, record=record)
    if not record.usable:
        return evolve(check, reason=f"the record of {domain} has no valid policy")
    domains, unanswered = list[AuthenticatedDomain](), None
    for it in identifiers:
        try:
            is_aligned = await _is_aligned(it, author, record, organization, walker)
        except Unanswered as error:
            unanswered, is_aligned = error, False
        domains.append(evolve(it, aligned=is_aligned))
    check = evolve(check, domains=tuple(domains), policy=_policy(check, exists=True))
    aligned = [it for it in domains if it.aligned]
    if any(it.passed for it in aligned):
        reason = f"{aligned[0].method} has passed for {printable(aligned[0].domain)}"
        return evolve(check, result=DMARCResult.PASS, reason=reason)
    if unanswered is not None:
        raise unanswered
    if aligned:
        reason = f"{aligned[0].method} has a temporary error for {printable(aligned[0].domain)}"
        return evolve(check, result=DMARCResult.TEMPERROR, reason=reason)
    exists = not _asks_existence(check) or await walker.exists(author)
    reason = f"neither SPF nor DKIM has passed for {printable(author)} or a domain aligned with it"
    policy = _policy(check, exists)
    return evolve(check, result=DMARCResult.FAIL, reason=reason, policy=policy)


async def _walk(author: str, identifiers: Sequence[AuthenticatedDomain], walker: Walker) -> Walk:
    """Return the walk from *author*, or only its first step if nothing else matters (RFC 9989
    4.10.2)."""
    own = await walker.record(author)
    if own is None or walker.suffix_list:
        return await walker.walk(author)
    first = Walk(author, [(author, own)])
    if all(it.domain == author or _is_strict(own, it) for it in identifiers):
        return first
    try:
        return await walker.walk(author)
    except Unanswered:
        if any(it.domain == author and it.passed for it in identifiers):
            return first
        raise


async def _is_aligned(
    it: AuthenticatedDomain, author: str, record: DMARCRecord, organization: str, walker: Walker
) -> bool:
    """Return whether a domain is aligned with the author's (RFC 9989 4.10.2)."""
    if it.domain == author:
        return True
    # A domain belongs only to an organization that it is within. So the domains of strangers are
    # not asked, and cannot turn a failure into a temporary error by not answering.
    if _is_strict(record, it) or not is_within(it.domain, organization):
        return False
    return await walker.organization(it.domain) == organization


def _is_strict(record: DMARCRecord, it: AuthenticatedDomain) -> bool:
    return record.strict_spf if it.method == "spf" else record.strict_dkim


def _policy(check: DMARCCheck, exists: bool) -> DMARCPolicy:
    assert check.record is not None
    return check.record.policy_for(subdomain=check.policy_domain != check.author, exists=exists)


def _asks_existence(check: DMARCCheck) -> bool:
    return _policy(check, exists=True) is not _policy(check, exists=False)
