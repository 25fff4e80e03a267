"""Replies that applications give often, as clients see them."""

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
    ServerConfig,
    Session,
)
from smtpproto import replies as verdicts
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.grammar.domain import Host
from smtpproto.server.conversation import Conversation
from smtpproto.server.handler import Verdict

from ..support.scripted_client import Feed, octets

ALL = {name: reply for name, reply in vars(verdicts).items() if isinstance(reply, Reply)}
CODES = Path(__file__).parents[2] / "docs/rfc/codes.csv"


class Giving(Handler):
    """Answers one hook with *verdict*."""

    def __init__(self, hook: str, verdict: Verdict) -> None:
        self.answers = {hook: verdict}

    def connect(self, session: Session) -> Verdict:
        return self.answers.get("connect")

    def ehlo(self, session: Session, host: Host) -> Verdict:
        return self.answers.get("hello")

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> Verdict:
        return self.answers.get("mail")

    def rcpt(self, session: Session, recipient: ForwardPath, parameters: RcptParameters) -> Verdict:
        return self.answers.get("rcpt")


def said(hook: str, verdict: Reply, *lines: str) -> str:
    """The last reply to *lines*."""
    feed = Feed([octets(*lines)])
    run(Conversation(feed, Giving(hook, verdict), ServerConfig(), Runtime()).run())
    return feed.said[-1]


HELLO, MAIL, RCPT = "EHLO a.example", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>"


@pytest.mark.parametrize("name", ALL)
def test_codes_are_registered_and_go_together(name: str) -> None:
    reply = ALL[name]
    with CODES.open(newline="") as file:
        rows = list(csv.DictReader(file))
    replies = [row for row in rows if row["kind"] == "reply" and row["code"] == str(reply.code)]
    assert replies
    assert reply.enhanced is not None
    any_class = f"X.{reply.enhanced.subject}.{reply.enhanced.detail}"
    assert any(row["code"] == any_class for row in rows if row["kind"] == "enhanced")


@pytest.mark.req("RFC5321-3.6.2-01", "RFC5321-7.9-02")
def test_policy_is_550_at_each_command() -> None:
    no = verdicts.RELAYING_DENIED
    assert said("hello", no, HELLO) == "550 Relaying denied"  # no code in reply to EHLO
    assert said("mail", no, HELLO, MAIL) == "550 5.7.1 Relaying denied"
    assert said("rcpt", no, HELLO, MAIL, RCPT) == "550 5.7.1 Relaying denied"


@pytest.mark.req("RFC7504-3-01")
def test_a_host_that_takes_no_mail_greets_with_521() -> None:
    assert said("connect", verdicts.NO_MAIL_HERE).startswith("521 ")


@pytest.mark.req("RFC7504-4-01", "RFC7505-4.1-01")
def test_a_recipient_with_a_null_mx() -> None:
    line = said("rcpt", verdicts.NULL_MX_RECIPIENT, HELLO, MAIL, RCPT)
    assert line.startswith("556 5.1.10 ")


@pytest.mark.req("RFC7505-4.1-02")
def test_a_sender_with_a_null_mx() -> None:
    assert said("mail", verdicts.NULL_MX_SENDER, HELLO, MAIL).startswith("550 5.7.27 ")
