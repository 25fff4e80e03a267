"""Lists in the DNS of addresses and domains, for or against them (RFC 5782).

::

    lists = [DNSList("bl.example.org"), DNSList("dbl.example.org", domains=True, weight=0.5)]
    verdict = await DNSLists(lists).look_up("192.0.2.1", ["example.com"], resolver, runtime)
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, ip_address, ip_network

from attrs import define, field, frozen
from attrs.validators import gt

from ..dns import Answer, Kind, Resolver
from ..grammar.domain import to_ascii_host
from ..grammar.printable import printable
from ..option_types import checked
from ..ports import CallAborted, Runtime

__all__ = ["DNSList", "DNSLists", "Listing"]

_log = logging.getLogger("smtpproto.policy")

_CODES = ip_network("127.0.0.0/8")  # RFC 5782 2.3
_REFUSALS = ip_network("127.255.255.0/24")  # from a list that does not serve this resolver
# What each list has, and what none has (RFC 5782 5). Lists of IPv6 may have only the second pair.
_TESTS = {
    False: [("127.0.0.2", "127.0.0.1"), ("::ffff:7f00:2", "::ffff:7f00:1")],
    True: [("test", "invalid")],
}
_TEST_AGAIN = 3600.0  # seconds after which a list is tested again
_ASK_AGAIN = 300.0  # the same, if it did not answer
_NAME = 253  # characters of a name


def _to_zone(zone: str) -> str:
    return to_ascii_host(zone.rstrip(".")).canonical


def _to_codes(codes: str | Iterable[str]) -> tuple[IPv4Network, ...]:
    return tuple(IPv4Network(it) for it in ([codes] if isinstance(codes, str) else codes))


@checked
@frozen
class DNSList:
    """A list, and what it means to be on it.

    Raises GrammarError for a zone that is no name, ValueError for other wrong values.
    """

    zone: str = field(converter=_to_zone)
    """Where it is in the DNS."""
    weight: float = field(default=1.0, kw_only=True)
    """What a listing counts. That of a list of good hosts is negative."""
    domains: bool = field(default=False, kw_only=True)
    """Whether it lists domains, not addresses: that of the sender, and the name in EHLO."""
    codes: tuple[IPv4Network, ...] = field(default=(), converter=_to_codes, kw_only=True)
    """The answers that count, as addresses or networks: ``["127.0.0.2", "127.0.0.4/30"]``. None:
    all."""
    mask: int = field(default=0, kw_only=True)
    """Bits of the last octet of an answer, at least one of which must be set; 0: none must."""

    def name_of(self, what: str) -> str:
        """Return the name of an address, or of a domain in A-labels. Raises ValueError."""
        return f"{what if self.domains else _reversed(what)}.{self.zone}"

    def counts(self, answer: str) -> bool:
        """Return whether the list says by *answer*, the text of an address, what is wanted."""
        address = ip_address(answer)
        meant = not self.codes or any(address in network for network in self.codes)
        return meant and (not self.mask or bool(int(address) & self.mask))


@frozen
class Listing:
    """What a list says."""

    list: DNSList
    what: str
    """The address or the domain that is listed."""
    name: str
    """The name in the DNS, for example for its TXT record."""
    answers: tuple[str, ...]


@define(eq=False)
class _Health:
    """What is known of the list of a zone."""

    trouble: str = ""  # why it is not asked
    tested: float = -1e9  # when, by a clock that never goes back
    again: float = 0.0  # seconds after which it is tested again

    def note(self, zone: str, trouble: str, now: float, again: float) -> None:
        if trouble and trouble != self.trouble:
            _log.warning("the list %s is left out: %s", zone, trouble)
        elif self.trouble and not trouble:
            _log.info("the list %s works again", zone)
        self.trouble, self.tested, self.again = trouble, now, again


@define(eq=False)
class DNSLists:
    """Asks lists. A list is left out if its own test entries show that it lists everything or
    nothing (RFC 5782 5), if it refuses to serve this resolver, and while it does not answer."""

    lists: Sequence[DNSList]
    timeout: float = field(default=5.0, validator=gt(0), kw_only=True)
    """Seconds for all of them together; what is not known then does not count."""
    _health: dict[tuple[str, bool], _Health] = field(factory=dict, init=False)

    async def look_up(
        self, address: str, domains: Iterable[str], resolver: Resolver, runtime: Runtime
    ) -> Sequence[Listing]:
        """Return what the lists say of *address*, an IP address in text, and of *domains*, in
        A-labels. Of a text that is no address they say nothing."""
        subjects = {True: [*domains], False: _addresses(address)}
        found = list[Listing]()

        async def ask(it: DNSList) -> None:
            for what in subjects[it.domains]:
                asking = self._ask(it, what, resolver, runtime)
                try:
                    listing = await runtime.within(self.timeout, asking)
                except CallAborted:
                    self._note(it, "it does not answer in time", runtime.now(), _ASK_AGAIN)
                    return
                if listing is not None:
                    found.append(listing)

        async with runtime.tasks() as tasks:
            for each in self.lists:
                tasks.start(ask(each))
        return sorted(found, key=lambda listing: self.lists.index(listing.list))

    async def _ask(
        self, it: DNSList, what: str, resolver: Resolver, runtime: Runtime
    ) -> Listing | None:
        name = it.name_of(what)
        if len(name) > _NAME or not await self._works(it, resolver, runtime):
            return None
        answer = await resolver.lookup(name, Kind.A)
        if trouble := _trouble(answer):
            self._note(it, trouble, runtime.now(), _ASK_AGAIN)
            return None
        answers = tuple(text for text in answer.texts if it.counts(text))
        return Listing(it, what, name, answers) if answers else None

    async def _works(self, it: DNSList, resolver: Resolver, runtime: Runtime) -> bool:
        """Return whether the list may be believed; test it if that was long ago."""
        health = self._health.setdefault((it.zone, it.domains), _Health())
        now = runtime.now()
        if now - health.tested < health.again:
            return not health.trouble
        trouble, known = "", True
        for listed, free in _TESTS[it.domains]:
            answers = [await resolver.lookup(it.name_of(what), Kind.A) for what in (listed, free)]
            known = known and all(answer.known for answer in answers)
            trouble = next(filter(None, map(_trouble, answers)), "")
            if not trouble and answers[1].texts:
                trouble = f"it lists {free}, and so perhaps everything"
            if trouble or answers[0].texts:
                break
            trouble = f"it does not list {listed}, as each list must"
        self._note(it, trouble, now, _TEST_AGAIN if known else _ASK_AGAIN)
        return not trouble

    def _note(self, it: DNSList, trouble: str, now: float, again: float) -> None:
        health = self._health.setdefault((it.zone, it.domains), _Health())
        health.note(it.zone, trouble, now, again)


def _trouble(answer: Answer) -> str:
    """Return why *answer* cannot be that of a list; "" if it can."""
    if not answer.known:
        return f"it does not answer: {printable(answer.detail or answer.status.value)}"
    for text in answer.texts:
        address = ip_address(text)
        if address in _REFUSALS:
            return f"it refuses this resolver, by {text}; ask it through a resolver of your own"
        if address not in _CODES:
            return f"it answers {text}, which is no code of a list"
    return ""


def _addresses(text: str) -> Sequence[str]:
    """Return the address *text* as lists have it: without its zone, without IPv6 around IPv4."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return ()
    return (str(getattr(address, "ipv4_mapped", None) or address),)


def _reversed(address: str) -> str:
    """Return *address* as lists have it in names: octets, or the digits of IPv6, from the last one
    (RFC 5782 2.1, 2.4). Raises ValueError if it is not an address."""
    return ip_address(address).reverse_pointer.rsplit(".", 2)[0]
