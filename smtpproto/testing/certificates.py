"""A throw-away certificate authority, and server contexts with good and bad certificates. Needs
``trustme``. Each process has its own authority, whose key is never written to a file."""

from __future__ import annotations

import datetime
import ssl
from functools import cache
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import trustme

__all__ = ["Certificate", "authority_pem", "client_context", "server_context"]

Certificate = Literal["valid", "expired", "wrong name", "unknown CA"]
"""What a server shows in the TLS handshake. All but the first make a client refuse the server."""

_NAMES = ("localhost", "127.0.0.1", "::1")
_EXPIRED = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)  # whatever clock a test has set


@cache
def server_context(certificate: Certificate = "valid") -> ssl.SSLContext:
    """Return the context for servers on this machine that show such a *certificate*.

    Raises ValueError for another one, and ImportError without ``trustme``.
    """
    if certificate not in get_args(Certificate):
        known = ", ".join(get_args(Certificate))
        raise ValueError(f"no such certificate: {certificate!r}; it may be {known}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _leaf(certificate).configure_cert(context)
    return context


def client_context() -> ssl.SSLContext:
    """Return a new context for a client that trusts the authority of this process, and no other."""
    return ssl.create_default_context(cadata=authority_pem())


def authority_pem() -> str:
    """Return the certificate of the authority, as text."""
    return _authority().cert_pem.bytes().decode()


@cache
def _authority() -> trustme.CA:
    try:
        import trustme  # noqa: PLC0415 - only tests with TLS need it
    except ImportError:
        install = "pip install 'smtpproto-sansio[test]'"
        raise ImportError(
            f"a test server with TLS needs trustme for a certificate; {install}"
        ) from None
    return trustme.CA()


def _leaf(certificate: Certificate) -> trustme.LeafCert:
    match certificate:
        case "valid":
            return _authority().issue_cert(*_NAMES)
        case "expired":
            return _authority().issue_cert(*_NAMES, not_after=_EXPIRED)
        case "wrong name":
            return _authority().issue_cert("wrong.example")
        case "unknown CA":
            return type(_authority())().issue_cert(*_NAMES)
