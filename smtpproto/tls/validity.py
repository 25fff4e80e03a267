"""From when and until when a certificate is valid."""

from __future__ import annotations

from datetime import UTC, datetime

from .binding import elements, inner

__all__ = ["VERSION", "expiry", "validity"]

VERSION = 0xA0  # the tag of the first field, which old certificates lack
_TIMES = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}  # UTCTime, GeneralizedTime


def validity(certificate: bytes) -> tuple[float, float] | None:
    """Return from when and until when *certificate*, in DER, is valid, in seconds since the epoch
    (RFC 5280 4.1.2.5); None if that cannot be read."""
    try:
        (_, body), *_ = elements(inner(certificate))
        fields = [it for it in elements(body) if it[0] != VERSION]
        begin, end = (_time(tag, octets) for tag, octets in elements(fields[3][1]))
        return begin, end
    except (ValueError, LookupError):
        return None


def _time(tag: int, octets: bytes) -> float:
    time = datetime.strptime(octets.decode("ascii"), _TIMES[tag])
    return time.replace(tzinfo=UTC).timestamp()


def expiry(certificate: bytes) -> float | None:
    """Return when *certificate*, in DER, expires, in seconds since the epoch; None if that cannot
    be read."""
    dates = validity(certificate)
    return None if dates is None else dates[1]
