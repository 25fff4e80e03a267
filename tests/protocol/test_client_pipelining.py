"""The client's ledger and pipelined commands (RFC 2920)."""

from __future__ import annotations

import pytest

from smtpproto.errors import LocalProtocolError
from smtpproto.grammar.command import (
    Command,
    Data,
    Expn,
    Helo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    Vrfy,
)
from smtpproto.grammar.extension_command import Auth, Etrn, StartTLS, XClient
from smtpproto.grammar.secret import Secret
from smtpproto.grammar.xclient import XClientAttributes
from smtpproto.protocol.phases import Phase

from .machines import (
    EHLO,
    MAIL,
    OFFER,
    RCPT,
    assert_protocol_error,
    assert_refused,
    client_in_body,
    cut,
    ehlo_reply,
    exchange,
    ready_client,
    receive,
    receive_codes,
    sent_of,
)
from .own_verbs import OWN_VERBS, XCount

HELO = Helo(EHLO.host)
MUST_END_A_GROUP = [EHLO, HELO, Vrfy("a"), Expn("a"), Help(), Noop(), Quit()]
MAY_BE_FOLLOWED = [MAIL, RCPT, Rset()]


@pytest.mark.req("RFC2920-3.1-07", "RFC2920-3.1-08", "RFC2920-3.1-01", "RFC5321-4.2-11")
def test_replies_are_matched_to_commands_by_counting() -> None:
    """All replies have the same code, and some have three lines, one of them empty."""
    commands = (Rset(), MAIL, RCPT, RCPT, Rset(), MAIL, RCPT, RCPT, RCPT)
    data = b"250 ok\r\n250-ok\r\n250-\r\n250 ok\r\n" * 4 + b"250 ok\r\n"
    for position in range(1, len(data) + 1):
        client = ready_client("PIPELINING")
        sent = [client.send(command) for command in commands]
        assert client.unanswered == tuple(sent)
        assert client.data_to_send().count(b"\r\n") == 9
        answers = receive(client, *cut(data, [position]))
        assert sent_of(answers) == sent
        assert [answer.reply.text for answer in answers] == ["ok", "ok\n\nok"] * 4 + ["ok"]
        assert (client.unanswered, client.in_flight) == ((), 0)


@pytest.mark.req("RFC2920-3.1-07")
@pytest.mark.parametrize("replies", range(3))
def test_354_is_not_taken_for_the_reply_to_a_later_data(replies: int) -> None:
    client = ready_client("PIPELINING")
    for command in (MAIL, RCPT, RCPT, Data()):
        client.send(command)
    receive(client, *[b"250 ok\r\n"] * replies)
    assert_protocol_error(client, b"354 go\r\n" + b"250 ok\r\n" * (3 - replies), "does not fit")


def test_in_flight_counts_the_octets_of_unanswered_commands() -> None:
    client = ready_client("PIPELINING")
    client.send(MAIL)
    client.send(RCPT)
    assert client.in_flight == len(client.data_to_send())
    receive(client, b"250 ok\r\n")
    assert client.in_flight == len(bytes(RCPT)) + 2


@pytest.mark.req("RFC2920-3.1-02", "RFC3207-4-09")
@pytest.mark.parametrize(
    "first", [*MAY_BE_FOLLOWED, *MUST_END_A_GROUP, Data(), StartTLS(), Auth("PLAIN")], ids=str
)
@pytest.mark.parametrize(
    "second", [*MAY_BE_FOLLOWED, *MUST_END_A_GROUP, Data(), StartTLS(), Auth("PLAIN")], ids=str
)
def test_only_mail_rcpt_and_rset_may_be_followed_in_a_group(
    first: Command, second: Command
) -> None:
    """Any command that is in order may follow these three; none may follow the others."""
    client = ready_client(*OFFER)
    if isinstance(first, Rcpt | Data):
        client.send(MAIL)
        if isinstance(first, Data):
            client.send(RCPT)
        receive(client, b"250 ok\r\n" * len(client.unanswered))
    client.send(first)
    client.data_to_send()
    in_order = client.allows(second.verb)
    if isinstance(first, Mail | Rcpt | Rset) and in_order:
        client.send(second)
        assert client.data_to_send() == bytes(second) + b"\r\n"
        assert len(client.unanswered) == 2
    else:
        assert_refused(client, lambda: client.send(second))
    assert client.ready == (type(client.unanswered[-1].what) in (Mail, Rcpt, Rset))


@pytest.mark.req("RFC2920-3-01", "RFC5321-4.3.1-01")
@pytest.mark.parametrize("first", [*MAY_BE_FOLLOWED[:1], Rset(), *MUST_END_A_GROUP], ids=str)
def test_without_pipelining_each_command_waits_for_its_reply(first: Command) -> None:
    client = ready_client("8BITMIME")
    client.send(first)
    client.data_to_send()
    assert not client.ready
    assert_refused(client, lambda: client.send(Rset()))


@pytest.mark.req("RFC2920-3-01")
def test_only_the_last_ehlo_reply_allows_pipelining() -> None:
    client = ready_client("PIPELINING", "8BITMIME")
    for hello, keywords in ((EHLO, ("8BITMIME",)), (EHLO, ("PIPELINING",)), (HELO, ())):
        exchange(client, hello, reply=ehlo_reply(*keywords))
        client.send(Rset())
        assert client.ready == ("PIPELINING" in keywords)
        receive(client, b"250 ok\r\n")


@pytest.mark.req("RFC2920-3.1-04")
def test_the_next_transaction_may_be_pipelined_after_the_content() -> None:
    client = client_in_body("PIPELINING")
    client.send_body(b"text")
    (end,) = client.end_body()
    assert client.ready
    client.send(MAIL)
    client.send(RCPT)
    client.send(Data())
    assert client.data_to_send().startswith(b"text\r\n.\r\nMAIL FROM:")
    assert_refused(client, lambda: client.send_body(b"x"))
    assert receive_codes(client, b"554 no\r\n250 ok\r\n550 no\r\n354 go\r\n") == [
        554,
        250,
        550,
        354,
    ]
    assert end not in client.unanswered
    assert client.phase is Phase.BODY

    client = client_in_body()
    client.end_body()
    client.data_to_send()
    assert_refused(client, lambda: client.send(MAIL))


def test_a_negative_reply_in_a_group_changes_what_is_allowed() -> None:
    """``allows`` assumes success only for replies still outstanding."""
    client = ready_client("PIPELINING")
    client.send(MAIL)
    client.send(RCPT)
    assert client.allows("DATA")
    receive(client, b"550 no\r\n")
    assert not client.allows("DATA"), "the sender was refused, so the recipient will be, too"
    assert not client.allows("RCPT")
    receive(client, b"503 no\r\n")
    assert client.phase is Phase.READY
    client = ready_client("PIPELINING")
    client.send(MAIL)
    client.send(RCPT)
    client.send(RCPT)
    receive(client, b"250 ok\r\n550 no\r\n")
    assert client.allows("DATA"), "the other recipient may still be accepted"
    receive(client, b"550 no\r\n")
    assert client.phase is Phase.MAIL
    assert not client.allows("DATA")


@pytest.mark.req("RFC2920-3.1-06")
def test_after_354_without_recipients_an_empty_message_is_sent() -> None:
    client = ready_client("PIPELINING")
    for command in (MAIL, RCPT, Data()):
        client.send(command)
    client.data_to_send()
    assert receive_codes(client, b"250 ok\r\n550 no\r\n354 go\r\n") == [250, 550, 354]
    client.end_body()
    assert client.data_to_send() == b".\r\n"
    assert receive_codes(client, b"554 no\r\n") == [554]
    assert client.phase is Phase.READY


@pytest.mark.req("RFC2920-3.1-03", "RFC4954-4-32")
def test_own_verbs_starttls_auth_and_etrn_end_a_group() -> None:
    """BDAT does not end a group, nor does XFORWARD, whose specification says so."""
    offered = (
        *("PIPELINING", "STARTTLS", "AUTH PLAIN CRAM-MD5", "ETRN", "CHUNKING", "XCOUNT"),
        *("XCLIENT NAME", "XFORWARD NAME"),
    )
    for command in (
        StartTLS(),
        Auth("PLAIN"),
        Auth("PLAIN", Secret(b"\0ann\0secret")),
        Auth("CRAM-MD5"),
        Etrn("a.example"),
        XClient(XClientAttributes(name="a.example")),
        XCount(1),
    ):
        client = ready_client(*offered, verbs=OWN_VERBS)
        client.send(command)
        client.data_to_send()
        assert not client.ready
        for following in (Noop(), MAIL):
            with pytest.raises(LocalProtocolError):
                client.send(following)
        assert client.data_to_send() == b""
    client = ready_client(*offered, verbs=OWN_VERBS)
    client.send(MAIL)
    client.send(RCPT)
    client.send_chunk(b"", last=True)
    assert client.ready
    client.send(MAIL)
