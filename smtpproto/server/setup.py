"""The machine for a connection, and the checks of a configuration before a server starts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from difflib import get_close_matches

from attrs import evolve

from ..errors import LocalProtocolError, TLSFailed
from ..ports import containing
from ..protocol.server import ServerProtocol
from ..sasl import Channel, offers
from ..tls.context import Context
from ..tls.filter import Filter
from ..tls.stream import filter_for
from .config import ServerConfig
from .handler import Handler, HandlerSource
from .hooks import log_failure
from .trust import trusted_offers

_log = logging.getLogger("smtpproto.server")

# Names that hooks have elsewhere, or had.
_OTHER_NAMES = {
    "hello": "ehlo",
    "helo": "ehlo",
    "verify": "vrfy",
    "expand": "expn",
    "rset": "reset",
}

# Allows every mechanism, to find which ones a configuration could offer on any connection.
_BEST_CHANNEL = Channel(random=bytes, secure=True, bindings={"any": b""}, certificate=b"")


def make_machine(
    handler: type[Handler], config: ServerConfig, peer: str, channel: Channel
) -> ServerProtocol:
    """Return the machine for a connection from the address *peer*, whose security is *channel*.

    Raises ValueError if the extensions to offer contradict one another.
    """
    hooks = {"EXPN": Handler.expn, "ETRN": Handler.etrn}
    offered: dict[str, str | None] = {
        keyword: "" for keyword, hook in hooks.items() if _overrides(handler, hook)
    }
    return ServerProtocol(
        hostname=config.hostname,
        lmtp=config.lmtp,
        submission=config.submission,
        starttls=config.context is not None and not config.implicit_tls,
        secure=config.implicit_tls,
        mechanisms=offered_mechanisms(config, channel),
        auth_in_clear=config.auth_in_clear,
        require_tls=config.require_tls,
        require_auth=config.require_auth,
        extensions=offered | trusted_offers(peer, config) | dict(config.extensions),
        verbs=config.verbs,
        limits=config.limits,
        timeouts=config.timeouts,
        leniencies=config.leniencies,
    )


def make_filter(config: ServerConfig) -> Filter:
    """Return the TLS filter for a handshake. Raises TLSFailed if there is no valid context."""
    source = config.context
    try:
        with containing():
            context = source if isinstance(source, Context) or source is None else source()
        if not isinstance(context, Context):
            raise TypeError(f"not a TLS context: {type(context).__name__}")
        return filter_for(context, server_side=True)
    except Exception as error:
        log_failure("the context for TLS", error)
        raise TLSFailed("there is no context for TLS", phase="TLS") from None


def offered_mechanisms(config: ServerConfig, channel: Channel) -> tuple[str, ...]:
    """Return the SASL mechanisms that AUTH can offer on *channel*.

    If AUTH is not offered in clear, these are the mechanisms that TLS would allow.
    """
    if config.authenticator is None:
        return ()
    secure = channel.secure or config.implicit_tls or not config.auth_in_clear
    return offers(config.authenticator, evolve(channel, secure=secure), config.mechanisms)


def _overrides(handler: type[Handler], hook: Callable[..., object]) -> bool:
    """Return whether *handler* defines *hook* itself."""
    return getattr(handler, hook.__name__) is not hook


def _check_context(context: Context) -> None:
    try:
        filter_for(context, server_side=True)
    except LocalProtocolError as error:
        raise ValueError(f"context: {error.message}") from None


def _warn_of_misnamed_hooks(handler: type[Handler]) -> None:
    """Log a warning for each method that looks like a hook, but is never called."""
    hooks = [name for name in vars(Handler) if not name.startswith("_")]
    for name in dir(handler):
        if name.startswith("_") or name in hooks or not callable(getattr(handler, name)):
            continue
        near = get_close_matches(
            name.lower().removeprefix("handle_"), [*hooks, *_OTHER_NAMES], 1, 0.75
        )
        if near:
            meant = _OTHER_NAMES.get(near[0], near[0])
            _log.warning("%s.%s is not a hook; did you mean %s?", handler.__name__, name, meant)


def check_server(source: HandlerSource, config: ServerConfig, port: int) -> None:
    """Raise ValueError if *config* cannot be served on *port*: LMTP on port 25 (RFC 2033 5),
    extensions that contradict one another, a required AUTH that could never succeed, or a TLS
    context that is not for servers."""
    if config.lmtp and port == 25:
        raise ValueError("LMTP must not use port 25 (RFC 2033 5); choose another port")
    if config.context is not None and not callable(config.context):
        _check_context(config.context)
    kind = source if isinstance(source, type) else type(source)
    kind = kind if issubclass(kind, Handler) else Handler  # a factory's handler is not known yet
    _warn_of_misnamed_hooks(kind)
    offered = make_machine(kind, config, "", _BEST_CHANNEL).offered
    if "FUTURERELEASE" in offered and not config.submission:
        raise ValueError("only submission servers may offer FUTURERELEASE; set submission=True")
    if (config.require_auth or config.submission) and not offered_mechanisms(config, _BEST_CHANNEL):
        raise ValueError(
            "require_auth and submission need an authenticator that can verify a login"
        )
    can_authenticate = config.context is not None or config.auth_in_clear
    if (config.require_auth or config.submission) and not can_authenticate:
        raise ValueError("require_auth and submission need TLS: set context, or auth_in_clear=True")
