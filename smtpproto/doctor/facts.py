"""What is asked about a domain, each question once, and within bounds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from attrs import define, field, frozen
from attrs.converters import optional
from attrs.validators import ge

from ..client import ClientConfig
from ..dns import MX, Answer, Kind, Resolver
from ..errors import GrammarError
from ..grammar.domain import Domain, Host, to_ascii_host
from ..grammar.reply import accepts
from ..limits import DNS_QUESTIONS, DOCTOR_HOSTS, DOCTOR_SECONDS
from ..option_types import checked
from ..policy import Certificates, Fetch, Keys
from ..policy.dkim_sign import as_domain
from ..ports import Runtime
from ..tls import TLSVerify

__all__ = ["DoctorOptions", "Exchange", "Facts", "MailHost", "is_answered"]

_ADDRESSES = 4  # of one host


def _selectors(values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise TypeError("selectors cannot be a str; pass a list of names")
    return tuple(map(as_domain, values))


def _addresses(values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise TypeError("senders cannot be a str; pass a list of IP addresses")
    return tuple(str(ip_address(it)) for it in values)


@checked
@frozen(kw_only=True)
class DoctorOptions:
    """What the doctor looks at, and how far it goes."""

    selectors: tuple[str, ...] = field(default=(), converter=_selectors)
    """The selectors of DKIM whose keys are looked at; the DNS cannot tell which there are."""
    senders: tuple[str, ...] = field(default=(), converter=_addresses)
    """IP addresses of the hosts that send mail of the domain."""
    connects: bool = True
    """Whether to connect to the hosts that take mail."""
    hello: Host | None = field(default=None, converter=optional(to_ascii_host))
    """The name in EHLO. None: the local address."""
    source: str | None = None
    """The IP address to connect from."""
    verify: TLSVerify = field(factory=TLSVerify.by_name)
    """How certificates are verified."""
    keys: Keys | None = None
    """Reads the keys of DKIM. None: they are not read."""
    fetch: Fetch | None = None
    """Fetches the policy of MTA-STS. None: it is not fetched."""
    certificates: Certificates | None = None
    """Reads certificates, for DANE. None: they are not compared with the TLSA records."""
    questions: int = field(default=DNS_QUESTIONS, validator=ge(1))
    """The most questions to the DNS."""
    seconds: float = field(default=DOCTOR_SECONDS, validator=ge(1))
    """The time after which it tells what it has found until then."""

    def __attrs_post_init__(self) -> None:
        ClientConfig(verify=self.verify, source=self.source)  # reports a file that cannot be read


@frozen(kw_only=True)
class MailHost:
    """A host that takes mail for the domain."""

    name: str
    preference: int
    addresses: tuple[str, ...] = ()
    alias: str = ""
    """The name that its name is an alias (CNAME) of; "" if it is none."""
    authentic: bool = False
    """Whether DNSSEC proves the addresses."""
    unanswered: str = ""
    """What the DNS did not answer, in words."""
    fault: str = ""
    """Why its name cannot be the name of a host."""


@frozen(kw_only=True)
class Exchange:
    """Where the mail of a domain goes."""

    answer: Answer
    """To the question for MX records."""
    hosts: tuple[MailHost, ...]
    """In the order of preference."""
    implicit: bool = False
    """Whether there is no MX record, and the domain stands for itself."""
    refuses: bool = False
    """Whether the domain takes no mail: a null MX (RFC 7505)."""
    left_out: int = 0
    """How many hosts were not looked at."""


@define(eq=False)
class Facts:
    """What is known of a domain."""

    domain: str
    resolver: Resolver
    runtime: Runtime
    options: DoctorOptions
    end: float = math.inf
    """When the examination ends, as a time of the runtime."""
    enforces_tls: bool = field(default=False, init=False)
    """Whether an MTA-STS policy makes senders refuse hosts without a valid certificate."""
    _exchange: Exchange | None = field(default=None, init=False)

    @property
    def is_over(self) -> bool:
        """Whether the time for the examination is over."""
        return self.runtime.now() >= self.end

    async def ask(self, name: str, kind: Kind) -> Answer:
        """Return what the DNS answers."""
        return await self.resolver.lookup(name, kind)

    async def exchange(self) -> Exchange:
        """Return where the mail of the domain goes."""
        if self._exchange is None:
            self._exchange = await self._look_up_exchange()
        return self._exchange

    async def hosts(self) -> Sequence[MailHost]:
        """Return the hosts that take the mail of the domain."""
        return (await self.exchange()).hosts

    async def _look_up_exchange(self) -> Exchange:
        answer = await self.ask(self.domain, Kind.MX)
        records = sorted(answer.exchangers)
        named = [it for it in records if it.exchange]
        if not answer.known or (records and not named):
            return Exchange(answer=answer, hosts=(), refuses=answer.known)
        hosts = [await self._host(it) for it in named[:DOCTOR_HOSTS]]
        if not named:
            own = await self._host(MX(0, self.domain))
            hosts = [own] if own.addresses else []
        return Exchange(
            answer=answer,
            hosts=tuple(hosts),
            implicit=not named,
            left_out=max(len(named) - DOCTOR_HOSTS, 0),
        )

    async def _host(self, record: MX) -> MailHost:
        name, preference = record.exchange, record.preference
        try:
            Domain(name)
        except GrammarError as error:
            return MailHost(name=name, preference=preference, fault=error.message)
        answers = [await self.ask(name, kind) for kind in (Kind.A, Kind.AAAA)]
        addresses = [it for answer in answers for it in _valid(answer.texts)[:_ADDRESSES]]
        unanswered = [it.detail or it.status.value for it in answers if not it.known]
        return MailHost(
            name=name,
            preference=preference,
            addresses=tuple(addresses),
            alias=next((it.name for it in answers if it.name), ""),
            authentic=all(it.authentic for it in answers),
            unanswered=", ".join(dict.fromkeys(unanswered)),
        )


def _valid(addresses: Iterable[str]) -> list[str]:
    """Return those of *addresses* that are IP addresses, as a resolver's always are."""
    return [it for it in addresses if accepts(ip_address, it)]


def is_answered(answer: Answer) -> str:
    """Return "" if *answer* says something about a name, else what went wrong, in words."""
    if answer.known:
        return ""
    detail = f" ({answer.detail[:200]})" if answer.detail else ""
    return f"the DNS did not answer: {answer.status.value}{detail}"
