"""What the servers of all adapters have in common."""

from __future__ import annotations

import logging
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Unpack

from ..option_types import require_type
from ..ports import Runtime, Stream
from ..server import Conversation, HandlerSource, Usage, check_server
from ..server.config import ServerConfig, ServerOptions
from . import listening
from .listening import Address, HostOption, Listeners

_log = logging.getLogger("smtpproto.server")

GRACE = 30.0  # seconds for messages in flight when a server stops
LAST = 5.0  # seconds more for what runs at the end of a connection; then it is abandoned

ConversationMaker = Callable[[Stream, HandlerSource, ServerConfig, Runtime, Usage], Conversation]


class ServeOptions(ServerOptions, total=False):
    """The keyword arguments of ``serve``."""

    grace: float


class ServerBase(ABC):
    """The options of a server, and its listening sockets."""

    _runtime: Runtime

    def __init__(
        self,
        handler: HandlerSource,
        host: HostOption = "127.0.0.1",
        port: int = 0,
        *,
        grace: float = GRACE,
        **options: Unpack[ServerOptions],
    ) -> None:
        require_type("grace", grace, int | float, "a number of seconds")
        if not grace >= 0:
            raise ValueError(f"grace must be 0 or more, not {grace}")
        self._handler, self._port, self._grace = handler, port, grace
        self._hosts = listening.hosts_of(host, port)
        self._config = ServerConfig(**options)
        self._usage = Usage(self._config.limits, threading.Lock())
        check_server(handler, self._config, port)
        self._listeners: Listeners | None = None
        self._addresses: list[Address] = []
        self._acceptor = listening.Acceptor(self._begin)
        # Tools for tests wrap the stream of each connection.
        self._make_conversation: ConversationMaker = Conversation
        self._stopping = False
        self._prepare()

    @property
    def addresses(self) -> list[Address]:
        """What the server listens on: host and port of each TCP socket, the path of each Unix
        socket. Empty before the start."""
        return list(self._addresses)

    def __str__(self) -> str:
        """Return the addresses as text: ``127.0.0.1 port 25, ::1 port 25``."""
        return ", ".join(
            one if isinstance(one, str) else f"{one[0]} port {one[1]}" for one in self._addresses
        )

    @property
    def port(self) -> int:
        """The TCP port that the server listens on; 0 if it listens only at Unix sockets."""
        return listening.port_of(self._addresses)

    def _listen(self) -> Listeners:
        if self._listeners is not None:
            raise RuntimeError("the server has been started before; make a new Server")
        self._listeners = listening.listen(self._hosts, self._port)
        self._addresses = self._listeners.addresses
        _log.info("listening on %s", self)
        return self._listeners

    def _check_started(self) -> None:
        if self._listeners is None:
            raise RuntimeError("the server is not running; call start() first")

    @abstractmethod
    def _prepare(self) -> None:
        """Set the attributes that only the adapter has."""

    @abstractmethod
    def _begin(self, connected: socket.socket) -> None:
        """Serve a new connection. Raises OSError if the system lacks what this needs."""

    def _converse(self, stream: Stream) -> Conversation:
        """Return the conversation of a new connection."""
        conversation = self._make_conversation(
            stream, self._handler, self._config, self._runtime, self._usage
        )
        if self._stopping:
            conversation.stop()
        return conversation

    def _log_stop(self, abandoned: int) -> None:
        if abandoned:
            _log.error("stopped, but abandoned %d connections whose hooks did not end", abandoned)
        else:
            _log.info("stopped listening on %s", self)
