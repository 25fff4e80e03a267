"""A client's conversation: greet, upgrade, log in, submit, quit."""

from __future__ import annotations

import contextlib
import logging
from types import TracebackType
from typing import Self

from attrs import define, field

from ..errors import (
    ConnectFailed,
    LocalProtocolError,
    NotOffered,
    Refusal,
    SMTPError,
    TransportError,
    error_context,
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
from ..grammar.envelope import Envelope
from ..grammar.extension import Extensions
from ..grammar.extension_command import Auth, Etrn, Lhlo, StartTLS, XClient
from ..grammar.reply import Reply
from ..limits import Tolerance
from ..mail.planning import Plan, PlannedTransaction, plan
from ..mail.preparation import Source
from ..outcome import Outcome
from ..ports import Runtime, Stream, is_path
from ..protocol.client import ClientProtocol
from ..sasl import Anonymous, Channel, Credential
from ..tls.filter import Filter, TLSInfo, unusable
from ..tls.stream import filter_for
from .auth import log_in
from .config import ClientConfig, TLSMode, to_credential
from .deadline import Deadline
from .link import Link
from .submit import submit

_log = logging.getLogger("smtpproto.client")

_NO_STARTTLS = 'whether this port is for tls="implicit", or somebody hides the offer'
_NO_SERVICE = "whether this server takes mail, and from the address of this host, now"
_OTHER_NAME = "whether the server wants another name: set hello"
_OTHER_LANGUAGE = "lmtp: whether this port is for SMTP or for LMTP"
_UNKNOWN = (500, 502)  # what is said to a verb that is not known
_NO_TLS_NOW = "whether the server can do TLS now; else another time"


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
    tls_refused: Reply | None = field(default=None, init=False)
    """What the server, which had offered it, answered to STARTTLS, if the session went on in clear.
    """
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
        """Whether all that was said has its reply, so that the next command can be sent."""
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
        return await self._send(message, envelope)

    async def _send(
        self, message: Source, envelope: Envelope | None, within: Deadline | None = None
    ) -> Outcome:
        """As :meth:`send`, as part of an operation that has begun already."""
        planned = self.plan(message, envelope)
        with self._link.conversation("transaction", within):
            limits = self.extensions.limits
            if limits.per_connection:
                self._sent += planned.transactions  # to be counted; else they are nobody's concern
            return await submit(self._link, planned)

    @error_context("plan")
    def plan(self, message: Source, envelope: Envelope | None = None) -> Plan:
        """Say what :meth:`send` would send, and send nothing: see
        :func:`smtpproto.plan`. Raises NotOffered if it cannot be sent to this server."""
        long_lines = self._config.leniencies.long_lines is not Tolerance.REJECT
        private = isinstance(envelope, Envelope) and envelope.parameters.requiretls
        if private and not self._trusted:
            text = "REQUIRETLS needs TLS with a server that was verified (RFC 8689 4.2)"
            raise NotOffered(text, check="tls and verify")
        return plan(message, envelope, self.extensions, sent=self._sent, long_lines=long_lines)

    async def login(self, login: Credential | tuple[str, str]) -> None:
        """Log in with the strongest mechanism that both sides know (RFC 4954).

        Raises LoginRefused if the server says no, NotOffered if there is no common mechanism,
        LocalProtocolError in clear unless the configuration allows it.
        """
        with self._link.conversation("login"):
            await self._log_in(to_credential(login))

    async def noop(self) -> Reply:
        """NOOP."""
        return await self._ask(Noop())

    async def rset(self) -> Reply:
        """RSET."""
        return await self._ask(Rset())

    async def vrfy(self, name: str, *, smtputf8: bool = False) -> Reply:
        """VRFY: 250 it exists, 252 cannot tell, 5yz it does not. *smtputf8* lets the reply be UTF-8
        (RFC 6531 3.7.4.2). What a reply says is for people to read, not for programs."""
        return await self._ask(Vrfy(name, smtputf8=smtputf8))

    async def expn(self, name: str, *, smtputf8: bool = False) -> Reply:
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
        with self._link.conversation():
            if isinstance(command, Ehlo | Mail | Rcpt | Data | StartTLS | Auth):
                raise LocalProtocolError("connect, send and login say this", command=command.verb)
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
        self._link.give_up()
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
        with self._link.conversation("greeting"):
            if self._config.proxy is not None:
                await self._link.preface(bytes(self._config.proxy))
            if mode is TLSMode.IMPLICIT:
                self._link.step = "TLS"
                await self._start_tls(self._filter(mode))
            self.greeting = await self._greeted()
            await self._hello()
            if mode in (TLSMode.REQUIRED, TLSMode.OPPORTUNISTIC):
                await self._upgrade(mode)
            if self._config.login is not None:
                await self._log_in(self._config.login)

    async def _greeted(self) -> Reply:
        self._link.step = "greeting"
        greeting = self._link.machine.unanswered[0]
        return _yes(await self._link.reply_to(greeting), "", _NO_SERVICE)

    async def _hello(self) -> None:
        """EHLO, or HELO where that is not known (RFC 5321 3.2); in LMTP, LHLO."""
        self._link.step = "hello"
        host = self._config.hello or _literal(self._link.stream)
        lmtp = self._link.machine.lmtp
        hello: Command = Lhlo(host) if lmtp else Ehlo(host)
        reply = await self._link.ask(hello)
        if reply.code in (*_UNKNOWN, 504) and not lmtp:
            hello = Helo(host)
            reply = await self._link.ask(hello)
        usual = _OTHER_NAME if reply.permanent else ""
        _yes(reply, str(hello), _OTHER_LANGUAGE if reply.code in _UNKNOWN else usual)
        if unread := self.extensions.malformed:
            _log.warning("the server's EHLO parameters cannot be read: %s", " ".join(unread))

    async def _upgrade(self, mode: TLSMode) -> None:
        """STARTTLS. What TLS could not give, nobody gets in clear if it is required."""
        required = mode is TLSMode.REQUIRED
        self._link.step = "TLS"
        if "STARTTLS" not in self.extensions:
            if required:
                text = "TLS is required, and the server does not offer STARTTLS"
                raise NotOffered(text, command="STARTTLS", check=_NO_STARTTLS)
            return
        tls = self._filter(mode)  # which may not be possible
        try:
            reply = await self._link.ask(StartTLS())
            if required or reply.positive or self._link.over:
                _yes(reply, "STARTTLS", _NO_TLS_NOW)
                await self._start_tls(tls)
                self._link.machine.tls_started()
                await self._hello()
            else:
                _log.warning("no TLS, the server refused STARTTLS: %s", reply)
                self.tls_refused = reply
        except SMTPError as error:
            self._note_failed_tls(error, mode)
            raise

    def _note_failed_tls(self, error: SMTPError, mode: TLSMode) -> None:
        """What an error between STARTTLS and the end of the EHLO behind it is to say."""
        if error.command in ("", "STARTTLS"):
            error.phase, error.command = "TLS", "STARTTLS"
            error.check = error.check or _NO_TLS_NOW
        if isinstance(error, TransportError):
            clear_will_do = self._config.login is None or self._config.login_in_clear
            error.may_go_in_clear = mode is TLSMode.OPPORTUNISTIC and clear_will_do

    def _filter(self, mode: TLSMode) -> Filter:
        """TLS for a handshake that is about to begin. Raises LocalProtocolError if there can be
        none."""
        try:
            context = self._config.tls_context(mode)
        except ValueError as error:
            raise unusable(error) from None
        return filter_for(
            context,
            server_side=False,
            server_hostname=self._config.server_name or self._server_name,
            fingerprints=self._config.verification(mode).fingerprints,
        )

    async def _start_tls(self, tls: Filter) -> None:
        await self._link.start_tls(tls)
        self._trusted = self.tls is not None and self.tls.verified

    async def _log_in(self, credential: Credential) -> None:
        self._link.step = "login"
        if not (self._trusted or self._config.login_in_clear or isinstance(credential, Anonymous)):
            why = "tls: there is none" if self.tls is None else "verify: nobody was verified"
            check = f"{why}; or set login_in_clear to log in all the same"
            raise LocalProtocolError("no login without verified TLS", check=check)
        await log_in(self._link, credential, self._channel, self._config.mechanisms)

    @property
    def _channel(self) -> Channel:
        """What the exchanges of SASL may know of this connection."""
        runtime, offered = self._link.runtime, self.extensions.mechanisms
        return Channel(
            random=runtime.random,
            now=runtime.now(),
            secure=self._trusted,
            bindings={} if self.tls is None else self.tls.bindings,
            peer_binds=any(name.endswith("-PLUS") for name in offered),
            host=self._config.server_name or self._server_name,
            port=self._link.stream.peername[1],
        )

    async def _ask(self, command: Command) -> Reply:
        with self._link.conversation():
            return await self._link.ask(command)


async def open_client(
    runtime: Runtime, host: str, port: int, config: ClientConfig, within: Deadline | None = None
) -> Client:
    """Dial *port* of *host*, or the Unix socket at *host*, a path from the root, whose port is 0;
    greet, upgrade and log in as *config* says. :func:`.make_target` makes the three. *within* is
    an operation that has begun already, of which this is a part.

    Raises ConnectFailed, TLSFailed, TimedOut, ConnectionLost; Refusal, LoginRefused; NotOffered,
    LocalProtocolError (as for a login without TLS), RemoteProtocolError; and GrammarError for a
    credential that cannot be said. The connection is then closed.
    """
    if reason := _impossible(host, port, config):
        raise ConnectFailed(reason, phase="connect", check="the arguments of connect")
    mode = config.tls_mode(port)
    machine = _machine(config, mode, lmtp=config.speaks_lmtp(port))
    deadline = Deadline(runtime.now, config.timeouts.total)
    deadline.start(within)
    with error_context("connect"), deadline.within(config.timeouts.connect, "connect") as seconds:
        stream = await runtime.dial(host, port, seconds, config.source)
    link = Link(stream, runtime, machine, config.trace, deadline)
    return await _opened(Client(link, config, _server_name(host)), mode)


def _impossible(host: str, port: int, config: ClientConfig) -> str:
    """Why there can be no such connection, or nothing."""
    if is_path(host):
        return "a Unix socket is not connected to from an address" if config.source else ""
    if not 0 < port < 65536:
        return f"no such port: {port}"
    wrong = config.lmtp and port == 25
    return "LMTP is not spoken on port 25 (RFC 2033 4)" if wrong else ""


def _server_name(host: str) -> str:
    """The name that a server's certificate must have: behind a Unix socket is this machine."""
    return "localhost" if is_path(host) else host


async def start_client(
    runtime: Runtime, stream: Stream, server_name: str, config: ClientConfig, mode: TLSMode
) -> Client:
    """As :func:`open_client`, over a stream that is connected already."""
    machine = _machine(config, mode, lmtp=bool(config.lmtp))
    link = Link(stream, runtime, machine, config.trace)
    return await _opened(Client(link, config, server_name), mode)


def _machine(config: ClientConfig, mode: TLSMode, *, lmtp: bool) -> ClientProtocol:
    return ClientProtocol(
        lmtp=lmtp,
        secure=mode is TLSMode.IMPLICIT,
        verbs=config.verbs,
        limits=config.limits,
        timeouts=config.timeouts,
        leniencies=config.leniencies,
    )


async def _opened(client: Client, mode: TLSMode) -> Client:
    """*client* when it has greeted and all that is done, or closed."""
    try:
        await client._open(mode)
    except SMTPError:
        await client.quit()  # if the session still can
        raise
    except BaseException:
        await client.close()
        raise
    _log.info("connected to %s, %s", *client._link.stream.peername)
    return client


def _yes(reply: Reply, command: str, check: str) -> Reply:
    if not reply.positive:
        raise Refusal("the server refused", reply, command=command, check=check)
    return reply


def _literal(stream: Stream) -> Host:
    """The local address as a literal, which needs no DNS (RFC 5321 4.1.4)."""
    address = stream.sockname[0].partition("%")[0]
    if not address:
        return Domain("localhost")
    return AddressLiteral.parse(f"[IPv6:{address}]" if ":" in address else f"[{address}]")
