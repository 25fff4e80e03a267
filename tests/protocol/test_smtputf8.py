"""SMTPUTF8 (RFC 6531): addresses, and UTF-8 in replies only for clients that asked for it."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given

from smtpproto.errors import NotOffered
from smtpproto.events import (
    BodyEnd,
)
from smtpproto.grammar.address import ForwardPath, ReversePath
from smtpproto.grammar.command import (
    Command,
    Data,
    Expn,
    Mail,
    Rcpt,
    Vrfy,
)
from smtpproto.grammar.parameters import MailParameters
from smtpproto.grammar.reply import Reply
from smtpproto.testing.strategies import forward_paths, reverse_paths

from .machines import (
    MAIL,
    MAIL_LINE,
    RCPT,
    RCPT_LINE,
    TO_DATA,
    assert_refused,
    content_of,
    exchange,
    greeted_server,
    lines_of,
    ready_client,
    ready_server,
    receive,
    reply_to,
)

PATH = "<\u7528\u6237@\u4f8b\u3048.jp>"

UTF8_MAIL_LINE = b"MAIL FROM:<ann@example.org> SMTPUTF8\r\n"


@pytest.mark.req(
    "RFC6531-3.5-01", "RFC6531-3.5-02", "RFC6531-3.2-01", "RFC6531-3.2-02", "RFC5321-2.4-09"
)
@pytest.mark.parametrize(
    "text",
    [
        "\u7528\u6237@\u4f8b\u3048.jp",
        "\u7528\u6237@example.org",
        "ann@\u4f8b\u3048.jp",
        '"\u7528 \u6237"@example.org',
        "ann.\u7528.bob@example.org",
    ],
)
def test_addresses_in_utf8_are_refused_without_smtputf8(text: str) -> None:
    server = ready_server()
    address = text.encode()
    assert server.lines(b"MAIL FROM:<%s>\r\n" % address) == [
        "550 5.6.7 Sender address needs SMTPUTF8"
    ]
    server.feed(b"MAIL FROM:<a@b.example>\r\n")
    assert server.lines(b"RCPT TO:<%s>\r\n" % address) == [
        "553 5.6.7 Recipient address needs SMTPUTF8"
    ]
    assert server.codes(b"RCPT TO:<a@b.example>\r\nRSET\r\n") == [250, 250]
    data = b"MAIL FROM:<%s> SMTPUTF8\r\nRCPT TO:<%s>\r\n" % (address, address)
    assert server.codes(data) == [250, 250]
    assert server.machine.envelope.sender.mailbox is not None
    assert bytes(server.machine.envelope.sender.mailbox) == address
    for verb, kind in ((b"VRFY", Vrfy), (b"EXPN", Expn)):
        for flag in (b"", b" SMTPUTF8"):
            question = server.ask(verb + b" " + address + flag + b"\r\n")
            assert question == kind(text, smtputf8=bool(flag))
            server.answer(question)


@pytest.mark.req("RFC6531-3.1-06", "RFC6531-3.2-01")
def test_a_server_that_offers_smtputf8_accepts_an_internationalized_message_whole() -> None:
    """In any order of the parameters, by DATA and by BDAT; its octets are kept."""
    address = PATH.encode()
    content = f"From: \u7528 {PATH}\r\nSubject: caf\u00e9\r\n\r\n\u7528\r\n".encode()
    for parameters in (b"SMTPUTF8", b"BODY=8BITMIME SMTPUTF8", b"smtputf8 SIZE=99 BODY=8BITMIME"):
        for end in (b"DATA\r\n" + content + b".\r\n", b"BDAT %d LAST\r\n" % len(content) + content):
            server = ready_server()
            assert "SMTPUTF8" in server.machine.terms.offered
            head = b"MAIL FROM:%s %s\r\nRCPT TO:%s\r\n" % (address, parameters, address)
            assert server.codes(head) == [250, 250]
            assert server.codes(end)[-1] == 250
            assert server.content == content
            question = server.ask(b"VRFY \xc3\xa9 SMTPUTF8\r\n")
            assert question == Vrfy("\u00e9", smtputf8=True)


@pytest.mark.req("RFC6531-3.1-05")
def test_smtputf8_is_offered_only_with_8bitmime() -> None:
    with pytest.raises(ValueError, match="8BITMIME"):
        greeted_server(extensions={"8BITMIME": None})
    server = ready_server()
    assert {"SMTPUTF8", "8BITMIME"} <= set(server.machine.terms.offered)
    data = TO_DATA.replace(b"org>\r\n", b"org> SMTPUTF8 BODY=8BITMIME\r\n", 1)
    assert server.codes(data) == [250, 250, 354]
    events, _ = server.feed_events(b"caf\xc3\xa9\r\n.\r\n")
    assert content_of(events) == b"caf\xc3\xa9\r\n"


@pytest.mark.req("RFC6531-3.2-12/server")
def test_a_client_that_does_not_use_smtputf8_gets_the_same_replies() -> None:
    data = TO_DATA + b"x\r\n.\r\nVRFY bob\r\nRCPT TO:<\xff>\r\nQUIT\r\n"
    assert ready_server().feed_events(data) == ready_server(
        extensions={"SMTPUTF8": None}
    ).feed_events(data)
    server = ready_server()
    server.machine.receive(b"VRFY bob\r\n")
    assert server.machine.next_event() == Vrfy("bob")


@pytest.mark.req("RFC6531-3.2-12/client", "RFC6531-3.2-12/server")
def test_a_message_in_ascii_is_the_same_with_and_without_smtputf8() -> None:
    """Only the reply to EHLO differs."""
    client_says, server_says = set(), set()
    for extensions in ({}, {"SMTPUTF8": None}):
        server = ready_server(extensions=extensions)
        client = ready_client(*server.machine.terms.offered.lines())
        for command in (MAIL, RCPT, Rcpt(ForwardPath.of("xn--bcher-kva.example".join("a@ ")[:-1]))):
            client.send(command)
        client.send(Data())
        up = client.data_to_send()
        down = server.feed(up)
        receive(client, down)
        client.send_body(b"text\r\n")
        client.end_body()
        rest = client.data_to_send()
        client_says.add(up + rest)
        server_says.add(down + server.feed(rest))
    assert len(client_says) == len(server_says) == 1
    assert lines_of(*server_says)[-1].startswith("250 ")


@pytest.mark.req("RFC6531-3.2-12/server")
@given(reverse_paths(), forward_paths())
def test_each_address_in_ascii_gets_the_same_replies_with_and_without_smtputf8(
    sender: ReversePath, recipient: ForwardPath
) -> None:
    data = bytes(Mail(sender)) + b"\r\n" + bytes(Rcpt(recipient)) + b"\r\nVRFY a\r\n"
    plain = ready_server(extensions={"SMTPUTF8": None})
    assert ready_server().feed_events(data) == plain.feed_events(data)
    assert len(plain.machine.envelope.recipients) == 1


@pytest.mark.req("RFC6531-3.7.4.1-02", "RFC6531-3.7.4.1-03")
@pytest.mark.parametrize(
    ("reply", "plain"),
    [
        (Reply(251, "2.1.5", f"User not local; will forward to {PATH}"), "250 2.1.5 Recipient OK"),
        (Reply(551, "5.7.1", f"User not local; try {PATH}"), "550 5.1.6 Mailbox has moved"),
    ],
)
def test_a_forward_path_in_utf8_is_sent_only_after_smtputf8(reply: Reply, plain: str) -> None:
    server = ready_server(application=reply_to(Rcpt, reply))
    assert server.lines(MAIL_LINE + RCPT_LINE)[1] == plain
    assert len(server.machine.transaction.rcpts) == reply.positive, (
        "the recipient is accepted or refused all the same"
    )
    assert (
        server.lines(b"RSET\r\n" + UTF8_MAIL_LINE + RCPT_LINE)[2] == bytes(reply).decode().rstrip()
    )
    ascii_path = Reply(reply.code, reply.enhanced, "try <a@b.example>")
    server.application = reply_to(Rcpt, ascii_path)
    assert (
        server.lines(b"RSET\r\n" + MAIL_LINE + RCPT_LINE)[2] == bytes(ascii_path).decode().rstrip()
    )


@pytest.mark.req("RFC6531-3.7.4.2-05")
@pytest.mark.parametrize("code", [250, 450, 452, 550, 553])
@pytest.mark.parametrize("mail", [MAIL_LINE, UTF8_MAIL_LINE])
def test_other_text_to_rcpt_is_escaped_even_after_smtputf8(code: int, mail: bytes) -> None:
    """An echo of the recipient's address, for example."""
    server = ready_server(application=reply_to(Rcpt, Reply(code, None, f"caf\u00e9 {PATH}")))
    escaped = PATH.encode("ascii", "backslashreplace").decode()
    assert server.lines(mail + RCPT_LINE)[1] == f"{code} {code // 100}.0.0 caf\\xe9 {escaped}"


@pytest.mark.req("RFC6531-3.7.4.2-05")
@pytest.mark.parametrize("kind", [Mail, Data, BodyEnd])
def test_other_replies_of_a_transaction_are_ascii(kind: type) -> None:
    server = ready_server(application=reply_to(kind, Reply(550, None, "caf\u00e9")))
    sent = server.feed(UTF8_MAIL_LINE, RCPT_LINE, b"DATA\r\n.\r\n")
    assert b"550 5.0.0 caf\\xe9\r\n" in sent
    assert sent.isascii()


@pytest.mark.req("RFC6531-3.5-03", "RFC6531-3.5-04")
def test_the_application_may_refuse_smtputf8_at_rcpt_or_after_the_content() -> None:
    """The application sees the parameter at RCPT."""
    server = ready_server()
    seen: list[bool] = []

    def application(question: object) -> Reply | None:
        if isinstance(question, Rcpt):
            seen.append(server.machine.envelope.parameters.smtputf8)
            return Reply(550, "5.6.7", "No UTF-8 for him") if seen[-1] else None
        return None

    server.application = application
    assert server.codes(MAIL_LINE, RCPT_LINE, b"RSET\r\n", UTF8_MAIL_LINE, RCPT_LINE) == [
        250,
        250,
        250,
        250,
        550,
    ]
    assert seen == [False, True]
    server.application = reply_to(BodyEnd, Reply(554, "5.6.9", "UTF-8 header not permitted"))
    assert server.lines(RCPT_LINE, b"DATA\r\n.\r\n")[-1] == "554 5.6.9 UTF-8 header not permitted"


@pytest.mark.req("RFC6531-3.7.4.2-01", "RFC6531-3.7.4.2-02", "RFC6531-3.7.4.2-07")
@pytest.mark.parametrize(("verb", "kind"), [(b"VRFY", Vrfy), (b"EXPN", Expn)])
@pytest.mark.parametrize("offered", [True, False])
def test_vrfy_and_expn_reply_in_utf8_only_if_asked(
    verb: bytes, kind: type[Vrfy], offered: bool
) -> None:
    found = Reply(250, None, ["Ann <ann@example.org>", f"J\u00f6rg {PATH}"])
    server = ready_server(
        application=reply_to(kind, found), extensions={} if offered else {"SMTPUTF8": None}
    )
    assert server.lines(verb + b" ann\r\n") == ["252 2.6.8 The name needs SMTPUTF8 to be shown"]
    sent = server.lines(verb + b" ann smtputf8\r\n")
    if not offered:
        assert sent[0].startswith("252 2.6.8 ")
        assert server.events[-1] == kind("ann smtputf8"), (
            "the word is part of the argument if SMTPUTF8 was not offered"
        )
        return
    assert sent == ["250-2.0.0 Ann <ann@example.org>", f"250 2.0.0 J\u00f6rg {PATH}"]
    assert server.events[-1] == kind("ann", smtputf8=True)
    assert server.codes(verb + b" ann SMTPUTF8=1\r\n") == [501]
    server.application = reply_to(kind, Reply(550, None, f"{PATH} is gone"))
    assert server.lines(verb + b" ann\r\n") == ["550 5.6.8 The reply needs SMTPUTF8 to be shown"]
    assert server.lines(verb + b" ann SMTPUTF8\r\n") == [f"550 5.0.0 {PATH} is gone"]


@pytest.mark.req("RFC6531-3.7.4.2-02")
@pytest.mark.parametrize("kind", [Vrfy, Expn])
@pytest.mark.parametrize("code", [250, 252, 550])
def test_smtputf8_of_mail_does_not_apply_to_vrfy_and_expn(kind: type[Vrfy], code: int) -> None:
    server = ready_server(UTF8_MAIL_LINE, application=reply_to(kind, Reply(code, None, PATH)))
    assert server.feed(f"{kind.verb} ann\r\n".encode()).isascii()
    assert not server.feed(f"{kind.verb} ann SMTPUTF8\r\n".encode()).isascii()
    assert server.feed(f"{kind.verb} ann\r\n".encode()).isascii(), "it applies to one command only"


@pytest.mark.req("RFC6531-3.7.4.2-05")
def test_all_other_replies_are_ascii() -> None:
    server = ready_server(
        UTF8_MAIL_LINE, application=reply_to(Command, Reply(550, None, "caf\u00e9"))
    )
    assert server.feed(b"HELP\r\n", b"DATA\r\n", b"EHLO a.example\r\n").isascii()
    server.machine.hang_up(Reply(421, None, "caf\u00e9"))
    assert server.machine.data_to_send() == b"421 4.0.0 mx.example.org caf\\xe9\r\n"


@pytest.mark.req("RFC6531-3.7.4.2-03", "RFC6531-3.7.4.2-04")
@pytest.mark.parametrize("kind", [Vrfy, Expn])
def test_a_client_asks_for_utf8_only_if_offered(kind: type[Vrfy]) -> None:
    client = ready_client("8BITMIME")
    command = kind("\u7528", smtputf8=True)
    assert_refused(client, partial(client.send, command), NotOffered, match="SMTPUTF8")
    client = ready_client("8BITMIME", "SMTPUTF8")
    assert_refused(client, partial(client.send, kind("\u7528")), match="SMTPUTF8")
    client.send(command)
    assert client.data_to_send() == f"{kind.verb} \u7528 SMTPUTF8\r\n".encode()
    (answer,) = receive(client, f"250-a {PATH}\r\n250 {PATH}\r\n".encode())
    assert answer.reply.lines == (f"a {PATH}", PATH)


def test_a_client_reads_a_path_in_utf8() -> None:
    client = ready_client("8BITMIME", "SMTPUTF8")
    exchange(client, Mail(MAIL.path, MailParameters(smtputf8=True)))
    client.send(RCPT)
    (answer,) = receive(client, f"551 5.1.6 try {PATH}\r\n".encode())
    assert answer.reply == Reply(551, "5.1.6", f"try {PATH}")
