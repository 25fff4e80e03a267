"""TLS over pyOpenSSL: unlike ``ssl`` it can export keying material (RFC 5705), which binds a login
to the connection itself (RFC 9266).

pyOpenSSL is an extra: this module is imported only for a context of pyOpenSSL.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from ipaddress import ip_address

from OpenSSL import SSL, crypto
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity
from service_identity.pyopenssl import extract_patterns

from ..errors import ConnectionLost, TLSFailed
from ..grammar.reply import accepts
from ..limits import CHUNK, READ
from .binding import EXPORTER
from .context import OpenSSLContext
from .filter import Filter, TLSInfo, closed_by_peer, failure, plain_name, renegotiation

_LABEL, _SIZE = b"EXPORTER-Channel-Binding", 32  # RFC 9266 2
_BAD_CERTIFICATE = b"\x15\x03\x03\x00\x02\x02\x2a"  # a fatal alert in clear (RFC 8446 6)


class OpenSSLFilter(Filter):
    """A filter that uses pyOpenSSL."""

    def _open(self, context: OpenSSLContext, name: str | None) -> None:
        """See :meth:`.Filter._open`. A client verifies the server's name if *context* has
        ``VERIFY_PEER``; *context* and its callbacks verify the certificate."""
        self._alert = b""
        if not isinstance(context, SSL.Context):
            raise TypeError(f"not a TLS context: {type(context).__name__}")
        by_name = not self.server_side and bool(context.get_verify_mode() & SSL.VERIFY_PEER)
        name = plain_name(name, required=by_name)
        self._identity = _identity(name) if name and by_name else None
        try:
            self._tls = SSL.Connection(context)
            self._begin(name)
        except SSL.Error as error:
            raise ValueError(_reason(error)) from None

    def _begin(self, name: str | None) -> None:
        """Start the handshake. This fails if the context is for the other side."""
        if self.server_side:
            self._tls.set_accept_state()
        else:
            self._tls.set_connect_state()
            if name and not accepts(ip_address, name):
                self._tls.set_tlsext_host_name(_ascii(name).encode())
        with contextlib.suppress(SSL.WantReadError):
            self._tls.do_handshake()

    def _step(self) -> bool:
        try:
            self._tls.do_handshake()
            done = True
        except SSL.WantReadError:
            done = False
        except SSL.Error as error:
            raise _failure(error) from None
        self._check_name(done)
        return done

    def _check_name(self, done: bool) -> None:
        """Raise TLSFailed if the server's certificate is for another name.

        The check is made as soon as the certificate is there, so that nothing but an alert goes to
        the wrong server, and in particular not our certificate.
        """
        certificate = self._tls.get_peer_certificate()
        if self._identity is None or not (certificate or done):
            return
        try:
            patterns = extract_patterns(certificate) if certificate else []
            verify_service_identity(patterns, [self._identity], [])
        except Exception:  # a malformed certificate may raise any exception
            self._records()  # drop them
            self._alert = _BAD_CERTIFICATE
            name = _identity_text(self._identity)
            detail = f"certificate is not valid for {name!r}"
            raise failure("CERTIFICATE_VERIFY_FAILED", detail) from None

    def _result(self) -> TLSInfo:
        """See :meth:`.Filter._result`. *tls-exporter* is included only under TLS 1.3: before, it is
        safe only with an extended master secret (RFC 9266 4), which pyOpenSSL cannot report."""
        certificate = _der(self._tls.get_peer_certificate())
        # An SNI callback may have replaced the context; then both contexts must ask for it.
        modes = self._tls.get_verify_mode(), self._tls.get_context().get_verify_mode()
        asked = all(mode & SSL.VERIFY_PEER for mode in modes)
        named = self.server_side or self._identity is not None
        bindings = {}
        if self._tls.get_protocol_version() == SSL.TLS1_3_VERSION:
            bindings[EXPORTER] = self._tls.export_keying_material(_LABEL, _SIZE)
        return TLSInfo(
            self._tls.get_protocol_version_name(),
            self._tls.get_cipher_name() or "",
            certificate,
            asked and named and certificate is not None,
            bindings,
        )

    def _chain(self) -> Sequence[bytes]:
        shown = self._tls.get_peer_cert_chain() or []
        return [crypto.dump_certificate(crypto.FILETYPE_ASN1, it) for it in shown]

    @property
    def own_certificate(self) -> bytes | None:
        return _der(self._tls.get_certificate())

    def _take(self, octets: bytes) -> None:
        if octets:
            self._tls.bio_write(octets)
        else:
            self._tls.bio_shutdown()

    def read(self) -> bytes | None:
        try:
            return self._tls.recv(READ)
        except SSL.WantReadError:
            return None
        except (SSL.ZeroReturnError, SSL.SysCallError):
            return b""
        except SSL.Error as error:
            raise _failure(error) from None

    def write(self, octets: bytes) -> None:
        try:
            self._tls.sendall(octets)
        except SSL.WantReadError:
            raise renegotiation() from None
        except SSL.Error as error:
            raise ConnectionLost(f"the TLS connection is closed: {_reason(error)}") from None

    def close(self) -> None:
        with contextlib.suppress(SSL.Error):
            self._tls.shutdown()

    def data_to_send(self) -> bytes:
        alert, self._alert = self._alert, b""
        return self._records() + alert

    def _records(self) -> bytes:
        records = []
        with contextlib.suppress(SSL.WantReadError):
            while True:
                records.append(self._tls.bio_read(CHUNK))
        return b"".join(records)


# -- names ---------------------------------------------------------------------------------------


def _ascii(name: str) -> str:
    """Return *name* with A-labels, as ``ssl`` writes it. Raises ValueError for an invalid name."""
    return name.encode("idna").decode("ascii")


def _identity(name: str) -> DNS_ID | IPAddress_ID:
    """Return the identity that the certificate must have. Raises ValueError for an invalid name."""
    return IPAddress_ID(name) if accepts(ip_address, name) else DNS_ID(_ascii(name))


def _identity_text(identity: DNS_ID | IPAddress_ID) -> str:
    return str(identity.ip) if isinstance(identity, IPAddress_ID) else identity.hostname.decode()


# -- certificates and errors ---------------------------------------------------------------------


def _der(certificate: crypto.X509 | None) -> bytes | None:
    if certificate is None:
        return None
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)


def _failure(error: SSL.Error) -> TLSFailed:
    return closed_by_peer() if isinstance(error, SSL.SysCallError) else failure(_reason(error))


def _reason(error: SSL.Error) -> str:
    """Return the reason of the last entry in OpenSSL's error queue, spelled as ``ssl`` does."""
    match error.args:
        case ([*_, (_, _, str(reason))],) if reason:
            return reason.upper().replace(" ", "_")
    return "no reason given"
