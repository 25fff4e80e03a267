"""The machine that a configuration and a handler make, and what cannot be served."""

from __future__ import annotations

from collections.abc import Callable

from ..protocol.server import ServerProtocol
from ..sasl import SERVERS
from .handler import Handler, HandlerSource
from .options import ServerConfig
from .trusted import offers_to


def machine_for(handler: type[Handler], config: ServerConfig, peer: str) -> ServerProtocol:
    """A machine for a connection from *peer*. Raises ValueError for offers that make no sense."""
    hooks = {"EXPN": Handler.expand, "ETRN": Handler.etrn}
    offered: dict[str, str | None] = {
        keyword: "" for keyword, hook in hooks.items() if _defines(handler, hook)
    }
    return ServerProtocol(
        hostname=config.hostname,
        lmtp=config.lmtp,
        submission=config.submission,
        starttls=config.context is not None and not config.implicit_tls,
        secure=config.implicit_tls,
        mechanisms=tuple(SERVERS) if _defines(handler, Handler.authenticate) else (),
        auth_in_clear=config.auth_in_clear,
        require_tls=config.require_tls,
        require_auth=config.require_auth,
        extensions=offered | offers_to(peer, config) | dict(config.extensions),
        verbs=config.verbs,
        limits=config.limits,
        timeouts=config.timeouts,
        leniencies=config.leniencies,
    )


def _defines(handler: type[Handler], hook: Callable[..., object]) -> bool:
    """Whether the application has a hook of its own in place of this one."""
    return getattr(handler, hook.__name__) is not hook


def check(source: HandlerSource, config: ServerConfig, port: int) -> None:
    """Raise ValueError for what cannot be served: LMTP on port 25 (RFC 2033 5), offers that make no
    sense, AUTH required where the handler has no ``authenticate``."""
    if config.lmtp and port == 25:
        raise ValueError("LMTP is not for port 25 (RFC 2033 5)")
    kind = source if isinstance(source, type) else type(source)
    known = issubclass(kind, Handler)  # what a function makes, nobody knows yet
    kind = kind if known else Handler
    offered = machine_for(kind, config, "").offered
    if "FUTURERELEASE" in offered and not config.submission:
        raise ValueError("FUTURERELEASE is offered by submission servers only (RFC 4865 4.2)")
    wanted = config.require_auth or config.submission
    if wanted and known and not _defines(kind, Handler.authenticate):
        raise ValueError("require_auth and submission need a handler with authenticate")
