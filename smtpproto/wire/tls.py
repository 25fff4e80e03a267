"""TLS over ``ssl.MemoryBIO`` (RFC 3207, RFC 8314), written once, below the ports.

:class:`TLSFilter` turns plain octets into records and back, without I/O. :class:`TLSStream` puts it
over any :class:`~smtpproto.ports.Stream`, so that adapters move octets and know nothing of TLS.
"""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import Callable, Mapping

from attrs import field, frozen

from ..errors import ConnectionLost, LocalProtocolError, SMTPError, TLSFailed, TransportError
from ..grammar.printable import printable
from ..limits import CHUNK
from ..ports import Stream
from .binding import SERVER_END_POINT, server_end_point
from .tls_context import Context, own_certificate
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


class TLSFilter:
    """One side of a TLS connection, without I/O."""

    def __init__(
        self,
        context: Context,
        *,
        server_side: bool,
        server_hostname: str | None = None,
        fingerprints: tuple[bytes, ...] = (),
    ) -> None:
        """*server_hostname* is what a client verifies, if *context* does, and says in SNI, if it is
        no address. *fingerprints*, if any, are those of which the peer must have one.

        Raises LocalProtocolError for what cannot be the name of a host, and for a context that is
        made for the other side.
        """
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._server_side = server_side
        self._fingerprints = fingerprints
        self._verify_mode, self._by_name = context.verify_mode, context.check_hostname
        self._first = b""
        name = _plain_name(server_hostname) if server_hostname else None
        try:
            if name is None and self._by_name:
                raise ValueError("there is none to verify")
            self.object = context.wrap_bio(
                self._incoming, self._outgoing, server_side=server_side, server_hostname=name
            )
        except (ValueError, TypeError, ssl.SSLError) as error:
            raise LocalProtocolError(
                f"no TLS with this name and context: {printable(str(error))}",
                phase="TLS",
                check="the host or server_name, and the kind of context",
            ) from None

    def handshake(self) -> bool:
        """Take the handshake as far as the octets received allow; whether it is done.

        Raises TLSFailed; :meth:`data_to_send` then holds the alert for the peer.
        """
        if failure := _not_tls(self._first, server_side=self._server_side):
            raise failure
        try:
            self.object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except (ssl.SSLError, ssl.CertificateError) as error:
            raise _failure(error) from None
        if self._fingerprints and not self.verified:
            raise TLSFailed(
                "TLS failed: the certificate has another fingerprint", phase="TLS",
                check="whether the server has a new certificate, of which its owner has told you",
            )  # fmt: skip
        return True

    @property
    def verified(self) -> bool:
        """Whether the peer's certificate was verified."""
        certificate = self.object.getpeercert(True)
        if self._fingerprints:
            return has_fingerprint(certificate, self._fingerprints)
        if not self._server_side:
            return self._verify_mode is ssl.CERT_REQUIRED and self._by_name
        # By neither context, if a callback for names has changed it, unless both want it.
        modes = self._verify_mode, self.object.context.verify_mode
        return certificate is not None and ssl.CERT_NONE not in modes

    @property
    def bindings(self) -> Mapping[str, bytes]:
        """What a login can be tied to, the one to prefer first."""
        if self._server_side:
            certificate = own_certificate(self.object.context)
        else:
            certificate = self.object.getpeercert(True)
        binding = None if certificate is None else server_end_point(certificate)
        return {} if binding is None else {SERVER_END_POINT: binding}

    @property
    def info(self) -> TLSInfo:
        """What the handshake agreed on."""
        tls = self.object
        cipher = tls.cipher()
        return TLSInfo(
            version=tls.version() or "",
            cipher=cipher[0] if cipher else "",
            peer_certificate=tls.getpeercert(True),
            verified=self.verified,
            bindings=self.bindings,
        )

    def receive(self, octets: bytes) -> None:
        """Take what arrived; b"" for the end."""
        if octets:
            self._first += octets[: _LINE - len(self._first)]
            self._incoming.write(octets)
        else:
            self._incoming.write_eof()

    def read(self) -> bytes | None:
        """Give plain octets, at most 64 KiB; None if more must arrive; b"" at the end.

        An end without close_notify is an end like another: SMTP says itself when it is finished.
        """
        try:
            return self.object.read(CHUNK)
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        except ssl.SSLError as error:
            raise _failure(error) from None

    def write(self, octets: bytes) -> None:
        """Take plain octets; :meth:`data_to_send` gives the records."""
        try:
            self.object.write(octets)
        except ssl.SSLError as error:
            raise ConnectionLost(f"TLS connection is closed: {error.reason}") from None

    def close(self) -> None:
        """Prepare close_notify, if the connection still can."""
        with contextlib.suppress(ssl.SSLError):
            self.object.unwrap()

    def data_to_send(self) -> bytes:
        """The records for the peer."""
        return self._outgoing.read()


_LINE = 200  # octets of a greeting, to be shown
_SPEAKS_TLS = "whether the peer speaks TLS on this port, and what its log says"
_OLD = "whether the peer knows TLS 1.2 or later"
_NO_CERTIFICATE = "which client certificate the server wants: set certificate"
_CHECKS = {
    "HTTP_REQUEST": "whether this is the port meant: the client speaks HTTP",
    "CERTIFICATE_VERIFY_FAILED": "the host name, the CA in use and the certificate's dates",
    "TLSV1_ALERT_UNKNOWN_CA": "whether the peer trusts the CA of your certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _NO_CERTIFICATE,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "whether the client has a certificate to show",
    "UNSUPPORTED_PROTOCOL": _OLD,
    "TLSV1_ALERT_PROTOCOL_VERSION": _OLD,
    "WRONG_VERSION_NUMBER": _SPEAKS_TLS,
}


_COMMAND = re.compile(rb"EHLO|HELO|LHLO|STAR|MAIL|AUTH|NOOP|RSET|HELP|VRFY|QUIT", re.IGNORECASE)
_REPLY = re.compile(rb"[2-5][0-9]{2}[- \r\n]")


def _plain_name(host: str) -> str:
    """As certificates and SNI have it: without the dot of the root, or the zone of an address."""
    return host.partition("%")[0] if ":" in host else host.rstrip(".")


def begins_tls(octets: bytes) -> bool:
    """Whether *octets*, the first to arrive, are of TLS: an alert or a handshake (RFC 8446 5.1).
    Neither a command nor a reply begins so."""
    return octets[:1] in (b"\x15", b"\x16") and octets[1:2] in (b"", b"\x03")


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


def _failure(error: ssl.SSLError | ssl.CertificateError) -> TLSFailed:
    if isinstance(error, ssl.SSLEOFError):
        return TLSFailed("TLS failed: the peer closed the connection", phase="TLS")
    reason = getattr(error, "reason", None) or "no reason given"
    detail = getattr(error, "verify_message", "")
    text = printable(f"{reason}: {detail}" if detail else reason)
    return TLSFailed(f"TLS failed: {text}", phase="TLS", check=_CHECKS.get(reason, ""))


class TLSStream:
    """A stream that speaks TLS over another stream."""

    def __init__(self, stream: Stream, tls: TLSFilter, now: Callable[[], float]) -> None:
        """*now* gives the seconds by which time-outs are counted."""
        self._stream = stream
        self._filter = tls
        self._now = now
        self._interrupted = False

    async def handshake(self, timeout: float | None) -> None:
        """Agree on TLS within *timeout* seconds. Raises TLSFailed, TimedOut, ConnectionLost, each
        of the phase "TLS"."""
        left = self._countdown(timeout)
        try:
            while not self._filter.handshake():
                await self._flush(left())
                self._filter.receive(await self._stream.read(left()))
        except TransportError as error:
            error.phase, error.check = "TLS", error.check or _SPEAKS_TLS
            raise
        finally:
            with contextlib.suppress(SMTPError):
                await self._flush(timeout)

    async def read(self, timeout: float | None) -> bytes:
        left = self._countdown(timeout)  # for all the octets of a record, not for each
        while (octets := self._filter.read()) is None:
            await self._flush(left())
            records = await self._stream.read(left())
            if not records and self._interrupted:
                return b""  # TLS has not ended: there is a 421 to be written
            self._filter.receive(records)
        return octets

    async def write(self, data: bytes, timeout: float | None) -> None:
        for start in range(0, len(data), CHUNK):
            self._filter.write(data[start : start + CHUNK])
            await self._flush(timeout)

    async def close(self) -> None:
        self._filter.close()
        try:
            with contextlib.suppress(SMTPError):
                await self._flush(1)
        finally:
            await self._stream.close()

    def interrupt(self) -> None:
        self._interrupted = True
        self._stream.interrupt()

    @property
    def peername(self) -> tuple[str, int]:
        return self._stream.peername

    @property
    def sockname(self) -> tuple[str, int]:
        return self._stream.sockname

    @property
    def info(self) -> TLSInfo:
        """What was agreed."""
        return self._filter.info

    def _countdown(self, timeout: float | None) -> Callable[[], float | None]:
        """What is left of *timeout*, whenever it is asked."""
        if timeout is None:
            return lambda: None
        deadline = self._now() + timeout
        return lambda: max(deadline - self._now(), 0)

    async def _flush(self, timeout: float | None) -> None:
        if octets := self._filter.data_to_send():
            await self._stream.write(octets, timeout)
