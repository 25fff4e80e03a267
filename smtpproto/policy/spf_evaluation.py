"""The evaluation of SPF records for one client: check_host() of RFC 7208 4, with the mechanisms and
modifiers of 5 and 6."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from attrs import define, field, frozen

from .. import limits
from ..dns import Kind, Resolver
from ..grammar.ascii_case import lower
from ..grammar.domain import to_a_labels
from ..grammar.reply import GrammarError
from .spf_macro import MAX_NAME, MacroString, as_name
from .spf_record import Directive, Modifier, SPFRecord, SPFResult, is_spf
from .spf_trace import Lookup, SPFTermTrace, SPFTrace

IPAddress = IPv4Address | IPv6Address
_UNKNOWN = "unknown"


class Ended(Exception):
    """The check is over, whatever further terms would say."""

    def __init__(self, result: SPFResult, reason: str) -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason


@frozen
class Verdict:
    """What the records of a domain say."""

    result: SPFResult
    reason: str
    record: SPFRecord | None = None
    """The one that decided: the last to which redirect= led."""
    trace: SPFTrace | None = None


def ascii_name(name: str) -> str:
    """Return *name* with A-labels, without the dot at its end; or *name* itself if it has no
    A-labels (RFC 7208 4.3)."""
    try:
        return to_a_labels(name.removesuffix("."))
    except GrammarError:
        return name


def is_name(name: str) -> bool:
    """Return whether the DNS can be asked for *name* (RFC 1035 2.3.4). Names with a backslash and
    the name ``@`` cannot be written as text, since these mean something else there."""
    labels = name.split(".")
    fits = name.isascii() and len(name) <= MAX_NAME and "\\" not in name and name != "@"
    return fits and all(0 < len(label) <= limits.LABEL for label in labels)


def reverse_name(client: IPAddress) -> str:
    """Return the name under which the names of *client* are found (RFC 7208 5.5)."""
    if isinstance(client, IPv4Address):
        return ".".join(reversed(str(client).split("."))) + ".in-addr.arpa"
    return ".".join(reversed(f"{int(client):032x}")) + ".ip6.arpa"


@define(kw_only=True, eq=False)
class Evaluation:
    """One check, with all its records. *helo* and *domain* are in ASCII where that is possible."""

    client: IPAddress
    helo: str
    local_part: str
    domain: str
    resolver: Resolver
    now: float
    receiver: str
    most_voids: int = limits.SPF_VOIDS
    terms: int = 0
    voids: int = 0
    number: int = field(init=False)
    bits: int = field(init=False)
    kind: Kind = field(init=False)
    pointers: Lookup | None = None
    own_names: dict[str, bool] = field(factory=dict)
    """Names of the client, and whether they have its address."""

    def __attrs_post_init__(self) -> None:
        self.number = int(self.client)
        self.bits = self.client.max_prefixlen
        self.kind = Kind.A if self.client.version == 4 else Kind.AAAA

    async def check_host(self, trace: SPFTrace, term: SPFTermTrace | None = None) -> Verdict:
        """Check the client against the record of a domain (RFC 7208 4). *term* is the term that
        leads there. Raises Ended."""
        try:
            record = await self._record(trace, term)
            if isinstance(record, str):
                verdict = Verdict(SPFResult.NONE, record)
            else:
                verdict = await self._evaluate(record, trace)
        except Ended as ended:
            trace.result = ended.result.value
            raise
        trace.result = verdict.result.value
        return verdict

    async def _evaluate(self, record: SPFRecord, trace: SPFTrace) -> Verdict:
        """Return what the first directive says that matches (RFC 7208 4.6.2)."""
        domain = trace.domain
        for directive in record.directives:
            term = SPFTermTrace(directive.text)
            trace.terms.append(term)
            match = _MATCHES.get(directive.mechanism)
            if match is None:
                term.matched = self._is_within(directive)
            else:
                term.matched = await match(self, directive, domain, term)
            if term.matched:
                reason = f"{directive.text} of {domain} matches {self.client}"
                return Verdict(directive.result, reason, record, trace)
        if record.redirect is not None:
            return await self._redirect(record.redirect, trace)
        reason = f"no term of the record of {domain} matches {self.client}"
        return Verdict(SPFResult.NEUTRAL, reason, record, trace)

    # -- records -----------------------------------------------------------------------------------

    async def _record(self, trace: SPFTrace, term: SPFTermTrace | None) -> SPFRecord | str:
        """Return the record of a domain, or why there is none (RFC 7208 4.3 to 4.5)."""
        domain = trace.domain
        if not is_name(domain) or "." not in domain:
            return f"{domain!r} is not a domain name of several labels"
        lookup = await self._ask(domain, Kind.TXT, trace.lookups)
        if lookup.void and term is not None:
            self._count_void(term)
        found = [octets for octets in lookup.answer.octets if is_spf(octets)]
        if not found:
            return f"{domain} has no SPF record"
        if len(found) > 1:
            raise Ended(SPFResult.PERMERROR, f"{domain} has {len(found)} SPF records")
        trace.text = found[0].decode("latin-1")
        try:
            return SPFRecord.parse(found[0])
        except GrammarError as error:
            raise Ended(SPFResult.PERMERROR, f"the record of {domain}: {error}") from None

    async def _redirect(self, redirect: Modifier, trace: SPFTrace) -> Verdict:
        """Take the record of another domain in place of this one (RFC 7208 6.1)."""
        term = SPFTermTrace(redirect.text)
        trace.terms.append(term)
        return await self._other_record(redirect.value, trace.domain, term)

    async def _other_record(self, spec: MacroString, domain: str, term: SPFTermTrace) -> Verdict:
        self._count_term(term)
        target = await self._target(spec, domain, term)
        term.inner = SPFTrace(target)
        verdict = await self.check_host(term.inner, term)
        if verdict.result is SPFResult.NONE:
            raise Ended(SPFResult.PERMERROR, f"{term.text} of {domain}: {verdict.reason}")
        return verdict

    async def explanation(self, verdict: Verdict) -> str:
        """Return what the domain that refused the client says of it, or "" (RFC 7208 6.2)."""
        record, trace = verdict.record, verdict.trace
        if record is None or trace is None or record.exp is None:
            return ""
        term = SPFTermTrace(record.exp.text)
        trace.terms.append(term)
        try:
            return await self._explain(record.exp.value, trace.domain, term)
        except Ended as ended:
            term.why = ended.reason
        except ValueError as error:  # not ASCII, or not an explanation
            term.why = str(error)
        return ""

    async def _explain(self, spec: MacroString, domain: str, term: SPFTermTrace) -> str:
        target = await self._target(spec, domain, term)
        if not is_name(target):
            raise ValueError(f"{target!r} is not a name")
        found = (await self._ask(target, Kind.TXT, term.lookups)).answer.octets
        if len(found) != 1:
            raise ValueError(f"{target} has {len(found)} TXT records, not one")
        text = found[0][: limits.SPF_EXPLANATION + 1].decode("ascii")
        said = await self._expand(MacroString.parse_explanation(text), domain, term)
        if len(said) > limits.SPF_EXPLANATION or not said.isascii() or not said.isprintable():
            raise ValueError("it is too long, or not printable ASCII")
        return said

    # -- mechanisms --------------------------------------------------------------------------------

    def _is_within(self, directive: Directive) -> bool:
        """Match all, ip4 or ip6 (RFC 7208 5.1, 5.6)."""
        if directive.mechanism == "all":
            return True
        has_family = self.bits == (32 if directive.mechanism == "ip4" else 128)
        return has_family and self._is_near(directive.network, directive)

    def _is_near(self, number: int, directive: Directive) -> bool:
        """Return whether the client is in the network of the address *number*."""
        length = directive.ip4_length if self.bits == 32 else directive.ip6_length
        return (self.number ^ number) >> (self.bits - length) == 0

    async def _include(self, directive: Directive, domain: str, term: SPFTermTrace) -> bool:
        """RFC 7208 5.2."""
        assert directive.domain is not None
        verdict = await self._other_record(directive.domain, domain, term)
        return verdict.result is SPFResult.PASS

    async def _a(self, directive: Directive, domain: str, term: SPFTermTrace) -> bool:
        """RFC 7208 5.3."""
        lookup = await self._look_up(directive, domain, self.kind, term)
        return lookup is not None and self._has_near(lookup, directive)

    async def _mx(self, directive: Directive, domain: str, term: SPFTermTrace) -> bool:
        """RFC 7208 5.4. A domain without MX has no hosts here, not even itself."""
        lookup = await self._look_up(directive, domain, Kind.MX, term)
        if lookup is None:
            return False
        hosts = [it.exchange for it in sorted(lookup.answer.exchangers)]
        if len(hosts) > limits.SPF_EXCHANGERS:
            reason = (
                f"{term.target} has {len(hosts)} MX records; {limits.SPF_EXCHANGERS} may be used"
            )
            raise Ended(SPFResult.PERMERROR, reason)
        for host in filter(is_name, hosts):
            if self._has_near(await self._ask(host, self.kind, term.lookups), directive):
                return True
        return False

    async def _ptr(self, directive: Directive, domain: str, term: SPFTermTrace) -> bool:
        """RFC 7208 5.5. Only the names that would match are looked up."""
        self._count_term(term)
        target = await self._target(directive.domain, domain, term)
        names = await self._names(term)
        if self.pointers is not None and self.pointers.void:
            self._count_void(term)
        for name in names:
            if is_below(name, target) and await self._is_own(name, term):
                term.why = f"{name} is a name of {self.client}"
                return True
        return False

    async def _exists(self, directive: Directive, domain: str, term: SPFTermTrace) -> bool:
        """RFC 7208 5.7."""
        lookup = await self._look_up(directive, domain, Kind.A, term)
        return lookup is not None and bool(lookup.answer.texts)

    def _has_near(self, lookup: Lookup, directive: Directive) -> bool:
        return any(self._is_near(it, directive) for it in self._numbers(lookup.answer.texts))

    def _numbers(self, texts: Iterable[str]) -> Iterable[int]:
        """Yield the addresses of the client's family."""
        for text in texts:
            try:
                address = ip_address(text)
            except ValueError:
                continue
            if address.max_prefixlen == self.bits:
                yield int(address)

    # -- questions ---------------------------------------------------------------------------------

    async def _look_up(
        self, directive: Directive, domain: str, kind: Kind, term: SPFTermTrace
    ) -> Lookup | None:
        """Ask for the target of a directive; return None if it is not a name (RFC 7208 4.8)."""
        self._count_term(term)
        target = await self._target(directive.domain, domain, term)
        if not is_name(target):
            term.why = f"{target!r} is not a name"
            return None
        lookup = await self._ask(target, kind, term.lookups)
        if lookup.void:
            self._count_void(term)
        return lookup

    async def _ask(self, name: str, kind: Kind, lookups: list[Lookup]) -> Lookup:
        lookup = Lookup(name, kind, await self.resolver.lookup(name, kind))
        lookups.append(lookup)
        if not lookup.answer.known:  # RFC 7208 4.4, 5
            detail = lookup.answer.detail or lookup.answer.status.value
            raise Ended(SPFResult.TEMPERROR, f"the look-up of {kind.value} {name}: {detail}")
        return lookup

    def _count_term(self, term: SPFTermTrace) -> None:
        term.asks = True
        self.terms += 1
        if self.terms > limits.SPF_TERMS:
            reason = f"more than {limits.SPF_TERMS} terms that ask the DNS"
            raise Ended(SPFResult.PERMERROR, f"{reason}: {term.text} is one too many")

    def _count_void(self, term: SPFTermTrace) -> None:
        term.void = True
        self.voids += 1
        if self.voids > self.most_voids:
            reason = f"more than {self.most_voids} terms for which the DNS has nothing"
            raise Ended(SPFResult.PERMERROR, f"{reason}: {term.text} is one too many")

    # -- names of the client -----------------------------------------------------------------------

    async def _names(self, term: SPFTermTrace) -> list[str]:
        """Return the names that the client claims; none if the DNS fails."""
        if self.pointers is None:
            name = reverse_name(self.client)
            self.pointers = Lookup(name, Kind.PTR, await self.resolver.lookup(name, Kind.PTR))
            term.lookups.append(self.pointers)
        names = self.pointers.answer.texts[: limits.SPF_POINTERS]
        return [it for it in (lower(ascii_name(name)) for name in names) if is_name(it)]

    async def _is_own(self, name: str, term: SPFTermTrace) -> bool:
        """Return whether *name* has the address of the client; not if the DNS fails."""
        if name not in self.own_names:
            lookup = Lookup(name, self.kind, await self.resolver.lookup(name, self.kind))
            term.lookups.append(lookup)
            self.own_names[name] = self.number in self._numbers(lookup.answer.texts)
        return self.own_names[name]

    async def _own_name(self, domain: str, term: SPFTermTrace) -> str:
        """Return the value of the macro p: *domain*, else a name below it, else another one (RFC
        7208 7.3)."""
        names = await self._names(term)
        for name in sorted(names, key=lambda it: (it != domain, not is_below(it, domain))):
            if await self._is_own(name, term):
                return name
        return _UNKNOWN

    # -- macros ------------------------------------------------------------------------------------

    async def _target(self, spec: MacroString | None, domain: str, term: SPFTermTrace) -> str:
        """Return what a domain-spec means (RFC 7208 4.8). It may not be a name."""
        if spec is None:
            term.target = domain
        elif self.local_part.isascii() or not spec.letters & {"l", "s"}:
            term.target = as_name(await self._expand(spec, domain, term))
        return term.target  # none has a local-part that is not ASCII (RFC 8616 4)

    async def _expand(self, macros: MacroString, domain: str, term: SPFTermTrace) -> str:
        own = await self._own_name(domain, term) if "p" in macros.letters else ""
        return macros.expand(lambda letter: own if letter == "p" else self._value(letter, domain))

    def _value(self, letter: str, domain: str) -> str:
        """Return the value of a macro other than p (RFC 7208 7.2)."""
        return domain if letter == "d" else _VALUES[letter](self)


_VALUES: dict[str, Callable[[Evaluation], str]] = {
    "s": lambda it: f"{it.local_part}@{it.domain}",
    "l": lambda it: it.local_part,
    "o": lambda it: it.domain,
    "i": lambda it: str(it.client) if it.bits == 32 else ".".join(f"{it.number:032X}"),
    "v": lambda it: "in-addr" if it.bits == 32 else "ip6",
    "h": lambda it: it.helo,
    "c": lambda it: str(it.client),
    "r": lambda it: it.receiver,
    "t": lambda it: str(int(it.now)),
}


def is_below(name: str, domain: str) -> bool:
    """Return whether *name* is *domain* or below it."""
    return name == domain or name.endswith(f".{domain}")


_MATCHES: dict[str, Callable[[Evaluation, Directive, str, SPFTermTrace], Awaitable[bool]]] = {
    "include": Evaluation._include,
    "a": Evaluation._a,
    "mx": Evaluation._mx,
    "ptr": Evaluation._ptr,
    "exists": Evaluation._exists,
}
