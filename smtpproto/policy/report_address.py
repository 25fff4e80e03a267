"""Where reports of DMARC may be sent: to addresses in the organization of the domain, and to those
whose domain agrees (RFC 9990 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from attrs import frozen

from ..dns import Kind, Resolver
from ..grammar.address import Mailbox
from ..grammar.ascii_case import lower
from ..grammar.domain import Domain
from ..grammar.printable import printable
from .dmarc_record import DMARCRecord, mailbox_of
from .dmarc_walk import Unanswered, Walker, read_records
from .spf_evaluation import ascii_name, is_name
from .spf_trace import Lookup

__all__ = ["ReportDestination", "report_destinations"]

_REPLACED = 10  # addresses that a receiver may name instead of one


@frozen(kw_only=True)
class ReportDestination:
    """An address in ``rua`` or ``ruf``, and whether reports may go there."""

    uri: str
    mailboxes: tuple[Mailbox, ...] = ()
    """Where to send them; () if they may not be sent. The receiver of the reports may have replaced
    the address by others of the same domain, ten at most."""
    reason: str
    """Why, in words; printable."""
    temporary: bool = False
    """Whether the DNS did not answer, so that a later attempt may end otherwise."""


async def report_destinations(
    domain: str,
    uris: Iterable[str],
    resolver: Resolver,
    *,
    organizational_domain: Callable[[str], str] | None = None,
) -> list[ReportDestination]:
    """Return where reports about *domain*, whose record has *uris*, may be sent.

    An address outside of the organization of *domain* needs the consent of its own domain, a record
    at ``<domain>._report._dmarc.<its domain>``. Only ``mailto:`` is supported. It raises nothing.
    *organizational_domain*: see :func:`.check_dmarc`.
    """
    walker = Walker(resolver, suffix_list=organizational_domain)
    name = lower(ascii_name(domain))
    return [await _destination(name, uri, walker) for uri in uris]


async def _destination(domain: str, uri: str, walker: Walker) -> ReportDestination:
    mailbox = mailbox_of(uri)
    if mailbox is None or not isinstance(mailbox.domain, Domain):
        return ReportDestination(uri=uri, reason="not a mailto: address at a domain")
    host = _host(mailbox)
    try:
        if await walker.organization(domain) == await walker.organization(host):
            reason = f"{host} is in the organization of {printable(domain)}"
            return ReportDestination(uri=uri, mailboxes=(mailbox,), reason=reason)
        return await _external(domain, host, mailbox, uri, walker)
    except Unanswered as error:
        return ReportDestination(uri=uri, reason=str(error), temporary=True)


async def _external(
    domain: str, host: str, mailbox: Mailbox, uri: str, walker: Walker
) -> ReportDestination:
    name = f"{domain}._report._dmarc.{host}"
    if not is_name(name):
        return ReportDestination(uri=uri, reason=f"the name {printable(name)} is too long")
    answer = await walker.resolver.lookup(name, Kind.TXT)
    if not answer.known:
        raise Unanswered(Lookup(name, Kind.TXT, answer))
    records = read_records(answer.octets)
    if not records:
        reason = f"{host} does not agree: there is no record v=DMARC1 at {printable(name)}"
        return ReportDestination(uri=uri, reason=reason)
    replaced = _replaced(records, host)
    reason = f"{host} agrees at {printable(name)}"
    return ReportDestination(uri=uri, mailboxes=replaced or (mailbox,), reason=reason)


def _replaced(records: list[DMARCRecord], host: str) -> tuple[Mailbox, ...]:
    """Return the addresses to which *host* wants the reports; others than its own do not count."""
    found = (mailbox_of(uri) for record in records for uri in record.aggregate_uris)
    own = (it for it in found if it is not None and _host(it) == host)
    return tuple(islice(own, _REPLACED))


def _host(mailbox: Mailbox) -> str:
    return lower(ascii_name(str(mailbox.domain)))
