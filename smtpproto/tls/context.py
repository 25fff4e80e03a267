"""TLS contexts: making one for a client, and finding the certificate that a server's one shows."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Protocol, runtime_checkable
from weakref import WeakKeyDictionary

from ..ports import Runtime
from .verify import ClientCertificate, TLSVerify


@runtime_checkable
class OpenSSLContext(Protocol):
    """The methods that identify pyOpenSSL's ``OpenSSL.SSL.Context`` without an import of it."""

    def get_verify_mode(self) -> int:
        """Return the flags of verification."""
        ...

    def get_verify_depth(self) -> int:
        """Return the maximum length of a certificate chain."""
        ...


Context = ssl.SSLContext | OpenSSLContext
"""Certificates and rules for TLS: an ``ssl.SSLContext``, or an ``OpenSSL.SSL.Context``, which can
bind a login to the connection itself (RFC 9266) and needs ``smtpproto-sansio[tls-exporter]``."""


ContextSource = Context | Callable[[], Context]
"""A context, or a function that returns one and is called as each handshake begins. To renew a
certificate, return another context; do not change the one that is in use. If there is none for the
time being, raise :class:`.TLSFailed`: STARTTLS is then refused with 454."""


def client_context(
    verify: TLSVerify | None = None, certificate: ClientCertificate | None = None
) -> ssl.SSLContext:
    """Return a client's context, with TLS 1.2 or later. By default it verifies the server's name.

    The filter, not the context, checks fingerprints, asks a judge, and compares several names.
    Raises ValueError for CAs or a certificate that cannot be read.
    """
    verify = verify or TLSVerify.by_name()
    context = _verifying_context(verify.ca) if verify.by_authority else _unverifying_context()
    if verify.names:
        context.check_hostname = False
    context.hostname_checks_common_name = False  # only a subjectAltName counts (RFC 9525 2)
    context.options |= ssl.OP_NO_RENEGOTIATION  # the filter cannot write during a renegotiation
    if certificate is not None:
        _load_certificate(context, certificate)
    return context


def shared_context(verify: TLSVerify, runtime: Runtime) -> ssl.SSLContext:
    """Return what :func:`client_context` returns for *verify*, made once for all connections that
    verify alike: reading the system's CAs takes tens of milliseconds. Nobody may change it.

    It is renewed when the CA certificates change. Raises ValueError if they cannot be read.
    """
    by_ca = verify.by_authority
    paths = _ca_paths(verify.ca) if by_ca else []
    key = ("TLS", by_ca, verify.ca, bool(verify.names))
    return runtime.shared(key, paths, partial(client_context, verify))


@lru_cache(maxsize=64)
def check_ca(ca: str) -> None:
    """Raise ValueError if the CA certificates *ca*, a path or PEM, cannot be read. What was read
    once is not read again."""
    _verifying_context(ca)


def _ca_paths(ca: str | None) -> list[str]:
    """Return where the CA certificates are: nowhere for PEM, and on Windows for the system's."""
    if ca is not None:
        return [] if _is_pem(ca) else [ca]
    system = ssl.get_default_verify_paths()  # SSL_CERT_FILE and SSL_CERT_DIR as they are now
    return [path for path in (system.cafile, system.capath) if path]


def _is_pem(ca: str) -> bool:
    return "-----BEGIN" in ca


def _verifying_context(ca: str | None) -> ssl.SSLContext:
    pem = ca is not None and _is_pem(ca)
    try:
        if ca is None:
            return ssl.create_default_context()
        # PEM may have comments around certificates; ssl refuses text that is not ASCII.
        text = ca.encode("ascii", "replace").decode() if pem else None
        context = ssl.create_default_context(cafile=None if pem else ca, cadata=text)
    except (OSError, ValueError) as error:
        where = "the given PEM text" if pem else ca or "the system's store"
        raise ValueError(f"cannot read CA certificates from {where}: {_reason(error)}") from None
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # trust a CA that is not a root, too
    return context


def _unverifying_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _load_certificate(context: ssl.SSLContext, certificate: ClientCertificate) -> None:
    def password() -> bytes:  # without this function, OpenSSL would prompt at the terminal
        return b"" if certificate.password is None else certificate.password.reveal()

    try:
        context.load_cert_chain(certificate.certfile, certificate.keyfile, password)
    except (OSError, ValueError) as error:
        where = certificate.certfile
        raise ValueError(f"cannot read certificate and key of {where}: {_reason(error)}") from None


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)


# -- a server's own certificate ------------------------------------------------------------------

_FLIGHTS = 5  # more than any handshake has
_HIDDEN = b""  # stands for a certificate that a server shows only to a client that shows one
_own_certificates: WeakKeyDictionary[ssl.SSLContext, bytes | None] = WeakKeyDictionary()


def lacks_certificate(context: Context) -> bool:
    """Return whether a server with *context* can complete no handshake, because it has no
    certificate, or none that fits its ciphers. False if that cannot be known: for pyOpenSSL, and if
    a function chooses the certificate by the name that a client sends."""
    if not isinstance(context, ssl.SSLContext) or context.sni_callback is not None:
        return False
    probe = _unverifying_context()
    probe.set_ciphers("ALL:@SECLEVEL=0")
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    _handshake_done(probe.wrap_bio(to_client, to_server))
    try:
        _handshake_done(context.wrap_bio(to_server, to_client, server_side=True))
    except ssl.SSLError as error:
        return error.reason == "NO_SHARED_CIPHER"
    return False


def own_certificate(context: ssl.SSLContext) -> bytes | None:
    """Return the certificate, in DER, that a server with *context* shows. Return None if it cannot
    be known, for example if there are several: then OpenSSL chooses one for each client.

    ``ssl`` does not expose it, so clients in memory do a handshake with the context: one that
    accepts any kind of key, and one for each kind that accepts no other.
    """
    if context not in _own_certificates:
        any_kind, *kinds = (_shown_certificate(context, key) for key in ("", "aRSA", "aECDSA"))
        shown = {any_kind, *kinds} - {None, _HIDDEN}
        one = len(shown) == 1 and None in kinds  # with both kinds of key there are two certificates
        _own_certificates[context] = shown.pop() if one else None
    return _own_certificates[context]


def _shown_certificate(context: ssl.SSLContext, key: str) -> bytes | None:
    """Return the certificate that a server with *context* shows to a client that accepts only keys
    for the ciphers *key* ("": any), or None.

    A server may ask for a client certificate, which this one lacks. With TLS 1.3 the client is done
    before the server finds out; with TLS 1.2 its handshake fails, and the result is _HIDDEN.
    """
    probe = _unverifying_context()
    if key:
        probe.maximum_version = ssl.TLSVersion.TLSv1_2  # later, a cipher does not select a key
        probe.set_ciphers(key)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = probe.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(_FLIGHTS):
        try:
            if _handshake_done(client):
                # An SNI callback that changed the context here may act differently for others.
                return client.getpeercert(True) if server.context is context else None
            _handshake_done(server)
        except ssl.SSLError as error:
            return _HIDDEN if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE" else None
        except ValueError:
            break
    return None


def _handshake_done(side: ssl.SSLObject) -> bool:
    """Continue the handshake of *side* as far as possible. Return whether it is done."""
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
