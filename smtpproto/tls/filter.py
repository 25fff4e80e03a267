"""The TLS filter, its result and its errors, independent of the library below it."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from attrs import field, frozen

from ..errors import LocalProtocolError, TLSFailed
from ..grammar.pattern import pattern
from ..grammar.printable import printable
from ..option_types import checked, maker
from .binding import SERVER_END_POINT, server_end_point
from .identity import name_fault
from .verify import TLSVerify, fingerprint_of, has_fingerprint

_VERSIONS = ("TLSv1.2", "TLSv1.3")
_BY_NAME = TLSVerify.by_name()
_Fault = Literal["", "expired", "name", "untrusted"]


@checked
@frozen
class TLSInfo:
    """The result of a handshake. *peer_certificate* is in DER, or None if the peer showed none."""

    version: str
    cipher: str
    peer_certificate: bytes | None = field(repr=False)
    verified: bool = False
    """Whether this side verified the peer: a server by name or fingerprint, a client by a CA."""
    bindings: Mapping[str, bytes] = field(factory=dict, repr=False, hash=False)
    """The channel bindings for a login, by name (RFC 5056), the preferred one first."""


make_info: Callable[..., TLSInfo] = maker(
    TLSInfo, "version", "cipher", "peer_certificate", "verified", "bindings"
)


class Filter(ABC):
    """One side of a TLS connection, without I/O."""

    def __init__(
        self,
        context: Any,
        *,
        server_side: bool,
        server_hostname: str | None = None,
        verify: TLSVerify | None = None,
    ) -> None:
        """Make one side of a connection.

        *server_hostname* is the name that a client verifies, if *context* verifies names, and sends
        in SNI unless it is an address. The peer's certificate must match one of the fingerprints
        and one of the names of *verify*, if it has any; its judge must accept what the peer shows.
        Raises LocalProtocolError for a name that no host can have, and for a context that is made
        for the other side.
        """
        self.server_side: bool = server_side
        self._verify = verify or _BY_NAME
        self._first_octets = b""
        try:
            self._open(context, server_hostname)
        except (ValueError, TypeError) as error:
            raise unusable(error) from None

    def handshake(self) -> bool:
        """Continue the handshake as far as the received octets allow. Return whether it is done.

        Raises TLSFailed; :meth:`data_to_send` then returns the alert for the peer.
        """
        if error := _plain_smtp(self._first_octets, server_side=self.server_side):
            raise error
        try:
            if not self._step():
                return False
            self._found = self._result()
            self._check(self._found)
        except TLSFailed as error:
            error.phase = "TLS"
            raise
        return True

    def _check(self, result: TLSInfo) -> None:
        """Raise TLSFailed for a version below TLS 1.2, which the context of an application may
        allow (RFC 8996, RFC 8997), for another fingerprint, for another name, and for what the
        judge refuses."""
        certificate = result.peer_certificate
        if result.version not in _VERSIONS:
            self.data_to_send()  # drop the end of the handshake, so that it fails for the peer too
            raise failure("UNSUPPORTED_PROTOCOL", f"the peer has only {result.version}")
        verify = self._verify
        if verify.fingerprints and not has_fingerprint(certificate, verify.fingerprints):
            # Drop the records: in TLS 1.3 they hold our certificate, and this is the wrong server.
            self.data_to_send()
            found = fingerprint_of(certificate).hex()
            error = TLSFailed(
                f"TLS failed: the certificate has another fingerprint: {found}",
                check="whether the server's owner confirms a new certificate and this fingerprint",
            )
            raise _with_fault(error, "untrusted", "certificate-untrusted")
        if verify.names and (text := name_fault(self._chain(), verify.names)):
            self.data_to_send()
            raise failure("CERTIFICATE_VERIFY_FAILED", text)
        if verify.judge is not None and (fault := verify.judge.fault(self._chain())):
            self.data_to_send()
            text = f"TLS failed: {printable(fault)}"
            failed = TLSFailed(text, check=_CHECK_JUDGE)
            raise _with_fault(failed, "untrusted", "certificate-untrusted")

    @property
    def info(self) -> TLSInfo:
        """The result of the handshake."""
        found = self._found
        verified = found.verified
        if self._verify.fingerprints:
            verified = has_fingerprint(found.peer_certificate, self._verify.fingerprints)
        elif self._verify.judge is not None:
            verified = True  # or the handshake would have failed
        shown = self.own_certificate if self.server_side else found.peer_certificate
        binding = None if shown is None else server_end_point(shown)
        bindings = dict(found.bindings)
        if binding is not None:
            bindings[SERVER_END_POINT] = binding
        return make_info(found.version, found.cipher, found.peer_certificate, verified, bindings)

    def receive(self, octets: bytes) -> None:
        """Take octets that have arrived; b"" is the end of the stream."""
        if len(self._first_octets) < _LINE:
            self._first_octets += octets[:_LINE]
        self._take(octets)

    @abstractmethod
    def read(self) -> bytes | None:
        """Return plain octets, at most 128 KiB; None if more must arrive; b"" at the end.

        The end needs no close_notify, because SMTP itself shows whether a message is complete.
        """

    @abstractmethod
    def write(self, octets: bytes) -> None:
        """Encrypt plain octets; :meth:`data_to_send` returns the records."""

    @abstractmethod
    def close(self) -> None:
        """Prepare close_notify, if it can still be sent."""

    @abstractmethod
    def data_to_send(self) -> bytes:
        """Return the records to send to the peer."""

    @property
    @abstractmethod
    def own_certificate(self) -> bytes | None:
        """The certificate, in DER, that this server showed, or None if it cannot be known."""

    @abstractmethod
    def _open(self, context: Any, name: str | None) -> None:
        """Prepare the handshake. Raises ValueError or TypeError if it cannot begin."""

    @abstractmethod
    def _step(self) -> bool:
        """See :meth:`handshake`."""

    @abstractmethod
    def _result(self) -> TLSInfo:
        """Return what the library knows after the handshake: whether the context verified the peer,
        and the bindings that only the library can make."""

    @abstractmethod
    def _chain(self) -> Sequence[bytes]:
        """Return the certificates that the peer showed, in DER, its own first."""

    @abstractmethod
    def _take(self, octets: bytes) -> None:
        """See :meth:`receive`."""


# -- names and failures --------------------------------------------------------------------------

_LINE = 200  # octets of a greeting to quote in an error
CHECK_SPEAKS_TLS = "whether the peer speaks TLS on this port, and what its log says"
_CHECK_JUDGE = "whether the server's owner has renewed the certificate, and not the records of it"
_CHECK_CA = (
    "the CA in use; trust another with TLSVerify.by_ca, or only this certificate with"
    " TLSVerify.by_fingerprint"
)
_CHECK_VERSION = "whether the peer supports TLS 1.2 or later"
_CHECK_RENEGOTIATION = "whether the peer can avoid renegotiation, or support TLS 1.3"
_CHECKS = {
    "HTTP_REQUEST": "whether this is the right port: the client speaks HTTP",
    "CERTIFICATE_VERIFY_FAILED": "the host name, the CA in use and the certificate's dates",
    "TLSV1_ALERT_UNKNOWN_CA": "whether the peer trusts the CA of your certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": (
        "which client certificate the server wants; then set certificate"
    ),
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "whether the client has a certificate to show",
    "UNSUPPORTED_PROTOCOL": _CHECK_VERSION,
    "TLSV1_ALERT_PROTOCOL_VERSION": _CHECK_VERSION,
    "WRONG_VERSION_NUMBER": CHECK_SPEAKS_TLS,
    "RECORD_LAYER_FAILURE": CHECK_SPEAKS_TLS,
    "SESSION_ID_CONTEXT_UNINITIALIZED": "the server's context; call its set_session_id",
}
_FAULTS = {
    "HTTP_REQUEST": "tls-garbage",
    "TLSV1_ALERT_UNKNOWN_CA": "client-certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "client-certificate",
    "UNSUPPORTED_PROTOCOL": "tls-version",
    "TLSV1_ALERT_PROTOCOL_VERSION": "tls-version",
    "NO_PROTOCOLS_AVAILABLE": "tls-version",
    "WRONG_VERSION_NUMBER": "tls-garbage",
    "RECORD_LAYER_FAILURE": "tls-garbage",
}
"""The name of a fault in diagnoses, by OpenSSL's reason."""
_CERTIFICATE_FAULTS: Mapping[re.Pattern[str], tuple[_Fault, str, str]] = {
    pattern("self.signed certificate in"): ("untrusted", "certificate-unknown-ca", _CHECK_CA),
    pattern("self.signed"): ("untrusted", "certificate-self-signed", _CHECK_CA),
    pattern("issuer certificate"): ("untrusted", "certificate-issuer-unknown", _CHECK_CA),
    pattern("expired|not yet valid"): (
        "expired",
        "certificate-expired",
        "the certificate's dates, and the clock of this machine",
    ),
    pattern("mismatch|not valid for"): (
        "name",
        "certificate-name",
        "the host name; set server_name if the certificate is for another",
    ),
}
"""What is wrong, its name in diagnoses, and what to check, by what OpenSSL's message about a
certificate contains."""
_COMMAND = pattern(rb"EHLO|HELO|LHLO|STAR|MAIL|AUTH|NOOP|RSET|HELP|VRFY|QUIT", re.IGNORECASE)
_REPLY = pattern(rb"[2-5][0-9]{2}[- \r\n]")


def plain_name(host: str | None, *, required: bool) -> str | None:
    """Return *host* as certificates and SNI write it: without the root's dot or an address's zone.
    Raises ValueError if it is empty although *required*."""
    if host:
        return host.partition("%")[0] if ":" in host else host.rstrip(".")
    if required:
        raise ValueError("there is no name to verify")
    return None


def unusable(error: object) -> LocalProtocolError:
    """Return the error for a filter that cannot be made."""
    return LocalProtocolError(
        f"cannot use TLS with this name and context: {printable(str(error))}",
        phase="TLS",
        check="host or server_name, and whether the context is for this side",
    )


def _plain_smtp(first: bytes, *, server_side: bool) -> TLSFailed | None:
    """Return the error for a peer whose *first* octets are SMTP in clear, or None."""
    if server_side and _COMMAND.match(first):
        text = "the client speaks plain SMTP here"
        check = "whether the client should use STARTTLS, on 25 or 587"
    elif not server_side and _REPLY.match(first):
        text = f"the server speaks plain SMTP here: {printable(first.splitlines()[0])}"
        check = 'the port: use STARTTLS here (tls="required"), or the port for implicit TLS'
    else:
        return None
    error = TLSFailed(f"TLS failed: {text}", phase="TLS", check=check)
    error.fault = TLSFailed.fault if server_side else "clear-on-tls-port"
    return error


def failure(reason: str, detail: str = "") -> TLSFailed:
    """Return the error for OpenSSL's *reason*, with its message about the certificate if any."""
    text = printable(f"{reason}: {detail}" if detail else reason)
    is_certificate = reason == "CERTIFICATE_VERIFY_FAILED"
    usual: tuple[_Fault, str, str] = (
        "untrusted" if is_certificate else "",
        "certificate-untrusted" if is_certificate else _FAULTS.get(reason, TLSFailed.fault),
        _CHECKS.get(reason, ""),
    )
    found = (it for part, it in _CERTIFICATE_FAULTS.items() if part.search(detail))
    kind, fault, check = next(found, usual)
    return _with_fault(TLSFailed(f"TLS failed: {text}", check=check), kind, fault)


def _with_fault(error: TLSFailed, kind: _Fault, fault: str) -> TLSFailed:
    error.certificate_fault, error.fault = kind, fault
    return error


def renegotiation() -> TLSFailed:
    """Return the error for a peer that starts a new handshake of TLS 1.2 during a session."""
    return TLSFailed("TLS failed: the peer wants to renegotiate", check=_CHECK_RENEGOTIATION)


def closed_by_peer() -> TLSFailed:
    """Return the error for an end of the stream during the handshake or within a record."""
    error = TLSFailed("TLS failed: the peer closed the connection")
    error.connection_ended, error.fault = True, "tls-closed"
    return error
