"""The proxy through which a client connects.

::

    socks5://localhost:1080
    socks5://ann:s%40cret@proxy.example.org
    http://proxy.example.org:3128               HTTP CONNECT
"""

from __future__ import annotations

import enum
from typing import Self

from attrs import field, frozen
from attrs.validators import and_, ge, le

from ..option_types import checked
from .reply import GrammarError
from .secret import Secret, keeps_secret, keeps_secret_arguments
from .url import host_of, login_of, match_url, port_of, text_of

__all__ = ["ProxyKind", "ProxyServer"]

_FORM = "socks5://user:password@host:port or http://user:password@host:port"
_SOCKS_PORT = 1080
_LONGEST = 255  # octets of a user name, and of a password, in SOCKS5 (RFC 1929 2)


def _secret(value: Secret | str | bytes) -> Secret:
    return value if isinstance(value, Secret) else Secret(value)


class ProxyKind(enum.Enum):
    """How to ask a proxy for a connection."""

    SOCKS5 = "socks5"
    """RFC 1928; with user and password, RFC 1929."""
    HTTP = "http"
    """The method CONNECT (RFC 9110 9.3.6); with user and password, Basic (RFC 7617)."""


@keeps_secret_arguments
@checked
@frozen(kw_only=True)
class ProxyServer:
    """A proxy. It connects to the server, and finds the address of the server's name by itself."""

    kind: ProxyKind
    host: str
    port: int = field(validator=and_(ge(1), le(65535)))
    username: str = ""
    """The user name for the proxy; "" without a login."""
    password: Secret = field(default=Secret(""), converter=_secret)

    def __attrs_post_init__(self) -> None:
        user, password = self.username, self.password.reveal()
        if bool(user) != bool(password):
            raise GrammarError("a proxy needs both a user name and a password, or neither")
        if not (user.isascii() and password.isascii()):
            raise GrammarError("user name and password for a proxy must be in ASCII")
        if max(len(user), len(password)) > _LONGEST:
            raise GrammarError(f"user name or password for a proxy is longer than {_LONGEST}")
        if self.kind is ProxyKind.HTTP and ":" in user:
            raise GrammarError("a user name for an HTTP proxy cannot have a colon (RFC 7617 2)")

    @classmethod
    @keeps_secret
    def parse(cls, url: str) -> Self:
        """Read the URL of a proxy. ``socks5h://`` is the same as ``socks5://``.

        Raises GrammarError, whose text never quotes the URL: there may be a password in it.
        """
        match = match_url(url, _FORM)
        scheme = match["scheme"].lower().replace("socks5h", "socks5")
        if scheme not in (kind.value for kind in ProxyKind):
            raise GrammarError("unknown scheme of a proxy; use one of socks5, http")
        if text_of(match, "path") not in ("", "/") or match["query"] is not None:
            raise GrammarError(f"a proxy has neither path nor query; write {_FORM}")
        kind = ProxyKind(scheme)
        username, password = login_of(match) or ("", "")
        if match["port"] is None and kind is ProxyKind.HTTP:
            raise GrammarError("there is no usual port of HTTP proxies; add it: http://host:port")
        return cls(
            kind=kind,
            host=host_of(match),
            port=port_of(match, _SOCKS_PORT),
            username=username,
            password=password,
        )

    def __str__(self) -> str:
        """Return the URL, without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind.value}://{host}:{self.port}"
