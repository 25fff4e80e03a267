"""What a certificate says of itself: its names, its issuer, its dates (RFC 5280 4.1)."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from ..grammar.printable import printable
from .binding import elements, inner
from .identity import identities
from .validity import VERSION, validity

__all__ = ["CertificateFacts", "read_certificate"]

_COMMON_NAME, _ORGANISATION = bytes.fromhex("550403"), bytes.fromhex("55040a")
_MOST = 20  # names


@frozen
class CertificateFacts:
    """What a certificate says of itself. Nothing of it is verified."""

    names: tuple[str, ...]
    """The names of its subject (subjectAltName), the first 20."""
    issuer: str
    """Who has issued it: organisation and common name."""
    is_self_issued: bool
    """Whether issuer and subject are equal."""
    begins: float
    """Since when it is valid, in seconds since the epoch."""
    ends: float
    """Until when it is valid, in seconds since the epoch."""


def read_certificate(certificate: bytes) -> CertificateFacts | None:
    """Return what *certificate*, in DER, says; None if it cannot be read."""
    try:
        (_, body), *_ = elements(inner(certificate))
        fields = [it for it in elements(body) if it[0] != VERSION]
        dates = validity(certificate)
        if dates is None:
            return None
        issuer, subject = fields[2][1], fields[4][1]
        return CertificateFacts(
            names=tuple(map(printable, identities(certificate)[:_MOST])),
            issuer=", ".join(_named(issuer)) or "an issuer without a name",
            is_self_issued=issuer == subject,
            begins=dates[0],
            ends=dates[1],
        )
    except (ValueError, LookupError):
        return None


def _named(name: bytes) -> Iterator[str]:
    """Yield organisation and common name of a distinguished name."""
    found = {}
    for _, relative in elements(name):
        for _, attribute in elements(relative):
            (_, identifier), (_, value) = elements(attribute)
            found[identifier] = printable(value)
    yield from (found[it] for it in (_ORGANISATION, _COMMON_NAME) if it in found)
