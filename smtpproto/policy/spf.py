"""Whether a host may send mail for a domain: the Sender Policy Framework (RFC 7208).

::

    request = SPFRequest(
        client="192.0.2.1", helo="mx.example.org", sender="ann@example.org", now=time.time()
    )
    check = await check_spf(request, resolver)
    check.result   # SPFResult.FAIL
    check.reason   # "-all of example.org matches 192.0.2.1"
    print(check)   # the whole story, as a tree

It asks the DNS only through the resolver, at most 123 times, and one question after the other. A
caller bounds the time of a check, and takes :meth:`SPFCheck.given_up` when it is over; RFC 7208
4.6.4 wants at least 20 seconds.
"""

from __future__ import annotations

from ipaddress import ip_address

from attrs import evolve, field, frozen

from .. import limits
from ..dns import Resolver
from ..grammar.address import Mailbox, ReversePath
from ..grammar.ascii_case import lower
from ..grammar.domain import HelloHost
from ..grammar.printable import printable
from ..grammar.reply import GrammarError, Reply
from ..option_types import require_resolver, require_type
from .spf_evaluation import Ended, Evaluation, IPAddress, Verdict, ascii_name
from .spf_record import SPFResult
from .spf_trace import SPFTrace

_REQUEST = "SPFRequest(client=..., helo=..., sender=..., now=...)"
_POSTMASTER = "postmaster"  # the local-part of a sender without one (RFC 7208 2.4, 4.3)


def _to_address(client: str | IPAddress) -> IPAddress:
    try:
        address = ip_address(client)
    except ValueError:
        raise GrammarError(f"not an IP address: {str(client)[:100]!r}") from None
    return getattr(address, "ipv4_mapped", None) or address


@frozen(kw_only=True)
class SPFRequest:
    """What a check is about. Raises GrammarError if *client* is not an IP address."""

    client: IPAddress = field(converter=_to_address)
    """The address of the client. IPv4-mapped IPv6 addresses become IPv4 addresses."""
    helo: HelloHost | str
    """The name in its EHLO or HELO."""
    sender: ReversePath | Mailbox | str | None
    """The address in MAIL. None and "" are the null sender."""
    now: float
    """Seconds since the epoch. An explanation may show it."""
    receiver: str = "unknown"
    """The name of this host. An explanation may show it."""


@frozen(kw_only=True)
class SPFCheck:
    """The result of a check, and how it came about."""

    result: SPFResult
    reason: str
    """Why, in words."""
    identity: str
    """What was checked: ``mailfrom`` or ``helo`` (RFC 7208 2.3, 2.4)."""
    domain: str
    """The domain whose record was checked: that of the sender, or the name in HELO."""
    sender: str
    """The sender that was checked; ``postmaster@`` and the name in HELO for the null sender."""
    client: IPAddress
    """An IPv4 address if the client had an IPv4-mapped IPv6 address."""
    helo: str
    """The name in EHLO or HELO, with A-labels."""
    mechanism: str = ""
    """The directive that matched, as the record of :attr:`domain` has it; "" if none did."""
    explanation: str = ""
    """For FAIL: what the domain says to the sender, in printable ASCII; "" if it says nothing. It
    is the word of a stranger: show it as such (RFC 7208 11.5)."""
    trace: SPFTrace = field(repr=False)

    @classmethod
    def given_up(cls, request: SPFRequest, reason: str) -> SPFCheck:
        """Return TEMPERROR for a check of the sender that took too long (RFC 7208 4.6.4)."""
        local_part, domain = _identity(request)
        return cls(
            result=SPFResult.TEMPERROR,
            reason=reason,
            identity="mailfrom",
            domain=domain,
            sender=f"{local_part}@{domain}",
            client=request.client,
            helo=ascii_name(str(request.helo)),
            trace=SPFTrace(domain),
        )

    @property
    def refusal(self) -> Reply | None:
        """The reply of a server that refuses mail for this result; None for results for which it
        should not (RFC 7208 8, RFC 7372 3.2)."""
        match self.result:
            case SPFResult.FAIL:
                texts = [f"{self.client} may not send mail for {self.domain}, says its SPF record"]
                if self.explanation:
                    texts.append(f"The domain {self.domain} explains: {self.explanation}")
                return Reply(550, "5.7.23", [*map(_safe, texts)])
            case SPFResult.TEMPERROR:
                return Reply(451, "4.7.24", _safe(f"SPF could not be checked: {self.reason}"))
            case SPFResult.PERMERROR:
                return Reply(550, "5.7.24", _safe(f"SPF cannot be checked: {self.reason}"))
            case _:
                return None

    def __str__(self) -> str:
        return f"{self.result.value}: {printable(self.reason)}\n{self.trace.counts}\n{self.trace}"


async def check_spf(
    request: SPFRequest, resolver: Resolver, *, voids: int = limits.SPF_VOIDS
) -> SPFCheck:
    """Check whether the client may send mail from the sender (RFC 7208 2.4).

    The null sender stands for postmaster at the name in HELO. *voids* is how many terms may find
    nothing in the DNS (RFC 7208 4.6.4). It raises nothing: whatever the DNS says is a result.
    """
    require_type("request", request, SPFRequest, _REQUEST)
    require_resolver(resolver)
    local_part, domain = _identity(request)
    evaluation = Evaluation(
        client=request.client,
        helo=ascii_name(str(request.helo)),
        local_part=local_part,
        domain=domain,
        resolver=resolver,
        now=request.now,
        receiver=request.receiver,
        most_voids=voids,
    )
    return await _run(evaluation, "mailfrom")


async def check_helo(
    request: SPFRequest, resolver: Resolver, *, voids: int = limits.SPF_VOIDS
) -> SPFCheck:
    """Check whether the client may call itself as it does in HELO (RFC 7208 2.3). The sender does
    not matter; else as :func:`check_spf`."""
    require_type("request", request, SPFRequest, _REQUEST)
    check = await check_spf(evolve(request, sender=None), resolver, voids=voids)
    return evolve(check, identity="helo")


def _safe(text: str) -> str:
    """Return *text* as a line of a reply in ASCII."""
    return printable(text).encode("ascii", "backslashreplace").decode()


def _identity(request: SPFRequest) -> tuple[str, str]:
    """Return the local-part and the domain to check (RFC 7208 2.4, 4.3)."""
    local_part, domain = _split(request.sender)
    if not domain:
        local_part, domain = _POSTMASTER, str(request.helo)
    return local_part or _POSTMASTER, lower(ascii_name(domain))


def _split(sender: str | Mailbox | ReversePath | None) -> tuple[str, str]:
    if isinstance(sender, ReversePath):
        sender = sender.mailbox
    if sender is None:
        return "", ""
    if isinstance(sender, Mailbox):
        return sender.local_part, "" if sender.domain is None else str(sender.domain)
    require_type("sender", sender, str, "an address")
    local_part, _, domain = sender.rpartition("@")
    return local_part, domain


async def _run(evaluation: Evaluation, identity: str) -> SPFCheck:
    trace = SPFTrace(evaluation.domain)
    explanation = ""
    try:
        verdict = await evaluation.check_host(trace)
        if verdict.result is SPFResult.FAIL:
            explanation = await evaluation.explanation(verdict)
    except Ended as ended:
        verdict = Verdict(ended.result, ended.reason)
    return SPFCheck(
        result=verdict.result,
        reason=verdict.reason,
        identity=identity,
        domain=evaluation.domain,
        sender=f"{evaluation.local_part}@{evaluation.domain}",
        client=evaluation.client,
        helo=evaluation.helo,
        mechanism=next((term.text for term in trace.terms if term.matched), ""),
        explanation=explanation,
        trace=trace,
    )
