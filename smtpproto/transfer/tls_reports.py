"""The TLS of an MTA's connections, counted and reported to the domains of the hosts (RFC 8460)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from urllib.parse import urlsplit

from attrs import define, evolve, field, frozen

from ..client.connection import Client
from ..dns import Kind, Resolver
from ..errors import NotOffered, Refusal, SMTPError, TLSFailed
from ..grammar.domain import Domain
from ..grammar.printable import printable
from ..grammar.reply import GrammarError
from ..policy.dane import DANEStatus
from ..policy.dmarc_record import mailbox_of
from ..policy.mta_sts import MTASTSMode
from ..policy.tls_policy import TLSFacts, TLSLevel
from ..policy.tls_report import (
    ReportedPolicy,
    TLSFailure,
    TLSPolicyType,
    TLSReport,
    TLSResultType,
    tls_report_uris,
)
from ..policy.tls_report_collector import TLSResults
from ..policy.tls_report_json import write_tls_report
from ..policy.tls_report_message import tls_report_mail
from ..ports import Runtime, Semaphore
from .reporting import DailyReports, Job, SendMail

__all__ = ["TLSReports", "TLSSession"]

_log = logging.getLogger("smtpproto.policy")

_URIS = 10  # to which a report goes, of those in a record
_SHOWN = 200  # characters of a reason
_MEDIA_TYPE = "application/tlsrpt+gzip"
_BY_CERTIFICATE = {
    "expired": TLSResultType.CERTIFICATE_EXPIRED,
    "name": TLSResultType.CERTIFICATE_HOST_MISMATCH,
    "untrusted": TLSResultType.CERTIFICATE_NOT_TRUSTED,
    "": TLSResultType.VALIDATION_FAILURE,
}


@frozen(kw_only=True)
class TLSSession:
    """What a new connection to a host of a domain is counted as."""

    domain: str
    policy: ReportedPolicy
    """What the connection has to meet."""
    host: str
    """The name of the host."""
    fault: TLSResultType | None = None
    """Why it fails the policy whatever comes of TLS."""
    reason: str = ""
    """Why, in words."""


def session_of(facts: TLSFacts, domain: str) -> TLSSession | None:
    """Return what a connection by *facts* is counted as; None if TLS is not demanded of the host,
    as for the reports themselves (RFC 8460 3)."""
    if facts.tls_optional or facts.route is TLSLevel.NONE:
        return None
    dane, found, fault, reason = facts.dane, facts.found, None, ""
    if dane.status is not DANEStatus.NONE:
        policy, reason = ReportedPolicy.of_dane(domain, dane), dane.reason
        fault = {
            DANEStatus.UNUSABLE: TLSResultType.TLSA_INVALID,
            DANEStatus.FAILED: TLSResultType.DNSSEC_INVALID,
        }.get(dane.status)
    elif facts.policy is not None and facts.policy.mode is not MTASTSMode.NONE:
        policy = ReportedPolicy.of_sts(domain, facts.policy)
        if not facts.policy.allows(facts.host):
            fault, reason = TLSResultType.VALIDATION_FAILURE, "the policy does not name the host"
    elif found is not None and found.trouble is not None:
        policy = evolve(ReportedPolicy.none(domain), type=TLSPolicyType.STS)
        fault, reason = TLSResultType(found.trouble.value), found.reason
    else:
        policy = ReportedPolicy.none(domain)
    return TLSSession(domain=domain, policy=policy, host=facts.host, fault=fault, reason=reason)


@define(eq=False)
class TLSReports:
    """Counts connections until they are reported. Tasks, or threads, may use it at the same
    time."""

    _runtime: Runtime
    _resolver: Resolver
    _given: DailyReports | None
    _seen: deque[tuple[TLSSession, TLSFailure | None]] = field(factory=deque, init=False)
    _results: TLSResults = field(factory=TLSResults, init=False)
    _turn: Semaphore = field(init=False)  # of threads

    def __attrs_post_init__(self) -> None:
        self._turn = self._runtime.semaphore(1)

    def use(self, resolver: Resolver, options: DailyReports | None) -> None:
        """Use these from now on. What was counted is kept."""
        self._resolver, self._given = resolver, options

    @property
    def options(self) -> DailyReports | None:
        """See :attr:`.Collector.options`."""
        return self._given if self._given is not None and self._given.tls else None

    # Nothing is awaited in the next three: the outcome of a message could be lost there.

    def opened(self, session: TLSSession, address: str, client: Client) -> None:
        """Note that there is a new connection."""
        fault, reason = session.fault, session.reason
        if fault is None and client.tls is None:
            fault = TLSResultType.STARTTLS_NOT_SUPPORTED
            reason = "" if client.tls_refused is None else str(client.tls_refused)
        self._note(session, fault, reason, address)

    def failed(self, session: TLSSession, address: str, error: SMTPError) -> None:
        """Note that *error* came of a new connection, if TLS is what failed."""
        if error.phase != "TLS":
            return
        if isinstance(error, TLSFailed):
            self._note(session, _BY_CERTIFICATE[error.certificate_fault], error.message, address)
        elif isinstance(error, NotOffered | Refusal):
            reason = "" if error.reply is None else str(error.reply)
            self._note(session, TLSResultType.STARTTLS_NOT_SUPPORTED, reason, address)

    def refused(self, session: TLSSession) -> None:
        """Note that no connection may be opened."""
        self._note(session, session.fault, session.reason, "")

    def _note(
        self, session: TLSSession, fault: TLSResultType | None, reason: str, address: str
    ) -> None:
        failure = None
        if fault is not None:
            reason = printable(reason)[:_SHOWN]
            failure = TLSFailure(
                result=fault, host=session.host, receiving_ip=address, reason=reason
            )
        self._seen.append((session, failure))

    async def collect(self) -> None:
        """Count what was noted."""
        await self._turn.acquire()
        try:
            while self._seen:
                session, failure = self._seen.popleft()
                self._results.add(session.domain, session.policy, failure)
        finally:
            self._turn.release()

    async def take(self, begin: int, end: int, send: SendMail) -> list[Job]:
        """See :meth:`.Collector.take`."""
        await self.collect()
        await self._turn.acquire()
        results, self._results = self._results, TLSResults()
        self._turn.release()
        options, unique = self.options, self._runtime.random(8).hex()
        if options is None:
            return []
        jobs = []
        for number, (domain, found) in enumerate(results.take().items()):
            report = TLSReport(
                organization=options.organization,
                contact=str(options.contact),
                id=f"{unique}x{number}",
                start=begin,
                end=end,
                results=found,
            )
            sending = _Sending(self._runtime, self._resolver, report, domain, options, send)
            jobs.append(Job(f"TLS with {domain}", sending))
        return jobs


@define(eq=False)
class _Sending:
    """Sends a report to where its domain wants it."""

    _runtime: Runtime
    _resolver: Resolver
    _report: TLSReport
    _domain: str
    _options: DailyReports
    _send: SendMail
    _uris: Sequence[str] | None = None  # to which it was not sent yet; None: not looked up yet

    async def __call__(self) -> bool:
        if self._uris is None:
            answer = await self._resolver.lookup(f"_smtp._tls.{self._domain}", Kind.TXT)
            if not answer.known:
                return False
            try:
                self._uris = tls_report_uris(answer.octets)[:_URIS]
            except GrammarError:
                return True  # the domain wants none
        self._uris = await self._mailed(self._uris)
        self._uris = [uri for uri in self._uris if not await self._posted(uri)]
        return not self._uris

    async def _mailed(self, uris: Sequence[str]) -> Sequence[str]:
        """Send the report to the addresses among *uris*; return the others."""
        boxes = [box for box in map(mailbox_of, uris) if box is not None and str(box).isascii()]
        if boxes:
            options = self._options
            message = tls_report_mail(
                self._report,
                submitter=options.submitter,
                sender=options.contact,
                recipients=boxes,
                now=self._runtime.utc(),
            )
            await self._send(message, boxes)
        return [uri for uri in uris if uri.startswith("https:")]

    async def _posted(self, uri: str) -> bool:
        """Send the report by HTTPS; return False if that is to be tried again."""
        place = _place(uri)
        if place is None or self._options.post is None:
            _log.warning("no report on TLS with %s is sent to %s", self._domain, printable(uri))
            return True
        body = write_tls_report(self._report)
        try:
            answer = await self._options.post.post(*place, body, _MEDIA_TYPE, self._runtime)
        except SMTPError as error:
            _log.info("the report to %s failed: %s", printable(uri), error)
            return False
        return answer.status // 100 == 2


def _place(uri: str) -> tuple[str, str] | None:
    """Return the host and the path of *uri*; None if it has another port, or no name of a host:
    nobody shall lead this program to services of its own network."""
    try:
        parts = urlsplit(uri)
        if parts.port not in (None, 443) or parts.username is not None:
            return None
        host = str(Domain(parts.hostname or ""))
    except ValueError:
        return None
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    return (host, path) if "." in host and not host.rpartition(".")[2].isdigit() else None
