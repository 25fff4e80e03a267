"""Statements of trusted peers about the real client: XCLIENT, XFORWARD and PROXY."""

from __future__ import annotations

from attrs import define

from ..errors import GrammarError, RemoteProtocolError
from ..grammar.reply import Reply
from ..grammar.xclient import Unavailable, XClientAttributes, XForwardAttributes
from ..ports import Stream
from ..wire.proxy import ProxyHeader, ProxyReader
from ..wire.stream_wrapper import StreamWrapper
from .config import ServerConfig
from .handler import Session, changed
from .networks import is_among
from .patience import Patience
from .usage import Account


def trusted_offers(peer: str, config: ServerConfig) -> dict[str, str]:
    """Return the keywords XCLIENT and XFORWARD, if the address *peer* may use these commands."""
    offered = {}
    if is_among(peer, config.xclient_from):
        offered["XCLIENT"] = " ".join(XClientAttributes.attributes)
    if is_among(peer, config.xforward_from):
        offered["XFORWARD"] = " ".join(XForwardAttributes.attributes)
    return offered


def impersonate(new: Session, old: Session, attributes: XClientAttributes) -> Session:
    """Return the session *new* with the client that XCLIENT's *attributes* state.

    An address or port that they do not state is kept from *old*. A login is not kept: it was that
    of the trusted client.
    """
    address = old.peer[0] if attributes.addr is None else _to_text(attributes.addr)
    port = old.peer[1] if not isinstance(attributes.port, int) else attributes.port
    user = attributes.login if isinstance(attributes.login, str) else None
    return changed(new, peer=(address, port), tls=old.tls, user=user, impersonated=attributes)


def _to_text(value: object) -> str:
    """Return an attribute's value as text; ``""`` if XCLIENT states that it is unavailable."""
    return "" if isinstance(value, Unavailable) else str(value)


def count_client(account: Account, session: Session, config: ServerConfig) -> Reply | None:
    """Count the connection for the network of the client of *session*; return its refusal if there
    are too many. What a trusted peer says about another client is counted for that."""
    speaks_for_itself = session.proxied is None and session.impersonated is None
    speakers = (*config.proxied_by, *config.xclient_from, *config.xforward_from)
    trusted = speaks_for_itself and is_among(session.peer[0], speakers)
    return account.set_client(session.peer[0], trusted=trusted)


async def read_proxy_header(stream: Stream, patience: Patience) -> tuple[Stream, ProxyHeader]:
    """Read the PROXY header at the start of *stream*; return the stream after it, and the header.

    Raises RemoteProtocolError if there is no valid header, TransportError, TimedOut.
    """
    reader, header = ProxyReader(), None
    while header is None:
        data = await stream.read(patience.left(in_message=False))
        patience.waited(in_message=False)
        if not data:
            raise RemoteProtocolError("the connection ended in the PROXY header")
        try:
            header = reader.feed(data)
        except GrammarError as error:
            raise RemoteProtocolError(
                f"invalid PROXY header: {error.message}", phase="proxy"
            ) from None
    return (_PrefixedStream(stream, reader.rest) if reader.rest else stream), header


@define(eq=False)
class _PrefixedStream(StreamWrapper):
    """A stream of which the octets *_prefix* have been read already."""

    _prefix: bytes

    async def read(self, timeout: float | None) -> bytes:
        if self._prefix:
            data, self._prefix = self._prefix, b""
            return data
        return await self._stream.read(timeout)
