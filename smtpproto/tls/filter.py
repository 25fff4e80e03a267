"""What each TLS filter is and does, whichever library is below it."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping

from attrs import field, frozen

from ..errors import LocalProtocolError, TLSFailed
from ..grammar.printable import printable
from .binding import SERVER_END_POINT, server_end_point
from .verify import has_fingerprint


@frozen
class TLSInfo:
    """What a handshake agreed on. *peer_certificate* is in DER, None if the peer showed none."""

    version: str
    cipher: str
    peer_certificate: bytes | None = field(repr=False)
    verified: bool = False
    """Whether the peer was verified: as a client by name or fingerprint, as a server by a CA."""
    bindings: Mapping[str, bytes] = field(factory=dict, repr=False, hash=False)
    """What a login can be tied to, by name (RFC 5056), the one to prefer first."""


class Filter(ABC):
    """One side of a TLS connection, without I/O."""

    def __init__(self, *, server_side: bool, fingerprints: tuple[bytes, ...]) -> None:
        """*fingerprints*, if any, are those of which the peer must have one."""
        self._server_side = server_side
        self._fingerprints = fingerprints
        self._first = b""

    def handshake(self) -> bool:
        """Take the handshake as far as the octets received allow; whether it is done.

        Raises TLSFailed; :meth:`data_to_send` then holds the alert for the peer.
        """
        if failure := _not_tls(self._first, server_side=self._server_side):
            raise failure
        try:
            if not self._step():
                return False
        except TLSFailed as error:
            error.phase = "TLS"
            raise
        if self._fingerprints and not self.verified:
            self.data_to_send()  # our own certificate, in TLS 1.3: not for whoever that is
            raise TLSFailed(
                f"TLS failed: the certificate has another fingerprint: {self._fingerprint}",
                phase="TLS",
                check="whether the server has a new certificate, of which its owner has told you",
            )
        return True

    @property
    def verified(self) -> bool:
        """Whether the peer's certificate was verified."""
        if self._fingerprints:
            return has_fingerprint(self.peer_certificate, self._fingerprints)
        return self._verified_by_context

    @property
    def _fingerprint(self) -> str:
        return hashlib.sha256(self.peer_certificate or b"").hexdigest()

    @property
    def bindings(self) -> Mapping[str, bytes]:
        """What a login can be tied to, the one to prefer first."""
        certificate = self.own_certificate if self._server_side else self.peer_certificate
        binding = None if certificate is None else server_end_point(certificate)
        return {} if binding is None else {SERVER_END_POINT: binding}

    @property
    def info(self) -> TLSInfo:
        """What the handshake agreed on."""
        return TLSInfo(
            version=self.version,
            cipher=self.cipher,
            peer_certificate=self.peer_certificate,
            verified=self.verified,
            bindings=self.bindings,
        )

    def receive(self, octets: bytes) -> None:
        """Take what arrived; b"" for the end."""
        self._first += octets[: _LINE - len(self._first)]
        self._take(octets)

    @abstractmethod
    def read(self) -> bytes | None:
        """Give plain octets, at most 64 KiB; None if more must arrive; b"" at the end.

        An end without close_notify is an end like another: SMTP says itself when it is finished.
        """

    @abstractmethod
    def write(self, octets: bytes) -> None:
        """Take plain octets; :meth:`data_to_send` gives the records."""

    @abstractmethod
    def close(self) -> None:
        """Prepare close_notify, if the connection still can."""

    @abstractmethod
    def data_to_send(self) -> bytes:
        """The records for the peer."""

    @property
    @abstractmethod
    def version(self) -> str:
        """Of TLS, as "TLSv1.3"."""

    @property
    @abstractmethod
    def cipher(self) -> str: ...

    @property
    @abstractmethod
    def peer_certificate(self) -> bytes | None:
        """The peer's certificate in DER; None if it showed none."""

    @property
    @abstractmethod
    def own_certificate(self) -> bytes | None:
        """What a server showed, in DER; None if that cannot be told."""

    @abstractmethod
    def _step(self) -> bool:
        """See :meth:`handshake`."""

    @abstractmethod
    def _take(self, octets: bytes) -> None:
        """See :meth:`receive`."""

    @property
    @abstractmethod
    def _verified_by_context(self) -> bool:
        """See :attr:`verified`."""


# -- names and failures --------------------------------------------------------------------------

_LINE = 200  # octets of a greeting, to be shown
SPEAKS_TLS = "whether the peer speaks TLS on this port, and what its log says"
_OLD = "whether the peer knows TLS 1.2 or later"
_RENEGOTIATES = "whether the peer can do without, or knows TLS 1.3"
_ISSUER = (
    "the CA in use: TLSVerify.by_ca trusts another, TLSVerify.by_fingerprint this one certificate"
)
_NO_CERTIFICATE = "which client certificate the server wants: set certificate"
_CHECKS = {
    "HTTP_REQUEST": "whether this is the port meant: the client speaks HTTP",
    "CERTIFICATE_VERIFY_FAILED": "the host name, the CA in use and the certificate's dates",
    "TLSV1_ALERT_UNKNOWN_CA": "whether the peer trusts the CA of your certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _NO_CERTIFICATE,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "whether the client has a certificate to show",
    "UNSUPPORTED_PROTOCOL": _OLD,
    "TLSV1_ALERT_PROTOCOL_VERSION": _OLD,
    "WRONG_VERSION_NUMBER": SPEAKS_TLS,
    "RECORD_LAYER_FAILURE": SPEAKS_TLS,
    "SESSION_ID_CONTEXT_UNINITIALIZED": "the server's context: it needs set_session_id",
}
_CERTIFICATE_CHECKS = {
    "issuer certificate": _ISSUER,
    "self-signed": _ISSUER,
    "self signed": _ISSUER,
    "expired": "the certificate's dates, and the clock of this machine",
    "not yet valid": "the certificate's dates, and the clock of this machine",
    "mismatch": "the host name: server_name, if the certificate is for another",
    "not valid for": "the host name: server_name, if the certificate is for another",
}
"""By what OpenSSL says of a certificate, if anything."""
_COMMAND = re.compile(rb"EHLO|HELO|LHLO|STAR|MAIL|AUTH|NOOP|RSET|HELP|VRFY|QUIT", re.IGNORECASE)
_REPLY = re.compile(rb"[2-5][0-9]{2}[- \r\n]")


def plain_name(host: str | None, *, required: bool) -> str | None:
    """*host* as certificates and SNI have it: without the dot of the root, or the zone of an
    address. Raises ValueError if there is none though it is *required*."""
    if host:
        return host.partition("%")[0] if ":" in host else host.rstrip(".")
    if required:
        raise ValueError("there is none to verify")
    return None


def unusable(error: object) -> LocalProtocolError:
    """The error for a filter that cannot be made."""
    return LocalProtocolError(
        f"no TLS with this name and context: {printable(str(error))}",
        phase="TLS",
        check="the host or server_name, and the kind of context",
    )


def _not_tls(first: bytes, *, server_side: bool) -> TLSFailed | None:
    """The error for a peer whose *first* octets are SMTP in clear."""
    if server_side and _COMMAND.match(first):
        text, check = "the client speaks plain SMTP here", "whether it wants STARTTLS, on 25 or 587"
    elif not server_side and _REPLY.match(first):
        text = f"the server speaks plain SMTP here: {printable(first.splitlines()[0])}"
        check = 'the port: use STARTTLS here (tls="required"), or the port for implicit TLS'
    else:
        return None
    return TLSFailed(f"TLS failed: {text}", phase="TLS", check=check)


def failure(reason: str, detail: str = "") -> TLSFailed:
    """The error for what OpenSSL calls *reason*."""
    text = printable(f"{reason}: {detail}" if detail else reason)
    checks = (check for said, check in _CERTIFICATE_CHECKS.items() if said in detail)
    return TLSFailed(f"TLS failed: {text}", check=next(checks, _CHECKS.get(reason, "")))


def renegotiating() -> TLSFailed:
    """The error for a peer that begins TLS 1.2 anew, in the middle of a session."""
    return TLSFailed("TLS failed: the peer wants to renegotiate", check=_RENEGOTIATES)


def ended() -> TLSFailed:
    """The error for an end that is none of TLS."""
    return TLSFailed("TLS failed: the peer closed the connection")
