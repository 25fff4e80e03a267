"""Date-times on the Internet (RFC 3339 5.6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from smtpproto.errors import GrammarError
from smtpproto.grammar.parameters import MailParameters
from smtpproto.grammar.timestamp import read_timestamp, to_utc, write_timestamp

NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "written"),
    [("1985-04-12T23:20:50.52Z", "1985-04-12T23:20:50.52Z"),
     ("1996-12-19T16:39:57-08:00", "1996-12-20T00:39:57Z"),
     ("1937-01-01T12:00:27.87+00:20", "1937-01-01T11:40:27.87Z"),
     ("1990-12-31T23:59:60Z", "1991-01-01T00:00:00Z"),
     ("1990-12-31T15:59:60-08:00", "1991-01-01T00:00:00Z"),
     ("2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.5Z"),
     ("2000-02-29T00:00:00-00:00", "2000-02-29T00:00:00Z"),
     ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
     ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
     ("2030-01-01T00:00:00.1234567Z", "2030-01-01T00:00:00.123456Z"),
     ("2030-01-01T00:00:00.000Z", "2030-01-01T00:00:00Z")],
)  # fmt: skip
def test_a_timestamp_is_read_and_written_in_utc(text: str, written: str) -> None:
    assert write_timestamp(read_timestamp(text)) == written
    assert read_timestamp(text.lower()) == read_timestamp(text) == read_timestamp(written)


@pytest.mark.parametrize(
    "text",
    ["", "2030", "2030-01-01", "2030-01-01T00:00:00", "2030-01-01 00:00:00Z", "2030-01-01T00:00Z",
     "2030-1-1T00:00:00Z", "0000-01-01T00:00:00Z", "2030-13-01T00:00:00Z", "2030-04-31T00:00:00Z",
     "2030-02-29T00:00:00Z", "2030-01-01T24:00:00Z", "2030-01-01T00:60:00Z", "2030-01-01T00:00:61Z",
     "2030-01-01T00:00:00.Z", "2030-01-01T00:00:00,5Z", "2030-01-01T00:00:00+0100",
     "2030-01-01T00:00:00+24:00", "2030-01-01T00:00:00+00:60", "2030-01-01T00:00:00+00:00:01",
     "2030-01-01T00:00:00ZZ", "2030-01-01T00:00:00Z\n", "2030-W01-1T00:00:00Z",
     "\u0662030-01-01T00:00:00Z", "2030-01-01T12:00:60Z", "2030-01-01T23:59:60+01:00",
     "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "9999-12-31T23:59:60Z",
     "2030-01-01T00:00:00\u212a"],
)  # fmt: skip
def test_a_malformed_timestamp_is_refused_with_501(text: str) -> None:
    with pytest.raises(GrammarError) as caught:
        read_timestamp(text)
    assert caught.value.reply is not None
    assert caught.value.reply.code == 501


def test_instants_are_converted_to_utc() -> None:
    cet = timezone(timedelta(hours=1))
    assert to_utc(datetime(2030, 1, 1, 1, tzinfo=cet)) == NEW_YEAR
    parameters = MailParameters(hold_until=datetime(2030, 1, 1, 1, tzinfo=cet))
    assert parameters.hold_until is not None
    assert parameters.hold_until.tzinfo is UTC
    west = timezone(timedelta(hours=-1))
    for beyond in (datetime.min.replace(tzinfo=cet), datetime.max.replace(tzinfo=west)):
        with pytest.raises(GrammarError):
            to_utc(beyond)
