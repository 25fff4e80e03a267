"""The machine for a connection, and the checks of a configuration before a server starts."""

from __future__ import annotations

from itertools import compress

from attrs import evolve

from ..errors import LocalProtocolError, TLSFailed
from ..ports import call_contained
from ..protocol.server import ServerProtocol
from ..sasl import Authenticator, Channel, offers
from ..tls.context import Context, lacks_certificate
from ..tls.filter import Filter
from ..tls.stream import filter_for
from .config import ServerConfig
from .handler import Handler, HandlerSource
from .handler_source import check_methods, check_source
from .hooks import log_failure
from .trust import trusted_offers

# Allows every mechanism, to find which ones a configuration could offer on any connection.
_BEST_CHANNEL = Channel(random=bytes, secure=True, bindings={"any": b""}, certificate=b"")

# Keywords that the server offers by itself, or not at all: what to do instead of adding them.
_NOT_ADDED = {
    "AUTH": "set authenticator, and mechanisms",
    "ETRN": "define the hook etrn, and it is offered",
    "EXPN": "define the hook expn, and it is offered",
    "LIMITS": "set limits=Limits(recipients=..., transactions=...)",
    "SIZE": "set limits=Limits(message_size=...)",
    "STARTTLS": "set context",
    "XCLIENT": "set xclient_from",
    "XFORWARD": "set xforward_from",
}


def make_machine(
    handler: type[Handler], config: ServerConfig, peer: str, mechanisms: tuple[str, ...]
) -> ServerProtocol:
    """Return the machine for a connection from the address *peer*, with the SASL *mechanisms*.

    Raises ValueError if the extensions to offer contradict one another.
    """
    defined = handler.expn is not Handler.expn, handler.etrn is not Handler.etrn
    offered = dict.fromkeys(compress(("EXPN", "ETRN"), defined), "")
    return ServerProtocol(
        config,
        starttls=config.context is not None and not config.implicit_tls,
        secure=config.implicit_tls,
        mechanisms=mechanisms,
        offering=tuple((offered | trusted_offers(peer, config)).items()),
    )


def make_filter(config: ServerConfig) -> Filter:
    """Return the TLS filter for a handshake. Raises TLSFailed if there is no valid context.

    A function for the context that raises TLSFailed has no context now; that is no fault.
    """
    source = config.context
    try:
        context = call_contained(source) if callable(source) else source
        if not isinstance(context, Context):
            raise TypeError(f"not a TLS context: {type(context).__name__}")
        return filter_for(context, server_side=True)
    except TLSFailed:
        raise
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


def _check_context(context: Context) -> None:
    try:
        filter_for(context, server_side=True)
    except LocalProtocolError as error:
        advice = "use ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)"
        raise ValueError(f"context: {error.message}; {advice}") from None
    if lacks_certificate(context):
        text = "context: it has no certificate, or none that fits its ciphers"
        raise ValueError(f"{text}; call its load_cert_chain(certfile, keyfile)")


def check_server(source: HandlerSource, config: ServerConfig, port: int) -> None:
    """Check the arguments of ``serve``, and warn of a handler that looks wrong.

    Raises ValueError if *config* cannot be served on *port*: LMTP on port 25 (RFC 2033 5),
    extensions that contradict one another, an AUTH that could never be offered or succeed, or a TLS
    context that is not for servers or has no certificate. Raises TypeError if *source* makes no
    handler, or if the server cannot call a method of the authenticator.
    """
    if config.lmtp and port == 25:
        raise ValueError("LMTP must not use port 25 (RFC 2033 5); choose another port")
    if config.context is not None and not callable(config.context):
        _check_context(config.context)
    mechanisms = offered_mechanisms(config, _BEST_CHANNEL)
    offered = make_machine(check_source(source), config, "", mechanisms).terms.offered
    _check_extensions(config)
    if "FUTURERELEASE" in offered and not config.submission:
        raise ValueError("only submission servers may offer FUTURERELEASE; set submission=True")
    _check_authentication(config)


def _check_extensions(config: ServerConfig) -> None:
    """Raise ValueError for an extension that would only be announced, or offered to all peers."""
    for keyword, parameters in config.extensions.items():
        if parameters is not None and keyword in _NOT_ADDED:
            raise ValueError(f"extensions cannot add {keyword}; {_NOT_ADDED[keyword]}")


def _check_authentication(config: ServerConfig) -> None:
    """Raise ValueError if logins are configured that could never succeed."""
    options = [name for name in ("require_auth", "submission") if getattr(config, name)]
    options += ["authenticator"] if config.authenticator is not None else []
    if not options:
        return
    if config.authenticator is not None:
        check_methods(type(config.authenticator), Authenticator)
    if not offered_mechanisms(config, _BEST_CHANNEL):
        raise ValueError(
            f"{options[0]} needs an authenticator that can verify a login, for example"
            " authenticator=PlainPasswords({'ann': 'secret'}) in a test"
        )
    if config.context is None and not config.auth_in_clear:
        raise ValueError(
            f"{options[0]} needs TLS: set context, or auth_in_clear=True to offer AUTH without it"
        )
