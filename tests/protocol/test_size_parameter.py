"""SIZE (RFC 1870): the declared size, and refusals because of it."""

from __future__ import annotations

import pytest

from smtpproto.grammar.command import Data, Ehlo, Mail, Rcpt
from smtpproto.grammar.domain import Domain
from smtpproto.grammar.parameters import MailParameters
from smtpproto.grammar.reply import Reply
from smtpproto.limits import Limits
from smtpproto.protocol.phases import Phase

from .machines import (
    MAIL,
    MAIL_COMMAND,
    RCPT,
    RCPT_LINE,
    exchange,
    ready_client,
    ready_server,
    receive,
    reply_to,
)


@pytest.mark.req("RFC1870-6.1-02", "RFC1870-7-03", "RFC1870-6.4-01")
def test_the_application_sees_the_declared_size() -> None:
    """It sees the size at MAIL, even if no limit is offered, and at RCPT."""
    full = Reply(452, "4.3.1", "No room")
    server = ready_server(limits=Limits(message_size=None), application=reply_to(Mail, full))
    assert "SIZE" in server.machine.terms.offered.lines()
    line = MAIL_COMMAND + b" SIZE=99999999999\r\n"
    assert server.lines(line) == ["452 4.3.1 No room"]
    assert isinstance(server.events[0], Mail)
    assert server.events[0].parameters.size == 99999999999
    sizes: list[int | None] = []

    def application(question: object) -> Reply | None:
        if isinstance(question, Rcpt):
            sizes.append(server.machine.envelope.parameters.size)
            return Reply(552, "5.2.2", "Quota") if len(sizes) == 1 else full
        return None

    server.application = application
    assert server.codes(line, RCPT_LINE, RCPT_LINE) == [250, 552, 452]
    assert sizes == [99999999999] * 2


@pytest.mark.req("RFC1870-6.3-01")
@pytest.mark.parametrize("content", [b"DATA\r\n%s.\r\n", b"BDAT 65536 LAST\r\n%s"])
def test_content_of_the_declared_size_is_accepted(content: bytes) -> None:
    server = ready_server(limits=Limits(message_size=65536))
    server.feed(MAIL_COMMAND + b" SIZE=65536\r\n", RCPT_LINE)
    assert server.codes(content % (b"x" * 65534 + b"\r\n"))[-1] == 250


@pytest.mark.req("RFC1870-6.2-03")
@pytest.mark.parametrize("reply", [b"452 4.3.1 no\r\n", b"552 5.3.4 no\r\n"])
def test_a_client_reads_refusals_for_size_at_data_and_after_the_content(reply: bytes) -> None:
    """MAIL with SIZE was accepted before; the session goes on."""
    client = ready_client("SIZE")
    for at_data in (True, False):
        exchange(client, Mail(MAIL.path, MailParameters(size=5)), RCPT)
        client.send(Data())
        answers = receive(client, reply if at_data else b"354 go\r\n")
        if not at_data:
            client.send_body(b"abc\r\n")
            client.end_body()
            answers = receive(client, reply)
        assert bytes(answers[-1].reply) == reply
        assert client.phase is (Phase.RCPT if at_data else Phase.READY)
        client.data_to_send()
        if at_data:
            exchange(client, Ehlo(Domain("client.example")), reply=b"250-mx\r\n250 SIZE\r\n")
    exchange(client, MAIL)
