"""What EHLO keywords say, what a server may offer, and what its offer excludes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given

from smtpproto.errors import GrammarError
from smtpproto.grammar.command_line import parse_command
from smtpproto.grammar.dsn import OriginalRecipient
from smtpproto.grammar.ehlo_parameters import FutureRelease, SessionLimits
from smtpproto.grammar.extension import EXTENSIONS, Extensions
from smtpproto.grammar.offer_rules import check_offer, refusal_of
from smtpproto.grammar.parameters import Body, MailParameters, RcptParameters
from smtpproto.grammar.reply import Reply
from smtpproto.grammar.scheduling import ByMode, DeliverBy
from smtpproto.testing import strategies as our

NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)
NO_LIMITS = SessionLimits()


def offered(*lines: str) -> Extensions:
    return Extensions.from_reply(Reply(250, None, ["mx.example", *lines]))


@pytest.mark.req("RFC9422-3-01", "RFC9422-3-02", "RFC9422-3-03", "RFC9422-3-04")
@pytest.mark.parametrize(
    ("line", "limits"),
    [("LIMITS MAILMAX=10 rcptmax=100", SessionLimits(mail_max=10, rcpt_max=100)),
     ("limits RcptDomainMax=1", SessionLimits(rcpt_domain_max=1)),
     ("LIMITS MAILMAX=999999", SessionLimits(mail_max=999999)),
     ("LIMITS FOO=1 RCPTMAX=5", SessionLimits(rcpt_max=5)),
     ("LIMITS FOO RCPTMAX=5 B-A_R=a=b", SessionLimits(rcpt_max=5)),
     # bad syntax: nothing of it counts
     ("LIMITS", NO_LIMITS), ("LIMITS RCPTMAX=a;b", NO_LIMITS), ("LIMITS =5", NO_LIMITS),
     ("LIMITS MAILMAX=5 =5", NO_LIMITS), ("LIMITS MAILMAX=5 RCPTMAX=", NO_LIMITS),
     ("LIMITS MAILMAX=5 A.B=1", NO_LIMITS),
     ("LIMITS MAILMAX=5 RCPTMAX=a;b", NO_LIMITS),
     # a bad value: the others count
     ("LIMITS RCPTMAX=x MAILMAX=5", SessionLimits(mail_max=5)),
     ("LIMITS RCPTMAX=0 MAILMAX=5", SessionLimits(mail_max=5)),
     ("LIMITS RCPTMAX=01 MAILMAX=5", SessionLimits(mail_max=5)),
     ("LIMITS RCPTMAX=1000000 MAILMAX=5", SessionLimits(mail_max=5)),
     ("LIMITS RCPTMAX MAILMAX=5", SessionLimits(mail_max=5)),
     ("LIMITS RCPTMAX=-1 RCPTDOMAINMAX=+1 MAILMAX=1.0", NO_LIMITS)],
)  # fmt: skip
def test_limits(line: str, limits: SessionLimits) -> None:
    assert offered(line).limits == limits
    assert SessionLimits.parse_leniently(str(limits)) == limits


def test_limits_without_the_keyword_say_nothing() -> None:
    assert offered().limits == NO_LIMITS
    assert str(NO_LIMITS) == ""
    assert str(SessionLimits(rcpt_domain_max=3, mail_max=1)) == "MAILMAX=1 RCPTDOMAINMAX=3"


@pytest.mark.parametrize("limit", [0, -1, 1_000_000])
def test_limits_cannot_be_built_invalid(limit: int) -> None:
    for name in ("mail_max", "rcpt_max", "rcpt_domain_max"):
        with pytest.raises(GrammarError):
            SessionLimits(**{name: limit})


@pytest.mark.req("RFC2852-2-01")
@pytest.mark.parametrize(
    ("line", "seconds"),
    [("DELIVERBY", None), ("DELIVERBY 240", 240), ("DELIVERBY ,x", None),
     ("DELIVERBY 240,x,y=1", 240), ("DELIVERBY 999999999", 999999999), ("DELIVERBY 0", 0),
     ("DELIVERBY 1234567890", None),
     ("DELIVERBY -1", None), ("DELIVERBY x", None), ("DELIVERBY 1 2", None),
     ("DELIVERBY 1,", None)],
)  # fmt: skip
def test_deliver_by_min(line: str, seconds: int | None) -> None:
    assert "DELIVERBY" in offered(line)
    assert offered(line).deliver_by_min == seconds


@pytest.mark.parametrize(
    ("line", "longest"),
    [("FUTURERELEASE 86400 2030-01-01T00:00:00Z", FutureRelease(86400, NEW_YEAR)),
     ("FUTURERELEASE 1 2030-01-01t00:00:00z", FutureRelease(1, NEW_YEAR)),
     ("FUTURERELEASE", None), ("FUTURERELEASE 86400", None),
     ("FUTURERELEASE 2030-01-01T00:00:00Z", None), ("FUTURERELEASE 0 2030-01-01T00:00:00Z", None),
     ("FUTURERELEASE 1000000000 2030-01-01T00:00:00Z", None), ("FUTURERELEASE 1 2030-01-01", None),
     ("FUTURERELEASE 1 2030-01-01T00:00:00Z x", None), ("FUTURERELEASE 1 x", None)],
)  # fmt: skip
def test_future_release(line: str, longest: FutureRelease | None) -> None:
    assert "FUTURERELEASE" in offered(line)
    assert offered(line).future_release == longest
    assert longest is None or FutureRelease.parse(str(longest)) == longest


@pytest.mark.req("RFC6710-3-01")
@pytest.mark.parametrize(
    ("line", "policy"),
    [("MT-PRIORITY", None), ("MT-PRIORITY MIXER", "MIXER"), ("mt-priority a.B-1_", "a.B-1_"),
     ("MT-PRIORITY " + "x" * 20, "x" * 20), ("MT-PRIORITY " + "x" * 21, None),
     ("MT-PRIORITY a=b", None), ("MT-PRIORITY a b", None)],
)  # fmt: skip
def test_priority_policy(line: str, policy: str | None) -> None:
    assert "MT-PRIORITY" in offered(line)
    assert offered(line).priority_policy == policy


@pytest.mark.parametrize(
    ("line", "keywords"),
    [("NO-SOLICITING", ()), ("NO-SOLICITING net.example:ADV", ("net.example:ADV",)),
     ("NO-SOLICITING a,b", ("a", "b")), ("NO-SOLICITING a,", ()), ("NO-SOLICITING a b", ())],
)  # fmt: skip
def test_solicitations(line: str, keywords: tuple[str, ...]) -> None:
    assert "NO-SOLICITING" in offered(line)
    assert offered(line).solicitations == keywords


def test_what_is_not_offered_says_nothing() -> None:
    nothing = offered()
    assert nothing.deliver_by_min is None
    assert nothing.future_release is None
    assert nothing.priority_policy is None
    assert nothing.solicitations == ()
    assert nothing.size is None


# What a server may offer.


@given(our.offers())
def test_a_good_offer_can_be_made_and_is_understood(offer: Extensions) -> None:
    check_offer(offer)
    assert offered(*offer.lines()) == offer
    for keyword in ("LIMITS", "FUTURERELEASE"):
        value = offer.limits if keyword == "LIMITS" else offer.future_release
        assert keyword not in offer or str(value) == offer.keywords[keyword]


PLAIN = {
    "PIPELINING", "8BITMIME", "CHUNKING", "BINARYMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES",
    "STARTTLS", "DSN", "REQUIRETLS", "RRVS", "ETRN", "EXPN", "HELP", "VRFY",
}  # fmt: skip


@pytest.mark.parametrize("keyword", sorted(PLAIN))
def test_keywords_that_say_nothing(keyword: str) -> None:
    others = dict.fromkeys(EXTENSIONS[keyword].requires, "")
    check_offer(Extensions({**others, keyword: ""}))
    assert Extensions({keyword: ""}).lines() == [keyword]
    with pytest.raises(ValueError, match=f"{keyword} x: takes no parameter"):
        check_offer(Extensions({**others, keyword: "x"}))


@pytest.mark.parametrize(
    "keywords",
    [{"BINARYMIME": ""}, {"BINARYMIME": "", "8BITMIME": ""}, {"SMTPUTF8": ""},
     {"SMTPUTF8": "", "BINARYMIME": "", "CHUNKING": ""},
     {"SIZE": "x"}, {"SIZE": "-1"}, {"SIZE": "1 2"}, {"SIZE": "9" * 21},
     {"AUTH": ""}, {"AUTH": "PL=AIN"}, {"AUTH": "X" * 21}, {"AUTH": "PLAIN x.y"},
     {"LIMITS": ""}, {"LIMITS": "RCPTMAX"}, {"LIMITS": "RCPTMAX=0"}, {"LIMITS": "RCPTMAX=1;"},
     {"LIMITS": "MAILMAX=5 =5"}, {"LIMITS": "RCPTMAX=1000000"},
     {"DELIVERBY": "x"}, {"DELIVERBY": "-1"}, {"DELIVERBY": "1234567890"}, {"DELIVERBY": "1 2"},
     {"FUTURERELEASE": ""}, {"FUTURERELEASE": "86400"}, {"FUTURERELEASE": "1 2030-01-01"},
     {"FUTURERELEASE": "0 2030-01-01T00:00:00Z"}, {"FUTURERELEASE": "1 2030-02-30T00:00:00Z"},
     {"MT-PRIORITY": "x" * 21}, {"MT-PRIORITY": "a b"}, {"NO-SOLICITING": "a,"},
     {"XCLIENT": ""}, {"XCLIENT": "1"}, {"XFORWARD": ""},
     {"FOO": ""}, {"UTF8SMTP": "", "PIPELINING": ""}],
)  # fmt: skip
def test_offers_that_no_server_may_make(keywords: dict[str, str]) -> None:
    offer = Extensions(keywords)  # a client reads them
    with pytest.raises(ValueError, match=next(iter(keywords))):
        check_offer(offer)


@pytest.mark.parametrize(
    "keywords",
    [{}, {"SIZE": ""}, {"SIZE": "0"}, {"AUTH": "PLAIN SCRAM-SHA-256"}, {"LIMITS": "RCPTMAX=50"},
     {"LIMITS": "NEWMAX=x RCPTMAX=50"}, {"DELIVERBY": ""}, {"DELIVERBY": "240"},
     {"FUTURERELEASE": "86400 2030-01-01T00:00:00Z"}, {"MT-PRIORITY": ""}, {"MT-PRIORITY": "MIXER"},
     {"NO-SOLICITING": ""}, {"XCLIENT": "NAME ADDR"}, {"X-FOO": "any=thing"}, {"XYZZY": ""},
     {"BINARYMIME": "", "CHUNKING": ""}, {"SMTPUTF8": "", "8BITMIME": ""}],
)  # fmt: skip
def test_offers_that_a_server_may_make(keywords: dict[str, str]) -> None:
    check_offer(Extensions(keywords))


@pytest.mark.req("RFC8689-2-01")
def test_requiretls_takes_nothing_on_either_side() -> None:
    assert Extensions({"REQUIRETLS": ""}).lines() == ["REQUIRETLS"]
    with pytest.raises(ValueError, match="REQUIRETLS"):
        check_offer(Extensions({"REQUIRETLS": "x"}))
    with pytest.raises(GrammarError) as caught:
        parse_command(b"MAIL FROM:<a@b.example> REQUIRETLS=1")
    assert caught.value.reply is not None
    assert caught.value.reply.code == 501


# What an offer excludes.


def verdict(parameters: MailParameters | RcptParameters, *lines: str) -> tuple[int, str] | None:
    reply = refusal_of(parameters, offered(*lines))
    return None if reply is None else (reply.code, str(reply.enhanced))


@pytest.mark.parametrize(
    ("body", "lines", "taken"),
    [(None, [], True), (Body.SEVEN_BIT, ["8BITMIME"], True), (Body.SEVEN_BIT, ["BINARYMIME"], True),
     (Body.EIGHT_BIT_MIME, ["8BITMIME"], True), (Body.EIGHT_BIT_MIME, ["BINARYMIME"], False),
     (Body.BINARY_MIME, ["8BITMIME"], False), (Body.BINARY_MIME, ["BINARYMIME"], True),
     (Body.BINARY_MIME, ["8BITMIME", "BINARYMIME"], True)],
)  # fmt: skip
def test_values_of_body_are_those_of_the_extensions(
    body: Body | None, lines: list[str], taken: bool
) -> None:
    assert verdict(MailParameters(body=body), *lines) == (None if taken else (555, "5.5.4"))


@pytest.mark.parametrize(
    ("seconds", "mode", "line", "taken"),
    [(239, ByMode.RETURN, "DELIVERBY 240", False), (239, ByMode.NOTIFY, "DELIVERBY 240", True),
     (240, ByMode.RETURN, "DELIVERBY 240", True), (1, ByMode.RETURN, "DELIVERBY", True),
     (1, ByMode.RETURN, "DELIVERBY x", True), (-9, ByMode.NOTIFY, "DELIVERBY 240", True)],
)  # fmt: skip
def test_a_return_in_less_than_the_least_time_is_refused(
    seconds: int, mode: ByMode, line: str, taken: bool
) -> None:
    parameters = MailParameters(by=DeliverBy(seconds, mode))
    assert verdict(parameters, line) == (None if taken else (555, "5.5.4"))


FUTURERELEASE = "FUTURERELEASE 86400 2030-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("parameters", "taken"),
    [(MailParameters(), True), (MailParameters(hold_for=86400), True),
     (MailParameters(hold_for=86401), False), (MailParameters(hold_until=NEW_YEAR), True),
     (MailParameters(hold_until=NEW_YEAR.replace(second=1)), False)],
)  # fmt: skip
def test_a_message_is_not_held_for_longer_than_offered(
    parameters: MailParameters, taken: bool
) -> None:
    assert verdict(parameters, FUTURERELEASE) == (None if taken else (501, "5.5.4"))
    assert verdict(parameters, "FUTURERELEASE") is None


@pytest.mark.req("RFC4865-4.2-03")
def test_holds_that_are_refused() -> None:
    assert verdict(MailParameters(hold_for=86401), FUTURERELEASE) == (501, "5.5.4")
    until = "HOLDUNTIL=2030-01-01T00:00:00Z"
    for text in (
        "HOLDFOR=1000000000", "HOLDFOR=1 HOLDFOR=1", f"HOLDFOR=1 {until}", f"{until} HOLDFOR=1",
        f"{until} {until}", "HOLDFOR=0", "HOLDUNTIL=tomorrow",
    ):  # fmt: skip
        with pytest.raises(GrammarError) as caught:
            parse_command(f"MAIL FROM:<a@b> {text}".encode())
        assert caught.value.reply is not None
        assert (caught.value.reply.code, str(caught.value.reply.enhanced)) == (501, "5.5.4")


def test_an_original_recipient_that_cannot_be_ascii_needs_smtputf8() -> None:
    raw = RcptParameters(orcpt=OriginalRecipient("utf-8", "é" * 100))
    assert verdict(raw, "DSN") == (501, "5.5.4")
    assert verdict(raw, "DSN", "SMTPUTF8") is None
    assert verdict(RcptParameters(orcpt=OriginalRecipient("utf-8", "é")), "DSN") is None
    assert verdict(RcptParameters()) is None
