"""Parameters for when, how and to whom to deliver, and their date-times, by example."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from smtpproto.errors import GrammarError
from smtpproto.grammar.command import Mail, Rcpt
from smtpproto.grammar.command_line import parse_command
from smtpproto.grammar.parameters import MailParameters, RcptParameters
from smtpproto.grammar.rrvs import NoSupport, ValidSince
from smtpproto.grammar.scheduling import ByMode, DeliverBy
from smtpproto.grammar.timestamp import read_timestamp, to_utc, write_timestamp

NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)


def mail(text: str) -> MailParameters:
    command = parse_command(f"MAIL FROM:<a@b> {text}".encode())
    assert isinstance(command, Mail)
    return command.parameters


def rcpt(text: str) -> RcptParameters:
    command = parse_command(f"RCPT TO:<a@b> {text}".encode())
    assert isinstance(command, Rcpt)
    return command.parameters


def refused(line: str, enhanced: str = "5.5.4") -> None:
    """The line is answered with 501, and the place of the fault is in its parameters."""
    with pytest.raises(GrammarError) as caught:
        parse_command(line.encode())
    assert caught.value.reply is not None
    assert (caught.value.reply.code, str(caught.value.reply.enhanced)) == (501, enhanced)
    assert line.encode().index(b" ", 6) < caught.value.offset <= len(line.encode())


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
def test_by(text: str, by: DeliverBy) -> None:
    assert mail(f"BY={text}") == MailParameters(by=by)
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
def test_not_by(text: str) -> None:
    refused(f"MAIL FROM:<a@b> {text}")


@pytest.mark.parametrize(
    ("seconds", "mode"),
    [(0, ByMode.RETURN), (-1, ByMode.RETURN), (10**9, ByMode.RETURN), (-(10**9), ByMode.NOTIFY)],
)
def test_a_time_to_deliver_cannot_be_built_invalid(seconds: int, mode: ByMode) -> None:
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
def test_hold(text: str, parameters: MailParameters) -> None:
    assert mail(text) == mail(str(parameters)) == parameters
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
def test_not_hold(text: str) -> None:
    refused(f"MAIL FROM:<a@b> {text}")


@pytest.mark.req("RFC4865-5.2-01")
@pytest.mark.parametrize(
    ("hold", "by", "good"),
    [(100, "50;R", False), (50, "50;R", True), (51, "50;R", False), (1, "2;N", True),
     (1, "0;N", False), (1, "-5;N", False)],
)  # fmt: skip
def test_a_message_is_not_held_for_longer_than_it_may_take(hold: int, by: str, good: bool) -> None:
    for text in (f"HOLDFOR={hold} BY={by}", f"BY={by} HOLDFOR={hold}"):
        if good:
            assert mail(text) == MailParameters(hold_for=hold, by=DeliverBy.parse(by))
        else:
            refused(f"MAIL FROM:<a@b> {text}")
    if not good:
        with pytest.raises(GrammarError, match="HOLDFOR"):
            MailParameters(hold_for=hold, by=DeliverBy.parse(by))


@pytest.mark.parametrize("seconds", [0, -1, 10**9])
def test_a_hold_cannot_be_built_invalid(seconds: int) -> None:
    with pytest.raises(GrammarError):
        MailParameters(hold_for=seconds)
    with pytest.raises(GrammarError, match="offset"):
        MailParameters(hold_until=datetime(2030, 1, 1))
    with pytest.raises(GrammarError, match="exclude"):
        MailParameters(hold_for=1, hold_until=NEW_YEAR)


@pytest.mark.req("RFC6710-7-01")
@pytest.mark.parametrize("priority", range(-9, 10))
def test_priority(priority: int) -> None:
    assert mail(f"MT-PRIORITY={priority}") == MailParameters(mt_priority=priority)
    assert str(MailParameters(mt_priority=priority)) == f"MT-PRIORITY={priority}"


@pytest.mark.req("RFC6710-4.1-01", "RFC6710-7-01")
@pytest.mark.parametrize(
    "text",
    ["MT-PRIORITY", "MT-PRIORITY=x", "MT-PRIORITY=+1", "MT-PRIORITY=10", "MT-PRIORITY=-10",
     "MT-PRIORITY=-0", "MT-PRIORITY=01", "MT-PRIORITY=1.0", "MT-PRIORITY=\u0661",
     "MT-PRIORITY=1 MT-PRIORITY=1", "mt-priority=1 SIZE=1 MT-PRIORITY=2"],
)  # fmt: skip
def test_not_priority(text: str) -> None:
    refused(f"MAIL FROM:<a@b> {text}", "5.5.2")


@pytest.mark.parametrize("priority", [-10, 10])
def test_a_priority_cannot_be_built_invalid(priority: int) -> None:
    with pytest.raises(GrammarError):
        MailParameters(mt_priority=priority)


def test_requiretls() -> None:
    assert mail("RequireTLS") == MailParameters(requiretls=True)
    assert str(MailParameters(requiretls=True)) == "REQUIRETLS"


@pytest.mark.parametrize(
    ("text", "keywords"),
    [("a", ("a",)), ("org.example:ADV:ADLT", ("org.example:ADV:ADLT",)),
     ("a,B_1,c-", ("a", "B_1", "c-")), ("a,a", ("a", "a")), ("x" * 1000, ("x" * 1000,))],
)  # fmt: skip
def test_solicit(text: str, keywords: tuple[str, ...]) -> None:
    assert mail(f"SOLICIT={text}") == MailParameters(solicit=keywords)
    assert str(mail(f"SOLICIT={text}")) == f"SOLICIT={text}"


@pytest.mark.parametrize(
    "text",
    ["SOLICIT", "SOLICIT=", "SOLICIT=,", "SOLICIT=a,", "SOLICIT=,a", "SOLICIT=1a", "SOLICIT=a;b",
     "SOLICIT=é", "SOLICIT=" + "x" * 1001],
)  # fmt: skip
def test_not_solicit(text: str) -> None:
    refused(f"MAIL FROM:<a@b> {text}")


@pytest.mark.parametrize("keywords", [(), ("",), ("a", ""), ("a,b",), ("a b",), ("a\r\n",)])
def test_solicitations_cannot_be_built_invalid(keywords: tuple[str, ...]) -> None:
    with pytest.raises(GrammarError):
        MailParameters(solicit=keywords)


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
def test_rrvs(text: str, since: ValidSince, written: str) -> None:
    assert rcpt(f"RRVS={text}") == RcptParameters(rrvs=since)
    assert ValidSince.parse(text) == ValidSince.parse(written) == since
    assert str(since) == written
    assert len(f" RRVS={text}") <= 33  # RFC 7293 3.1


@pytest.mark.parametrize(
    "text",
    ["RRVS", "RRVS=", "RRVS=;C", "RRVS=2014-04-03T23:01:00Z;", "RRVS=2014-04-03T23:01:00Z;X",
     "RRVS=2014-04-03T23:01:00Z;CR", "RRVS=2014-04-03T23:01:00.5Z", "RRVS=2014-04-03T23:01:00.0Z",
     "RRVS=2014-04-03T23:01:00", "RRVS=2014-04-03", "RRVS=2014-04-03T23:01:00Z RRVS=x"],
)  # fmt: skip
def test_not_rrvs(text: str) -> None:
    refused(f"RCPT TO:<a@b> {text}")


def test_an_instant_of_ownership_cannot_be_built_invalid() -> None:
    for since in (datetime(2030, 1, 1), NEW_YEAR + timedelta(microseconds=1)):
        with pytest.raises(GrammarError):
            ValidSince(since)


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
def test_timestamps(text: str, written: str) -> None:
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
def test_not_a_timestamp(text: str) -> None:
    with pytest.raises(GrammarError) as caught:
        read_timestamp(text)
    assert caught.value.reply is not None
    assert caught.value.reply.code == 501


def test_instants_are_kept_in_utc() -> None:
    cet = timezone(timedelta(hours=1))
    assert to_utc(datetime(2030, 1, 1, 1, tzinfo=cet)) == NEW_YEAR
    parameters = MailParameters(hold_until=datetime(2030, 1, 1, 1, tzinfo=cet))
    assert parameters.hold_until is not None
    assert parameters.hold_until.tzinfo is UTC
    west = timezone(timedelta(hours=-1))
    for beyond in (datetime.min.replace(tzinfo=cet), datetime.max.replace(tzinfo=west)):
        with pytest.raises(GrammarError):
            to_utc(beyond)
