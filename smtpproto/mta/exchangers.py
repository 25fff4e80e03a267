"""Which hosts take the mail of a domain: MX records and what they mean (RFC 5321 5.1, RFC 7505)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import groupby, islice, zip_longest
from operator import attrgetter

from attrs import field, frozen

from ..dns import MX, Answer, Kind, Resolver, Status
from ..errors import NoRoute
from ..grammar.domain import AddressLiteral, GeneralLiteral, Host, to_ascii_host
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..limits import HOST_ADDRESSES, MX_FAILURES, MX_HOSTS

__all__ = ["Exchanger", "Self", "exchangers"]

_preference = attrgetter("preference")


@frozen(kw_only=True)
class Exchanger:
    """A host that takes mail for a domain."""

    name: str
    """In A-labels; an address literal as text."""
    addresses: tuple[str, ...]
    """Both families in turn; each in the order of the answer."""
    preference: int = 0
    authentic: bool = False
    """Whether DNSSEC proves that the domain names it; or the domain is its address."""


def _canonical(names: Iterable[Host | str]) -> frozenset[str]:
    return frozenset(to_ascii_host(name).canonical for name in names)


def _written_alike(addresses: Iterable[str]) -> frozenset[str]:
    return frozenset(str(_plain(address)) for address in addresses)


def _plain(address: str) -> IPv4Address | IPv6Address:
    ip = ip_address(address)
    return getattr(ip, "ipv4_mapped", None) or ip


@frozen(kw_only=True)
class Self:
    """What this server is known by. It never sends a domain's mail to itself."""

    names: frozenset[str] = field(default=frozenset(), converter=_canonical)
    addresses: frozenset[str] = field(default=frozenset(), converter=_written_alike)
    loopback: bool = True
    """Whether addresses of the loopback, and the unspecified ones, count as this server."""

    def has(self, exchanger: Exchanger) -> bool:
        """Return whether *exchanger* is this server."""
        return exchanger.name in self.names or any(map(self._is_own, exchanger.addresses))

    def _is_own(self, address: str) -> bool:
        ip = _plain(address)
        own = self.loopback and (ip.is_loopback or ip.is_unspecified)
        return own or str(ip) in self.addresses


async def exchangers(
    domain: str,
    resolver: Resolver,
    itself: Self,
    shuffle: Callable[[Sequence[MX]], Iterable[MX]],
) -> AsyncGenerator[Exchanger, None]:
    """Yield the hosts for *domain*, in the order to try them; look up no more than is asked for.

    *domain* is a name or an address literal. *shuffle* returns records of equal preference in
    a random order. Hosts that are not preferred to *itself* are left out (RFC 5321 5.1). The
    target of an MX record may be an alias, although RFC 5321 5.1 does not provide for that.
    Raises :class:`NoRoute` in place of a first host. Failures of the DNS are 4yz, never 5yz.
    """
    if domain.startswith("["):
        yield _at_literal(domain, itself)
        return
    records, implicit, authentic = await _records(domain, resolver)
    ours = [record.preference for record in records if record.exchange in itself.names]
    preferred = [record for record in records if not ours or record.preference < min(ours)]
    search = _Search(domain, resolver, itself, implicit, authentic)
    for _, group in groupby(sorted(preferred, key=_preference)[:MX_HOSTS], _preference):
        for found in await search.usable(list(shuffle(list(group)))):
            yield found
        if search.is_over:
            break
    search.check(loops=bool(ours))


def _at_literal(domain: str, itself: Self) -> Exchanger:
    address = AddressLiteral.parse(domain).address
    if isinstance(address, GeneralLiteral):
        text = f"{printable(domain)} is an address of a kind that is not supported"
        raise _no_route(Reply(550, "5.1.2", text))
    found = Exchanger(name=domain, addresses=(str(address),), authentic=True)
    if itself.has(found):
        raise _loops(domain)
    return found


async def _records(domain: str, resolver: Resolver) -> tuple[Sequence[MX], bool, bool]:
    """Return the MX records of *domain*, whether they are only implied, and whether DNSSEC proves
    them. Raises NoRoute."""
    if not domain.isascii():  # IDNA 2003 and IDNA 2008 lead to different names
        text = f"The domain {printable(domain)} is ambiguous; write it in ASCII, with xn--"
        raise _no_route(Reply(550, "5.1.2", text))
    answer = await resolver.lookup(domain, Kind.MX)
    if not answer.known:
        raise _failed(domain, Kind.MX, answer)
    if answer.status is Status.NO_NAME:
        raise _no_route(Reply(550, "5.1.2", f"The domain {printable(domain)} does not exist"))
    named = {it.exchange: it for it in sorted(answer.exchangers, key=_preference, reverse=True)}
    null = named.pop("", None)
    if named:
        return [*named.values()], False, answer.authentic  # each host once, at its best preference
    if null is not None:
        text = f"The domain {printable(domain)} takes no mail: it has a null MX"
        raise _no_route(Reply(556, "5.1.10", text))
    return [MX(0, answer.name or domain)], True, answer.authentic


class _Search:
    """Looks up the addresses of exchangers, and remembers why some are unusable."""

    def __init__(
        self, domain: str, resolver: Resolver, itself: Self, implicit: bool, authentic: bool
    ) -> None:
        self._domain, self._resolver, self._itself = domain, resolver, itself
        self._implicit, self._authentic = implicit, authentic
        self._found = False
        self._failures: list[NoRoute] = []
        self._failed = 0
        self._reached_itself = False

    @property
    def is_over(self) -> bool:
        """Whether to look up no more: this server was among the last hosts, or too much failed."""
        return self._reached_itself or self._failed >= MX_FAILURES

    async def usable(self, group: Sequence[MX]) -> Sequence[Exchanger]:
        """Return the hosts of *group*, whose preferences are equal; none if this server is among
        them."""
        hosts, failures = list[Exchanger](), list[NoRoute]()
        for record in group:
            if self.is_over:
                break
            host, failure = await self._look_up(record)
            self._reached_itself = self._itself.has(host)
            hosts += [host] if host.addresses else []
            if failure is not None:
                failures.append(failure)
                self._failed += 1
        if self._reached_itself:
            return []
        self._found = self._found or bool(hosts)
        self._failures += failures
        return hosts

    async def _look_up(self, record: MX) -> tuple[Exchanger, NoRoute | None]:
        families, failure = list[Sequence[str]](), None
        for kind in (Kind.AAAA, Kind.A):
            answer = await self._resolver.lookup(record.exchange, kind)
            if not answer.known:
                failure = _failed(record.exchange, kind, answer)
            families.append(answer.texts)
        addresses = tuple(islice(_in_turn(families), HOST_ADDRESSES))
        exchanger = Exchanger(
            name=record.exchange,
            addresses=addresses,
            preference=record.preference,
            authentic=self._authentic,
        )
        return exchanger, failure

    def check(self, *, loops: bool) -> None:
        """Raise NoRoute if no host was found. *loops* says whether the domain names this server."""
        if self._found:
            return
        if self._failures:  # before a loop: a host that is preferred to this one may work later
            raise self._failures[-1]
        if self._reached_itself or loops:
            raise _loops(self._domain)
        domain = printable(self._domain)
        if self._implicit:
            raise _no_route(Reply(550, "5.1.2", f"The domain {domain} has no address"))
        raise _no_route(Reply(550, "5.4.4", f"No mail exchanger of {domain} has an address"))


def _in_turn(families: Iterable[Iterable[str]]) -> Iterator[str]:
    for addresses in zip_longest(*families):
        yield from (address for address in addresses if address is not None)


def _loops(domain: str) -> NoRoute:
    text = f"Mail for {printable(domain)} loops back to this server"
    return _no_route(Reply(550, "5.4.6", text))


def _failed(name: str, kind: Kind, answer: Answer) -> NoRoute:
    ended = "did not pass DNSSEC" if answer.status is Status.BOGUS else "failed"
    why = f" ({printable(answer.detail)})" if answer.detail else ""
    text = f"The look-up of {kind.value} records of {printable(name)} {ended}{why}"
    return _no_route(Reply(451, "4.4.3", text))


def _no_route(reply: Reply) -> NoRoute:
    return NoRoute(reply.text, phase="route", reply=reply)
