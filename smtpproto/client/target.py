"""Where a client connects, from a host and port or from a URL; pure, with nothing looked up.

::

    smtp://mail.example.org                     port 25; with user and password 587
    smtps://ann:s%40cret@mail.example.org       TLS from the first octet: port 465
    lmtp://mail.example.org                     port 24
    lmtp:///run/dovecot/lmtp                    a Unix socket

Behind ``?`` and joined by ``&``: ``tls=``, ``hello=``, ``verify=`` and ``server_name=``, which are
the options of these names.
"""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv6Address
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from attrs import frozen

from ..errors import GrammarError
from ..grammar.domain import Domain, to_a_labels
from ..ports import is_path
from ..sasl import Login
from .config import ClientConfig, ClientOptions, TLSMode

_URL = re.compile(
    r"""(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://
        (?:(?P<user>[^:@/?#]*)(?P<colon>:(?P<password>[^@/?#]*))?@)?
        (?P<host>\[[^\[\]@/?#]*\]|[^\[\]:@/?#]*)
        (?::(?P<port>[0-9]{1,5}))?
        (?P<path>/[^?#@]*)?
        (?:\?(?P<query>[^#@]*))?""",  # no @: it would be that of a password with / or ? in it
    re.VERBOSE,
)
_SCHEMES: dict[str, tuple[int, ClientOptions]] = {
    "smtp": (25, {"lmtp": False}),
    "smtps": (465, {"lmtp": False, "tls": TLSMode.IMPLICIT}),
    "lmtp": (24, {"lmtp": True}),
}
_PARAMETERS = ("tls", "hello", "verify", "server_name")


@frozen
class Target:
    """A server and how to speak with it: what ``open_client`` takes.

    *host* is a name, an address or the path of a Unix socket, whose *port* is 0.
    """

    host: str
    port: int
    config: ClientConfig


def make_target(host: str, port: int | None = None, options: ClientOptions | None = None) -> Target:
    """The target that the arguments of ``connect`` describe. *host* may be a URL.

    *port* None: that of the URL's scheme; else 24 with ``lmtp=True``, 465 with TLS implicit, else
    587. Raises GrammarError for a URL or a host that cannot be read, ValueError for what is said
    twice or makes no sense.
    """
    chosen = cast(ClientOptions, dict(options or {}))
    if "://" in host:
        host, port, chosen = _merged(host, port, chosen)
    config = ClientConfig(**chosen)
    if is_path(host):
        if port:
            raise ValueError("a Unix socket has no port")
        if "\0" in host:
            raise ValueError("no path has a NUL in it")
        return Target(host, 0, config)
    return Target(_name(host), _usual_port(config) if port is None else port, config)


def _usual_port(config: ClientConfig) -> int:
    if config.lmtp:
        return 24
    return 465 if config.tls is TLSMode.IMPLICIT else 587


def _name(host: str) -> str:
    """A name in ASCII. Raises GrammarError for a URL without its ``//``: its password would be
    looked up in DNS, and told by errors."""
    if "@" in host:
        raise GrammarError("not a host: there is an @ in it; a URL begins as smtp://")
    if not host or "[" in host or (":" in host and not _is_ipv6(host)):
        raise GrammarError("not a host: a name or an address, without port and brackets")
    return to_a_labels(host)


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


# -- URLs ----------------------------------------------------------------------------------------


def _merged(
    url: str, port: int | None, chosen: ClientOptions
) -> tuple[str, int | None, ClientOptions]:
    """*url*, and what was said beside it. None says nothing."""
    host, its_port, its = read_url(url)
    said = cast(ClientOptions, {name: one for name, one in chosen.items() if one is not None})
    twice = sorted(its.keys() & said.keys())
    if port is not None:
        twice.append("port")
    if twice:
        raise ValueError(f"said by the URL already: {', '.join(twice)}")
    return host, its_port, cast(ClientOptions, {**its, **said})


def read_url(url: str) -> tuple[str, int, ClientOptions]:
    """Host (or path), port (0 with a path) and options of a URL.

    Raises GrammarError, whose text never has any of the URL: there may be a password in it.
    """
    _refuse_controls(url, 0)
    match = _URL.fullmatch(url)
    if match is None:
        raise GrammarError("not a URL as scheme://user:password@host:port?name=value")
    usual, options = _scheme(match)
    if (login := _login(match)) is not None:
        options["login"] = login
        usual = 587 if usual == 25 else usual
    _take_query(match, options)
    host = _place(match)
    return host, 0 if is_path(host) else _port(match, usual), options


def _scheme(match: re.Match[str]) -> tuple[int, ClientOptions]:
    try:
        usual, options = _SCHEMES[match["scheme"].lower()]
    except KeyError:
        raise GrammarError(f"a URL of another scheme than {', '.join(_SCHEMES)}") from None
    return usual, options.copy()


def _login(match: re.Match[str]) -> Login | None:
    if match["user"] is None:
        return None
    user, password = _text(match, "user"), _text(match, "password")
    if not user or not password:
        error = "a URL with a user needs both, a user name and a password"
        raise GrammarError(error, offset=match.start("user"))
    return Login(user, password)


def _place(match: re.Match[str]) -> str:
    """The host, or the path of a Unix socket."""
    host, path = _text(match, "host"), _text(match, "path")
    if host:
        if path not in ("", "/"):
            raise GrammarError("a URL has a host or a path, not both", offset=match.start("path"))
        return _host(host, match.start("host"))
    if len(path) < 2 or match["port"] is not None:
        raise GrammarError("a URL needs a host, or a path alone", offset=match.start("host"))
    return path


def _host(host: str, offset: int) -> str:
    try:
        if host.startswith("["):
            return str(IPv6Address(host[1:-1]))
        return str(Domain(host, loose=True).a_labels())
    except ValueError:  # GrammarError is one
        raise GrammarError("not a host name or address in a URL", offset=offset) from None


def _port(match: re.Match[str], usual: int) -> int:
    port = usual if match["port"] is None else int(match["port"])
    if not 0 < port < 65536:
        raise GrammarError("no such port", offset=match.start("port"))
    return port


def _take_query(match: re.Match[str], options: ClientOptions) -> None:
    """Put the parameters of the query in *options*."""
    if not match["query"]:
        return
    chosen = cast(dict[str, Any], options)
    for part in match["query"].split("&"):
        name, equals, value = part.partition("=")
        if name not in _PARAMETERS or not equals:
            known = ", ".join(_PARAMETERS)
            raise GrammarError(f"a URL's parameters are {known}", offset=match.start("query"))
        if name in chosen:
            raise GrammarError(f"a URL that says {name} twice", offset=match.start("query"))
        chosen[name] = _decoded(value, match.start("query"))


def _text(match: re.Match[str], group: str) -> str:
    return _decoded(match[group] or "", match.start(group))


def _decoded(part: str, offset: int) -> str:
    """Undo percent-encoding (RFC 3986 2.1)."""
    if re.search(r"%(?![0-9A-Fa-f]{2})", part):
        raise GrammarError("% without two hexadecimal digits in a URL", offset=offset)
    try:
        text = unquote_to_bytes(part).decode()
    except UnicodeError:
        raise GrammarError("a URL that is not UTF-8", offset=offset) from None
    _refuse_controls(text, offset)
    return text


def _refuse_controls(text: str, offset: int) -> None:
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise GrammarError("control characters in a URL", offset=offset)
