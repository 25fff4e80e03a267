"""The RRVS parameter of RCPT (RFC 7293)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from smtpproto.errors import GrammarError
from smtpproto.grammar.parameters import RcptParameters
from smtpproto.grammar.scheduling import NoSupport, ValidSince
from tests.support.parameters import assert_refused, parse_rcpt

NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.req("RFC7293-3-01")
@pytest.mark.parametrize(
    ("text", "since", "written"),
    [("2014-04-03T23:01:00Z", ValidSince(datetime(2014, 4, 3, 23, 1, tzinfo=UTC)),
      "2014-04-03T23:01:00Z"),
     ("1997-11-24T14:22:01-08:00;C",
      ValidSince(datetime(1997, 11, 24, 22, 22, 1, tzinfo=UTC), NoSupport.CONTINUE),
      "1997-11-24T22:22:01Z;C"),
     ("2003-07-01T10:52:37+02:00;r",
      ValidSince(datetime(2003, 7, 1, 8, 52, 37, tzinfo=UTC), NoSupport.REJECT),
      "2003-07-01T08:52:37Z;R")],
)  # fmt: skip
def test_rrvs_is_read_and_written_in_utc(text: str, since: ValidSince, written: str) -> None:
    assert parse_rcpt(f"RRVS={text}") == RcptParameters(rrvs=since)
    assert ValidSince.parse(text) == ValidSince.parse(written) == since
    assert str(since) == written
    assert len(f" RRVS={text}") <= 33  # RFC 7293 3.1


@pytest.mark.req("RFC7293-3-01")
@pytest.mark.parametrize(
    "text",
    ["RRVS", "RRVS=", "RRVS=;C", "RRVS=2014-04-03T23:01:00Z;", "RRVS=2014-04-03T23:01:00Z;X",
     "RRVS=2014-04-03T23:01:00Z;CR", "RRVS=2014-04-03T23:01:00.5Z", "RRVS=2014-04-03T23:01:00.0Z",
     "RRVS=2014-04-03T23:01:00", "RRVS=2014-04-03", "RRVS=2014-04-03T23:01:00Z RRVS=x"],
)  # fmt: skip
def test_a_bad_rrvs_is_refused_with_501(text: str) -> None:
    assert_refused(f"RCPT TO:<a@b> {text}")


def test_valid_since_needs_a_time_zone_and_whole_seconds() -> None:
    for since in (datetime(2030, 1, 1), NEW_YEAR + timedelta(microseconds=1)):
        with pytest.raises(GrammarError):
            ValidSince(since)
