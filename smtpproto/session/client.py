"""A client's conversation: greet, upgrade, log in, submit, quit."""

from __future__ import annotations

import contextlib
import logging
from types import TracebackType
from typing import Self

from attrs import define, field

from ..errors import (
    BadCredentials,
    ConnectFailed,
    EncryptionRequired,
    GrammarError,
    LocalProtocolError,
    LoginRefused,
    NotOffered,
    Refusal,
    RemoteProtocolError,
    SMTPError,
)
from ..grammar.command import (
    Command,
    Data,
    Ehlo,
    Expn,
    Helo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    Vrfy,
)
from ..grammar.domain import AddressLiteral, Domain, Host
from ..grammar.extended import Auth, Etrn, Lhlo, StartTLS, XClient
from ..grammar.extension import Extensions
from ..grammar.reply import Reply
from ..grammar.xtext import decode_base64
from ..limits import Tolerance
from ..mail.content import Source
from ..mail.envelope import Envelope
from ..mail.plan import Plan, PlannedTransaction, plan
from ..ports import Stream, World
from ..protocol.client import ClientProtocol
from ..sasl import CLIENTS, ClientExchange, Login
from ..wire.tls import TLSInfo, client_context
from .link import Link
from .options import ClientConfig, TLSMode
from .outcome import Outcome
from .submit import submit

_log = logging.getLogger("smtpproto.client")

_OTHER_MECHANISM = frozenset({504, 534})  # not known, too weak: another one may do (RFC 4954 6)
_LOGIN_ERRORS: dict[int, type[LoginRefused]] = {
    523: EncryptionRequired,
    524: EncryptionRequired,
    535: BadCredentials,
    538: EncryptionRequired,
}


@define(eq=False)
class Client:
    """A connection to a server, greeted and ready to send. One conversation at a time.

    ``async with`` quits at the end. Every method may raise :class:`~smtpproto.errors.SMTPError`;
    after a TransportError or RemoteProtocolError the connection is of no more use.
    """

    _link: Link
    _config: ClientConfig
    _server_name: str
    greeting: Reply = field(default=Reply(220), init=False)
    """The server's greeting."""
    _sent: list[PlannedTransaction] = field(factory=list, init=False)
    _trusted: bool = field(default=False, init=False)  # TLS, and with whom we meant to speak

    @property
    def extensions(self) -> Extensions:
        """What the server offers."""
        return self._link.machine.extensions

    @property
    def tls(self) -> TLSInfo | None:
        """What TLS agreed on; None in clear."""
        return self._link.tls

    @property
    def usable(self) -> bool:
        """Whether the next command can be sent."""
        return self._link.usable

    async def send(self, message: Source, envelope: Envelope | None = None) -> Outcome:
        """Send one message.

        *message* is an ``EmailMessage``, octets, a file or octets in pieces, and is never held
        whole if it comes in pieces. *envelope* is taken from its header fields unless given; blind
        copies are then removed from an email object.

        Gives the outcome for each recipient. Raises :class:`~smtpproto.errors.SendRefused` if it
        was accepted for nobody, :class:`~smtpproto.errors.NotOffered` if this server cannot take
        it, and TransportError if the link died before the final dot, so that nothing was accepted.
        """
        planned = self.plan(message, envelope)
        with self._link.conversation():
            limits = self.extensions.limits
            if limits.mail_max is not None or limits.rcpt_domain_max is not None:
                self._sent += planned.transactions  # to be counted; else they are nobody's concern
            return await submit(self._link, planned)

    def plan(self, message: Source, envelope: Envelope | None = None) -> Plan:
        """Say what :meth:`send` would send, and send nothing: see
        :func:`~smtpproto.mail.plan.plan`. Raises NotOffered if it cannot be sent to this server."""
        long_lines = self._config.leniencies.long_lines is not Tolerance.REJECT
        if envelope is not None and envelope.parameters.requiretls and not self._trusted:
            raise NotOffered("REQUIRETLS needs TLS with a server that was verified (RFC 8689 4.2)")
        return plan(message, envelope, self.extensions, sent=self._sent, long_lines=long_lines)

    async def login(self, login: Login) -> None:
        """Log in with the strongest mechanism that both sides know (RFC 4954).

        Raises LoginRefused if the server says no, NotOffered if there is no common mechanism,
        LocalProtocolError in clear unless the configuration allows it.
        """
        with self._link.conversation():
            await self._log_in(login)

    async def noop(self) -> Reply:
        """NOOP."""
        return await self._ask(Noop())

    async def reset(self) -> Reply:
        """RSET."""
        return await self._ask(Rset())

    async def verify(self, name: str, *, smtputf8: bool = False) -> Reply:
        """VRFY: 250 it exists, 252 cannot tell, 5yz it does not. *smtputf8* lets the reply be UTF-8
        (RFC 6531 3.7.4.2). What a reply says is for people to read, not for programs."""
        return await self._ask(Vrfy(name, smtputf8=smtputf8))

    async def expand(self, name: str, *, smtputf8: bool = False) -> Reply:
        """EXPN: 250 with the members of a list, one a line."""
        return await self._ask(Expn(name, smtputf8=smtputf8))

    async def help(self, topic: str = "") -> Reply:
        """HELP."""
        return await self._ask(Help(topic))

    async def etrn(self, node: str) -> Reply:
        """ETRN: ask the server to start its queue for *node* (RFC 1985)."""
        return await self._ask(Etrn(node))

    async def command(self, command: Command) -> Reply:
        """Say any command that the session allows, as XCLIENT or a verb of one's own. Raises
        LocalProtocolError for those that this class has methods of their own for."""
        if isinstance(command, Ehlo | Mail | Rcpt | Data | StartTLS | Auth):
            raise LocalProtocolError("connect, send and login say this", command=command.verb)
        with self._link.conversation():
            reply = await self._link.ask(command)
            if isinstance(command, XClient) and reply.positive:
                await self._hello()
        return reply

    async def quit(self) -> None:
        """QUIT if the session can, wait for the reply, close. Never raises; may be called twice."""
        try:
            if self._link.usable:
                with contextlib.suppress(SMTPError):
                    await self._ask(Quit())
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the connection without a word. Never raises; may be called twice."""
        await self._link.stream.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await (self.quit() if error is None or isinstance(error, Exception) else self.close())

    # -- opening -----------------------------------------------------------------------------

    async def _open(self, mode: TLSMode) -> None:
        with self._link.conversation():
            self.greeting = await self._greeted()
            await self._hello()
            if mode in (TLSMode.REQUIRED, TLSMode.OPPORTUNISTIC):
                await self._upgrade(required=mode is TLSMode.REQUIRED)
            if self._config.login is not None:
                await self._log_in(self._config.login)

    async def _greeted(self) -> Reply:
        greeting = self._link.machine.unanswered[0]
        return _yes(await self._link.reply_to(greeting), "greeting", "")

    async def _hello(self) -> None:
        """EHLO, or HELO where that is not known (RFC 5321 3.2); in LMTP, LHLO."""
        host = self._config.hello or _literal(self._link.stream)
        hello = Lhlo(host) if self._config.lmtp else Ehlo(host)
        reply = await self._link.ask(hello)
        if reply.code in (500, 502, 504) and not self._config.lmtp:
            reply = await self._link.ask(Helo(host))
        _yes(reply, "hello", hello.verb, "whether the server wants another name: set hello")
        if unread := self.extensions.unread:
            _log.warning("the server's EHLO parameters cannot be read: %s", " ".join(unread))

    async def _upgrade(self, *, required: bool) -> None:
        """STARTTLS. What TLS could not give, nobody gets in clear if it is required."""
        if "STARTTLS" not in self.extensions:
            if required:
                raise NotOffered("TLS is required, and the server does not offer STARTTLS")
            return
        reply = await self._link.ask(StartTLS())
        if not reply.positive and not required:
            return
        _yes(reply, "TLS", "STARTTLS")
        await self._start_tls(verify=required or self._config.login is not None)
        self._link.machine.tls_started()
        await self._hello()

    async def _start_tls(self, *, verify: bool) -> None:
        """*verify* counts only if the user brought no context with rules of its own."""
        context = self._config.context or client_context(verify=verify)
        await self._link.start_tls(context, self._server_name)
        self._trusted = verify or self._config.context is not None

    async def _log_in(self, login: Login) -> None:
        if not self._trusted and not self._config.login_in_clear:
            raise LocalProtocolError("no password is sent without verified TLS")
        common = [name for name in CLIENTS if name in self.extensions.mechanisms]
        if not common:
            offered = " ".join(self.extensions.mechanisms) or "none"
            raise NotOffered(f"no mechanism in common; the server offers {offered}")
        mechanism, *others = common
        reply = await self._exchange(mechanism, login)
        while reply.code in _OTHER_MECHANISM and others:
            mechanism, *others = others
            reply = await self._exchange(mechanism, login)
        if reply.positive:
            return
        kind = _LOGIN_ERRORS.get(reply.code, LoginRefused)
        check = "user name, password, and what the reply says" if kind is BadCredentials else ""
        raise kind("login refused", reply, phase="login", command=f"AUTH {mechanism}", check=check)

    async def _exchange(self, mechanism: str, login: Login) -> Reply:
        exchange = CLIENTS[mechanism](login)
        reply = await self._link.ask(self._first(mechanism, exchange))
        while reply.intermediate:
            reply = await self._step(exchange, reply)
        return reply

    def _first(self, mechanism: str, exchange: ClientExchange) -> Auth:
        """AUTH, with the initial response if the line has room for it (RFC 4954 4)."""
        command = Auth(mechanism, exchange.initial())
        fits = len(bytes(command)) + 2 <= self.extensions.line_limit("AUTH")
        return command if fits else Auth(mechanism)

    async def _step(self, exchange: ClientExchange, reply: Reply) -> Reply:
        try:
            response = exchange.step(decode_base64("".join(reply.lines).encode()))
        except (GrammarError, RemoteProtocolError) as error:
            await self._link.respond(None)
            raise RemoteProtocolError(error.message, phase="login") from None
        return await self._link.respond(response)

    async def _ask(self, command: Command) -> Reply:
        with self._link.conversation():
            return await self._link.ask(command)


async def open_client(world: World, host: str, port: int, config: ClientConfig) -> Client:
    """Dial *host*, greet, upgrade and log in as *config* says.

    Raises ConnectFailed, TLSFailed, TimedOut, ConnectionLost, NotOffered, Refusal; the connection
    is then closed.
    """
    if not 0 < port < 65536:
        raise ConnectFailed(f"no such port: {port}", phase="connect")
    if config.lmtp and port == 25:
        raise ConnectFailed("LMTP is not spoken on port 25 (RFC 2033 4)", phase="connect")
    stream = await world.dial(host, port, config.timeouts.connect)
    return await start_client(world, stream, host, config, config.tls_mode(port))


async def start_client(
    world: World, stream: Stream, server_name: str, config: ClientConfig, mode: TLSMode
) -> Client:
    """As :func:`open_client`, over a stream that is connected already."""
    implicit = mode is TLSMode.IMPLICIT
    machine = ClientProtocol(
        lmtp=config.lmtp,
        secure=implicit,
        verbs=config.verbs,
        limits=config.limits,
        timeouts=config.timeouts,
        leniencies=config.leniencies,
    )
    client = Client(Link(stream, world, machine, config.trace), config, server_name)
    try:
        if config.proxy is not None:
            await stream.write(bytes(config.proxy), config.timeouts.block)
        if implicit:
            await client._start_tls(verify=True)
        await client._open(mode)
    except SMTPError:
        await client.quit()  # if the session still can
        raise
    except BaseException:
        await client.close()
        raise
    _log.info("connected to %s, %s", *stream.peername)
    return client


def _yes(reply: Reply, phase: str, command: str, check: str = "") -> Reply:
    if not reply.positive:
        raise Refusal("the server refused", reply, phase=phase, command=command, check=check)
    return reply


def _literal(stream: Stream) -> Host:
    """The local address as a literal, which needs no DNS (RFC 5321 4.1.4)."""
    address = stream.sockname[0].partition("%")[0]
    if not address:
        return Domain("localhost")
    return AddressLiteral.parse(f"[IPv6:{address}]" if ":" in address else f"[{address}]")
