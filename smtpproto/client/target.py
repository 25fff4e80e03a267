"""Where a client connects, given as host and port or as a URL.

::

    smtp://mail.example.org                     port 25; 587 with user and password
    smtps://ann:s%40cret@mail.example.org       TLS from the first octet: port 465
    lmtp://mail.example.org                     port 24
    lmtp:///run/dovecot/lmtp                    a Unix socket

After ``?``, joined by ``&``, a URL may have ``tls=``, ``hello=``, ``verify=``, ``server_name=`` and
``timeout=``, which are the options of these names.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Any, NamedTuple, cast

from .. import sasl
from ..errors import GrammarError
from ..grammar.domain import to_a_labels
from ..grammar.reply import accepts
from ..grammar.secret import keeps_secret
from ..grammar.url import Match, decoded, host_of, login_of, match_url, port_of, text_of
from ..limits import MAX_TIMEOUT, Timeouts
from ..option_types import argument_names, check_names, check_type, require_type
from ..ports import Runtime, Stream, is_path
from .config import ClientConfig, ClientOptions, ConnectOptions, TLSMode

_SCHEMES: dict[str, tuple[int, ConnectOptions]] = {
    "smtp": (25, {"lmtp": False}),
    "smtps": (465, {"lmtp": False, "tls": TLSMode.IMPLICIT}),
    "lmtp": (24, {"lmtp": True}),
}
# Arguments of a function besides the options, for suggestions.
_OWN_ARGUMENTS = {"connect": ("sock", "stream"), "send": ("envelope",)}
_PARAMETERS = ("tls", "hello", "verify", "server_name", "timeout")


class Target(NamedTuple):
    """A server and how to connect to it: the arguments of ``open_client``.

    *host* is a name, an address, or the path of a Unix socket, whose *port* is 0.
    """

    host: str
    port: int
    config: ClientConfig


@keeps_secret
def make_target(
    host: str,
    port: int | None = None,
    options: ClientOptions | None = None,
    called: str = "connect",
) -> Target:
    """Return the target that the arguments of ``connect`` describe. *host* may be a URL.

    *called* is the function that was called, for errors.

    *port* None: the port of the URL's scheme; without a URL, 24 with ``lmtp=True``, 465 with
    implicit TLS, and 587 otherwise. Raises TypeError for a host or port of another type,
    GrammarError for an invalid URL or host, and ValueError for other invalid options, or for
    options given both in the URL and as arguments.
    """
    require_type("host", host, str, "a name, an address, a path or a URL")
    check_type("port", port, int, "a number")
    given = cast(ConnectOptions, dict(options or {}))
    known = (*argument_names(ClientConfig), "timeout", *_OWN_ARGUMENTS.get(called, ()))
    check_names(called, given, known, ClientConfig)
    if "://" in host:
        host, port, given = _merge(host, port, given)
    config = ClientConfig(**_with_timeouts(given))
    if is_path(host):
        if port:
            raise ValueError(f"a Unix socket has no port; leave out port {port}")
        if "\0" in host:
            raise ValueError(f"the path of a Unix socket must not contain NUL: {host!r}")
        return Target(host, 0, config)
    return Target(_host_name(host), _default_port(config) if port is None else port, config)


def _with_timeouts(given: ConnectOptions) -> ClientOptions:
    """Return the options with ``timeouts`` instead of ``timeout``.

    Raises ValueError if both are given, or for a number that cannot be a time-out, and TypeError
    for another type.
    """
    timeout = given.get("timeout")
    options = cast(ClientOptions, {name: it for name, it in given.items() if name != "timeout"})
    if timeout is None:
        return options
    if options.get("timeouts") is not None:
        raise ValueError("timeout and timeouts are both given; pass timeouts=Timeouts(total=...)")
    if isinstance(timeout, bool):
        raise TypeError("timeout cannot be of the type bool; pass a number of seconds")
    check_type("timeout", timeout, int | float, "a number of seconds")
    if not 0 < timeout <= MAX_TIMEOUT:
        raise ValueError(f"timeout must be more than 0, and at most {MAX_TIMEOUT}, not {timeout}")
    return {**options, "timeouts": Timeouts(total=timeout)}


def _default_port(config: ClientConfig) -> int:
    if config.lmtp:
        return 24
    return 465 if config.tls is TLSMode.IMPLICIT else 587


def _host_name(host: str) -> str:
    """Return *host* in ASCII. Raises GrammarError if it is not a host.

    The error does not quote a *host* with @: it may be a URL without its ``//``, with a password in
    it. Such a URL must not be looked up in DNS either.
    """
    if "@" in host:
        raise GrammarError("not a host: it contains @; a URL begins with smtp://")
    if not host or "[" in host or (":" in host and not accepts(IPv6Address, host)):
        text = f"not a host: {host!r}; pass a name or an address without port and brackets"
        raise GrammarError(text)
    if any(map(str.isspace, host)):
        raise GrammarError(f"not a host: {host!r}; leave out the blanks")
    if not host.isprintable():
        raise GrammarError(f"not a host: {host!r}; leave out the control characters")
    return to_a_labels(host)


def reason_impossible(host: str, port: int, config: ClientConfig) -> str:
    """Return why a client cannot open a connection to *port* of *host*, or "" if it can."""
    if is_path(host):
        what = {"source": config.source, "proxy": config.proxy}
        given = [name for name, value in what.items() if value is not None]
        return f"a Unix socket is on this machine; leave out {given[0]}" if given else ""
    if not 0 < port < 65536:
        return f"no such port: {port}; a port is 1 to 65535"
    lmtp_on_25 = config.lmtp and port == 25
    return "LMTP must not be used on port 25 (RFC 2033 4); use port 24" if lmtp_on_25 else ""


async def dial(
    runtime: Runtime, host: str, port: int, seconds: float | None, config: ClientConfig
) -> Stream:
    """Return a connection to *port* of *host*, through the proxy of *config* if it has one.

    Raises what :meth:`.Runtime.dial` raises.
    """
    if config.proxy is None:
        return await runtime.dial(host, port, seconds, config.source)
    from .proxy_dialling import dial_through  # noqa: PLC0415 - it needs an extra

    return await dial_through(runtime, config.proxy, (host, port), seconds, config.source)


# -- URLs ----------------------------------------------------------------------------------------


def _merge(
    url: str, port: int | None, options: ConnectOptions
) -> tuple[str, int | None, ConnectOptions]:
    """Return host, port and options from *url* and from the arguments passed with it; an argument
    of None counts as not passed. Raises ValueError if both set the same option."""
    host, url_port, url_options = read_url(url)
    given = cast(ConnectOptions, {name: v for name, v in options.items() if v is not None})
    conflicting = sorted(url_options.keys() & given.keys())
    if port is not None:
        conflicting.append("port")
    if conflicting:
        raise ValueError(
            f"already set by the URL: {', '.join(conflicting)}; leave these arguments out"
        )
    return host, url_port, cast(ConnectOptions, {**url_options, **given})


def read_url(url: str) -> tuple[str, int, ConnectOptions]:
    """Return host (or path), port (0 with a path) and options of a URL.

    Raises GrammarError, whose text never quotes the URL, because there may be a password in it.
    """
    match = match_url(url, "scheme://user:password@host:port?name=value")
    default_port, options = _scheme(match)
    if (login := login_of(match)) is not None:
        options["login"] = sasl.Login(*login)
        default_port = 587 if default_port == 25 else default_port
    _add_query(match, options)
    host = _host_or_path(match)
    return host, 0 if is_path(host) else port_of(match, default_port), options


def _scheme(match: Match) -> tuple[int, ConnectOptions]:
    try:
        default_port, options = _SCHEMES[match["scheme"].lower()]
    except KeyError:
        raise GrammarError(f"unknown URL scheme; use one of {', '.join(_SCHEMES)}") from None
    return default_port, options.copy()


def _host_or_path(match: Match) -> str:
    """Return the host, or the path of a Unix socket."""
    path = text_of(match, "path")
    if text_of(match, "host"):
        if path not in ("", "/"):
            text = "a URL has a host or the path of a Unix socket, not both"
            raise GrammarError(text, offset=match.start("path"))
        return host_of(match)
    if len(path) < 2 or match["port"] is not None:
        text = "a URL needs a host, or only the path of a Unix socket"
        raise GrammarError(text, offset=match.start("host"))
    return path


def _add_query(match: Match, options: ConnectOptions) -> None:
    """Add the parameters of the query to *options*."""
    if not match["query"]:
        return
    given = cast(dict[str, Any], options)
    for part in match["query"].split("&"):
        name, equals, value = part.partition("=")
        if name not in _PARAMETERS or not equals:
            known = ", ".join(_PARAMETERS)
            text = f"unknown URL parameter; the parameters are {known}, each with = and a value"
            raise GrammarError(text, offset=match.start("query"))
        if name in given:
            text = f"the URL sets {name} twice, counting what its scheme implies"
            raise GrammarError(text, offset=match.start("query"))
        text = decoded(value, match.start("query"))
        given[name] = _seconds(text, match.start("query")) if name == "timeout" else text


def _seconds(text: str, offset: int) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text, re.ASCII):
        raise GrammarError("the timeout in the URL is not a number of seconds", offset=offset)
    return float(text)
