"""SMTP over blocking sockets; a server runs a thread for each connection."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from ..errors import ConnectFailed, ConnectionLost, LocalProtocolError, TimedOut
from ..grammar.command import Command
from ..grammar.extension import Extensions
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..limits import CHUNK
from ..mail.content import Source
from ..mail.envelope import Envelope
from ..mail.plan import Plan
from ..sasl import Login
from ..session import client as session
from ..session.handler import HandlerSource, handler_of
from ..session.options import ClientConfig, ClientOptions, ServerConfig, ServerOptions
from ..session.outcome import Outcome
from ..session.server import Conversation
from ..session.serving import check
from ..wire.tls import TLSInfo

T = TypeVar("T")


def connect(host: str, port: int = 587, **options: Unpack[ClientOptions]) -> Client:
    """Connect, greet, upgrade to TLS and log in. Use it in ``with``, to quit at the end.

    Options: :class:`~smtpproto.session.options.ClientConfig`. Errors: see
    :func:`~smtpproto.session.client.open_client`.
    """
    return Client(run(session.open_client(World(), host, port, ClientConfig(**options))))


@contextlib.contextmanager
def serve(
    handler: HandlerSource,
    host: str = "127.0.0.1",
    port: int = 0,
    **options: Unpack[ServerOptions],
) -> Iterator[Server]:
    """Serve *handler* on *host* and *port* (0: a free one) while the block runs; then stop.

    Options: :class:`~smtpproto.session.options.ServerConfig`. Raises OSError if it cannot listen.
    Hooks are called in the connections' threads; they may be ``async`` only if they never suspend.
    """
    server = Server(handler, ServerConfig(**options))
    server.start(host, port)
    try:
        yield server
    finally:
        server.stop()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* to its end, which it reaches without suspending: see :mod:`.ports`."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise LocalProtocolError("with blocking sockets nothing may be awaited that suspends")


class Client:
    """:class:`smtpproto.session.client.Client` without ``await``."""

    def __init__(self, client: session.Client) -> None:
        self._client = client

    @property
    def greeting(self) -> Reply:
        return self._client.greeting

    @property
    def extensions(self) -> Extensions:
        return self._client.extensions

    @property
    def tls(self) -> TLSInfo | None:
        return self._client.tls

    @property
    def usable(self) -> bool:
        return self._client.usable

    def send(self, message: Source, envelope: Envelope | None = None) -> Outcome:
        return run(self._client.send(message, envelope))

    def login(self, login: Login) -> None:
        run(self._client.login(login))

    def noop(self) -> Reply:
        return run(self._client.noop())

    def reset(self) -> Reply:
        return run(self._client.reset())

    def plan(self, message: Source, envelope: Envelope | None = None) -> Plan:
        return self._client.plan(message, envelope)

    def verify(self, name: str, *, smtputf8: bool = False) -> Reply:
        return run(self._client.verify(name, smtputf8=smtputf8))

    def expand(self, name: str, *, smtputf8: bool = False) -> Reply:
        return run(self._client.expand(name, smtputf8=smtputf8))

    def etrn(self, node: str) -> Reply:
        return run(self._client.etrn(node))

    def command(self, command: Command) -> Reply:
        return run(self._client.command(command))

    def help(self, topic: str = "") -> Reply:
        return run(self._client.help(topic))

    def quit(self) -> None:
        run(self._client.quit())

    def close(self) -> None:
        run(self._client.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        run(self._client.__aexit__(kind, error, traceback))


class Server:
    """A server that is running."""

    def __init__(self, handler: HandlerSource, config: ServerConfig) -> None:
        self._handler, self._config = handler, config
        self._running: dict[threading.Thread, tuple[Conversation, Stream]] = {}
        self._stopping = threading.Event()

    def start(self, host: str, port: int) -> None:
        """Start listening."""
        check(self._handler, self._config, port)
        family = socket.getaddrinfo(host, port, flags=socket.AI_PASSIVE)[0][0]
        self._listener = socket.create_server((host, port), family=family, backlog=1024)
        self._wake, self._woken = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept_all, daemon=True)
        self._acceptor.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._listener.getsockname()[1]
        return port

    def wait(self) -> None:
        """Wait until stopped."""
        self._stopping.wait()

    def stop(self, grace: float = 30) -> None:
        """Stop accepting, say 421 to the idle, let messages in flight finish for *grace* seconds,
        then cut what is left."""
        self._stopping.set()
        self._wake.close()
        self._acceptor.join()
        running = dict(self._running)
        for conversation, _ in running.values():
            conversation.stop()
        end = time.monotonic() + grace
        for thread, (_, stream) in running.items():
            thread.join(max(end - time.monotonic(), 0))
            if thread.is_alive():
                stream.abort()
                thread.join(1)  # a hook that is still busy is left to end by itself

    def _accept_all(self) -> None:
        with self._listener, self._woken, selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._stopping.is_set():
                selector.select()
                if not self._stopping.is_set():
                    self._accept()

    def _accept(self) -> None:
        try:
            stream = Stream(self._listener.accept()[0])
        except OSError:  # no more files, most likely: let some connections end
            self._stopping.wait(1)
            return
        conversation = Conversation(stream, handler_of(self._handler), self._config, World())
        thread = threading.Thread(target=self._converse, args=[conversation], daemon=True)
        self._running[thread] = conversation, stream
        try:
            thread.start()
        except RuntimeError:  # no more threads
            del self._running[thread]
            run(stream.close())

    def _converse(self, conversation: Conversation) -> None:
        try:
            run(conversation.run())
        finally:
            del self._running[threading.current_thread()]


class World:
    """The port :class:`smtpproto.ports.World`."""

    def now(self) -> float:
        return time.monotonic()

    async def checkpoint(self) -> None:
        """Nothing to do: threads take turns by themselves."""

    async def dial(self, host: str, port: int, timeout: float | None) -> Stream:
        try:
            return Stream(socket.create_connection((host, port), timeout))
        except TimeoutError:
            raise TimedOut(f"no connection to {host}, {port} in time", phase="connect") from None
        except (OSError, ValueError, OverflowError) as error:  # the latter for what is no host name
            raise ConnectFailed(printable(str(error)), phase="connect") from None


class Stream:
    """The port :class:`smtpproto.ports.Stream`."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        with contextlib.suppress(OSError):  # not TCP
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def read(self, timeout: float | None) -> bytes:
        try:
            self._socket.settimeout(_seconds(timeout))
            return self._socket.recv(CHUNK)
        except TimeoutError:
            raise TimedOut("the peer was silent for too long") from None
        except OSError as error:
            raise ConnectionLost(printable(str(error))) from None

    async def write(self, data: bytes, timeout: float | None) -> None:
        try:
            self._socket.settimeout(_seconds(timeout))
            self._socket.sendall(data)
        except TimeoutError:
            raise TimedOut("the peer did not read for too long") from None
        except OSError as error:
            raise ConnectionLost(printable(str(error))) from None

    async def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()

    def interrupt(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def abort(self) -> None:
        """Cut the connection, whatever a thread is doing with it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    @property
    def peername(self) -> tuple[str, int]:
        return self._address(self._socket.getpeername)

    @property
    def sockname(self) -> tuple[str, int]:
        return self._address(self._socket.getsockname)

    @staticmethod
    def _address(ask: Callable[[], object]) -> tuple[str, int]:
        with contextlib.suppress(OSError):
            match ask():
                case (str(host), int(port), *_):
                    return host, port
        return "", 0


def _seconds(timeout: float | None) -> float | None:
    return None if timeout is None else max(timeout, 0.001)  # 0 would mean not to block at all
