"""Connects to a server through a proxy, over any stream.

python-socks is an extra: ``pip install "smtpproto-sansio[socks]"``. It speaks SOCKS5 and HTTP, and
this module gives it the stream. Its own classes that connect are not used: after CONNECT they drop
what the server has sent together with the proxy's answer. In SMTP that is the greeting.
"""

from __future__ import annotations

from attrs import define, field

try:
    from python_socks import ProxyType
    from python_socks._abc import AsyncResolver, AsyncSocketStream
    from python_socks._connectors.factory_async import create_connector
    from python_socks._protocols.errors import ReplyError
except ImportError as _error:
    raise ImportError(
        'the option proxy needs python-socks: pip install "smtpproto-sansio[socks]"'
    ) from _error

from ..errors import ConnectFailed, ConnectionLost, SMTPError, TimedOut, TransportError
from ..grammar.printable import printable
from ..grammar.proxy_server import ProxyKind, ProxyServer
from ..limits import PROXY_ANSWER
from ..ports import Runtime, Stream
from ..wire.stream_wrapper import StreamWrapper
from .deadline import Deadline, DeadlineStream

_TYPES = {ProxyKind.SOCKS5: ProxyType.SOCKS5, ProxyKind.HTTP: ProxyType.HTTP}
_END_OF_HEAD = b"\r\n\r\n"
_SHOWN = 200  # characters of what a proxy says

_CHECK_PROXY = "the option proxy: its host and port, and whether the proxy runs"
_CHECK_KIND = "the option proxy: whether this port speaks SOCKS5 or HTTP"
_CHECK_LOGIN = "the option proxy: the user name and password for the proxy"
_CHECK_RULES = "the rules of the proxy: whether it allows this host and port"
_CHECK_SERVER = "host and port, which the proxy looks up and connects to"
# Codes of SOCKS5 (RFC 1928 6) and of HTTP.
_CHECKS = {
    **dict.fromkeys((2, 403, 405), _CHECK_RULES),
    **dict.fromkeys((401, 407), _CHECK_LOGIN),  # tinyproxy answers a wrong password by 401
    **dict.fromkeys((1, 3, 4, 5, 6, 500, 502, 503, 504), _CHECK_SERVER),
}  # fmt: skip


async def dial_through(
    runtime: Runtime,
    proxy: ProxyServer,
    server: tuple[str, int],
    timeout: float | None,
    source: tuple[str, int] | None = None,
) -> Stream:
    """Return a stream to *server*, a host and a port, through *proxy*; *timeout* bounds all
    together.

    The proxy finds the address of the host: its name is not looked up here. Raises ConnectFailed if
    the proxy cannot be reached or refuses, and TimedOut.
    """
    deadline = Deadline(runtime.now, timeout)
    deadline.start()
    dialled = await _dial(proxy, runtime, timeout, source)
    stream = _ProxyStream(DeadlineStream(dialled, deadline))
    try:
        failure = await _ask(stream, proxy, *server)
    except BaseException as error:
        await dialled.close()
        raise error.with_traceback(None)  # noqa: B904 - its frames have the password
    if failure is not None:  # raised here, so that no frame has the password
        await dialled.close()
        raise failure
    return _Through(dialled, server, bytes(stream.left))


async def _dial(
    proxy: ProxyServer, runtime: Runtime, timeout: float | None, source: tuple[str, int] | None
) -> Stream:
    try:
        return await runtime.dial(proxy.host, proxy.port, timeout, source)
    except TransportError as error:
        kind = TimedOut if isinstance(error, TimedOut) else ConnectFailed
        text = f"the proxy {proxy}: {error.message}"
        raise kind(text, phase="connect", check=_CHECK_PROXY) from None


async def _ask(
    stream: _ProxyStream, proxy: ProxyServer, host: str, port: int
) -> TransportError | None:
    """Ask the proxy for a connection. Return the error if it fails."""
    where = f"the proxy {proxy} cannot connect to {printable(host)}, port {port}"
    connector = create_connector(
        proxy_type=_TYPES[proxy.kind],
        username=proxy.username or None,
        password=proxy.password.reveal().decode() or None,
        rdns=True,
        resolver=AsyncResolver(),  # never asked: the proxy resolves names
    )
    try:
        await connector.connect(stream=stream, host=host, port=port)
    except TimedOut:
        text = f"{where}: it did not answer in time"
        return TimedOut(text, phase="connect", check=f"{_CHECK_SERVER}; the load of the proxy")
    except TransportError as error:
        return ConnectFailed(f"{where}: {error.message}", phase="connect", check=_CHECK_KIND)
    except ReplyError as error:
        reason = printable(str(error))[:_SHOWN]
        check = _CHECK_LOGIN if "authentication" in reason else _CHECK_KIND
        check = _CHECKS.get(error.error_code or 0, check)
        return ConnectFailed(f"{where}: {reason}", phase="connect", check=check)
    except SMTPError:
        raise
    except Exception:  # its text may have the password
        text = f"{where}: its answer is malformed, or it cannot be asked for this host"
        return ConnectFailed(text, phase="connect", check=f"{_CHECK_SERVER}; {_CHECK_KIND}")
    return None


@define(eq=False, repr=False)
class _ProxyStream(AsyncSocketStream):
    """The connection to a proxy, as python-socks reads and writes it."""

    _stream: Stream
    left: bytearray = field(factory=bytearray, init=False)
    """What has arrived and belongs to nothing that was read: the server's first octets."""

    async def write(self, data: bytes) -> None:
        await self._stream.write(bytes(data), None)

    async def read(self, max_bytes: int = 0) -> bytes:
        """Return the head of an answer of HTTP, or the first line of what is none."""
        while (end := self.left.find(_END_OF_HEAD)) < 0:
            if b"\n" in self.left and not self.left.startswith(b"HTTP/"):
                return self._take(len(self.left))
            if len(self.left) > PROXY_ANSWER:
                raise ConnectionLost("its answer is too long")
            await self._receive()
        return self._take(end + len(_END_OF_HEAD))

    async def read_exactly(self, n: int) -> bytes:
        while len(self.left) < n:
            await self._receive()
        return self._take(n)

    async def close(self) -> None:
        await self._stream.close()

    async def _receive(self) -> None:
        octets = await self._stream.read(None)
        if not octets:
            raise ConnectionLost("it closed the connection")
        self.left += octets

    def _take(self, size: int) -> bytes:
        taken = bytes(self.left[:size])
        del self.left[:size]
        return taken


@define(eq=False, repr=False)
class _Through(StreamWrapper):
    """A connection through a proxy, which begins with what the server has sent already."""

    _server: tuple[str, int]
    _first: bytes

    async def read(self, timeout: float | None) -> bytes:
        """Read as :meth:`.Stream.read` does."""
        if self._first:
            first, self._first = self._first, b""
            return first
        return await self._stream.read(timeout)

    @property
    def peername(self) -> tuple[str, int]:
        """Host and port of the server, not of the proxy."""
        return self._server
