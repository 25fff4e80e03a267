"""Contexts for TLS: those of our own making, and what a server's context shows of itself."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable
from weakref import WeakKeyDictionary

from .verify import ClientCertificate, TLSVerify


@runtime_checkable
class OpenSSLContext(Protocol):
    """By what ``OpenSSL.SSL.Context`` of pyOpenSSL is known where that need not be installed."""

    def get_verify_mode(self) -> int: ...

    def get_verify_depth(self) -> int: ...


Context = ssl.SSLContext | OpenSSLContext
"""Certificates and rules for TLS: ``ssl.SSLContext``; or ``OpenSSL.SSL.Context``, by which logins
are bound to the connection itself (RFC 9266). That needs ``smtpproto-sansio[tls-exporter]``."""


ContextSource = Context | Callable[[], Context]
"""A context, or what gives one for each handshake, as soon as it begins: from then on a certificate
that was renewed is shown. To renew is to give another context, not to change the one given."""


def client_context(
    verify: TLSVerify | None = None, certificate: ClientCertificate | None = None
) -> ssl.SSLContext:
    """A context for a client, TLS 1.2 at least; it verifies by name unless told otherwise.

    Fingerprints are not its business, but the filter's. Raises ValueError for CAs or a
    certificate that cannot be read.
    """
    verify = verify or TLSVerify.by_name()
    by_name = verify.at_all and not verify.fingerprints
    context = _verifying(verify.ca) if by_name else _trustful()
    context.hostname_checks_common_name = False  # but the names that are meant to be (RFC 9525 2)
    context.options |= ssl.OP_NO_RENEGOTIATION  # what is said meanwhile could not be answered
    if certificate is not None:
        _show(context, certificate)
    return context


def _verifying(ca: str | None) -> ssl.SSLContext:
    pem = ca is not None and "-----BEGIN" in ca
    try:
        if ca is None:
            return ssl.create_default_context()
        # Around certificates there may be comments in any letters, which ssl refuses in text.
        text = ca.encode("ascii", "replace").decode() if pem else None
        context = ssl.create_default_context(cafile=None if pem else ca, cadata=text)
    except (OSError, ValueError) as error:
        where = "the text given" if pem else ca or "the system's store"
        raise ValueError(f"no certificates of CAs in {where}: {_reason(error)}") from None
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # of a CA that is not a root, too
    return context


def _trustful() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _show(context: ssl.SSLContext, certificate: ClientCertificate) -> None:
    def password() -> bytes:  # without it, OpenSSL would ask whoever sits at the terminal
        return b"" if certificate.password is None else certificate.password.reveal()

    try:
        context.load_cert_chain(certificate.certfile, certificate.keyfile, password)
    except (OSError, ValueError) as error:
        where = certificate.certfile
        raise ValueError(f"no certificate and key in {where}: {_reason(error)}") from None


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)


# -- a server's own certificate ------------------------------------------------------------------

_FLIGHTS = 5  # more than any handshake has
_UNSEEN = b""  # a certificate that a server shows to those only who show it one
_own: WeakKeyDictionary[ssl.SSLContext, bytes | None] = WeakKeyDictionary()


def own_certificate(context: ssl.SSLContext) -> bytes | None:
    """The certificate, in DER, that a server with *context* shows; None if that cannot be told, as
    when it has several: which one a client gets is between it and OpenSSL.

    The standard library does not say, so clients in memory ask: one that takes any certificate, and
    for each kind of key one that takes no other.
    """
    if context not in _own:
        anything, *kinds = (_redactor(context, client) for client in _inquirers())
        shown = {anything, *kinds} - {None, _UNSEEN}
        one = len(shown) == 1 and None in kinds  # who has both kinds of key has two certificates
        _own[context] = shown.pop() if one else None
    return _own[context]


def _inquirers() -> Iterator[ssl.SSLContext]:
    yield _trustful()
    for kind in ("aRSA", "aECDSA"):
        client = _trustful()
        client.maximum_version = ssl.TLSVersion.TLSv1_2  # later, ciphers say nothing of keys
        client.set_ciphers(kind)
        yield client


def _redactor(context: ssl.SSLContext, inquirer: ssl.SSLContext) -> bytes | None:
    """What *inquirer* is shown, if anything. With TLS 1.3 it is done before the server is, which
    perhaps wants to see a certificate; with TLS 1.2 it then never is."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = inquirer.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(_FLIGHTS):
        try:
            if _done(client):
                # What a callback for names did to this handshake it may not have done to others.
                return client.getpeercert(True) if server.context is context else None
            _done(server)
        except ssl.SSLError as error:
            return _UNSEEN if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE" else None
        except ValueError:
            break
    return None


def _done(side: ssl.SSLObject) -> bool:
    """Take a handshake as far as it goes; whether it is done."""
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
