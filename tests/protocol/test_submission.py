"""A server for message submission (RFC 6409)."""

from __future__ import annotations

import pytest

from smtpproto.errors import LocalProtocolError
from smtpproto.events import Question
from smtpproto.replies import NO_MAIL_HERE

from .machines import MAIL_LINE, RCPT_LINE, ServerDriver, ready_server


def submission_server(*, logged_in: bool) -> ServerDriver:
    """Return a submission server after EHLO, and after AUTH if *logged_in*."""
    server = ready_server(submission=True, mechanisms=("PLAIN",), auth_in_clear=True)
    if logged_in:
        server.feed(b"AUTH PLAIN AGEAYg==\r\n")
    assert server.machine.terms.authenticated == logged_in
    return server


@pytest.mark.req("RFC6409-4.3-01")
@pytest.mark.parametrize("command", [b"MAIL FROM:<a@b.example>", b"RCPT TO:<a@b.example>", b"DATA"])
def test_submission_needs_a_login(command: bytes) -> None:
    server = submission_server(logged_in=False)
    assert server.lines(command + b"\r\n") == ["530 5.7.0 Authentication required"]
    assert submission_server(logged_in=True).lines(MAIL_LINE) == ["250 2.1.0 Sender OK"]


@pytest.mark.req("RFC6409-4.2-01", "RFC6409-4.1-01", "RFC5321-4.5.1-02")
def test_submission_refuses_domains_without_a_dot() -> None:
    server = submission_server(logged_in=True)
    assert server.lines(b"MAIL FROM:<a@sales>\r\n")[0].startswith("554 5.1.8 ")
    assert server.lines(b"MAIL FROM:<a@sales.example>\r\n") == ["250 2.1.0 Sender OK"]
    assert server.lines(b"RCPT TO:<a@sales>\r\n")[0].startswith("554 5.1.2 ")
    for path in (b"<a@sales.example>", b"<a@[192.0.2.1]>", b"<Postmaster>"):
        assert server.lines(b"RCPT TO:%s\r\n" % path) == ["250 2.1.5 Recipient OK"]


@pytest.mark.req("RFC6409-3.2-01")
def test_submission_accepts_the_null_reverse_path() -> None:
    server = submission_server(logged_in=True)
    assert server.lines(b"MAIL FROM:<>\r\n") == ["250 2.1.0 Sender OK"]


@pytest.mark.req("RFC6409-5.1-01")
def test_submission_refuses_bad_addresses_with_501() -> None:
    server = submission_server(logged_in=True)
    assert server.codes(b"MAIL FROM:<a..b@c.example>\r\n") == [501]


@pytest.mark.req("RFC6409-3.1-01", "RFC6409-7-02", "RFC6409-7-03")
def test_submission_offers_dsn_and_neither_etrn_nor_521() -> None:
    offered = submission_server(logged_in=False).machine.terms.offered
    assert {"PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN"} <= set(offered)
    assert not {"ETRN", "ATRN"} & set(offered)
    with pytest.raises(ValueError, match="ETRN"):
        ServerDriver(submission=True, extensions={"ETRN": ""})


@pytest.mark.req("RFC6409-7-03")
def test_submission_answers_no_question_with_521() -> None:
    server = ServerDriver(submission=True, mechanisms=("PLAIN",), auth_in_clear=True)
    refused = list[str]()

    def refuse_first(question: Question) -> None:
        refused.append(type(question).__name__)
        with pytest.raises(LocalProtocolError, match="521"):
            server.machine.answer(NO_MAIL_HERE)

    server.application = refuse_first
    server.handle_events()
    server.feed(
        b"EHLO a.example\r\n", b"AUTH PLAIN AGEAYg==\r\n", b"VRFY a\r\n", b"HELP\r\n", MAIL_LINE,
        RCPT_LINE, b"DATA\r\n", b".\r\n", MAIL_LINE, RCPT_LINE, b"BDAT 1\r\nx", b"BDAT 0 LAST\r\n",
    )  # fmt: skip
    assert refused == [
        "Connected", "Ehlo", "Auth", "Vrfy", "Help", "Mail", "Rcpt", "Data", "BodyEnd", "Mail",
        "Rcpt", "Bdat", "ChunkEnd", "Bdat", "BodyEnd",
    ]  # fmt: skip
