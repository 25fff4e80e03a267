"""``CatchAll``: a server that takes all mail, and shows it on a page."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self, Unpack

from ...adapters.blocking_server import Server
from ...adapters.listening import HostOption
from ...adapters.loopback_pages import serve_pages
from ...grammar.envelope import Envelope
from ...limits import Limits
from ...ports import Event, Runtime, Stream
from ...server import Conversation, HandlerSource, Usage
from ...server.config import ServerConfig, ServerOptions
from ...server.handler import MessageHook, Session
from ..inbox import Inbox, ReceivedMessage
from ..recording import Recorder
from ..troubled import TroubledConnection, TroubledStream
from .failures import Failures
from .kept_mail import KEEP, OCTETS, KeptMail
from .mail_api import METHODS, MailAPI

_CLIENTS = 32  # of the page at the same time
_TRANSCRIPT = 65_536  # octets of the dialogue of a connection that are kept
_GRACE = 2.0  # seconds that messages in flight have when the server stops


class CatchAll:
    """A server that takes all mail and shows it on a page: ``with CatchAll() as catch_all:``.

    It listens for mail on *host* and *port*. The page is on *web_port* of 127.0.0.1, whatever the
    host; 0 is a free port. It keeps in memory at most *keep* messages and *octets* of them in all,
    and drops the oldest. *on_message* is called with each message, by the thread of its connection.
    Options: see :class:`.ServerConfig`. Raises OSError if it cannot listen, and ValueError if the
    largest message would have no room.
    """

    def __init__(  # noqa: PLR0913 - keywords
        self,
        host: HostOption = "127.0.0.1",
        port: int = 0,
        *,
        web_port: int = 0,
        keep: int = KEEP,
        octets: int = OCTETS,
        on_message: Callable[[ReceivedMessage], object] = bool,
        **options: Unpack[ServerOptions],
    ) -> None:
        largest = options.get("limits", Limits()).message_size
        if largest is None or largest > octets:
            raise ValueError(f"octets must be at least limits.message_size, which is {largest}")
        self._mail = KeptMail(messages=keep, octets=octets)
        self._failures = Failures()
        self._server = _Server(self._end_delays, host, port, **options)
        self._server._make_conversation = self._converse
        self._web_port, self._bound = web_port, 0
        self._on_message = on_message
        self._over: Event | None = None
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://127.0.0.1:{self._bound}/"

    @property
    def port(self) -> int:
        """The TCP port that the server listens on for mail."""
        return self._server.port

    @property
    def messages(self) -> list[ReceivedMessage]:
        """The messages that it keeps, the oldest first."""
        return [it.received for it in reversed(self._mail.newest())]

    def serve_forever(self, on_start: Callable[[CatchAll], object] = bool) -> None:
        """Start, call *on_start* with this, and run until SIGTERM or SIGINT arrives; then stop."""
        with self:
            self._server.serve_forever(lambda _: on_start(self))

    def __str__(self) -> str:
        """Return where it listens for mail: ``127.0.0.1 port 25``."""
        return str(self._server)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            pages = serve_pages(
                MailAPI(self._mail, self._failures, lambda: str(self._server)).answer,
                self._web_port,
                methods=METHODS,
                clients=_CLIENTS,
            )
            self._bound = stack.enter_context(pages)
            stack.callback(self._mail.close)
            self._server.start()
            stack.callback(self._server.stop)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _end_delays(self) -> None:
        self._failures.script.is_over = True
        if self._over is not None:
            self._over.set()

    def _converse(
        self,
        stream: Stream,
        source: HandlerSource,
        config: ServerConfig,
        runtime: Runtime,
        usage: Usage,
    ) -> Conversation:
        """Return a conversation that is recorded, and has the trouble of the moment."""
        self._over = self._over or runtime.event()
        script, recorder = self._failures.script, Recorder(limit=_TRANSCRIPT)
        inbox = _KeepingInbox(self._mail, lambda: str(recorder.transcript), self._on_message)
        connection = TroubledConnection(stream.peername, inbox, script, bool, recorder=recorder)
        troubled = TroubledStream(stream, connection, script, self._over)
        return Conversation(
            troubled, connection.opened, connection.configured(config), runtime, usage
        )


class _Server(Server):
    def __init__(
        self,
        end_delays: Callable[[], object],
        host: HostOption,
        port: int,
        **options: Unpack[ServerOptions],
    ) -> None:
        super().__init__(Inbox(), host, port, grace=_GRACE, **options)
        self._end_delays = end_delays

    def stop(self, grace: float | None = None) -> None:
        """Stop, and let no delay hold that up."""
        self._end_delays()
        super().stop(grace)


class _KeepingInbox(Inbox):
    """Gives the messages of one connection to *mail*."""

    def __init__(
        self,
        mail: KeptMail,
        transcript: Callable[[], str],
        on_message: Callable[[ReceivedMessage], object],
    ) -> None:
        self._mail, self._transcript, self._on_message = mail, transcript, on_message

    def message(self, session: Session, envelope: Envelope, body: bytes) -> MessageHook:
        """Keep the message."""
        kept = self._mail.add(envelope, body, session, self._transcript)
        self._on_message(kept.received)
        return None
