"""The plan of a message: parameters of MAIL and RCPT that the envelope requests."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from attrs import evolve

from smtpproto import (
    Client,
    Envelope,
    Extensions,
    ForwardPath,
    GrammarError,
    NotOffered,
    RcptParameters,
)
from smtpproto.grammar.dsn import Notify, OriginalRecipient, Ret
from smtpproto.grammar.envelope import Recipient
from smtpproto.grammar.scheduling import ByMode, DeliverBy
from tests.support.envelopes import TO_BOB
from tests.support.lenient_server import LenientServer, converse
from tests.support.planning import UTF8, command_lines, mail_line, refusal, with_parameters

DSN = {"DSN": ""}


@pytest.mark.req("RFC3461-4.2-02", "RFC3461-4.5-01", "RFC5321-4.1.1.3-06", "RFC5321-4.1.1.2-03")
def test_notify_adds_orcpt_and_both_need_dsn() -> None:
    asked = RcptParameters(notify={Notify.FAILURE, Notify.DELAY})
    people = ["b+b@example.org", "Bob.B@Example.ORG", '"b b"@example.org', "postmaster"]
    envelope = Envelope("ann@example.org", people, rcpt_parameters=asked)
    assert command_lines(DSN, envelope)[1:5] == [
        "RCPT TO:<b+b@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;b+2Bb@example.org",
        "RCPT TO:<Bob.B@Example.ORG> NOTIFY=FAILURE,DELAY ORCPT=rfc822;Bob.B@Example.ORG",
        'RCPT TO:<"b b"@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;"b+20b"@example.org',
        "RCPT TO:<Postmaster> NOTIFY=FAILURE,DELAY",
    ]
    for person in people[:3]:
        (line,) = command_lines(DSN, Envelope("", person, rcpt_parameters=asked))[1:2]
        assert " ORCPT=rfc822;" in line
    assert "NOTIFY" in refusal({}, envelope)
    given = RcptParameters(notify={Notify.NEVER}, orcpt=OriginalRecipient("rfc822", "a@b.example"))
    assert command_lines(DSN, evolve(TO_BOB, rcpt_parameters=given))[1] == (
        "RCPT TO:<bob@example.org> NOTIFY=NEVER ORCPT=rfc822;a@b.example"
    )
    only = RcptParameters(orcpt=OriginalRecipient("rfc822", "a@b.example"))
    assert "ORCPT" in refusal({}, evolve(TO_BOB, rcpt_parameters=only))
    assert mail_line(DSN, with_parameters(ret=Ret.HDRS, envid="a b")).endswith(
        " RET=HDRS ENVID=a+20b"
    )
    assert "RET" in refusal({}, with_parameters(ret=Ret.FULL))


def test_a_long_utf8_orcpt_needs_smtputf8() -> None:
    """Type utf-8 is written in ASCII only if that fits into the parameter (RFC 6533 3)."""
    long = RcptParameters(orcpt=OriginalRecipient("utf-8", "ø" * 200))
    envelope = evolve(TO_BOB, rcpt_parameters=long)
    assert "SMTPUTF8" in refusal(DSN, envelope)
    assert mail_line(DSN | UTF8, envelope) == "<ann@example.org> SMTPUTF8"
    short = RcptParameters(orcpt=OriginalRecipient("utf-8", "ø"))
    assert mail_line(DSN | UTF8, evolve(TO_BOB, rcpt_parameters=short)) == "<ann@example.org>"


def test_orcpt_of_a_utf8_recipient_is_written_in_ascii() -> None:
    envelope = Envelope(
        "ann@example.org", "bøb@example.org", rcpt_parameters=RcptParameters(notify=[Notify.NEVER])
    )
    assert command_lines(DSN | UTF8, envelope)[1] == (
        "RCPT TO:<bøb@example.org> NOTIFY=NEVER ORCPT=utf-8;b\\x{F8}b@example.org"
    )


def test_orcpt_is_left_out_if_it_would_be_too_long() -> None:
    recipient = f"bob@[x:{'+' * 200}]"
    envelope = Envelope("", recipient, rcpt_parameters=RcptParameters(notify=[Notify.NEVER]))
    assert command_lines(DSN, envelope)[1] == f"RCPT TO:<{recipient}> NOTIFY=NEVER"


@pytest.mark.req("RFC8689-2-03", "RFC8689-2-05")
def test_requiretls_needs_tls_and_the_offer() -> None:
    envelope, offered = with_parameters(requiretls=True), {"REQUIRETLS": ""}
    assert "REQUIRETLS" in refusal(offered, envelope)  # in clear
    for given in (offered, {}):
        stream = LenientServer(Extensions(given))

        async def talk(client: Client, given: Mapping[str, str] = given) -> None:
            if given:
                await client.send(b"hello\n", envelope)
            else:
                with pytest.raises(NotOffered, match="REQUIRETLS"):
                    await client.send(b"hello\n", envelope)

        converse(stream, talk, secure=True)
        first = "MAIL FROM:<ann@example.org> REQUIRETLS"
        assert stream.commands[:1] == ([first] if given else [])


def test_deliver_by_needs_the_offer_and_its_minimum() -> None:
    for mode, seconds, sent in (
        (ByMode.RETURN, 240, True),
        (ByMode.RETURN, 239, False),
        (ByMode.NOTIFY, 239, True),
        (ByMode.NOTIFY, -5, True),
    ):
        envelope = with_parameters(by=DeliverBy(seconds, mode, True))
        if sent:
            line = f"<ann@example.org> BY={seconds};{mode.value}T"
            assert mail_line({"DELIVERBY": "240"}, envelope) == line
        else:
            assert "below the minimum" in refusal({"DELIVERBY": "240"}, envelope)
        assert "BY" in refusal({}, envelope)


FUTURE = {"FUTURERELEASE": "86400 2030-01-01T00:00:00Z"}


@pytest.mark.req("RFC4865-4.1-01", "RFC4865-5.1-01")
def test_future_release_needs_the_offer_its_maximum_and_a_sender() -> None:
    until = datetime(2030, 1, 1, tzinfo=UTC)
    held = with_parameters(hold_for=86400)
    assert mail_line(FUTURE, held) == "<ann@example.org> HOLDFOR=86400"
    assert "Held longer" in refusal(FUTURE, with_parameters(hold_for=86401))
    line = mail_line(FUTURE, with_parameters(hold_until=until))
    assert line == "<ann@example.org> HOLDUNTIL=2030-01-01T00:00:00Z"
    later = with_parameters(hold_until=until.replace(second=1))
    assert "Held longer" in refusal(FUTURE, later)
    with pytest.raises(GrammarError, match="exclude each other"):
        with_parameters(hold_for=1, hold_until=until)
    assert "HOLDFOR" in refusal({}, held)
    for null in (evolve(held, sender=""), evolve(with_parameters(hold_until=until), sender="")):
        assert "a message without a sender must not be held" in refusal(FUTURE, null)


def test_a_priority_needs_the_offer() -> None:
    envelope = with_parameters(mt_priority=-9)
    assert mail_line({"MT-PRIORITY": "MIXER"}, envelope) == "<ann@example.org> MT-PRIORITY=-9"
    assert "MT-PRIORITY" in refusal({}, envelope)


def test_a_recipient_given_twice_is_sent_once() -> None:
    envelope = Envelope("", ["bob@example.org", '"bob"@example.org', "POSTMASTER", "Postmaster"])
    lines = command_lines({}, envelope)[1:-1]
    assert lines == ["RCPT TO:<bob@example.org>", "RCPT TO:<Postmaster>"]


def test_rcpt_parameters_are_for_all_recipients_or_for_some() -> None:
    some = RcptParameters(notify={Notify.NEVER})
    to = ["a@b.example", "c@d.example"]
    a, c = map(ForwardPath.of, to)
    everybody = Envelope("", to, rcpt_parameters=some)
    assert everybody.parameters_of(a) == everybody.parameters_of(c) == some
    assert c.mailbox is not None
    keys: list[Recipient] = ["c@d.example", '"c"@D.example', c, c.mailbox]
    for key in keys:
        one = Envelope("", to, rcpt_parameters={key: some})
        assert one.parameters_of(c) == some and one.parameters_of(a) == RcptParameters()
        assert one.rcpt_parameters == {c: some}
    assert Envelope("", to).rcpt_parameters == {}
    with pytest.raises(GrammarError, match="not a recipient"):
        Envelope("", to, rcpt_parameters={"e@f.example": some})
    with pytest.raises(GrammarError):
        Envelope("", to, rcpt_parameters={"not an address": some})
