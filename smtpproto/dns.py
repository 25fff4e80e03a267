"""Ring 0: what the DNS says, and the port that asks it.

Names are text in ASCII (A-labels), in lower case and without the dot at their end.
"""

from __future__ import annotations

import enum
import re
from typing import Protocol

from attrs import frozen

__all__ = [
    "MX", "SRV", "TLSA", "Answer", "Kind", "Record", "Resolver", "Status", "txt_record",
]  # fmt: skip


class Kind(enum.Enum):
    """The types of records that the library asks for."""

    A = "A"
    AAAA = "AAAA"
    MX = "MX"
    PTR = "PTR"
    SRV = "SRV"
    TLSA = "TLSA"
    TXT = "TXT"


class Status(enum.Enum):
    """How a question ended. They differ in what a mail agent may conclude from them."""

    FOUND = "found"
    NO_DATA = "no data"
    """The name exists, and has no record of this type."""
    NO_NAME = "no such name"
    """The name does not exist (NXDOMAIN)."""
    FAILED = "failed"
    """Nothing is known: no server answered, or a server failed. Ask again later."""
    BOGUS = "bogus"
    """DNSSEC proves that the answer is forged, or out of date. Nothing is known either."""


@frozen(order=True)
class MX:
    """A mail exchanger (RFC 5321 5.1)."""

    preference: int
    """The lowest is tried first."""
    exchange: str
    """The name of the host; "" is the root, which says that there is none (RFC 7505)."""


@frozen(kw_only=True)
class SRV:
    """A host and port of a service (RFC 2782)."""

    priority: int
    """The lowest is tried first."""
    weight: int
    """The share of the clients that try this one first, among those of its priority."""
    port: int
    target: str
    """The name of the host; "" is the root, which says that the domain does not offer the
    service."""


@frozen
class TLSA:
    """What DANE says of a server's certificate (RFC 6698 2.1). Nothing is checked here."""

    usage: int
    """Which certificate of the chain: 2 is a CA's (DANE-TA), 3 the server's own (DANE-EE)."""
    selector: int
    """What of it: 0 all, 1 its public key."""
    matching: int
    """How that is in *data*: 0 itself, 1 its SHA-256, 2 its SHA-512."""
    data: bytes


Record = MX | SRV | TLSA | str | bytes
"""An exchanger; a host of a service; a record of DANE; the text of an address or of a name; or the
octets of a TXT record, whose strings are joined."""


@frozen(kw_only=True)
class Answer:
    """The answer to a question."""

    status: Status
    records: tuple[Record, ...] = ()
    """All records of the type that was asked for, in the order of the answer."""
    ttl: float = 0
    """Seconds for which this may be kept: the least of the records and the aliases on the way; of
    the negative answer, if there are no records (RFC 2308)."""
    name: str = ""
    """The name at the end of the aliases (CNAME); "" if it is the one that was asked for."""
    authentic: bool = False
    """Whether a resolver that is trusted says that DNSSEC has proved it."""
    detail: str = ""
    """What went wrong, for people."""

    @property
    def known(self) -> bool:
        """Whether this says something about the name; a failure does not."""
        return self.status not in (Status.FAILED, Status.BOGUS)

    @property
    def exchangers(self) -> tuple[MX, ...]:
        """The records of an answer to MX."""
        return tuple(record for record in self.records if isinstance(record, MX))

    @property
    def services(self) -> tuple[SRV, ...]:
        """The records of an answer to SRV."""
        return tuple(record for record in self.records if isinstance(record, SRV))

    @property
    def tlsa(self) -> tuple[TLSA, ...]:
        """The records of an answer to TLSA."""
        return tuple(record for record in self.records if isinstance(record, TLSA))

    @property
    def texts(self) -> tuple[str, ...]:
        """The records of an answer to A, AAAA or PTR."""
        return tuple(record for record in self.records if isinstance(record, str))

    @property
    def octets(self) -> tuple[bytes, ...]:
        """The records of an answer to TXT."""
        return tuple(record for record in self.records if isinstance(record, bytes))


class Resolver(Protocol):
    """Asks the DNS."""

    async def lookup(self, name: str, kind: Kind) -> Answer:
        """Return the answer for *name*, with its aliases followed.

        It never raises for what the DNS does: a failure is an answer.
        """
        ...


def txt_record(name: str, text: str) -> str:
    """Return a TXT record as a line of a zone file. A *text* of more than 255 characters becomes
    several strings (RFC 1035 3.3.14), which readers join."""
    parts = [text[start : start + 255] for start in range(0, len(text) or 1, 255)]
    quoted = " ".join(f'"{it}"' for it in (re.sub(r'(["\\])', r"\\\1", it) for it in parts))
    return f"{name}. IN TXT {quoted}"
