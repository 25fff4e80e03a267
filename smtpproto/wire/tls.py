"""TLS over ``ssl.MemoryBIO`` (RFC 3207, RFC 8314), written once, below the ports.

:class:`TLSFilter` turns plain octets into records and back, without I/O. :class:`TLSStream` puts it
over any :class:`~smtpproto.ports.Stream`, so that adapters move octets and know nothing of TLS.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable

from attrs import field, frozen

from ..errors import ConnectionLost, SMTPError, TLSFailed
from ..grammar.printable import printable
from ..limits import CHUNK
from ..ports import Stream

Context = ssl.SSLContext
"""Certificates and rules for TLS, as the standard library has them."""


def client_context(*, verify: bool) -> Context:
    """A context for a client: the system's CAs, or, unverified, TLS against eavesdroppers only."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@frozen
class TLSInfo:
    """What a handshake agreed on. *peer_certificate* is in DER, None if the peer showed none."""

    version: str
    cipher: str
    peer_certificate: bytes | None = field(repr=False)


class TLSFilter:
    """One side of a TLS connection, without I/O."""

    def __init__(
        self, context: ssl.SSLContext, *, server_side: bool, server_hostname: str | None = None
    ) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )

    def handshake(self) -> bool:
        """Take the handshake as far as the octets received allow; whether it is done.

        Raises TLSFailed; :meth:`data_to_send` then holds the alert for the peer.
        """
        try:
            self.object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except (ssl.SSLError, ssl.CertificateError) as error:
            raise _failure(error) from None
        return True

    def receive(self, octets: bytes) -> None:
        """Take what arrived; b"" for the end."""
        if octets:
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


_CHECKS = {
    "WRONG_VERSION_NUMBER": "the port may speak plain SMTP: use STARTTLS there",
    "HTTP_REQUEST": "the port may speak plain SMTP: use STARTTLS there",
    "CERTIFICATE_VERIFY_FAILED": "the host name, the CA in use and the certificate's dates",
    "TLSV1_ALERT_UNKNOWN_CA": "whether the peer trusts the CA of your certificate",
}


def _failure(error: ssl.SSLError | ssl.CertificateError) -> TLSFailed:
    reason = getattr(error, "reason", None) or "handshake ended early"
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
        """Agree on TLS within *timeout* seconds. Raises TLSFailed, TimedOut, ConnectionLost."""
        left = self._countdown(timeout)
        try:
            while not self._filter.handshake():
                await self._flush(left())
                self._filter.receive(await self._stream.read(left()))
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
        tls = self._filter.object
        cipher = tls.cipher()
        return TLSInfo(tls.version() or "", cipher[0] if cipher else "", tls.getpeercert(True))

    def _countdown(self, timeout: float | None) -> Callable[[], float | None]:
        """What is left of *timeout*, whenever it is asked."""
        if timeout is None:
            return lambda: None
        deadline = self._now() + timeout
        return lambda: max(deadline - self._now(), 0)

    async def _flush(self, timeout: float | None) -> None:
        if octets := self._filter.data_to_send():
            await self._stream.write(octets, timeout)
