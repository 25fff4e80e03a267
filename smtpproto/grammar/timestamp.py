"""Date-times on the Internet (RFC 3339 5.6), as parameters write them."""

from __future__ import annotations

from datetime import MAXYEAR, UTC, datetime, timedelta

from .parameter_codec import bad_parameter
from .pattern import pattern
from .reply import GrammarError

_DATE_TIME = pattern(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:)([0-5][0-9]|60)"
    r"(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-5][0-9])"
)


def to_utc(when: datetime) -> datetime:
    """Return the same instant in UTC. Raises GrammarError if *when* has no time zone, or if its
    year in UTC is not 1 to 9999."""
    if when.utcoffset() is None:
        raise bad_parameter("a date-time needs its offset from UTC")
    try:
        return when.astimezone(UTC)
    except OverflowError:
        raise _not_a_date_time() from None


def read_timestamp(text: str) -> datetime:
    """Read ``date-time`` and return it in UTC.

    A leap second is read as the second after it; digits beyond microseconds are dropped. Raises
    GrammarError.
    """
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise _not_a_date_time()
    start, second, fraction, offset = match.groups("")
    leap = second == "60"
    try:
        when = datetime.fromisoformat(f"{start}{59 if leap else second}{fraction}{offset}".upper())
    except ValueError:
        raise _not_a_date_time() from None
    return _after_leap(to_utc(when)) if leap else to_utc(when)


def _after_leap(when: datetime) -> datetime:
    """Return the second after *when*, whose second was written as 60. Raises GrammarError if it is
    not 23:59 in UTC: leap seconds occur only there (RFC 3339 5.7)."""
    if (when.hour, when.minute) != (23, 59) or when.year == MAXYEAR:
        raise _not_a_date_time()
    return when + timedelta(seconds=1)


def write_timestamp(when: datetime) -> str:
    """Write an instant in UTC as ``2030-01-31T12:00:00Z``, with a fraction only if it has one."""
    seconds, dot, fraction = when.replace(tzinfo=None).isoformat().partition(".")
    return f"{seconds}{dot}{fraction.rstrip('0')}Z"


def _not_a_date_time() -> GrammarError:
    return bad_parameter("not a date-time of RFC 3339")
