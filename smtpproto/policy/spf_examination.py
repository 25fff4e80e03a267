"""The SPF records of a domain, examined without a client: what they cost, and what is wrong."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from functools import lru_cache

from attrs import define, field, frozen

from .. import limits
from ..dns import Kind, Resolver
from ..grammar.ascii_case import lower
from ..grammar.printable import printable
from ..grammar.reply import GrammarError
from ..option_types import near_name
from .spf_evaluation import ascii_name, is_name
from .spf_macro import MacroString, as_name
from .spf_record import MECHANISMS, Directive, Modifier, SPFResult, Term, is_spf, read_terms
from .spf_trace import Lookup, SPFTermTrace, SPFTrace

_KNOWN_MACROS = frozenset("do")  # the value of others depends on the message
_WALKED = 4 * limits.SPF_TERMS  # terms that ask the DNS; then the rest of the tree is left out
_FAULTS = 100  # that are told
_WIDE = (8, 16)  # bits of an IPv4 and an IPv6 network that no sender has to itself
_NAMES = [*sorted(MECHANISMS), "redirect", "exp"]
_LONG = 450  # octets of a record; RFC 7208 3.4


class SPFFaultKind(enum.Enum):
    """What can be wrong with the SPF records of a domain."""

    NO_RECORD = "no record"
    SEVERAL_RECORDS = "several records"
    SYNTAX = "syntax"
    FAILED = "failed look-up"
    TOO_MANY_TERMS = "too many terms that ask the DNS"
    TOO_MANY_VOIDS = "too many terms for which the DNS has nothing"
    TOO_MANY_EXCHANGERS = "too many MX records"
    LOOP = "loop"
    VOID = "nothing in the DNS"
    ALL_PASS = "everybody may send"
    NO_ALL = "no all"
    AFTER_ALL = "terms after all"
    PTR = "ptr"
    UNKNOWN_MODIFIER = "unknown modifier"
    EXPLANATION = "explanation"
    LONG = "long record"


@frozen
class SPFFault:
    """Something that is wrong with a record. ``str()`` says where, what, and what to do."""

    kind: SPFFaultKind
    domain: str
    """The domain of the record."""
    text: str
    """What is wrong, and what to do."""
    term: str = ""
    """The term that is wrong; "" for the whole record."""
    breaks: bool = False
    """Whether receivers come to permerror or temperror by it, instead of pass."""

    def __str__(self) -> str:
        term = f" {self.term}:" if self.term else ""
        return printable(f"{self.domain}:{term} {self.text}")


@frozen
class SPFExamination:
    """The records of a domain, with those that they refer to, and the faults in them."""

    trace: SPFTrace
    """As the check of a client that no term matches. What depends on the message is left out."""
    faults: tuple[SPFFault, ...]

    @property
    def usable(self) -> bool:
        """Whether receivers can come to a result."""
        return not any(fault.breaks for fault in self.faults)

    def __str__(self) -> str:
        return "\n".join([self.trace.counts, str(self.trace), *map(str, self.faults)])


async def examine_spf(domain: str, resolver: Resolver) -> SPFExamination:
    """Examine the SPF records of *domain*. Whatever the DNS says is a result."""
    examiner = _Examiner(lower(ascii_name(domain)), resolver)
    trace = SPFTrace(examiner.domain)
    await examiner.walk(_Place(trace))
    examiner.judge(trace)
    return SPFExamination(trace, tuple(examiner.faults))


@frozen
class _Place:
    """A record in the tree."""

    trace: SPFTrace
    above: tuple[str, ...] = ()
    """The domains that lead to it."""
    is_included: bool = False

    def below(self, trace: SPFTrace, mechanism: str) -> _Place:
        """Return the place of the record to which a term of this one leads."""
        is_included = self.is_included or mechanism == "include"
        return _Place(trace, (*self.above, self.trace.domain), is_included)


@define(eq=False)
class _Examiner:
    domain: str
    resolver: Resolver
    faults: dict[SPFFault, None] = field(factory=dict)
    """Each once, in the order in which they were found."""
    walked: int = 0

    async def walk(self, place: _Place) -> None:
        """Examine the record of a domain."""
        trace = place.trace
        found = await self._record(trace)
        if found is None:
            return
        trace.text = found.decode("latin-1")
        if len(found) > _LONG:
            text = f"the record has {len(found)} octets; with more than {_LONG} an answer may not "
            self._blame(SPFFaultKind.LONG, trace, text + "fit into a datagram: shorten it")
        terms = [*self._terms(found, trace)]
        self._check_order(terms, place)
        for term in self._evaluated(terms):
            step = SPFTermTrace(term.text)
            trace.terms.append(step)
            await self._term(term, step, place)

    def judge(self, trace: SPFTrace) -> None:
        """Find faults of the whole: no record, or more than a check may ask (RFC 7208 4.6.4)."""
        if not trace.text and not self.faults:
            text = (
                "there is no SPF record, or the name is not one of a domain; publish a TXT record"
            )
            self._blame(SPFFaultKind.NO_RECORD, trace, text)
        if trace.asking > limits.SPF_TERMS:
            count = f"more than {_WALKED}" if self.walked > _WALKED else trace.asking
            text = (
                f"{count} terms ask the DNS; a check may have {limits.SPF_TERMS}: write the "
                "networks of hosts that do not change as ip4: and ip6:, or remove includes"
            )
            self._blame(SPFFaultKind.TOO_MANY_TERMS, trace, text, breaks=True)
        if trace.void > limits.SPF_VOIDS:
            text = (
                f"for {trace.void} terms there is nothing in the DNS; a check may have "
                f"{limits.SPF_VOIDS}: remove them"
            )
            self._blame(SPFFaultKind.TOO_MANY_VOIDS, trace, text, breaks=True)

    def _blame(
        self, kind: SPFFaultKind, trace: SPFTrace, text: str, term: str = "", breaks: bool = False
    ) -> None:
        fault = SPFFault(kind, trace.domain, text, term, breaks)
        if len(self.faults) < _FAULTS:
            self.faults[fault] = None

    # -- a record ----------------------------------------------------------------------------------

    async def _record(self, trace: SPFTrace) -> bytes | None:
        if not is_name(trace.domain) or "." not in trace.domain:
            return None
        lookup = await self._ask(trace.domain, Kind.TXT, trace.lookups)
        if not lookup.answer.known:
            self._blame(SPFFaultKind.FAILED, trace, str(lookup), breaks=True)
            return None
        found = [octets for octets in lookup.answer.octets if is_spf(octets)]
        if len(found) > 1:
            text = f"there are {len(found)} SPF records; join them into one"
            self._blame(SPFFaultKind.SEVERAL_RECORDS, trace, text, breaks=True)
        return found[0] if found else None

    def _terms(self, record: bytes, trace: SPFTrace) -> Iterator[Term]:
        for term in read_terms(record):
            if isinstance(term, GrammarError):
                if len(self.faults) >= _FAULTS:
                    return
                start = trace.text.rfind(" ", 0, term.offset) + 1
                written = trace.text[start:].partition(" ")[0]
                text = f"{term}{_correction(term.message)}"
                self._blame(SPFFaultKind.SYNTAX, trace, text, written[:100], breaks=True)
            else:
                yield term

    def _check_order(self, terms: list[Term], place: _Place) -> None:
        trace = place.trace
        directives = [term for term in terms if isinstance(term, Directive)]
        redirect = next(
            (it for it in terms if isinstance(it, Modifier) and it.name == "redirect"), None
        )
        names = [it.mechanism for it in directives]
        if "all" in names:
            after = [it.text for it in directives[names.index("all") + 1 :]]
            after += [] if redirect is None else [redirect.text]
            for text in after:
                advice = "nothing after all has an effect; put it before all, or remove it"
                self._blame(SPFFaultKind.AFTER_ALL, trace, advice, text)
        elif redirect is None and not place.is_included:
            advice = (
                "the record does not end with all, so that strangers are neutral: add ~all or -all"
            )
            self._blame(SPFFaultKind.NO_ALL, trace, advice)

    def _evaluated(self, terms: list[Term]) -> Iterator[Term]:
        """Yield the terms that have an effect, in the order of their evaluation."""
        modifiers = [term for term in terms if isinstance(term, Modifier)]
        for term in terms:
            if isinstance(term, Directive):
                yield term
                if term.mechanism == "all":
                    modifiers = [it for it in modifiers if it.name != "redirect"]
                    break
        yield from modifiers

    # -- terms -------------------------------------------------------------------------------------

    async def _term(self, term: Term, step: SPFTermTrace, place: _Place) -> None:
        trace = place.trace
        if isinstance(term, Modifier):
            await self._modifier(term, step, place)
            return
        passes = term.result is SPFResult.PASS
        match term.mechanism:
            case "all":
                if passes:
                    advice = "every host may send for this domain: write ~all or -all"
                    self._blame(SPFFaultKind.ALL_PASS, trace, advice, term.text)
            case "ip4" | "ip6":
                length = term.ip4_length if term.mechanism == "ip4" else term.ip6_length
                if passes and length < _WIDE[term.mechanism == "ip6"]:
                    advice = "this network is so wide that strangers may send for this domain"
                    self._blame(SPFFaultKind.ALL_PASS, trace, advice, term.text)
            case "include":
                await self._follow(term.mechanism, term.domain, step, place)
            case "ptr":
                self._count(step)
                advice = "receivers need not evaluate ptr, and it is slow: use a, mx, ip4 or ip6"
                self._blame(SPFFaultKind.PTR, trace, advice, term.text)
            case mechanism:
                await self._hosts(mechanism, term.domain, step, trace)

    async def _modifier(self, term: Modifier, step: SPFTermTrace, place: _Place) -> None:
        trace = place.trace
        if term.name == "redirect":
            await self._follow(term.name, term.value, step, place)
        elif term.name == "exp":
            await self._explanation(term, step, trace)
        elif len(self.faults) < _FAULTS:
            text = f"no receiver knows the modifier {term.name}={_meant(term.name)}"
            self._blame(SPFFaultKind.UNKNOWN_MODIFIER, trace, text, term.text)

    async def _follow(
        self, name: str, spec: MacroString | None, step: SPFTermTrace, place: _Place
    ) -> None:
        """Examine the record that include or redirect names."""
        self._count(step)
        target = self._target(spec, step, place.trace)
        if target is None or self.walked > _WALKED:
            return
        inner = place.below(SPFTrace(target), name)
        if target in inner.above:
            path = " > ".join([*inner.above, target])
            text = f"the records refer to each other for ever: {path}"
            self._blame(SPFFaultKind.LOOP, place.trace, text, step.text, breaks=True)
            return
        step.inner = inner.trace
        await self.walk(inner)
        step.void = any(lookup.void for lookup in inner.trace.lookups)
        if not inner.trace.text and all(it.answer.known for it in inner.trace.lookups):
            text = f"{target} has no SPF record: remove this term, or correct the name"
            self._blame(SPFFaultKind.NO_RECORD, place.trace, text, step.text, breaks=True)

    async def _hosts(
        self, mechanism: str, spec: MacroString | None, step: SPFTermTrace, trace: SPFTrace
    ) -> None:
        """Look up what a, mx or exists names."""
        self._count(step)
        target = self._target(spec, step, trace)
        if target is None or self.walked > _WALKED:
            return
        lookup = await self._ask(target, Kind.MX if mechanism == "mx" else Kind.A, step.lookups)
        if lookup.void and mechanism == "a":
            lookup = await self._ask(target, Kind.AAAA, step.lookups)
        if not lookup.answer.known:
            self._blame(SPFFaultKind.FAILED, trace, str(lookup), step.text, breaks=True)
        elif lookup.void:
            step.void = True
            what = "MX record" if mechanism == "mx" else "address"
            text = f"{target} has no {what}: remove this term"
            self._blame(SPFFaultKind.VOID, trace, text, step.text)
        elif (count := len(lookup.answer.exchangers)) > limits.SPF_EXCHANGERS:
            most = limits.SPF_EXCHANGERS
            text = f"{target} has {count} MX records; mx may have {most}: use ip4 and ip6"
            self._blame(SPFFaultKind.TOO_MANY_EXCHANGERS, trace, text, step.text, breaks=True)

    async def _explanation(self, term: Modifier, step: SPFTermTrace, trace: SPFTrace) -> None:
        target = self._target(term.value, step, trace)
        if target is None:
            return
        lookup = await self._ask(target, Kind.TXT, step.lookups)
        try:
            [octets] = lookup.answer.octets
            MacroString.parse_explanation(octets.decode("ascii"))
        except ValueError:
            text = f"{target} must have one TXT record, in ASCII, without faults in its macros"
            self._blame(SPFFaultKind.EXPLANATION, trace, text, term.text)

    # -- names -------------------------------------------------------------------------------------

    def _count(self, step: SPFTermTrace) -> None:
        step.asks = True
        self.walked += 1

    def _target(self, spec: MacroString | None, step: SPFTermTrace, trace: SPFTrace) -> str | None:
        """Return the name that a domain-spec means, or None if the message decides it."""
        if spec is None:
            step.target = trace.domain
            return step.target
        if not spec.letters <= _KNOWN_MACROS:
            step.why = "depends on the message"
            return None
        values = {"d": trace.domain, "o": self.domain}
        step.target = as_name(spec.expand(values.__getitem__))
        if is_name(step.target):
            return step.target
        self._blame(SPFFaultKind.VOID, trace, f"{step.target!r} is not a name", step.text)
        return None

    async def _ask(self, name: str, kind: Kind, lookups: list[Lookup]) -> Lookup:
        lookup = Lookup(name, kind, await self.resolver.lookup(name, kind))
        lookups.append(lookup)
        return lookup


def _correction(message: str) -> str:
    """Return what a misspelt mechanism probably means."""
    _, found, rest = message.partition("there is no mechanism '")
    return _meant(rest.removesuffix("'")) if found else ""


@lru_cache(maxsize=128)
def _meant(name: str) -> str:
    return near_name(name, _NAMES)
