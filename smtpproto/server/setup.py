"""The machine that a configuration and a handler make, and what cannot be served."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve

from ..errors import LocalProtocolError
from ..protocol.server import ServerProtocol
from ..sasl import Channel, offers
from ..tls.context import Context
from ..tls.stream import filter_for
from .config import ServerConfig
from .handler import Handler, HandlerSource
from .trust import offers_to

# What no connection has at its start, for what a configuration could ever offer.
_AT_BEST = Channel(random=bytes, secure=True, bindings={"any": b""}, certificate=b"")


def machine_for(
    handler: type[Handler], config: ServerConfig, peer: str, channel: Channel
) -> ServerProtocol:
    """A machine for a connection from *peer*, which begins as *channel* says. Raises ValueError for
    offers that make no sense."""
    hooks = {"EXPN": Handler.expn, "ETRN": Handler.etrn}
    offered: dict[str, str | None] = {
        keyword: "" for keyword, hook in hooks.items() if _defines(handler, hook)
    }
    return ServerProtocol(
        hostname=config.hostname,
        lmtp=config.lmtp,
        submission=config.submission,
        starttls=config.context is not None and not config.implicit_tls,
        secure=config.implicit_tls,
        mechanisms=mechanisms(config, channel),
        auth_in_clear=config.auth_in_clear,
        require_tls=config.require_tls,
        require_auth=config.require_auth,
        extensions=offered | offers_to(peer, config) | dict(config.extensions),
        verbs=config.verbs,
        limits=config.limits,
        timeouts=config.timeouts,
        leniencies=config.leniencies,
    )


def mechanisms(config: ServerConfig, channel: Channel) -> tuple[str, ...]:
    """What can be offered for AUTH on *channel*; while nothing is said in clear, what can be under
    TLS."""
    if config.authenticator is None:
        return ()
    secure = channel.secure or config.implicit_tls or not config.auth_in_clear
    return offers(config.authenticator, evolve(channel, secure=secure), config.mechanisms)


def _defines(handler: type[Handler], hook: Callable[..., object]) -> bool:
    """Whether the application has a hook of its own in place of this one."""
    return getattr(handler, hook.__name__) is not hook


def _check_context(context: Context) -> None:
    try:
        filter_for(context, server_side=True)
    except LocalProtocolError as error:
        raise ValueError(f"context: {error.message}") from None


def check_server(source: HandlerSource, config: ServerConfig, port: int) -> None:
    """Raise ValueError for what cannot be served: LMTP on port 25 (RFC 2033 5), offers that make no
    sense, AUTH required where nobody could log in, a context that is not for servers."""
    if config.lmtp and port == 25:
        raise ValueError("LMTP is not for port 25 (RFC 2033 5)")
    if config.context is not None and not callable(config.context):
        _check_context(config.context)
    kind = source if isinstance(source, type) else type(source)
    kind = kind if issubclass(kind, Handler) else Handler  # what a function makes, nobody knows
    offered = machine_for(kind, config, "", _AT_BEST).offered
    if "FUTURERELEASE" in offered and not config.submission:
        raise ValueError("FUTURERELEASE is offered by submission servers only (RFC 4865 4.2)")
    if (config.require_auth or config.submission) and not mechanisms(config, _AT_BEST):
        raise ValueError(
            "require_auth and submission need an authenticator that can verify something"
        )
    in_reach = config.context is not None or config.auth_in_clear
    if (config.require_auth or config.submission) and not in_reach:
        raise ValueError("require_auth and submission need TLS, a context; or auth_in_clear")
