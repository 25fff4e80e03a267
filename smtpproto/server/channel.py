"""The properties of a connection that SASL exchanges may use."""

from __future__ import annotations

from attrs import evolve

from ..ports import Runtime, Stream
from ..sasl import BY_NAME, Channel
from .config import ServerConfig
from .handler import Session


def channel_of(session: Session, stream: Stream, runtime: Runtime, config: ServerConfig) -> Channel:
    """Return the channel of the connection *stream*."""
    tls, impersonated = session.tls, session.impersonated is not None
    verified = tls is not None and tls.verified and not impersonated
    return Channel(
        random=runtime.random,
        in_thread=runtime.in_thread,
        now=runtime.now(),
        secure=tls is not None,
        bindings={} if tls is None else tls.bindings,
        certificate=tls.peer_certificate if tls is not None and verified else None,
        host=str(config.hostname),
        port=stream.sockname[1],
    )


def without_unoffered_bindings(channel: Channel, mechanisms: tuple[str, ...]) -> Channel:
    """Return *channel*, without bindings if none of the offered *mechanisms* uses them.

    Otherwise a client that states, correctly, that it was offered no binding would look like the
    victim of a downgrade (RFC 5802 6).
    """
    offered = any(BY_NAME[name].binds for name in mechanisms)
    return channel if offered else evolve(channel, bindings={})
