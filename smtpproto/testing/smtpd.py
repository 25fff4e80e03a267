"""``SMTPD``: a mail server for tests of programs that send mail."""

from __future__ import annotations

import errno
import os
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, Unpack, cast

from ..adapters.facade import run
from ..adapters.serving import ServerBase
from ..limits import Limits
from ..option_types import check_names, require_type
from ..ports import Event, Runtime, Stream
from ..protocol.terms import MachineOptions
from ..sasl import PlainPasswords
from ..server import Conversation, HandlerSource, Usage
from ..server.config import ServerConfig, ServerOptions
from . import certificates
from .certificates import Certificate
from .inbox import Inbox, ReceivedMessage
from .trouble import Script, Trouble
from .troubled import TroubledConnection, TroubledStream

__all__ = ["SMTPD", "AsyncSMTPD", "SMTPDOptions"]

S = TypeVar("S", bound=ServerBase)
_SECONDS = 5.0
# A login of smtplib tries three mechanisms with the same password; that must not take seconds, or
# end in 421 in the place of its error.
_LIMITS = Limits(failed_logins=100, failed_logins_per_network=100, failed_login_delay=0)


class SMTPDOptions(MachineOptions, total=False):
    """The options of :class:`SMTPD`, besides those of a server's protocol such as *lmtp*,
    *extensions* and *limits* (see :class:`.ServerConfig`)."""

    tls: Literal["starttls", "implicit"] | None
    """Offer STARTTLS, use TLS from the first octet, or do not use TLS (the default)."""
    certificate: Certificate
    """The certificate that the server shows: ``"valid"``, ``"expired"``, ``"wrong name"`` or
    ``"unknown CA"``."""
    users: Mapping[str, str]
    """Users and their passwords. The server then accepts mail only after a login, unless
    *require_auth* is False."""
    trouble: Trouble | Sequence[Trouble]
    """What goes wrong, and when: see :mod:`.trouble`."""
    host: str
    """Where to listen; 127.0.0.1 by default."""
    port: int
    """The port; a free one by default."""
    seconds: float
    """How long the server waits for messages, and for clients to leave; 5 by default."""
    allow_connected: bool
    """Whether clients may stay connected when the server stops. By default this is an error."""


_OWN = set(SMTPDOptions.__annotations__) - set(MachineOptions.__annotations__)


class _Kit:
    """What the two servers have in common: the options, and what has been recorded."""

    _server: ServerBase | None = None

    def __init__(self, **options: Unpack[SMTPDOptions]) -> None:
        check_names(type(self).__name__, options, sorted(SMTPDOptions.__annotations__))
        self._options = options
        self.host: str = options.get("host", "127.0.0.1")
        """The address that the server listens on."""
        self.failed: bool = False
        """Whether the test has failed already. Then the end of the server checks nothing more."""
        self._script = Script(options.get("trouble", ()))
        self._inbox = Inbox()
        self._connections: list[TroubledConnection] = []
        self._seconds = options.get("seconds", _SECONDS)
        require_type("seconds", self._seconds, int | float, "a number")
        if not self._seconds > 0:
            raise ValueError(f"seconds must be more than 0, not {self._seconds}")
        self._server_options = self._to_server_options()
        self._waiting: set[Event] = set()
        self._changes = 0
        self._delays: list[Event] = []
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    # -- what tests look at ------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The TCP port that the server listens on."""
        return self._check_started().port

    @property
    def messages(self) -> list[ReceivedMessage]:
        """The messages that the server has accepted, the oldest first. Clear the list to forget
        them."""
        return self._inbox.messages

    @property
    def sessions(self) -> list[str]:
        """The dialogue of each connection as text, the oldest first. Secrets are masked."""
        return [one.transcript for one in self._connections]

    @property
    def credentials(self) -> tuple[str, str]:
        """Name and password of the first user. Raises LookupError without users."""
        for user in self._options.get("users", {}).items():
            return user
        raise LookupError('the server has no users; pass users={"ann": "secret"}')

    @property
    def client_context(self) -> ssl.SSLContext:
        """A new TLS context for a client that trusts the server's certificate."""
        return certificates.client_context()

    @property
    def ca_file(self) -> Path:
        """A file with the certificate of the authority that the client must trust, for programs
        that take a file. It is removed when the server stops."""
        self._check_started()
        directory = self._directory or tempfile.TemporaryDirectory(prefix="smtpproto-")
        self._directory = directory
        path = Path(directory.name, "ca.pem")
        path.write_text(certificates.authority_pem())
        return path

    def check_script(self) -> None:
        """Raise AssertionError if the script of trouble was not played to its end."""
        if unplayed := self._script.unplayed():
            listed = "".join(f"\n  {one}" for one in unplayed)
            raise AssertionError(
                f"{self._name}: not all of the trouble happened:{listed}\nThe code under test did"
                " not get that far, or did not try again. Mend it, or take this out of the script."
                f"{self._shown_sessions}"
            )

    def __repr__(self) -> str:
        where = f" on port {self._server.port}" if self._server else ""
        return f"<{type(self).__name__}{where}, {len(self.messages)} messages>"

    # -- the server --------------------------------------------------------------------------

    def _to_server_options(self) -> ServerOptions:
        options: Any = {name: it for name, it in self._options.items() if name not in _OWN}
        options.setdefault("limits", _LIMITS)
        tls = self._options.get("tls")
        if tls not in ("starttls", "implicit", None):
            raise ValueError(f'tls must be "starttls", "implicit" or None, not {tls!r}')
        if tls is not None:
            options["implicit_tls"] = tls == "implicit"
            options["context"] = certificates.server_context(
                self._options.get("certificate", "valid")
            )
        elif "certificate" in self._options:
            raise ValueError('certificate needs TLS; add tls="starttls" or tls="implicit"')
        if users := self._options.get("users"):
            defaults = {"require_auth": True, "auth_in_clear": tls is None}
            options = {"authenticator": PlainPasswords(users)} | defaults | options
        return cast("ServerOptions", options)

    def _make(self, kind: type[S]) -> S:
        if self._server is not None:
            raise RuntimeError("the server is running already; the fixture smtpd needs no `with`")
        port = self._options.get("port", 0)
        server = kind(Inbox(), self.host, port, grace=0, **self._server_options)
        server._make_conversation = self._converse
        return server

    def _check_started(self) -> ServerBase:
        if self._server is None:
            word = "async with" if isinstance(self, AsyncSMTPD) else "with"
            raise RuntimeError(f"the server is not running; use `{word} {type(self).__name__}()`")
        return self._server

    def _converse(
        self,
        stream: Stream,
        source: HandlerSource,
        config: ServerConfig,
        runtime: Runtime,
        usage: Usage,
    ) -> Conversation:
        """Return a conversation that is recorded, and has its trouble."""
        connection = TroubledConnection(stream.peername, self._inbox, self._script, self._changed)
        over = runtime.event()
        self._connections.append(connection)
        self._delays.append(over)
        troubled = TroubledStream(stream, connection, self._script, over)
        config = connection.configured(config)
        return Conversation(troubled, connection.opened, config, runtime, usage)

    def _changed(self) -> None:
        """Wake all that wait."""
        self._changes += 1
        for event in list(self._waiting):
            event.set()

    async def _wait(self, done: Callable[[], bool], seconds: float) -> bool:
        """Wait until *done*, at most so many *seconds*. Return whether it is."""
        runtime = self._check_started()._runtime
        event, end = runtime.event(), runtime.now() + seconds
        in_vain = 0  # a wait without news means that the time is over, even if a test has stopped
        self._waiting.add(event)  # the clock; but one such wait may end early, by older news
        try:
            while not done() and in_vain < 2 and (left := end - runtime.now()) > 0:
                before = self._changes
                await event.wait(left)
                in_vain = in_vain + 1 if self._changes == before else 0
        finally:
            self._waiting.discard(event)
        return done()

    async def _wait_for(self, count: int, seconds: float | None) -> list[ReceivedMessage]:
        seconds = self._seconds if seconds is None else seconds
        require_type("count", count, int, "a number of messages")
        require_type("seconds", seconds, int | float, "a number")
        if not await self._wait(lambda: len(self.messages) >= count, seconds):
            raise AssertionError(
                f"{self._name}: {len(self.messages)} of {count} messages arrived within"
                f" {seconds:g} seconds{self._shown_sessions}"
            )
        return self.messages

    async def _end(self, error: type[BaseException] | None) -> str:
        """End all delays, and wait until the clients have left, unless the test ended by an
        *error*, or they may stay. Return what to say about those that have not left."""
        self.failed = self.failed or error is not None
        self._script.is_over = True
        for event in self._delays:
            event.set()
        if self.failed or self._options.get("allow_connected"):
            return ""
        await self._wait(lambda: not any(one.is_open for one in self._connections), self._seconds)
        left = [one for one in self._connections if one.is_open]
        if not left:
            return ""
        return (
            f"{self._name}: still connected at the end: {', '.join(one.name for one in left)}."
            " Close the connection, for example by `with smtplib.SMTP(...)` or quit(); or pass"
            f" allow_connected=True.{_shown(left)}"
        )

    def _check(self, left: str) -> None:
        """Remove files; then raise AssertionError if connections are *left*, or a part of the
        script."""
        self._server = None
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None
        if left:
            raise AssertionError(left)
        if not self.failed:
            self.check_script()

    @property
    def _name(self) -> str:
        """The test that runs, if pytest runs it."""
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
        return test or type(self).__name__

    @property
    def _shown_sessions(self) -> str:
        return _shown(self._connections) or "\nNo client has connected."


def _shown(connections: Sequence[TroubledConnection]) -> str:
    """Return the dialogues as the end of an error."""
    return "".join(f"\n--- {one.name}\n{one.transcript}" for one in connections).rstrip()


class SMTPD(_Kit):
    """A mail server for tests, in threads: ``with SMTPD() as smtpd:``.

    It accepts every message, and keeps it. Options: see :class:`SMTPDOptions`. When the block ends,
    it stops and leaves nothing behind. It then raises AssertionError if a client is still
    connected, or if the script of trouble was not played to its end. Raises OSError if the port is
    in use, TypeError and ValueError for wrong options, ImportError for TLS without ``trustme``.
    """

    def __enter__(self) -> Self:
        from ..adapters.blocking_server import Server  # noqa: PLC0415 - not for AsyncSMTPD

        server = self._make(Server)
        with _advice_on_ports():
            server.start()
        self._server, self._stop = server, server.stop
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            left = run(self._end(kind))
        finally:
            self._stop()
        self._check(left)

    def wait_for(self, count: int, seconds: float | None = None) -> list[ReceivedMessage]:
        """Wait until *count* messages have arrived, at most *seconds*; return all messages.

        Raises AssertionError, with the dialogue, if fewer arrive. You need this only for code that
        sends in the background: a message is there before its client reads the reply.
        """
        return run(self._wait_for(count, seconds))


class AsyncSMTPD(_Kit):
    """A mail server for tests, in the running loop of asyncio or trio:
    ``async with AsyncSMTPD() as smtpd:``. Otherwise it is like :class:`SMTPD`.
    """

    async def __aenter__(self) -> Self:
        start = _start_in_trio if _in_trio() else _start_in_asyncio
        async with AsyncExitStack() as stack:
            with _advice_on_ports():
                self._server = await start(self._make, stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            left = await self._end(kind)
        finally:
            await self._stack.aclose()
        self._check(left)

    async def wait_for(self, count: int, seconds: float | None = None) -> list[ReceivedMessage]:
        """Wait until *count* messages have arrived: see :meth:`SMTPD.wait_for`."""
        return await self._wait_for(count, seconds)


async def _start_in_asyncio(make: Callable[..., Any], stack: AsyncExitStack) -> ServerBase:
    from ..adapters.asyncio_server import Server  # noqa: PLC0415

    server: Server = make(Server)
    await server.start()
    stack.push_async_callback(server.stop)
    return server


async def _start_in_trio(make: Callable[..., Any], stack: AsyncExitStack) -> ServerBase:
    import trio  # noqa: PLC0415 - optional

    from ..adapters.trio_server import Server  # noqa: PLC0415

    server: Server = make(Server)
    await server.start(await stack.enter_async_context(trio.open_nursery()))
    stack.push_async_callback(server.stop)
    return server


def _in_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and trio.lowlevel.in_trio_run()


@contextmanager
def _advice_on_ports() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        text = f"{error.strerror}; leave out the port, and each server finds a free one"
        raise OSError(error.errno, text) from None
