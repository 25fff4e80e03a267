"""Where a client connects, given as host and port or as a URL. Nothing is looked up here.

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
import unicodedata
from ipaddress import IPv6Address
from typing import Any, NamedTuple, cast

from .. import sasl
from ..errors import GrammarError
from ..grammar.domain import Domain, to_a_labels
from ..grammar.pattern import pattern
from ..grammar.reply import accepts
from ..grammar.secret import keeps_secret
from ..limits import MAX_TIMEOUT, Timeouts
from ..option_types import argument_names, check_names, check_type, require_type
from ..ports import is_path
from .config import ClientConfig, ClientOptions, ConnectOptions, TLSMode

_URL = pattern(
    r"""(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://
        (?:(?P<user>[^:@/?#]*)(?P<colon>:(?P<password>[^@/?#]*))?@)?
        (?P<host>\[[^\[\]@/?#]*\]|[^\[\]:@/?#]*)
        (?::(?P<port>[0-9]{1,5}))?
        (?P<path>/[^?#@]*)?
        (?:\?(?P<query>[^#@]*))?""",  # an @ here would end a password with / or ? in it
    re.VERBOSE,
)
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
    return to_a_labels(host)


def reason_impossible(host: str, port: int, config: ClientConfig) -> str:
    """Return why a client cannot open a connection to *port* of *host*, or "" if it can."""
    if is_path(host):
        text = "a Unix socket is not dialled from an address; leave out source"
        return text if config.source else ""
    if not 0 < port < 65536:
        return f"no such port: {port}; a port is 1 to 65535"
    lmtp_on_25 = config.lmtp and port == 25
    return "LMTP must not be used on port 25 (RFC 2033 4); use port 24" if lmtp_on_25 else ""


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
    _refuse_controls(url, 0)
    match = _URL.fullmatch(url)
    if match is None:
        text = "not a URL of the form scheme://user:password@host:port?name=value"
        raise GrammarError(f"{text}; percent-encode special characters")
    default_port, options = _scheme(match)
    if (login := _login(match)) is not None:
        options["login"] = login
        default_port = 587 if default_port == 25 else default_port
    _add_query(match, options)
    host = _host_or_path(match)
    return host, 0 if is_path(host) else _port(match, default_port), options


def _scheme(match: re.Match[str]) -> tuple[int, ConnectOptions]:
    try:
        default_port, options = _SCHEMES[match["scheme"].lower()]
    except KeyError:
        raise GrammarError(f"unknown URL scheme; use one of {', '.join(_SCHEMES)}") from None
    return default_port, options.copy()


def _login(match: re.Match[str]) -> sasl.Login | None:
    if match["user"] is None:
        return None
    user, password = _text(match, "user"), _text(match, "password")
    if not user or not password:
        text = "a URL needs both a user name and a password, or neither"
        raise GrammarError(text, offset=match.start("user"))
    return sasl.Login(user, password)


def _host_or_path(match: re.Match[str]) -> str:
    """Return the host, or the path of a Unix socket."""
    host, path = _text(match, "host"), _text(match, "path")
    if host:
        if path not in ("", "/"):
            text = "a URL has a host or the path of a Unix socket, not both"
            raise GrammarError(text, offset=match.start("path"))
        return _host(host, match.start("host"))
    if len(path) < 2 or match["port"] is not None:
        text = "a URL needs a host, or only the path of a Unix socket"
        raise GrammarError(text, offset=match.start("host"))
    return path


def _host(host: str, offset: int) -> str:
    try:
        if host.startswith("["):
            return str(IPv6Address(host[1:-1]))
        return str(Domain(host, loose=True).a_labels())
    except ValueError:  # GrammarError is one
        raise GrammarError("not a host name or address in the URL", offset=offset) from None


def _port(match: re.Match[str], default: int) -> int:
    port = default if match["port"] is None else int(match["port"])
    if not 0 < port < 65536:
        raise GrammarError(
            "no such port in the URL; a port is 1 to 65535", offset=match.start("port")
        )
    return port


def _add_query(match: re.Match[str], options: ConnectOptions) -> None:
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
        text = _decoded(value, match.start("query"))
        given[name] = _seconds(text, match.start("query")) if name == "timeout" else text


def _seconds(text: str, offset: int) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text, re.ASCII):
        raise GrammarError("the timeout in the URL is not a number of seconds", offset=offset)
    return float(text)


def _text(match: re.Match[str], group: str) -> str:
    """Return a group, decoded; "" if it is absent."""
    return _decoded(match[group] or "", match.start(group))


def _decoded(part: str, offset: int) -> str:
    """Undo percent-encoding (RFC 3986 2.1)."""
    from urllib.parse import unquote_to_bytes  # noqa: PLC0415  # only URLs need it

    if re.search(r"%(?![0-9A-Fa-f]{2})", part):
        text = "% without two hexadecimal digits in the URL; write %25 for a percent sign"
        raise GrammarError(text, offset=offset)
    try:
        text = unquote_to_bytes(part).decode()
    except UnicodeError:
        raise GrammarError("the URL is not UTF-8 after percent-decoding", offset=offset) from None
    _refuse_controls(text, offset)
    return text


def _refuse_controls(text: str, offset: int) -> None:
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise GrammarError("the URL contains a control character", offset=offset)
