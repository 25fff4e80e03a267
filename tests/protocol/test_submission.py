"""A server for users (RFC 6409), and TLS that is not enough (RFC 3207 4.1)."""

from __future__ import annotations

import pytest

from smtpproto.errors import LocalProtocolError
from smtpproto.events import Rejected
from smtpproto.grammar.extension_command import StartTLS
from smtpproto.grammar.reply import Reply
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.server import ServerProtocol
from smtpproto.replies import NO_MAIL_HERE


def said(server: ServerProtocol, *lines: bytes) -> list[str]:
    """What the server says when every question is answered with yes."""
    for line in lines:
        server.receive(line + b"\r\n")
    while server.next_event() is not None:
        if server.question is not None:
            server.answer()
    return server.data_to_send().decode().splitlines()


def submission(*, logged_in: bool) -> ServerProtocol:
    server = ServerProtocol(
        hostname="mx.example", submission=True, mechanisms=("PLAIN",), auth_in_clear=True
    )
    said(server, b"EHLO client.example", *([b"AUTH PLAIN AGEAYg=="] if logged_in else []))
    assert server.authenticated == logged_in
    return server


@pytest.mark.req("RFC6409-4.3-01")
@pytest.mark.parametrize("command", [b"MAIL FROM:<a@b.example>", b"RCPT TO:<a@b.example>", b"DATA"])
def test_submission_is_after_login(command: bytes) -> None:
    assert said(submission(logged_in=False), command) == ["530 5.7.0 Authentication required"]
    lines = said(submission(logged_in=True), b"MAIL FROM:<a@b.example>")
    assert lines == ["250 2.1.0 Sender OK"]


@pytest.mark.req("RFC6409-4.2-01", "RFC6409-4.1-01")
def test_domains_are_qualified() -> None:
    server = submission(logged_in=True)
    assert said(server, b"MAIL FROM:<a@sales>")[0].startswith("554 5.1.8 ")
    assert said(server, b"MAIL FROM:<a@sales.example>") == ["250 2.1.0 Sender OK"]
    assert said(server, b"RCPT TO:<a@sales>")[0].startswith("554 5.1.2 ")
    for fine in (b"<a@sales.example>", b"<a@[192.0.2.1]>", b"<Postmaster>"):
        assert said(server, b"RCPT TO:" + fine) == ["250 2.1.5 Recipient OK"]


@pytest.mark.req("RFC6409-3.2-01")
def test_the_null_path_is_taken() -> None:
    assert said(submission(logged_in=True), b"MAIL FROM:<>") == ["250 2.1.0 Sender OK"]


@pytest.mark.req("RFC6409-5.1-01")
def test_bad_addresses_are_501() -> None:
    assert said(submission(logged_in=True), b"MAIL FROM:<a..b@c.example>")[0].startswith("501 ")


@pytest.mark.req("RFC6409-3.1-01", "RFC6409-7-02", "RFC6409-7-03")
def test_what_submission_offers() -> None:
    offered = submission(logged_in=False).offered
    assert {"PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN"} <= set(offered)
    assert not {"ETRN", "ATRN"} & set(offered)
    with pytest.raises(ValueError, match="ETRN"):
        ServerProtocol(hostname="mx.example", submission=True, extensions={"ETRN": ""})
    server = ServerProtocol(hostname="mx.example", submission=True)
    server.next_event()
    with pytest.raises(LocalProtocolError, match="521"):
        server.answer(NO_MAIL_HERE)


@pytest.mark.req("RFC3207-4.1-03")
def test_tls_that_is_not_enough() -> None:
    server = ServerProtocol(hostname="mx.example", starttls=True)
    said(server, b"EHLO client.example")
    server.receive(b"STARTTLS\r\n")
    assert isinstance(server.next_event(), StartTLS)
    server.answer()
    server.data_to_send()
    server.tls_started(Reply(554, "5.7.0", "Not with this cipher"))
    for command in (b"EHLO client.example", b"MAIL FROM:<a@b.example>", b"NOOP", b"RSET", b"DATA"):
        server.receive(command + b"\r\n")
        assert isinstance(server.next_event(), Rejected)
        reply = server.data_to_send()
        assert reply[:4] == b"554 "
        assert reply.endswith(b"Not with this cipher\r\n")
    assert said(server, b"QUIT")[0].startswith("221 ")
    assert server.phase is Phase.CLOSED
