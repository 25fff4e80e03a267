"""What a server may offer, and which parameter values its offer excludes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given

from smtpproto.errors import GrammarError
from smtpproto.grammar.command_line import parse_command
from smtpproto.grammar.dsn import OriginalRecipient
from smtpproto.grammar.extension import EXTENSIONS, Extensions
from smtpproto.grammar.offer_rules import check_offer, refusal_of
from smtpproto.grammar.parameters import Body, MailParameters, RcptParameters
from smtpproto.grammar.scheduling import ByMode, DeliverBy
from smtpproto.testing import strategies
from tests.support.parameters import offered

NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)


@given(strategies.offers())
def test_a_valid_offer_is_allowed_and_read_back(offer: Extensions) -> None:
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
def test_a_keyword_without_parameters_refuses_one(keyword: str) -> None:
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
def test_a_malformed_or_incomplete_offer_is_refused(keywords: dict[str, str]) -> None:
    offer = Extensions(keywords)  # a client accepts it
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
def test_a_well_formed_and_complete_offer_is_allowed(keywords: dict[str, str]) -> None:
    check_offer(Extensions(keywords))


@pytest.mark.req("RFC8689-2-01")
def test_requiretls_takes_no_parameter_in_ehlo_and_no_value_in_mail() -> None:
    assert Extensions({"REQUIRETLS": ""}).lines() == ["REQUIRETLS"]
    with pytest.raises(ValueError, match="REQUIRETLS"):
        check_offer(Extensions({"REQUIRETLS": "x"}))
    with pytest.raises(GrammarError) as caught:
        parse_command(b"MAIL FROM:<a@b.example> REQUIRETLS=1")
    assert caught.value.reply is not None
    assert caught.value.reply.code == 501


def refusal(parameters: MailParameters | RcptParameters, *lines: str) -> tuple[int, str] | None:
    reply = refusal_of(parameters, offered(*lines))
    return None if reply is None else (reply.code, str(reply.enhanced))


@pytest.mark.parametrize(
    ("body", "lines", "allowed"),
    [(None, [], True), (Body.SEVEN_BIT, ["8BITMIME"], True), (Body.SEVEN_BIT, ["BINARYMIME"], True),
     (Body.EIGHT_BIT_MIME, ["8BITMIME"], True), (Body.EIGHT_BIT_MIME, ["BINARYMIME"], False),
     (Body.BINARY_MIME, ["8BITMIME"], False), (Body.BINARY_MIME, ["BINARYMIME"], True),
     (Body.BINARY_MIME, ["8BITMIME", "BINARYMIME"], True)],
)  # fmt: skip
def test_a_value_of_body_is_refused_with_555_unless_its_extension_is_offered(
    body: Body | None, lines: list[str], allowed: bool
) -> None:
    assert refusal(MailParameters(body=body), *lines) == (None if allowed else (555, "5.5.4"))


@pytest.mark.parametrize(
    ("seconds", "mode", "line", "allowed"),
    [(239, ByMode.RETURN, "DELIVERBY 240", False), (239, ByMode.NOTIFY, "DELIVERBY 240", True),
     (240, ByMode.RETURN, "DELIVERBY 240", True), (1, ByMode.RETURN, "DELIVERBY", True),
     (1, ByMode.RETURN, "DELIVERBY x", True), (-9, ByMode.NOTIFY, "DELIVERBY 240", True)],
)  # fmt: skip
def test_by_in_mode_return_below_the_minimum_is_refused_with_555(
    seconds: int, mode: ByMode, line: str, allowed: bool
) -> None:
    parameters = MailParameters(by=DeliverBy(seconds, mode))
    assert refusal(parameters, line) == (None if allowed else (555, "5.5.4"))


FUTURERELEASE = "FUTURERELEASE 86400 2030-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("parameters", "allowed"),
    [(MailParameters(), True), (MailParameters(hold_for=86400), True),
     (MailParameters(hold_for=86401), False), (MailParameters(hold_until=NEW_YEAR), True),
     (MailParameters(hold_until=NEW_YEAR.replace(second=1)), False)],
)  # fmt: skip
def test_a_hold_longer_than_offered_is_refused_with_501(
    parameters: MailParameters, allowed: bool
) -> None:
    assert refusal(parameters, FUTURERELEASE) == (None if allowed else (501, "5.5.4"))
    assert refusal(parameters, "FUTURERELEASE") is None


def test_malformed_and_contradictory_holds_are_refused_with_501() -> None:
    assert refusal(MailParameters(hold_for=86401), FUTURERELEASE) == (501, "5.5.4")
    until = "HOLDUNTIL=2030-01-01T00:00:00Z"
    for text in (
        "HOLDFOR=1000000000", "HOLDFOR=1 HOLDFOR=1", f"HOLDFOR=1 {until}", f"{until} HOLDFOR=1",
        f"{until} {until}", "HOLDFOR=0", "HOLDUNTIL=tomorrow",
    ):  # fmt: skip
        with pytest.raises(GrammarError) as caught:
            parse_command(f"MAIL FROM:<a@b> {text}".encode())
        assert caught.value.reply is not None
        assert (caught.value.reply.code, str(caught.value.reply.enhanced)) == (501, "5.5.4")


def test_an_orcpt_that_cannot_be_ascii_needs_smtputf8() -> None:
    raw = RcptParameters(orcpt=OriginalRecipient("utf-8", "é" * 100))
    assert refusal(raw, "DSN") == (501, "5.5.4")
    assert refusal(raw, "DSN", "SMTPUTF8") is None
    assert refusal(RcptParameters(orcpt=OriginalRecipient("utf-8", "é")), "DSN") is None
    assert refusal(RcptParameters()) is None
