"""Until when a certificate is valid."""

from __future__ import annotations

from datetime import UTC, datetime

from .binding import elements, inner

__all__ = ["expiry"]

_VERSION = 0xA0  # the tag of the first field, which old certificates lack
_TIMES = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}  # UTCTime, GeneralizedTime


def expiry(certificate: bytes) -> float | None:
    """Return when *certificate*, in DER, expires, in seconds since the epoch (RFC 5280 4.1.2.5);
    None if that cannot be read."""
    try:
        (_, body), *_ = elements(inner(certificate))
        fields = [it for it in elements(body) if it[0] != _VERSION]
        _, (tag, octets) = elements(fields[3][1])
        time = datetime.strptime(octets.decode("ascii"), _TIMES[tag])
        return time.replace(tzinfo=UTC).timestamp()
    except (ValueError, LookupError):
        return None
