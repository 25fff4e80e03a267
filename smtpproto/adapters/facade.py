"""Blocking clients and pools: the same methods without ``await``, and no event loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

from .. import client as async_client
from .. import sasl
from .. import tls as tls_package
from ..errors import LocalProtocolError
from ..grammar.command import Command
from ..grammar.envelope import Envelope
from ..grammar.extension import Extensions
from ..grammar.reply import Reply
from ..limits import BULK_RETRIES
from ..mail import Plan, Source
from ..outcome import Outcome

if TYPE_CHECKING:
    from ..client.bulk import BulkMessage, JournalPort, SendEvent

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* to its end and return its result.

    It must not suspend: see :mod:`smtpproto.ports`. Raises LocalProtocolError if it does.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise LocalProtocolError(
        "a coroutine suspended, and blocking sockets cannot resume it;"
        " use hooks that never suspend, or smtpproto.adapters.asyncio"
    )


def _iterate(events: AsyncGenerator[T, None]) -> Iterator[T]:
    """Yield what *events* yields, each when it is asked for."""

    try:
        while found := run(_next(events)):
            yield from found
    finally:
        run(_close(events))


async def _next(events: AsyncGenerator[T, None]) -> list[T]:
    """Return the next element; an empty list at the end."""
    try:
        return [await anext(events)]
    except StopAsyncIteration:
        return []


async def _close(events: AsyncGenerator[T, None]) -> None:
    await events.aclose()


class Client:
    """A blocking client. :class:`smtpproto.client.Client` documents its methods in full."""

    def __init__(self, client: async_client.Client) -> None:
        self._client = client

    @property
    def greeting(self) -> Reply:
        """The server's greeting."""
        return self._client.greeting

    @property
    def extensions(self) -> Extensions:
        """The extensions that the server offers."""
        return self._client.extensions

    @property
    def tls(self) -> tls_package.TLSInfo | None:
        """What TLS negotiated; None in clear."""
        return self._client.tls

    @property
    def tls_refused(self) -> Reply | None:
        """The reply that refused STARTTLS, if the session went on in clear."""
        return self._client.tls_refused

    @property
    def mechanism(self) -> str:
        """The SASL mechanism by which the client has logged in; "" before a login."""
        return self._client.mechanism

    @property
    def usable(self) -> bool:
        """Whether the client can send the next command."""
        return self._client.usable

    def send(self, message: Source, envelope: Envelope | None = None) -> Outcome:
        """Send one message and return the outcome for each recipient.

        Raises SendRefused, NotOffered or TransportError.
        """
        return run(self._client.send(message, envelope))

    def login(self, login: sasl.Credential | tuple[str, str]) -> None:
        """Log in with the strongest mechanism that both sides support (RFC 4954)."""
        logging_in = self._client.login(login)
        del login  # there is a password in it, and tracebacks can show locals
        run(logging_in)

    def noop(self) -> Reply:
        """Send NOOP and return the reply."""
        return run(self._client.noop())

    def rset(self) -> Reply:
        """Send RSET and return the reply."""
        return run(self._client.rset())

    def plan(self, message: Source, envelope: Envelope | None = None) -> Plan:
        """Return what :meth:`send` would send, without sending it. Raises NotOffered."""
        return self._client.plan(message, envelope)

    def vrfy(self, name: str, *, smtputf8: bool = False) -> Reply:
        """Send VRFY and return the reply; *smtputf8* allows UTF-8 in it (RFC 6531 3.7.4.2)."""
        return run(self._client.vrfy(name, smtputf8=smtputf8))

    def expn(self, name: str, *, smtputf8: bool = False) -> Reply:
        """Send EXPN and return the reply; *smtputf8* allows UTF-8 in it."""
        return run(self._client.expn(name, smtputf8=smtputf8))

    def etrn(self, node: str) -> Reply:
        """Ask the server to start its queue for *node* (RFC 1985); return the reply."""
        return run(self._client.etrn(node))

    def command(self, command: Command) -> Reply:
        """Send any other command, for example XCLIENT, and return the reply."""
        return run(self._client.command(command))

    def help(self, topic: str = "") -> Reply:
        """Send HELP and return the reply."""
        return run(self._client.help(topic))

    def quit(self) -> None:
        """Send QUIT if possible, wait for the reply, and close. Never raises."""
        run(self._client.quit())

    def close(self) -> None:
        """Close the connection without QUIT. Never raises."""
        run(self._client.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        run(self._client.__aexit__(kind, error, traceback))


class Pool:
    """A blocking :class:`smtpproto.client.Pool`. Any number of threads may use it."""

    def __init__(self, pool: async_client.Pool) -> None:
        self._pool = pool

    def send(self, message: Source, envelope: Envelope | None = None) -> Outcome:
        """Send one message over a free connection; see :meth:`Client.send`."""
        return run(self._pool.send(message, envelope))

    def connect(self) -> None:
        """Open a connection for the next message, unless the pool keeps one already; raise what
        that raises."""
        run(self._pool.connect())

    def send_each(
        self,
        messages: Iterable[BulkMessage],
        *,
        rate: str | None = None,
        journal: JournalPort | None = None,
        retries: Sequence[float] = BULK_RETRIES,
        resend_unknown: bool = False,
    ) -> Iterator[SendEvent]:
        """Send many messages, one after the other, and yield what came of each recipient: see
        :meth:`smtpproto.client.Pool.send_each`. Ctrl-C ends it after the message in flight."""
        events = self._pool.send_each(
            messages, rate=rate, journal=journal, retries=retries, resend_unknown=resend_unknown
        )
        return _iterate(events)

    def close(self) -> None:
        """Send QUIT on all connections, on those in use when they are free."""
        run(self._pool.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
