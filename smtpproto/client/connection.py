"""A client's conversation: greet, start TLS, log in, send messages, quit."""

from __future__ import annotations

import contextlib
import logging
from typing import Self

from attrs import define, field

from .. import commands, sasl
from .. import tls as tls_package
from ..commands import Auth, Command, Data, Ehlo, Mail, Rcpt, StartTLS
from ..errors import (
    ConnectFailed,
    LocalProtocolError,
    NotOffered,
    Refusal,
    SMTPError,
    TransportError,
    error_context,
)
from ..grammar.domain import AddressLiteral, Domain, Host
from ..grammar.envelope import Envelope
from ..grammar.extension import Extensions
from ..grammar.reply import Reply
from ..limits import Tolerance
from ..mail.planning import Plan, PlannedTransaction, plan
from ..mail.preparation import Source
from ..option_types import maker
from ..outcome import Outcome
from ..ports import Runtime, Stream, is_path
from ..protocol.client import ClientProtocol
from ..protocol.client_rules import check_leniencies
from .config import ClientConfig, TLSMode, to_credential
from .deadline import Deadline
from .link import Conversation, Link
from .submit import submit
from .target import Target, dial, reason_impossible

_log = logging.getLogger("smtpproto.client")

_CHECK_STARTTLS = 'whether this port needs tls="implicit", or something on the way hides the offer'
_CHECK_IN_CLEAR = f'{_CHECK_STARTTLS}; to log in without TLS, set tls="none" as well'
_CHECK_SERVICE = "whether this server accepts mail now, and from this host's address"
_CHECK_HELLO = "whether the server wants another name: set hello"
_CHECK_LMTP = "the option lmtp: whether this port is for SMTP or for LMTP"
_CHECK_TLS = "whether the server can do TLS now; if not, try again later"
_QUIT = commands.Quit()
_QUIT_TIMEOUT = 1.0  # seconds for QUIT and its reply, if a sender may be waiting meanwhile
_make_ehlo = maker(Ehlo, "host")
_UNKNOWN_COMMAND = (500, 502)  # replies to a verb that the server does not know


@define(eq=False)
class Client:
    """A connection to a server that is ready for messages.

    It has greeted, and has started TLS and logged in as configured. It runs one conversation at a
    time. ``async with`` quits at the end. Every method may raise
    :class:`~smtpproto.errors.SMTPError`; after a TransportError or RemoteProtocolError the
    connection cannot be used any more.
    """

    _link: Link = field(repr=False)
    _config: ClientConfig = field(repr=False)
    _server_name: str
    _quits_soon: bool = field(default=False, repr=False)  # since a sender may be waiting meanwhile
    greeting: Reply = field(default=Reply(220), init=False)
    """The server's greeting."""
    _sent: list[PlannedTransaction] = field(factory=list, init=False, repr=False)
    tls_refused: Reply | None = field(default=None, init=False)
    """The reply that refused STARTTLS, if the server offered it and the session went on in clear;
    else None."""
    mechanism: str = field(default="", init=False)
    """The SASL mechanism by which the client has logged in; "" before a login."""
    _trusted: bool = field(default=False, init=False)  # TLS is active and verified the server

    @property
    def extensions(self) -> Extensions:
        """The extensions that the server offers."""
        return self._link.machine.extensions

    @property
    def tls(self) -> tls_package.TLSInfo | None:
        """The parameters of TLS; None in clear."""
        return self._link.tls

    @property
    def usable(self) -> bool:
        """Whether the next command can be sent: every command before it has its reply."""
        return self._link.usable

    async def send(self, message: Source, envelope: Envelope | None = None) -> Outcome:
        """Send one message.

        *message* is an ``EmailMessage``, bytes, a file or an iterable of bytes. An iterable may be
        ``async``, and is never held in memory as a whole. *envelope* None: sender and recipients
        come from the header fields, and Bcc is removed from an ``EmailMessage``.

        Returns the outcome for each recipient. Raises :class:`~smtpproto.errors.SendRefused` if the
        server refused the message for every recipient, :class:`~smtpproto.errors.NotOffered` if
        this server cannot accept it, and TransportError if the connection failed before the final
        dot, so that nothing was accepted.
        """
        planned = self.plan(message, envelope)
        with Conversation(self._link, "transaction"):
            if self._link.machine.extensions.limits.per_connection:
                self._sent += planned.transactions  # only needed if the server counts them
            return await submit(self._link, planned)

    def plan(self, message: Source, envelope: Envelope | None = None) -> Plan:
        """Return what :meth:`send` would send, and send nothing: see :func:`smtpproto.plan`.

        Raises NotOffered if the message cannot be sent to this server, and LocalProtocolError for
        an address that this client's leniencies do not allow.
        """
        leniencies = self._config.leniencies
        with error_context("plan"):
            requires_tls = isinstance(envelope, Envelope) and envelope.parameters.requiretls
            if requires_tls and not self._trusted:
                text = "REQUIRETLS needs TLS to a verified server (RFC 8689 4.2)"
                raise NotOffered(text, status="5.7.10", check="tls and verify")
            long_lines = leniencies.long_lines is not Tolerance.REJECT
            offered = self._link.machine.extensions
            planned = plan(message, envelope, offered, sent=self._sent, long_lines=long_lines)
            for transaction in planned.transactions:
                asked: tuple[Mail | Rcpt, ...] = (transaction.mail, *transaction.rcpts)
                for command in asked:
                    if command.path.mailbox is not None and command.path.mailbox.leniencies:
                        check_leniencies(command, leniencies)
            return planned

    async def login(self, login: sasl.Credential | tuple[str, str]) -> None:
        """Log in with the strongest mechanism that both sides support (RFC 4954).

        Raises LoginRefused if the server refuses it, NotOffered if there is no common mechanism,
        and LocalProtocolError without verified TLS unless ``login_in_clear`` is set.
        """
        try:
            credential = to_credential(login)
        finally:
            del login  # there is a password in it, and tracebacks can show locals
        with Conversation(self._link, "login"):
            await self._log_in(credential)

    async def noop(self) -> Reply:
        """Send NOOP and return the reply."""
        return await self._ask(commands.Noop())

    async def rset(self) -> Reply:
        """Send RSET, which ends a transaction, and return the reply."""
        return await self._ask(commands.Rset())

    async def vrfy(self, name: str, *, smtputf8: bool = False) -> Reply:
        """Send VRFY and return the reply: 250 if *name* exists, 252 if the server cannot tell, 5yz
        if it does not exist.

        *smtputf8* allows UTF-8 in the reply (RFC 6531 3.7.4.2). The text of the reply is meant for
        people, not for programs.
        """
        return await self._ask(commands.Vrfy(name, smtputf8=smtputf8))

    async def expn(self, name: str, *, smtputf8: bool = False) -> Reply:
        """Send EXPN and return the reply: 250 with the members of the list *name*, one per line.

        *smtputf8* allows UTF-8 in the reply.
        """
        return await self._ask(commands.Expn(name, smtputf8=smtputf8))

    async def help(self, topic: str = "") -> Reply:
        """Send HELP and return the reply."""
        return await self._ask(commands.Help(topic))

    async def etrn(self, node: str) -> Reply:
        """Send ETRN, which asks the server to start its queue for *node* (RFC 1985), and return the
        reply."""
        return await self._ask(commands.Etrn(node))

    async def command(self, command: Command) -> Reply:
        """Send any other command, for example XCLIENT or a verb of your own; return the reply.

        Raises LocalProtocolError for the commands that connecting, :meth:`send` and :meth:`login`
        send.
        """
        with Conversation(self._link):
            if isinstance(command, Ehlo | Mail | Rcpt | Data | StartTLS | Auth):
                text = "connect, send and login send this command; call these instead"
                raise LocalProtocolError(text, command=command.verb)
            reply = await self._link.request(command)
            if isinstance(command, commands.XClient) and reply.positive:
                await self._hello()
        return reply

    async def quit(self) -> None:
        """Send QUIT if the session allows it, wait for the reply, and close the connection.

        Never raises an SMTPError; may be called twice.
        """
        try:
            if self._link.usable:
                if self._quits_soon:
                    self._link.hurry(_QUIT_TIMEOUT)
                with contextlib.suppress(SMTPError):
                    await self._ask(_QUIT)
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the connection without QUIT. Never raises; may be called twice."""
        await self._link.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        await (self.quit() if error is None or isinstance(error, Exception) else self.close())

    # -- opening -----------------------------------------------------------------------------

    async def _open(self, mode: TLSMode) -> None:
        with Conversation(self._link, "greeting"):
            if self._config.proxy_header is not None:
                await self._link.preface(bytes(self._config.proxy_header))
            if mode is TLSMode.IMPLICIT:
                self._link.error_phase = "TLS"
                await self._start_tls(self._filter(mode))
            self._link.error_phase = "greeting"
            reply = await self._link.reply_to(self._link.machine.unanswered[0])
            self.greeting = _require_positive(reply, "", _CHECK_SERVICE)
            await self._hello()
            if mode in (TLSMode.REQUIRED, TLSMode.OPPORTUNISTIC):
                await self._upgrade(mode)
            if self._config.login is not None:
                await self._log_in(self._config.login)

    async def _hello(self) -> None:
        """Send EHLO, or HELO if the server does not know EHLO (RFC 5321 3.2); in LMTP, LHLO."""
        self._link.error_phase = "hello"
        host = self._config.hello or _literal(self._link.stream)
        lmtp = self._link.machine.lmtp
        hello: Command = commands.Lhlo(host) if lmtp else _make_ehlo(host)
        reply = await self._link.request(hello)
        if reply.code in (*_UNKNOWN_COMMAND, 504) and not lmtp:
            hello = commands.Helo(host)
            reply = await self._link.request(hello)
        if not reply.positive:
            check = _CHECK_HELLO if reply.permanent else ""
            check = _CHECK_LMTP if reply.code in _UNKNOWN_COMMAND else check
            _require_positive(reply, str(hello), check)
        if malformed := self.extensions.malformed:
            _log.warning("ignoring EHLO parameters that cannot be read: %s", " ".join(malformed))

    async def _upgrade(self, mode: TLSMode) -> None:
        """Start TLS if the server offers it. Raises SMTPError if TLS is required and fails."""
        required = mode is TLSMode.REQUIRED
        self._link.error_phase = "TLS"
        if "STARTTLS" not in self.extensions:
            if required:
                text = "TLS is required, and the server does not offer STARTTLS"
                check = _CHECK_IN_CLEAR if self._config.login_in_clear else _CHECK_STARTTLS
                error = NotOffered(text, status="5.7.10", command="STARTTLS", check=check)
                error.fault = "starttls-not-offered"
                raise error
            return
        layer = self._filter(mode)  # before STARTTLS, since it may raise
        try:
            reply = await self._link.request(StartTLS())
            if required or reply.positive or self._link.ended:
                _require_positive(reply, "STARTTLS", _CHECK_TLS)
                await self._start_tls(layer)
                self._link.machine.tls_started()
                await self._hello()
            else:
                _log.warning("going on in clear: the server refused STARTTLS: %s", reply)
                self.tls_refused = reply
        except SMTPError as error:
            self._complete_tls_error(error, mode)
            raise

    def _complete_tls_error(self, error: SMTPError, mode: TLSMode) -> None:
        """Complete an error raised between STARTTLS and the end of the EHLO that follows it."""
        if error.command in ("", "STARTTLS"):
            error.phase, error.command = "TLS", "STARTTLS"
            error.check = error.check or _CHECK_TLS
        if isinstance(error, TransportError):
            clear_is_enough = self._config.login is None or self._config.login_in_clear
            error.may_go_in_clear = mode is TLSMode.OPPORTUNISTIC and clear_is_enough

    def _filter(self, mode: TLSMode) -> tls_package.Filter:
        """Return the TLS filter for a handshake that is about to begin.

        Raises LocalProtocolError if the context or the server's name cannot be used.
        """
        try:
            context = self._config._tls_context(mode, self._link.runtime)
        except ValueError as error:
            raise tls_package.unusable(error) from None
        verify = self._config.verification(mode)
        return tls_package.filter_for(
            context,
            server_side=False,
            server_hostname=self._config.server_name or self._server_name,
            verify=verify,
        )

    async def _start_tls(self, layer: tls_package.Filter) -> None:
        await self._link.start_tls(layer)
        self._trusted = self.tls is not None and self.tls.verified

    async def _log_in(self, credential: sasl.Credential) -> None:
        self._link.error_phase = "login"
        may_be_in_clear = self._trusted or self._config.login_in_clear
        if not (may_be_in_clear or isinstance(credential, sasl.Anonymous)):
            unverified = "verify: the server's certificate was not verified"
            reason = "tls: this connection has none" if self.tls is None else unverified
            check = f"{reason}; or set login_in_clear=True to log in anyway"
            error = LocalProtocolError("no login without verified TLS", check=check)
            error.fault = "login-in-clear"
            raise error
        from .auth import log_in  # noqa: PLC0415  # with all mechanisms

        channel, allowed = self._channel, self._config.mechanisms
        self.mechanism = await log_in(self._link, credential, channel, allowed)

    @property
    def _channel(self) -> sasl.Channel:
        """The properties of this connection that a SASL exchange may use."""
        runtime, offered = self._link.runtime, self.extensions.mechanisms
        return sasl.Channel(
            random=runtime.random,
            now=runtime.now(),
            secure=self._trusted,
            bindings={} if self.tls is None else self.tls.bindings,
            peer_binds=any(name.endswith("-PLUS") for name in offered),
            host=self._config.server_name or self._server_name,
            port=self._link.stream.peername[1],
        )

    async def _ask(self, command: Command) -> Reply:
        with Conversation(self._link):
            return await self._link.request(command)


async def open_client(
    runtime: Runtime, host: str, port: int, config: ClientConfig, within: Deadline | None = None
) -> Client:
    """Connect to *port* of *host*; greet, start TLS and log in as *config* says.

    *host* may be the absolute path of a Unix socket, with *port* 0. :func:`.make_target` makes
    *host*, *port* and *config*. *within* is the operation that this is part of, if there is one;
    the client's QUIT then takes a second at most.

    Raises ConnectFailed, TLSFailed, TimedOut, ConnectionLost; Refusal, LoginRefused; NotOffered,
    LocalProtocolError (for example for a login without TLS), RemoteProtocolError; and GrammarError
    for a credential that the mechanism cannot send. After an error the connection is closed.
    """
    if reason := reason_impossible(host, port, config):
        raise ConnectFailed(reason, phase="connect", check="the arguments of connect")
    mode = config.tls_mode(port)
    secure, lmtp = mode is TLSMode.IMPLICIT, config.speaks_lmtp(port)
    machine = ClientProtocol(config, lmtp=lmtp, secure=secure)
    deadline = Deadline(runtime.now, config.timeouts.total)
    deadline.start(within)
    with error_context("connect"), deadline.within(config.timeouts.connect, "connect") as seconds:
        stream = await dial(runtime, host, port, seconds, config)
    link = Link(stream, runtime, machine, deadline, config.trace)
    client = Client(link, config, _server_name(host), within is not None)
    return await _open_or_close(client, mode)


async def send_within(
    deadline: Deadline, client: Client, message: Source, envelope: Envelope | None
) -> Outcome:
    """Send one message over *client*, as part of the operation that *deadline* measures."""
    client._link.deadline.start(deadline)
    try:
        return await client.send(message, envelope)
    finally:
        client._link.deadline.stop()


async def send_once(
    runtime: Runtime, target: Target, message: Source, envelope: Envelope | None
) -> Outcome:
    """Connect to *target*, send one message, send QUIT, and return the outcome.

    ``Timeouts.total`` limits connecting and sending together. Raises what :func:`open_client` and
    :meth:`Client.send` raise.
    """
    deadline = Deadline(runtime.now, target.config.timeouts.total)
    deadline.start()
    async with await open_client(runtime, *target, deadline) as client:
        return await send_within(deadline, client, message, envelope)


def _server_name(host: str) -> str:
    """Return the name that the server's certificate must have; for a Unix socket, localhost."""
    return "localhost" if is_path(host) else host


async def start_client(
    runtime: Runtime, stream: Stream, server_name: str, config: ClientConfig, mode: TLSMode
) -> Client:
    """Do what :func:`open_client` does, over a *stream* that is already connected.

    *server_name* is the name to verify. *mode* overrides ``config.tls``.
    """
    machine = ClientProtocol(config, lmtp=bool(config.lmtp), secure=mode is TLSMode.IMPLICIT)
    deadline = Deadline(runtime.now, config.timeouts.total)
    link = Link(stream, runtime, machine, deadline, config.trace)
    return await _open_or_close(Client(link, config, server_name), mode)


async def _open_or_close(client: Client, mode: TLSMode) -> Client:
    """Open *client* and return it, or close it if that fails, both as one operation."""
    deadline = client._link.deadline
    deadline.start()
    try:
        await client._open(mode)
    except BaseException as error:  # QUIT is sent only if the session allows it
        await (client.quit() if isinstance(error, SMTPError) else client.close())
        raise
    finally:
        deadline.stop()
    if _log.isEnabledFor(logging.INFO):
        _log.info("connected to %s, port %s", *client._link.stream.peername)
    return client


def _require_positive(reply: Reply, command: str, check: str) -> Reply:
    """Return *reply*, or raise Refusal if it is negative; *command* "" stands for connecting."""
    if not reply.positive:
        text = f"the server refused {command.partition(' ')[0] or 'the connection'}"
        raise Refusal(text, reply, command=command, check=check)
    return reply


def _literal(stream: Stream) -> Host:
    """Return the local address as a literal, which needs no DNS (RFC 5321 4.1.4)."""
    address = stream.sockname[0].partition("%")[0]
    if not address:
        return Domain("localhost")
    return AddressLiteral.parse(f"[IPv6:{address}]" if ":" in address else f"[{address}]")
