"""TLS over ``ssl.MemoryBIO`` (RFC 3207, RFC 8314), written once, below the ports.

:class:`TLSFilter` turns plain octets into records and back, without I/O. :class:`TLSStream` applies
it to any :class:`~smtpproto.ports.Stream`, so that adapters move octets and know nothing of TLS.
:func:`filter_for` makes the filter that fits a context.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import ConnectionLost, SMTPError, TimedOut, TLSFailed, TransportError
from ..limits import CHUNK
from ..ports import Stream
from ..wire.stream_wrapper import StreamWrapper
from .context import Context, own_certificate
from .filter import (
    CHECK_SPEAKS_TLS,
    Filter,
    TLSInfo,
    closed_by_peer,
    failure,
    make_info,
    plain_name,
    renegotiation,
    unusable,
)


def filter_for(context: Context, **options: Any) -> Filter:
    """Return a filter of the library that *context* belongs to, with the options of
    :class:`.Filter`. Raises LocalProtocolError as that does, and if pyOpenSSL is not installed."""
    if isinstance(context, ssl.SSLContext):
        return TLSFilter(context, **options)
    try:
        from .openssl import OpenSSLFilter  # noqa: PLC0415 - pyOpenSSL is optional
    except ImportError as error:
        raise unusable(f"{error}; install smtpproto-sansio[tls-exporter]") from None
    return OpenSSLFilter(context, **options)


_RECORD = 16384  # octets in a record at most (RFC 8446 5.1)


class TLSFilter(Filter):
    """A filter that uses the standard library's ``ssl``."""

    def _open(self, context: ssl.SSLContext, name: str | None) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._ended = False
        self._verify_mode, self._by_name = context.verify_mode, context.check_hostname
        name = plain_name(name, required=self._by_name and not self.server_side)
        try:
            self.object: ssl.SSLObject = context.wrap_bio(
                self._incoming, self._outgoing, self.server_side, name
            )
        except ssl.SSLError as error:
            raise ValueError(error) from None

    def _step(self) -> bool:
        try:
            self.object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except (ssl.SSLError, ssl.CertificateError) as error:
            raise _failure(error) from None
        return True

    def _result(self) -> TLSInfo:
        certificate, cipher = self.object.getpeercert(True), self.object.cipher()
        named = self._by_name or bool(self._verify.names)
        verified = self._verify_mode is ssl.CERT_REQUIRED and named
        if self.server_side:
            # An SNI callback may have replaced the context; then both contexts must ask for it.
            modes = self._verify_mode, self.object.context.verify_mode
            verified = certificate is not None and ssl.CERT_NONE not in modes
        name = cipher[0] if cipher else ""
        return make_info(self.object.version() or "", name, certificate, verified, {})

    def _chain(self) -> Sequence[bytes]:
        """See :meth:`.Filter._chain`. Before Python 3.13 only an internal object can tell more than
        the peer's own certificate."""
        its: Any = self.object
        if hasattr(its, "get_unverified_chain"):
            return list(its.get_unverified_chain())
        shown = its._sslobj.get_unverified_chain() or ()
        return [ssl.PEM_cert_to_DER_cert(it.public_bytes()) for it in shown]

    @property
    def own_certificate(self) -> bytes | None:
        return own_certificate(self.object.context)

    def _take(self, octets: bytes) -> None:
        if octets:
            self._incoming.write(octets)
        else:
            self._ended = True
            self._incoming.write_eof()

    def read(self) -> bytes | None:
        if not (self._incoming.pending or self._ended):
            return None  # what ssl would say by an exception; each read takes a whole record
        try:
            octets = self.object.read(_RECORD)
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            octets = b""
        except ssl.SSLError as error:
            raise _failure(error) from None
        self._ended = self._ended or not octets
        return octets

    def write(self, octets: bytes) -> None:
        try:
            self.object.write(octets)
        except ssl.SSLWantReadError:
            raise renegotiation() from None
        except ssl.SSLError as error:
            raise ConnectionLost(f"the TLS connection is closed: {error.reason}") from None

    def close(self) -> None:
        with contextlib.suppress(ssl.SSLError):
            self.object.unwrap()

    def data_to_send(self) -> bytes:
        return self._outgoing.read()


def _failure(error: ssl.SSLError | ssl.CertificateError) -> TLSFailed:
    if isinstance(error, ssl.SSLEOFError):
        return closed_by_peer()
    reason = getattr(error, "reason", None) or "no reason given"
    return failure(reason, getattr(error, "verify_message", ""))


class TLSStream(StreamWrapper):
    """A stream that speaks TLS over another stream."""

    def __init__(self, stream: Stream, tls: Filter, now: Callable[[], float]) -> None:
        """Put *tls* over *stream*. *now* returns the seconds of a clock, to measure time-outs."""
        super().__init__(stream)
        self._filter = tls
        self._now = now
        self._interrupted = False

    async def handshake(self, timeout: float | None) -> None:
        """Do the handshake within *timeout* seconds. Raises TLSFailed, TimedOut or ConnectionLost,
        with the phase "TLS".

        What this side sends last leaves with its next octets, or before it reads.
        """
        deadline = self._deadline(timeout)
        try:
            while not self._filter.handshake():
                await self._flush(self._left(deadline))
                self._filter.receive(await self._stream.read(self._left(deadline)))
        except TransportError as error:
            error.phase, error.check = "TLS", error.check or CHECK_SPEAKS_TLS
            with contextlib.suppress(SMTPError):
                await self._flush(timeout)  # the alert
            raise

    async def read(self, timeout: float | None) -> bytes:
        """See :meth:`.Stream.read`; *timeout* is for a whole record."""
        if (octets := self._filter.read()) is not None:
            return octets
        deadline, waits = self._deadline(timeout), timeout != 0
        while True:
            # Without waiting, only a part might be written; the next call does it.
            if waits and (octets := self._filter.data_to_send()):
                await self._stream.write(octets, timeout)
                timeout = self._left(deadline)
            records = await self._stream.read(timeout)
            if not records and self._interrupted:
                return b""  # TLS stays open: the server still has to write 421
            self._filter.receive(records)
            if (octets := self._filter.read()) is not None:
                return octets
            if waits:
                timeout = self._left(deadline)

    async def write(self, data: bytes, timeout: float | None) -> None:
        """See :meth:`.Stream.write`."""
        for start in range(0, len(data), CHUNK):
            self._filter.write(data[start : start + CHUNK])
            await self._flush(timeout)

    async def end(self) -> None:
        """Send close_notify if possible, and end this side's direction."""
        await self._close_tls()
        await self._stream.end()

    async def close(self) -> None:
        """Send close_notify if possible, and close the stream."""
        try:
            await self._close_tls()
        finally:
            await self._stream.close()

    def interrupt(self) -> None:
        """See :meth:`.Stream.interrupt`."""
        self._interrupted = True
        self._stream.interrupt()

    @property
    def info(self) -> TLSInfo:
        """The result of the handshake."""
        return self._filter.info

    def _deadline(self, timeout: float | None) -> float | None:
        return None if timeout is None else self._now() + timeout

    def _left(self, deadline: float | None) -> float | None:
        """Return the seconds until *deadline*; None if there is none.

        Once the time is over, raise TimedOut even if something has arrived: a peer can send
        records without content for ever.
        """
        if deadline is None:
            return None
        if (left := deadline - self._now()) < 0:
            raise TimedOut("the peer sent only parts for too long")
        return left

    async def _close_tls(self) -> None:
        self._filter.close()
        with contextlib.suppress(SMTPError):
            await self._flush(1)

    async def _flush(self, timeout: float | None) -> None:
        if octets := self._filter.data_to_send():
            await self._stream.write(octets, timeout)
