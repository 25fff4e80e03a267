"""Parameters, limits and leniencies at a server's hooks."""

from __future__ import annotations

import logging

import pytest

from smtpproto import (
    ForwardPath,
    Handler,
    Limits,
    MailParameters,
    RcptParameters,
    Reply,
    ReversePath,
    ServerConfig,
    Session,
)
from smtpproto.limits import Leniencies, Tolerance
from smtpproto.server.handler import Verdict

from ..support.scripted_client import LOGIN, Accounts, Guard, keywords, replies

# -- parameters ------------------------------------------------------------------------------------


@pytest.mark.req(
    "RFC3461-5.1-01", "RFC3461-5.1-03", "RFC3461-5.1-05", "RFC3461-5.1-06", "RFC3461-4.2-06",
    "RFC3461-4.4-03",
)  # fmt: skip
def test_requests_for_notifications_change_no_reply() -> None:
    class Picky(Handler):
        def mail(
            self, session: Session, sender: ReversePath, parameters: MailParameters
        ) -> Verdict:
            return Reply(550, "5.7.1", "Not you") if "evil" in str(sender) else None

        def rcpt(
            self, session: Session, recipient: ForwardPath, parameters: RcptParameters
        ) -> Verdict:
            unknown = recipient.local_part == "nobody"
            return Reply(550, "5.1.1", "No such user") if unknown else None

    def said(mail: str, rcpt: str) -> list[str]:
        return replies(
            Picky(), f"MAIL FROM:<evil@example.org>{mail}", f"MAIL FROM:<ann@example.org>{mail}",
            f"RCPT TO:<nobody@example.org>{rcpt}", f"RCPT TO:<bob@example.org>{rcpt}",
            config=ServerConfig(extensions={"DSN": ""}),
        )  # fmt: skip

    plain = said("", "")
    assert [line[:3] for line in plain] == ["550", "250", "550", "250"]
    for mail in ("", " RET=FULL", " ENVID=QQ314159", " RET=HDRS ENVID=ann+2Bx"):
        for rcpt in ("", " NOTIFY=NEVER", " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;not+20an+20address"):
            assert said(mail, rcpt) == plain


@pytest.mark.req("RFC6710-4.1-02")
def test_a_priority_is_for_those_who_logged_in() -> None:
    seen: list[int | None] = []

    class Urgent(Guard):
        def mail(
            self, session: Session, sender: ReversePath, parameters: MailParameters
        ) -> Verdict:
            seen.append(parameters.mt_priority)
            return None

    config = ServerConfig(
        extensions={"MT-PRIORITY": ""}, authenticator=Accounts(), auth_in_clear=True
    )
    lines = ["MAIL FROM:<> MT-PRIORITY=3", "RSET", "MAIL FROM:<> MT-PRIORITY=-3", "RSET"]
    replies(Urgent(), *lines, LOGIN, lines[0], config=config)
    assert seen == [0, -3, 3]


@pytest.mark.req("RFC2852-3-01", "RFC2852-4-03")
def test_deliver_by_below_the_minimum() -> None:
    config = ServerConfig(extensions={"DELIVERBY": "240"})
    lines = [f"MAIL FROM:<> BY={by}" for by in ("239;R", "239;N", "0;N", "-1;N", "240;R")]
    said = [replies(Handler(), line, config=config)[0][:3] for line in lines]
    assert said == ["555", "250", "250", "250", "250"]


@pytest.mark.req("RFC9422-3-05")
def test_limits_are_applied_as_they_are_announced() -> None:
    config = ServerConfig(limits=Limits(recipients=2, transactions=1))
    assert "LIMITS RCPTMAX=2 MAILMAX=1" in keywords(Handler(), config)
    lines = ["MAIL FROM:<>", *(f"RCPT TO:<{name}@b.example>" for name in "abc")]
    said = replies(Handler(), *lines, "RSET", "MAIL FROM:<>", config=config)
    assert [line[:3] for line in said] == ["250", "250", "250", "452", "250", "421"]


# -- leniencies ------------------------------------------------------------------------------------


def test_what_was_tolerated_is_logged_escaped(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "smtpproto.server"):
        said = replies(Handler(), "MAIL FROM: <ann@example.org>", "RCPT  TO:<bob@example.org>")
    assert [line[:3] for line in said] == ["250", "250"]
    told = [record.getMessage() for record in caplog.records if "tolerated" in record.getMessage()]
    assert told == [
        "tolerated space_after_colon: MAIL FROM: <ann@example.org>",
        "tolerated extra_blanks: RCPT  TO:<bob@example.org>",
    ]
    config = ServerConfig(leniencies=Leniencies.strict())
    assert replies(Handler(), "MAIL FROM: <>", config=config)[0].startswith("501")
    quiet = ServerConfig(leniencies=Leniencies(space_after_colon=Tolerance.ACCEPT))
    caplog.clear()
    assert replies(Handler(), "MAIL FROM: <>", config=quiet)[0].startswith("250")
    assert not [record for record in caplog.records if "tolerated" in record.getMessage()]
