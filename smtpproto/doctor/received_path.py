"""The way of a message, as its Received fields tell it (RFC 5321 4.4)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import mktime_tz, parsedate_tz
from ipaddress import ip_address
from itertools import pairwise

from attrs import evolve, frozen

from ..grammar.pattern import pattern
from ..grammar.printable import printable
from ..grammar.reply import accepts
from .finding import Finding, Subject, note, ok

__all__ = ["Hop", "judge_path", "read_path"]

_HOPS = 100  # of a message that are read
_TEXT = 4096  # characters of a field that are read
_MANY = 25  # hops; RFC 5321 6.3 takes 100 for a loop
_SLOW = 900.0  # seconds between two hosts
_SKEW = 300.0  # seconds by which clocks may differ
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BLANKS = pattern(r"\s+")
_FROM = pattern(r"from ([^\s();]+)", re.IGNORECASE)
_ADDRESS = pattern(r"\[(?:IPv6:)?([0-9A-Fa-f:.]+)\]", re.IGNORECASE)
_BY = pattern(r"(?:^| )by ([^\s();]+)", re.IGNORECASE)
_WITH = pattern(r" with ([A-Za-z0-9]+)", re.IGNORECASE)


@frozen(kw_only=True)
class Hop:
    """What one host says of its receipt of the message. All but its own field may be forged."""

    hello: str = ""
    """The name that the client gave."""
    address: str = ""
    """The IP address of the client."""
    by: str = ""
    """The host that received it."""
    protocol: str = ""
    """The word after ``with``, for example ``ESMTPS``."""
    at: float | None = None
    """When, in seconds since the epoch; None if that cannot be read."""

    @classmethod
    def read(cls, body: str) -> Hop:
        """Read the body of a Received field, as far as it is as usual."""
        text = _BLANKS.sub(" ", body[:_TEXT]).strip()
        clauses, _, date = text.rpartition(";")
        by = _BY.search(clauses)
        client = clauses[: by.start()] if by else clauses
        hello, address = _FROM.match(clauses), _ADDRESS.search(client)
        known = address is not None and accepts(ip_address, address[1])
        protocol = _WITH.search(clauses)
        return cls(
            hello=hello[1] if hello else "",
            address=address[1] if address and known else "",
            by=by[1] if by else "",
            protocol=protocol[1].upper() if protocol else "",
            at=_seconds(date),
        )

    @property
    def secure(self) -> bool:
        """Whether it came over TLS (RFC 3848)."""
        return self.protocol.rstrip("A").endswith("S")

    def __str__(self) -> str:
        source = " ".join(filter(None, [self.hello, self.address and f"[{self.address}]"]))
        how = f" with {self.protocol}" if self.protocol else ""
        return f"{source or 'somebody'} to {self.by or 'somebody'}{how}"


def _seconds(date: str) -> float | None:
    try:
        parsed = parsedate_tz(date)
        if parsed is not None:
            found = float(mktime_tz(parsed))
            _date(found)  # raises for a year that dates do not have
            return found
    except (ValueError, OverflowError, TypeError, IndexError):
        pass
    return None


def read_path(bodies: Iterable[str]) -> list[Hop]:
    """Return the hops of a message, the first of its way first, from the bodies of its Received
    fields from the top."""
    return [Hop.read(body) for body in [*bodies][:_HOPS]][::-1]


def judge_path(hops: Sequence[Hop]) -> Iterator[Finding]:
    """Judge the way of a message."""
    about = "Received"
    if not hops:
        yield note(Subject.RECEIVED, about, "no host says that it has received the message")
        return
    story = "\n".join(_told(hops))
    text = f"{len(hops)} hop{'s' * (len(hops) > 1)}{_total(hops)}"
    yield evolve(ok(Subject.RECEIVED, about, text), detail=story)
    if len(hops) > _MANY:
        mend = "Look for a loop of forwarders; at 100 hops hosts refuse the message."
        yield note(Subject.RECEIVED, about, "the way is very long", mend)
    for before, hop in pairwise(hops):
        yield from _judge_wait(before, hop)
    if not hops[-1].secure:
        text = f"the last host received it without TLS ({hops[-1].protocol or 'unknown'})"
        yield note(Subject.RECEIVED, about, text, "Let the sending host use STARTTLS.")


def _judge_wait(before: Hop, hop: Hop) -> Iterator[Finding]:
    if before.at is None or hop.at is None:
        return
    wait = hop.at - before.at
    if wait < -_SKEW:
        text = f"the clock of {hop.by} is {-wait:.0f} seconds behind that of {before.by}"
        yield note(Subject.RECEIVED, hop.by, text, "Set the clocks: signatures may expire by it.")
    elif wait > _SLOW:
        text = f"the message waited for {timedelta(seconds=round(wait))} before it came here"
        yield note(Subject.RECEIVED, hop.by, text, f"Look into the log of {before.by}.")


def _told(hops: Sequence[Hop]) -> Iterator[str]:
    earlier: float | None = None
    for number, hop in enumerate(hops, 1):
        when = "" if hop.at is None else f", {_date(hop.at)}"
        wait = "" if hop.at is None or earlier is None else f" (+{hop.at - earlier:.0f} s)"
        earlier = earlier if hop.at is None else hop.at
        yield printable(f"{number}. {hop}{when}{wait}")


def _date(at: float) -> str:
    return f"{_EPOCH + timedelta(seconds=at):%Y-%m-%d %H:%M:%S} UTC"


def _total(hops: Sequence[Hop]) -> str:
    first, last = hops[0].at, hops[-1].at
    return "" if first is None or last is None else f" in {last - first:.0f} seconds"
