"""The ready-made replies of smtpproto.replies, as the client receives them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from smtpproto import (
    ForwardPath,
    Handler,
    MailParameters,
    RcptParameters,
    Reply,
    ReversePath,
    Session,
)
from smtpproto import replies as verdicts
from smtpproto.grammar.domain import HelloHost
from smtpproto.server.handler import Verdict
from tests.support.scripted_client import octets, serve

READY_REPLIES = {name: reply for name, reply in vars(verdicts).items() if isinstance(reply, Reply)}
CODES = Path(__file__).parents[2] / "docs/rfc/codes.csv"


class AnsweringHandler(Handler):
    """Answers the hook named *hook* with *verdict*."""

    def __init__(self, hook: str, verdict: Verdict) -> None:
        self.answers = {hook: verdict}

    def connect(self, session: Session) -> Verdict:
        return self.answers.get("connect")

    def ehlo(self, session: Session, host: HelloHost) -> Verdict:
        return self.answers.get("ehlo")

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> Verdict:
        return self.answers.get("mail")

    def rcpt(self, session: Session, recipient: ForwardPath, parameters: RcptParameters) -> Verdict:
        return self.answers.get("rcpt")


def last_reply(hook: str, verdict: Reply, *lines: str) -> str:
    """Send *lines*; return the last line of the last reply."""
    return serve(AnsweringHandler(hook, verdict), octets(*lines)).lines[-1]


EHLO, MAIL, RCPT = "EHLO a.example", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>"


@pytest.mark.parametrize("name", READY_REPLIES)
def test_the_codes_of_ready_made_replies_are_registered(name: str) -> None:
    reply = READY_REPLIES[name]
    with CODES.open(newline="") as file:
        rows = list(csv.DictReader(file))
    replies = [row for row in rows if row["kind"] == "reply" and row["code"] == str(reply.code)]
    assert replies
    assert reply.enhanced is not None
    any_class = f"X.{reply.enhanced.subject}.{reply.enhanced.detail}"
    assert any(row["code"] == any_class for row in rows if row["kind"] == "enhanced")


@pytest.mark.req("RFC5321-3.6.2-01", "RFC5321-7.9-02")
def test_relaying_denied_is_550_at_each_command() -> None:
    refusal = verdicts.RELAYING_DENIED
    assert last_reply("ehlo", refusal, EHLO) == "550 Relaying denied"  # no code in reply to EHLO
    assert last_reply("mail", refusal, EHLO, MAIL) == "550 5.7.1 Relaying denied"
    assert last_reply("rcpt", refusal, EHLO, MAIL, RCPT) == "550 5.7.1 Relaying denied"


@pytest.mark.req("RFC7504-3-01")
def test_a_host_that_never_accepts_mail_greets_with_521() -> None:
    assert last_reply("connect", verdicts.NO_MAIL_HERE).startswith("521 ")


@pytest.mark.req("RFC7504-4-01", "RFC7505-4.1-01")
def test_a_recipient_with_a_null_mx_is_refused_with_556() -> None:
    line = last_reply("rcpt", verdicts.NULL_MX_RECIPIENT, EHLO, MAIL, RCPT)
    assert line.startswith("556 5.1.10 ")


@pytest.mark.req("RFC7505-4.1-02")
def test_a_sender_with_a_null_mx_is_refused_with_550_5_7_27() -> None:
    assert last_reply("mail", verdicts.NULL_MX_SENDER, EHLO, MAIL).startswith("550 5.7.27 ")
