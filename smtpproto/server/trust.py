"""What only peers that the server was told to trust may say: who the real client is."""

from __future__ import annotations

from attrs import define, evolve

from ..errors import GrammarError, RemoteProtocolError
from ..grammar.xclient import Unavailable, XClientAttributes, XForwardAttributes
from ..ports import Runtime, Stream
from ..wire.proxy import ProxyHeader, ProxyReader
from ..wire.stream_wrapper import StreamWrapper
from .config import ServerConfig
from .handler import Session
from .networks import is_among


def offers_to(peer: str, config: ServerConfig) -> dict[str, str]:
    """The keywords of XCLIENT and XFORWARD for those who may use them."""
    offered = {}
    if is_among(peer, config.xclient_from):
        offered["XCLIENT"] = " ".join(XClientAttributes.attributes)
    if is_among(peer, config.xforward_from):
        offered["XFORWARD"] = " ".join(XForwardAttributes.attributes)
    return offered


def impersonated(new: Session, old: Session, told: XClientAttributes) -> Session:
    """A *new* session as XCLIENT tells of it; an address or port that it does not tell is as in the
    *old* one. Who logged in there was not this client: without LOGIN nobody did."""
    address = old.peer[0] if told.addr is None else _text(told.addr)
    port = old.peer[1] if not isinstance(told.port, int) else told.port
    user = told.login if isinstance(told.login, str) else None
    return evolve(new, peer=(address, port), tls=old.tls, user=user, impersonated=told)


def _text(value: object) -> str:
    """An attribute, "" for one that the client says it does not have."""
    return "" if isinstance(value, Unavailable) else str(value)


async def read_proxy_header(
    stream: Stream, runtime: Runtime, config: ServerConfig
) -> tuple[Stream, ProxyHeader]:
    """Read the PROXY header that *stream* begins with; give also the stream behind it.

    Raises RemoteProtocolError for anything else, TransportError, TimedOut.
    """
    reader, header = ProxyReader(), None
    timeout = config.timeouts.proxy
    deadline = None if timeout is None else runtime.now() + timeout
    while header is None:
        left = None if deadline is None else max(deadline - runtime.now(), 0)
        data = await stream.read(left)
        if not data:
            raise RemoteProtocolError("the connection ended in the PROXY header")
        try:
            header = reader.feed(data)
        except GrammarError as error:
            raise RemoteProtocolError(f"no PROXY header: {error.message}", phase="proxy") from None
    return (_Behind(stream, reader.rest) if reader.rest else stream), header


@define(eq=False)
class _Behind(StreamWrapper):
    """A stream of which *_first* was read already."""

    _first: bytes

    async def read(self, timeout: float | None) -> bytes:
        if self._first:
            data, self._first = self._first, b""
            return data
        return await self._stream.read(timeout)
