"""Which parameters of a message are passed on to the next server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from smtpproto import (
    Extensions,
    ForwardPath,
    MailParameters,
    Notify,
    NotOffered,
    RcptParameters,
    Ret,
    ReversePath,
)
from smtpproto.grammar.dsn import OriginalRecipient
from smtpproto.grammar.scheduling import ByMode, DeliverBy, NoSupport, ValidSince
from smtpproto.mta.passing import Passing, pass_on
from smtpproto.testing.strategies import mail_parameters, rcpt_parameters
from tests.support.queued import delivery, message

FULL = Extensions(
    dict.fromkeys(
        [
            "DSN", "SMTPUTF8", "8BITMIME", "DELIVERBY", "MT-PRIORITY", "RRVS", "REQUIRETLS",
            "NO-SOLICITING", "BINARYMIME", "CHUNKING", "SIZE", "FUTURERELEASE",
        ],
        "",
    )
)  # fmt: skip
BARE = Extensions({})
UTF8 = "jörg@example.net"
SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def passed(
    mail: MailParameters | None = None,
    rcpt: RcptParameters | None = None,
    offered: Extensions = FULL,
    now: float = 0.0,
    *,
    verified: bool = True,
    logged_in: bool = False,
    **facts: Any,
) -> Passing:
    queued = message(parameters=mail or MailParameters(), **facts)
    to = [delivery(parameters=rcpt or RcptParameters())]
    return pass_on(queued, to, offered, now, verified=verified, logged_in=logged_in)


def mail_of(passing: Passing) -> MailParameters:
    assert passing.envelope is not None
    return passing.envelope.parameters


def rcpt_of(passing: Passing) -> RcptParameters:
    assert passing.envelope is not None
    return passing.envelope.rcpts[0].parameters


def error_of(passing: Passing) -> NotOffered:
    assert passing.envelope is None
    [error] = passing.impossible.values()
    return error


# -- DSN -----------------------------------------------------------------------------------------

ASKED = MailParameters(ret=Ret.HDRS, envid="QQ314159")
ASKED_BY_RCPT = RcptParameters(
    notify={Notify.SUCCESS, Notify.DELAY}, orcpt=OriginalRecipient("RFC822", "Bob@EXAMPLE.net")
)


@pytest.mark.req("RFC3461-5.2.1-01", "RFC3461-5.2.1-03")
def test_a_server_with_dsn_gets_all_four_parameters_unchanged() -> None:
    passing = passed(ASKED, ASKED_BY_RCPT)
    assert (mail_of(passing).ret, mail_of(passing).envid) == (Ret.HDRS, "QQ314159")
    assert rcpt_of(passing) == ASKED_BY_RCPT
    assert str(rcpt_of(passing).orcpt) == "RFC822;Bob@EXAMPLE.net"


@pytest.mark.req("RFC3461-5.2.1-04", "RFC3461-5.2.1-06")
def test_parameters_of_dsn_that_were_not_received_are_not_added() -> None:
    passing = passed()
    given = mail_of(passing).given.keys() | rcpt_of(passing).given.keys()
    assert not given & {"RET", "ENVID", "NOTIFY", "ORCPT"}


@pytest.mark.req("RFC3461-5.2.1-05")
def test_an_orcpt_that_is_added_to_notify_is_the_address_as_received() -> None:
    sent = rcpt_of(passed(rcpt=RcptParameters(notify={Notify.FAILURE}))).orcpt
    assert sent == OriginalRecipient("rfc822", "bob@example.net")


@pytest.mark.req("RFC3461-5.2.2-01")
def test_a_server_without_dsn_gets_none_of_its_parameters() -> None:
    passing = passed(ASKED, ASKED_BY_RCPT, BARE)
    assert not mail_of(passing).given
    assert not rcpt_of(passing).given


# -- DELIVERBY -----------------------------------------------------------------------------------


@pytest.mark.req("RFC2852-4.1.4-01")
@pytest.mark.parametrize("mode", ByMode)
def test_by_is_passed_on_with_the_time_that_is_left(mode: ByMode) -> None:
    asked = MailParameters(by=DeliverBy(120, mode, True))
    assert mail_of(passed(asked, now=122.0, arrived=100.0)).by == DeliverBy(98, mode, True)


@pytest.mark.req("RFC2852-4.1.4.1-01")
@pytest.mark.parametrize("offered", [BARE, Extensions({"DELIVERBY": "100"})], ids=str)
def test_a_message_to_return_goes_only_to_a_server_that_can_keep_its_time(
    offered: Extensions,
) -> None:
    passing = passed(MailParameters(by=DeliverBy(120, ByMode.RETURN)), offered=offered, now=22.0)
    assert error_of(passing).status.class_ == 5
    assert not passing.elsewhere


def test_a_message_to_return_is_not_passed_on_after_its_time() -> None:
    passing = passed(MailParameters(by=DeliverBy(120, ByMode.RETURN)), now=120.0)
    assert str(error_of(passing).status) == "5.4.7"


def test_the_time_to_notify_may_be_over() -> None:
    asked = MailParameters(by=DeliverBy(120, ByMode.NOTIFY))
    assert mail_of(passed(asked, now=220.0)).by == DeliverBy(-100, ByMode.NOTIFY)


def test_a_message_to_notify_goes_without_by_to_a_server_without_deliverby() -> None:
    asked = MailParameters(by=DeliverBy(120, ByMode.NOTIFY))
    assert mail_of(passed(asked, offered=BARE)).by is None


# -- others --------------------------------------------------------------------------------------


@pytest.mark.req("RFC6710-4.2-01", "RFC6710-5-01")
def test_the_priority_is_passed_on_to_servers_that_know_it() -> None:
    assert mail_of(passed(MailParameters(mt_priority=3))).mt_priority == 3


@pytest.mark.req("RFC6710-4.3-01")
def test_the_priority_is_not_sent_to_others() -> None:
    assert mail_of(passed(MailParameters(mt_priority=3), offered=BARE)).mt_priority is None


@pytest.mark.parametrize("offered", [FULL, BARE], ids=["all", "nothing"])
def test_the_time_of_release_is_not_passed_on(offered: Extensions) -> None:
    assert mail_of(passed(MailParameters(hold_for=60), offered=offered)).hold_for is None


@pytest.mark.parametrize(
    ("action", "status"),
    [(None, "5.7.19"), (NoSupport.REJECT, "5.7.19"), (NoSupport.CONTINUE, None)],
)
def test_rrvs_needs_its_extension_unless_it_says_to_go_on(
    action: NoSupport | None, status: str | None
) -> None:
    asked = RcptParameters(rrvs=ValidSince(SINCE, action))
    assert rcpt_of(passed(rcpt=asked)).rrvs == asked.rrvs
    passing = passed(rcpt=asked, offered=BARE)
    if status is None:
        assert rcpt_of(passing).rrvs is None
    else:
        assert str(error_of(passing).status) == status


def test_an_address_that_needs_smtputf8_does_not_keep_it_from_the_others() -> None:
    to = [delivery(number=0), delivery(number=1, to=UTF8)]
    passing = pass_on(message(), to, BARE, 0.0, verified=False)
    assert passing.envelope is not None
    assert list(map(str, passing.envelope.recipients)) == ["bob@example.net"]
    assert [str(it.status) for it in passing.impossible.values()] == ["5.6.7"]


def test_a_message_larger_than_the_size_offered_is_impossible() -> None:
    with pytest.raises(NotOffered) as caught:
        passed(offered=Extensions({"SIZE": "999"}), size=1000)
    assert str(caught.value.status) == "5.3.4"


@pytest.mark.req("RFC4954-5-05", "RFC4954-5-06")
@pytest.mark.parametrize("received", [None, ReversePath(None), ReversePath.of("boss@x.test")])
def test_a_server_where_this_side_has_logged_in_is_told_that_the_sender_is_not_known(
    received: ReversePath | None,
) -> None:
    offered, asked = Extensions({"AUTH": "PLAIN"}), MailParameters(auth=received)
    assert mail_of(passed(asked, offered=offered, logged_in=True)).auth == ReversePath(None)
    assert mail_of(passed(asked, offered=offered)).auth is None
    assert mail_of(passed(asked, offered=BARE, logged_in=True)).auth is None


@pytest.mark.req("RFC8689-5-03")
@pytest.mark.parametrize(
    ("offered", "verified", "kept"),
    [(FULL, True, True), (FULL, False, False), (BARE, True, False), (BARE, False, False)],
)
def test_a_report_keeps_requiretls_only_where_it_can_be_honoured(
    offered: Extensions, verified: bool, kept: bool
) -> None:
    asked = MailParameters(requiretls=True)
    passing = passed(asked, offered=offered, verified=verified, sender=ReversePath(None))
    assert mail_of(passing).requiretls is kept


@pytest.mark.parametrize("offered", [FULL, BARE], ids=["all", "nothing"])
def test_another_message_keeps_requiretls_wherever_it_goes(offered: Extensions) -> None:
    assert mail_of(passed(MailParameters(requiretls=True), offered=offered)).requiretls


@given(
    parameters=mail_parameters(),
    rcpts=st.lists(rcpt_parameters(), min_size=1, max_size=3),
    keywords=st.frozensets(st.sampled_from([*FULL])),
    now=st.floats(0, 1e6),
    verified=st.booleans(),
)
def test_nothing_is_sent_that_is_not_offered_nor_added_to_what_was_received(
    parameters: MailParameters,
    rcpts: list[RcptParameters],
    keywords: frozenset[str],
    now: float,
    verified: bool,
) -> None:
    offered = Extensions(dict.fromkeys(keywords, ""))
    to = [delivery(number=n, to=f"u{n}@x.test", parameters=it) for n, it in enumerate(rcpts)]
    passing = pass_on(message(parameters=parameters), to, offered, now, verified=verified)
    taken = () if passing.envelope is None else passing.envelope.recipients
    assert {*taken} | {*passing.impossible} == {it.recipient for it in to}
    assert not {*taken} & {*passing.impossible}
    if passing.envelope is None:
        return
    for sent in passing.envelope.rcpts:
        received = rcpts[int(str(sent.path)[1])]
        added = sent.parameters.given.items() - received.given.items()
        assert added <= {("ORCPT", f"rfc822;{sent.path}")}  # where NOTIFY was received
        assert sent.parameters.given.keys() <= offered.parameters["RCPT"]
    mail = passing.envelope.parameters.given
    assert mail.keys() - {"SIZE"} <= parameters.given.keys()
    assert mail.keys() - {"REQUIRETLS", "BODY"} <= offered.parameters["MAIL"]


def test_forward_paths_are_the_keys_of_what_is_impossible() -> None:
    passing = passed(MailParameters(by=DeliverBy(1, ByMode.RETURN)), offered=BARE)
    assert list(passing.impossible) == [ForwardPath.parse("<bob@example.net>")]
