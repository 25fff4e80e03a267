"""The examination of a server: what it says on its ports, before TLS and after. No mail is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from ipaddress import ip_address

from attrs import define, evolve, field, frozen
from attrs.converters import optional
from attrs.validators import ge

from ..client import Client, ClientConfig, TLSMode, open_client
from ..client.probing import answers_groups, probe
from ..errors import SMTPError, TLSFailed
from ..grammar.address import ForwardPath, Mailbox, ReversePath
from ..grammar.domain import Host, to_ascii_host
from ..grammar.extension import Extensions
from ..limits import PROBE_SECONDS, Timeouts
from ..option_types import checked
from ..ports import CallAborted, Runtime
from ..tls import TLSVerify
from .finding import Examination, Finding, Severity, Subject, warning
from .probe_findings import (
    failed,
    judge_change,
    judge_greeting,
    judge_groups,
    judge_logins,
    judge_no_tls,
    judge_offer,
    judge_replies,
    judge_tls_session,
)
from .session import Session, seen

__all__ = ["ProbeOptions", "examine_server"]

_WORDLESS = ("silent", "closed-at-once")
_IMPLICIT = 465  # the port where TLS begins at once (RFC 8314 3.3)


def _paths(values: Iterable[str | ForwardPath]) -> tuple[ForwardPath, ...]:
    if isinstance(values, str):
        raise TypeError("recipients cannot be a str; pass a list of addresses")
    return tuple(it if isinstance(it, ForwardPath) else ForwardPath.of(it) for it in values)


def _sender(value: str | ReversePath | None) -> ReversePath | None:
    if not isinstance(value, str):
        return value
    return ReversePath(Mailbox.parse(value) if value else None)


def _addresses(values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise TypeError("addresses cannot be a str; pass a list of IP addresses")
    return tuple(str(ip_address(it)) for it in values)


def _ports(values: Iterable[int]) -> tuple[int, ...]:
    ports = tuple(values)
    if wrong := [it for it in ports if not 0 < it < 65536]:
        raise ValueError(f"no such port: {wrong[0]}; a port is 1 to 65535")
    return ports


@checked
@frozen(kw_only=True)
class ProbeOptions:
    """What :func:`examine_server` looks at, and how far it goes."""

    ports: tuple[int, ...] = field(default=(25, 465, 587), converter=_ports)
    """The ports, one after the other."""
    addresses: tuple[str, ...] = field(default=(), converter=_addresses)
    """The IP addresses of the host, each of which is tried. (): the runtime looks up the name, and
    takes the one that answers first."""
    tls: TLSMode | None = None
    """``TLSMode.IMPLICIT``: TLS begins with the first octet on every port. ``TLSMode.NONE``: no TLS
    is tried. None: TLS begins at once on port 465, and by STARTTLS on the others."""
    verify: TLSVerify = field(factory=TLSVerify.by_name)
    """How certificates are verified."""
    server_name: str | None = None
    """The name that the certificate must have. None: the host."""
    hello: Host | None = field(default=None, converter=optional(to_ascii_host))
    """The name in EHLO. None: the local address."""
    source: str | None = None
    """The IP address to connect from."""
    sender: ReversePath | None = field(default=None, converter=_sender)
    """The sender of the dry run. None: the null sender."""
    recipients: tuple[ForwardPath, ...] = field(default=(), converter=_paths)
    """The recipients of the dry run: MAIL and RCPT are sent, then RSET. (): there is none."""
    reply_seconds: float = field(default=10.0, validator=ge(0.1))
    """How long to wait for each connection, handshake and reply."""
    seconds: float = field(default=PROBE_SECONDS, validator=ge(1))
    """The time after which it tells what it has found until then."""

    def __attrs_post_init__(self) -> None:
        ClientConfig(verify=self.verify, source=self.source)  # reports a file that cannot be read


_DEFAULT = ProbeOptions()


async def examine_server(
    host: str, runtime: Runtime, options: ProbeOptions = _DEFAULT
) -> Examination:
    """Examine what the server *host*, a name or an address, says on its ports.

    It connects, asks with EHLO, starts TLS, tries pipelining with RSET and NOOP and, if the options
    name recipients, asks about them with MAIL and RCPT. It never logs in and never sends a message.
    Whatever the server does is a finding. Raises GrammarError if *host* is not a host.
    """
    name = str(to_ascii_host(host)) if not _is_address(host) else host
    end = runtime.now() + options.seconds
    findings: list[Finding] = []
    unreached: list[int] = []  # the numbers of findings
    reached, reason = False, ""
    places = [*_places(name, options)]
    for place in places:
        visit = _Visit(runtime, options, place, findings)
        before = len(findings)
        try:
            await runtime.within(end - runtime.now(), visit.run())
        except CallAborted as error:
            reason = str(error)
        reached = reached or visit.reached
        if not visit.reached and len(findings) > before:
            unreached.append(before)
        if visit.is_unknown:
            break
        if runtime.now() >= end:
            reason = reason or f"the time of {options.seconds:g} seconds is over"
            break
    if reached:  # a server need not have every port
        for number in unreached:
            findings[number] = evolve(findings[number], severity=Severity.NOTE)
    if reason:
        text, mend = f"not all was looked at: {reason}", "Allow more time, or name one port."
        findings.append(warning(Subject.PORT, name, text, "There may be more faults.", mend))
    return Examination(about=name, findings=tuple(findings))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _places(host: str, options: ProbeOptions) -> Iterator[Session]:
    for port in options.ports:
        for address in options.addresses or (host,):
            yield Session(host=host, address=address, port=port)


@define
class _Visit:
    """All connections to one place."""

    runtime: Runtime
    options: ProbeOptions
    place: Session
    findings: list[Finding]
    reached: bool = field(default=False, init=False)
    """Whether something answered at the place."""
    is_unknown: bool = field(default=False, init=False)
    """Whether the DNS knows no such host, so that other ports need not be tried."""

    async def run(self) -> None:
        """Add what is found to the findings."""
        async for finding in self._look():
            self.findings.append(finding)

    async def _look(self) -> AsyncIterator[Finding]:
        if self._is_implicit:
            async for finding in self._look_under_tls(None):
                yield finding
            return
        clear, groups = await self._in_clear()
        if clear.error is not None:
            self._note_reached(clear.error)
            yield failed(clear, await self._better_known(clear.error))
            return
        self._note_reached(None)
        yield judge_greeting(clear)
        for found in judge_groups(clear, groups):
            yield found
        offered = clear.extensions or Extensions()
        if "STARTTLS" in offered and self.options.tls is not TLSMode.NONE:
            async for finding in self._look_under_tls(clear):
                yield finding
            return
        if offered.keywords and "STARTTLS" not in offered:
            yield judge_no_tls(clear)
        for found in _judge_session(clear, clear):
            yield found

    async def _better_known(self, error: SMTPError) -> SMTPError:
        """Return *error*, of a server that says nothing; or that it speaks TLS here, if it does."""
        if error.fault in _WORDLESS and self.options.tls is None:
            secure = await self._under_tls(TLSVerify.none(), TLSMode.IMPLICIT)
            if secure.error is None:
                error = TLSFailed("the server speaks TLS from the first octet here", phase="TLS")
                error.fault = "tls-on-clear-port"
        return error

    async def _look_under_tls(self, clear: Session | None) -> AsyncIterator[Finding]:
        """Look at what the server does under TLS; *clear* is the session before, if any."""
        secure = await self._under_tls(self.options.verify)
        if (error := secure.error) is not None:
            self._note_reached(error)
            yield failed(secure, error)
            if isinstance(error, TLSFailed) and error.certificate_fault:
                secure = await self._under_tls(TLSVerify.none())
        if secure.error is not None:
            if clear is not None:
                for found in judge_offer(clear):
                    yield found
            return
        self._note_reached(None)
        for found in judge_tls_session(secure, self.runtime.utc()):
            yield found
        for found in _judge_session(secure, clear):
            yield found

    # -- sessions ------------------------------------------------------------------------------

    async def _in_clear(self) -> tuple[Session, bool | None]:
        """Hold a session in clear; return it, and whether groups of commands are answered."""
        groups: bool | None = None
        try:
            async with await self._open(TLSMode.NONE, None) as client:
                session = seen(self.place, client)
                if "STARTTLS" not in client.extensions or self.options.tls is TLSMode.NONE:
                    session = await self._ask(client, session)
                if "PIPELINING" in client.extensions and client.usable:
                    groups = await answers_groups(client)
        except SMTPError as error:
            return evolve(self.place, error=error, greeting=error.reply), None
        return session, groups

    async def _under_tls(self, verify: TLSVerify, mode: TLSMode | None = None) -> Session:
        mode = mode or (TLSMode.IMPLICIT if self._is_implicit else TLSMode.REQUIRED)
        try:
            async with await self._open(mode, verify) as client:
                return await self._ask(client, seen(self.place, client))
        except SMTPError as error:
            return evolve(self.place, error=error, greeting=error.reply)

    async def _open(self, mode: TLSMode, verify: TLSVerify | None) -> Client:
        options, seconds = self.options, self.options.reply_seconds
        config = ClientConfig(
            hello=options.hello,
            tls=mode,
            verify=verify,
            server_name=options.server_name or self.place.host,
            source=options.source,
            timeouts=Timeouts(
                connect=seconds,
                tls=seconds,
                greeting=seconds,
                hello=seconds,
                mail=seconds,
                rcpt=seconds,
                other=seconds,
                quit=min(seconds, 2),
            ),
        )
        return await open_client(self.runtime, self.place.address, self.place.port, config)

    async def _ask(self, client: Client, session: Session) -> Session:
        """Ask about the recipients, if there are any."""
        if not self.options.recipients:
            return session
        replies = await probe(client, self.options.recipients, self.options.sender)
        return evolve(session, replies={str(path): reply for path, reply in replies.items()})

    @property
    def _is_implicit(self) -> bool:
        mode = self.options.tls
        return mode is TLSMode.IMPLICIT or (mode is None and self.place.port == _IMPLICIT)

    def _note_reached(self, error: SMTPError | None) -> None:
        """Note whether something answered at the place at all."""
        self.reached = error is None or error.phase != "connect"
        self.is_unknown = error is not None and error.fault == "name-not-found"


def _judge_session(session: Session, before: Session | None) -> Iterator[Finding]:
    """Judge the session in which messages would be sent; *before* is the one in clear, if any."""
    if before is None:
        yield judge_greeting(session)
    elif before is not session:
        yield from judge_change(before, session)
    yield from judge_offer(session)
    yield from judge_logins(session, None if before is None else before.extensions)
    yield from judge_replies(session)
