"""Proxies on the loopback: SOCKS5 (RFC 1928, RFC 1929) and HTTP CONNECT (RFC 9110 9.3.6)."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Iterator
from typing import ClassVar, Self

from attrs import define, field

_WAIT = 30  # seconds, after which a test has failed


class _Refused(Exception):
    """The proxy has answered and closes the connection."""


@define(eq=False)
class Proxy(ABC):
    """A proxy that connects to *server*, a port of this host, whatever host it is asked for."""

    server: int = 0
    login: tuple[str, str] | None = None
    """The login that it wants."""
    says: bytes | None = None
    """What it answers in place of what it should, before it closes the connection; b"": nothing."""
    silent: bool = False
    """It reads, and never answers."""
    waits_for_server: bool = False
    """It sends its answer together with the first octets of the server."""
    octet_by_octet: bool = False
    """Each octet of its answers leaves alone."""
    asked: list[tuple[str, int]] = field(factory=list, init=False)
    """The hosts and ports that it was asked for."""
    ended: threading.Event = field(factory=threading.Event, init=False)
    """Whether a client has closed its connection."""
    port: int = field(default=0, init=False)
    _listener: socket.socket = field(init=False)

    scheme: ClassVar[str] = ""

    @property
    def url(self) -> str:
        """The URL for the option ``proxy``."""
        login = "" if self.login is None else "{}:{}@".format(*self.login)
        return f"{self.scheme}://{login}127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                near.settimeout(_WAIT)
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=[near], daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError, _Refused):
            if self.silent or self.says is not None:
                self._say(near, self.says)
                self.ended.set()
            else:
                self.converse(near)

    def _say(self, near: socket.socket, answer: bytes | None) -> None:
        """Give an *answer* to the first request, and read the rest; else the client would not see
        the answer but a reset."""
        if answer is not None:
            near.recv(4096)
            self._answer(near, answer)
            near.shutdown(socket.SHUT_WR)
        while near.recv(4096):
            pass

    @abstractmethod
    def converse(self, near: socket.socket) -> None:
        """Read what the client asks for, and connect."""

    def connect(self, near: socket.socket, host: str, port: int, answer: bytes) -> None:
        """Connect to the server, give the *answer*, and pass octets on until one side ends."""
        self.asked.append((host, port))
        with socket.socket() as far:  # a test may have replaced the look-up of names
            far.settimeout(_WAIT)
            far.connect(("127.0.0.1", self.server))
            first = far.recv(4096) if self.waits_for_server else b""
            self._answer(near, answer + first)
            for source, sink in _ready(near, far):
                octets = source.recv(65536)
                if not octets:
                    break
                sink.sendall(octets)
        self.ended.set()

    def refuse(self, near: socket.socket, answer: bytes) -> None:
        """Give an answer that refuses."""
        self._answer(near, answer)
        raise _Refused

    def _answer(self, near: socket.socket, answer: bytes) -> None:
        pieces = [bytes([it]) for it in answer] if self.octet_by_octet else [answer]
        for piece in pieces:
            near.sendall(piece)


def _ready(
    near: socket.socket, far: socket.socket
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield the side that can be read, and the other one."""
    while True:
        ready, _, _ = select.select([near, far], [], [], _WAIT)
        if not ready:
            return
        for source in ready:
            yield source, far if source is near else near


def _exactly(near: socket.socket, size: int) -> bytes:
    octets = b""
    while len(octets) < size:
        more = near.recv(size - len(octets))
        if not more:
            raise _Refused
        octets += more
    return octets


class Socks5(Proxy):
    """A proxy that speaks SOCKS5."""

    scheme: ClassVar[str] = "socks5"

    def converse(self, near: socket.socket) -> None:
        _, count = _exactly(near, 2)
        self._log_in(near, _exactly(near, count))
        _, _, _, kind = _exactly(near, 4)
        match kind:
            case 1:
                host = socket.inet_ntop(socket.AF_INET, _exactly(near, 4))
            case 4:
                host = socket.inet_ntop(socket.AF_INET6, _exactly(near, 16))
            case _:
                host = _exactly(near, _exactly(near, 1)[0]).decode()
        port = int.from_bytes(_exactly(near, 2))
        self.connect(near, host, port, b"\x05\0\0\x03\x09localhost\0\x50")

    def _log_in(self, near: socket.socket, methods: bytes) -> None:
        if self.login is None:
            self._answer(near, b"\x05\0")
            return
        if 2 not in methods:
            self.refuse(near, b"\x05\xff")
        self._answer(near, b"\x05\x02")
        _exactly(near, 1)
        user, password = (_exactly(near, _exactly(near, 1)[0]).decode() for _ in range(2))
        if (user, password) != self.login:
            self.refuse(near, b"\x01\x01")
        self._answer(near, b"\x01\0")


class HTTPConnect(Proxy):
    """A proxy that speaks HTTP."""

    scheme: ClassVar[str] = "http"

    def converse(self, near: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += _exactly(near, 1)
        line, *fields = head.decode().split("\r\n")
        method, target, _ = line.split(" ")
        values = dict(it.split(": ", 1) for it in fields if it)
        assert method == "CONNECT" and values["Host"] == target
        if self.login is not None:
            kind, _, token = values.get("Proxy-Authorization", "").partition(" ")
            if kind != "Basic" or b64decode(token).decode() != ":".join(self.login):
                self.refuse(near, b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
        host, _, port = target.rpartition(":")
        answer = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 x\r\nX-Y: z\r\n\r\n"
        self.connect(near, host.strip("[]"), int(port), answer)


PROXIES: list[type[Proxy]] = [Socks5, HTTPConnect]
