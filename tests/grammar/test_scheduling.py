"""The parameters BY (RFC 2852), HOLDFOR and HOLDUNTIL (RFC 4865), and MT-PRIORITY (RFC 6710)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from smtpproto.errors import GrammarError
from smtpproto.grammar.parameters import MailParameters
from smtpproto.grammar.scheduling import ByMode, DeliverBy
from tests.support.parameters import assert_refused, parse_mail

NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.req("RFC2852-4-01")
@pytest.mark.parametrize(
    ("text", "by"),
    [("120;R", DeliverBy(120, ByMode.RETURN)), ("-5;NT", DeliverBy(-5, ByMode.NOTIFY, trace=True)),
     ("+60;R", DeliverBy(60, ByMode.RETURN)), ("1;rt", DeliverBy(1, ByMode.RETURN, trace=True)),
     ("0;N", DeliverBy(0, ByMode.NOTIFY)), ("-0;n", DeliverBy(0, ByMode.NOTIFY)),
     ("000000001;R", DeliverBy(1, ByMode.RETURN)), ("-1;N", DeliverBy(-1, ByMode.NOTIFY)),
     ("999999999;R", DeliverBy(999999999, ByMode.RETURN)),
     ("-999999999;NT", DeliverBy(-999999999, ByMode.NOTIFY, trace=True))],
)  # fmt: skip
def test_by_is_read_and_written(text: str, by: DeliverBy) -> None:
    assert parse_mail(f"BY={text}") == MailParameters(by=by)
    assert DeliverBy.parse(text) == DeliverBy.parse(str(by)) == by
    assert len(f" BY={by}") <= 17  # RFC 2852 2


@pytest.mark.req("RFC2852-4-01", "RFC2852-4-02")
@pytest.mark.parametrize(
    "text",
    ["BY", "BY=", "BY=120", "BY=120;", "BY=;R", "BY=1234567890;R",
     "BY=0000000001;R", "BY=1;X", "BY=1;RN", "BY=1;TR",
     "BY=1;RTT", "BY=--1;N", "BY=1.5;N", "BY=1_0;R", "BY=\u0661;R", "BY=1,R", "BY=0;R", "BY=-1;R",
     "BY=+0;RT", "BY=-999999999;R", "BY=1;R BY=1;R"],
)  # fmt: skip
def test_a_bad_by_is_refused_with_501(text: str) -> None:
    assert_refused(f"MAIL FROM:<a@b> {text}")


@pytest.mark.parametrize(
    ("seconds", "mode"),
    [(0, ByMode.RETURN), (-1, ByMode.RETURN), (10**9, ByMode.RETURN), (-(10**9), ByMode.NOTIFY)],
)
def test_an_invalid_deliver_by_cannot_be_built(seconds: int, mode: ByMode) -> None:
    with pytest.raises(GrammarError):
        DeliverBy(seconds, mode)


@pytest.mark.req("RFC4865-3-02")
@pytest.mark.parametrize(
    ("text", "parameters"),
    [("HOLDFOR=1", MailParameters(hold_for=1)),
     ("holdfor=999999999", MailParameters(hold_for=999999999)),
     ("HOLDUNTIL=2030-01-01T00:00:00Z", MailParameters(hold_until=NEW_YEAR)),
     ("HOLDUNTIL=2030-01-01t00:00:00z", MailParameters(hold_until=NEW_YEAR)),
     ("HOLDUNTIL=2030-01-01T00:00:00.25Z",
      MailParameters(hold_until=NEW_YEAR + timedelta(milliseconds=250)))],
)  # fmt: skip
def test_holdfor_and_holduntil_are_read_and_written(text: str, parameters: MailParameters) -> None:
    assert parse_mail(text) == parse_mail(str(parameters)) == parameters
    assert len(f" {parameters}") <= 34  # RFC 4865 3


@pytest.mark.req("RFC4865-3-02")
@pytest.mark.parametrize(
    "text",
    ["HOLDFOR", "HOLDFOR=", "HOLDFOR=0", "HOLDFOR=1000000000", "HOLDFOR=01", "HOLDFOR=-1",
     "HOLDFOR=+1", "HOLDFOR=1.0", "HOLDFOR=1s", "HOLDUNTIL", "HOLDUNTIL=", "HOLDUNTIL=1",
     "HOLDUNTIL=2030-01-01T00:00:00", "HOLDUNTIL=2030-01-01T00:00:00+00:00",
     "HOLDUNTIL=2030-01-01T01:00:00+01:00", "HOLDUNTIL=2030-01-01",
     "HOLDUNTIL=2030-02-29T00:00:00Z", "HOLDUNTIL=20300101T000000Z",
     "HOLDUNTIL=2030-01-01T24:00:00Z"],
)  # fmt: skip
def test_a_bad_hold_is_refused_with_501(text: str) -> None:
    assert_refused(f"MAIL FROM:<a@b> {text}")


@pytest.mark.parametrize(
    ("hold", "by", "good"),
    [(100, "50;R", False), (50, "50;R", True), (51, "50;R", False), (1, "2;N", True),
     (1, "0;N", False), (1, "-5;N", False)],
)  # fmt: skip
def test_holdfor_must_not_be_longer_than_by(hold: int, by: str, good: bool) -> None:
    for text in (f"HOLDFOR={hold} BY={by}", f"BY={by} HOLDFOR={hold}"):
        if good:
            assert parse_mail(text) == MailParameters(hold_for=hold, by=DeliverBy.parse(by))
        else:
            assert_refused(f"MAIL FROM:<a@b> {text}", in_last=False)
    if not good:
        with pytest.raises(GrammarError, match="HOLDFOR"):
            MailParameters(hold_for=hold, by=DeliverBy.parse(by))


@pytest.mark.parametrize("seconds", [0, -1, 10**9])
def test_an_invalid_hold_cannot_be_built(seconds: int) -> None:
    with pytest.raises(GrammarError):
        MailParameters(hold_for=seconds)
    with pytest.raises(GrammarError, match="offset"):
        MailParameters(hold_until=datetime(2030, 1, 1))
    with pytest.raises(GrammarError, match="exclude"):
        MailParameters(hold_for=1, hold_until=NEW_YEAR)


@pytest.mark.req("RFC6710-7-01")
@pytest.mark.parametrize("priority", range(-9, 10))
def test_mt_priority_is_read_and_written(priority: int) -> None:
    assert parse_mail(f"MT-PRIORITY={priority}") == MailParameters(mt_priority=priority)
    assert str(MailParameters(mt_priority=priority)) == f"MT-PRIORITY={priority}"


@pytest.mark.req("RFC6710-4.1-01", "RFC6710-7-01")
@pytest.mark.parametrize(
    "text",
    ["MT-PRIORITY", "MT-PRIORITY=x", "MT-PRIORITY=+1", "MT-PRIORITY=10", "MT-PRIORITY=-10",
     "MT-PRIORITY=-0", "MT-PRIORITY=01", "MT-PRIORITY=1.0", "MT-PRIORITY=\u0661",
     "MT-PRIORITY=1 MT-PRIORITY=1", "mt-priority=1 SIZE=1 MT-PRIORITY=2"],
)  # fmt: skip
def test_a_bad_mt_priority_is_refused_with_501_and_5_5_2(text: str) -> None:
    assert_refused(f"MAIL FROM:<a@b> {text}", "5.5.2")


@pytest.mark.parametrize("priority", [-10, 10])
def test_a_priority_is_minus_9_to_9(priority: int) -> None:
    with pytest.raises(GrammarError):
        MailParameters(mt_priority=priority)
