"""Sender, recipients, sizes and content of a server's transaction."""

from __future__ import annotations

import pytest

from smtpproto.events import (
    BodyEnd,
    Rejected,
)
from smtpproto.grammar.address import ForwardPath
from smtpproto.grammar.command import Noop, Rcpt, Rset
from smtpproto.grammar.envelope import Envelope
from smtpproto.grammar.reply import Reply
from smtpproto.limits import Limits
from smtpproto.protocol.phases import Phase
from tests.support.pieces import single_octets

from .machines import (
    EHLO_LINE,
    ENVELOPE_LINES,
    RCPT_LINE,
    SMALL_MESSAGES,
    TO_DATA,
    ServerDriver,
    codes_of,
    content_of,
    lines_of,
    ready_server,
)


def sent_by(server: ServerDriver) -> tuple[str, tuple[ForwardPath, ...]]:
    """Return sender and recipients of the transaction that is open."""
    return str(server.machine.envelope.sender), server.machine.envelope.recipients


@pytest.mark.req("RFC5321-4.1.1.1-08", "RFC5321-4.1.4-05", "RFC5321-3.3-08")
@pytest.mark.parametrize("hello", [b"EHLO b.example\r\n", b"HELO b.example\r\n", b"RSET\r\n"])
def test_ehlo_helo_and_rset_clear_the_transaction(hello: bytes) -> None:
    server = ready_server()
    server.feed(b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\n")
    assert server.machine.envelope == Envelope("ann@example.org", ["bob@example.org"])
    server.feed(hello)
    assert sent_by(server) == ("", ())
    assert server.lines(b"RCPT TO:<bob@example.org>\r\n") == ["503 5.5.1 Send MAIL first"]
    assert server.codes(b"MAIL FROM:<>\r\n") == [250]


@pytest.mark.req("RFC5321-4.1.4-15", "RFC5321-4.1.4-16")
def test_a_second_or_malformed_mail_keeps_the_transaction() -> None:
    server = ready_server()
    lines = server.lines(b"MAIL FROM:bad\r\n", b"MAIL FROM:<ann@example.org>\r\n")
    assert codes_of(lines) == [501, 250]
    assert server.lines(b"MAIL FROM:<eve@example.org>\r\n") == [
        "503 5.5.1 Transaction already open"
    ]
    assert server.codes(b"RCPT TO:<bob@example.org>\r\n") == [250]
    assert server.machine.envelope == Envelope("ann@example.org", ["bob@example.org"])


@pytest.mark.req("RFC5321-4.1.1.5-01", "RFC5321-4.1.1.5-03", "RFC5321-4.1.1.5-05")
def test_rset_clears_the_transaction_but_not_the_login() -> None:
    server = ready_server(mechanisms=("PLAIN",), secure=True, require_auth=True)
    server.feed(b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n", ENVELOPE_LINES)
    events, sent = server.feed_events(b"RSET\r\n")
    assert events == [Rset()]
    assert sent == b"250 2.0.0 OK\r\n"
    assert sent_by(server) == ("", ())
    assert server.codes(b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n") == [503], "still logged in"
    with_size = TO_DATA.replace(b"org>\r\n", b"org> SIZE=9\r\n", 1)
    assert server.codes(with_size) == [250, 250, 354], "the extensions are still negotiated"


@pytest.mark.req("RFC5321-4.1.1.6-01", "RFC5321-4.1.1.7-01", "RFC5321-4.1.1.8-03")
def test_vrfy_expn_help_noop_and_errors_keep_the_transaction() -> None:
    server = ready_server()
    server.feed(b"MAIL FROM:<>\r\nVRFY a\r\nEXPN a\r\nHELP\r\nNOOP\r\nFOO\r\nDATA x\r\n")
    assert server.codes(b"RCPT TO:<bob@example.org>\r\n") == [250]


@pytest.mark.req("RFC5321-4.5.3.1.8-02", "RFC5321-4.5.3.1.10-01", "RFC5321-4.5.3.1.8-06")
def test_recipients_beyond_the_limit_are_refused_with_452() -> None:
    server = ready_server(limits=Limits(recipients=100))
    server.feed(b"MAIL FROM:<>\r\n")
    events, sent = server.feed_events(
        b"".join(b"RCPT TO:<u%d@b.example>\r\n" % i for i in range(102))
    )
    assert codes_of(lines_of(sent)) == [250] * 100 + [452] * 2
    assert b"452 4.5.3 Too many recipients" in sent
    assert isinstance(events[-1], Rejected)
    assert len(server.machine.envelope.recipients) == 100
    assert server.codes(b"DATA\r\n", b".\r\n") == [354, 250]


@pytest.mark.req("RFC2920-3.2-04")
def test_data_after_refused_recipients_only_is_refused_with_503() -> None:
    server = ready_server(limits=Limits(recipients=100))
    server.feed(b"MAIL FROM:<>\r\n")
    for _ in range(101):
        assert isinstance(server.ask(b"RCPT TO:<a@b.example>\r\n"), Rcpt)
        server.machine.answer(Reply(550))
    assert server.machine.phase is Phase.MAIL
    events, sent = server.feed_events(b"DATA\r\n", b".\r\n")
    assert codes_of(lines_of(sent))[-2:] == [503, 500]
    assert not any(isinstance(event, BodyEnd) for event in events)


@pytest.mark.req("RFC1870-6.1-01", "RFC1870-7-02", "RFC1870-6.1-03", "RFC5321-4.5.3.1.7-04")
def test_a_declared_size_beyond_the_limit_is_refused_with_552() -> None:
    server = ready_server(limits=SMALL_MESSAGES)
    assert server.lines(b"MAIL FROM:<> SIZE=65537\r\n") == [
        "552 5.3.4 Message size exceeds fixed maximum message size"
    ]
    assert server.codes(b"MAIL FROM:<> SIZE=10\r\n", RCPT_LINE + b"DATA\r\n") == [250, 250, 354]
    events, sent = server.feed_events(b"x" * 100 + b"\r\n.\r\n")
    assert events[-1] == BodyEnd(102)
    assert sent.startswith(b"250 ")
    assert server.codes(b"MAIL FROM:<> SIZE=65536\r\n") == [250]
    unlimited = ready_server(limits=Limits(message_size=None))
    assert unlimited.codes(b"MAIL FROM:<> SIZE=%d\r\n" % (10**20 - 1)) == [250]


@pytest.mark.req("RFC1870-4-02", "RFC5321-4.5.3.1.7-01", "RFC5321-4.1.1.4-07")
@pytest.mark.parametrize("size", [65535, 65536, 65537, 500000])
@pytest.mark.parametrize("step", [1000, 10**6])
def test_content_beyond_the_limit_is_discarded_and_refused_with_552(size: int, step: int) -> None:
    """Stuffed dots and the end of data do not count. The session goes on."""
    server = ready_server(limits=SMALL_MESSAGES)
    server.feed(TO_DATA)
    content = b".".ljust(size - 2, b"x") + b"\r\n"
    wire = b"." + content + b".\r\nNOOP\r\n"
    events, sent = server.feed_events(*(wire[i : i + step] for i in range(0, len(wire), step)))
    body = content_of(events)
    if size <= 65536:
        assert body == content
        assert events[-2] == BodyEnd(size)
        assert codes_of(lines_of(sent)) == [250, 250]
    else:
        assert len(body) <= 65536
        assert [type(event) for event in events[-2:]] == [Rejected, Noop]
        assert codes_of(lines_of(sent)) == [552, 250]
    assert sent_by(server) == ("", ())
    assert server.codes(TO_DATA) == [250, 250, 354]


@pytest.mark.req(
    "SMUGGLING-02", "RFC5321-3.3-01", "RFC5321-4.1.1.4-05", "SMUGGLING-01", "RFC6152-3-08/server"
)
@pytest.mark.parametrize("body", [b"", b" BODY=7BIT", b" BODY=8BITMIME"])
@pytest.mark.parametrize(
    "content",
    [
        b"caf\xc3\xa9\n\r\n",
        b"\xff\r\xff",
        b"\xe9" * 70000 + b"\r.\r\n",
        b"a\n.\nMAIL FROM:<evil@example.net>\r\n",
        b"a\r.\r\n",
        b"\n",
        b"\r",
        b"x" * 70000 + b"\n.\r\n",
    ],
    ids=lambda content: repr(content[:20]),
)
def test_content_with_a_bare_cr_or_lf_is_refused_after_its_end(content: bytes, body: bytes) -> None:
    """The command after CRLF.CRLF is the next one, and the session goes on."""
    server = ready_server()
    server.feed(TO_DATA.replace(b"org>\r\n", b"org>" + body + b"\r\n", 1))
    events, sent = server.feed_events(content + b"\r\n.\r\nNOOP\r\n")
    assert [type(event) for event in events][-2:] == [Rejected, Noop]
    assert not any(isinstance(event, BodyEnd) for event in events)
    assert sent == b"554 5.6.0 CR or LF alone in message content\r\n250 2.0.0 OK\r\n"
    assert server.codes(TO_DATA, b"good\r\n.\r\n") == [250, 250, 354, 250]


@pytest.mark.req("RFC5321-4.1.1.4-02/server", "RFC1870-6-03")
def test_content_arrives_without_stuffed_dots() -> None:
    server = ready_server()
    server.feed(TO_DATA)
    assert server.feed_events(b".\r\n")[0] == [BodyEnd(0)]
    server = ready_server()
    server.feed(TO_DATA)
    events, _ = server.feed_events(b"..a\r\n", b"QUIT\r\n.", b"\r\n")
    assert content_of(events) == b".a\r\nQUIT\r\n"
    assert events[-1] == BodyEnd(10)
    assert "QUIT" not in repr(events)


@pytest.mark.req("RFC1870-6-03")
@pytest.mark.parametrize("declared", [0, 1, 3, 5, 6, 8, 12, 13, 14, 99])
def test_the_declared_size_never_ends_the_content(declared: int) -> None:
    server = ready_server()
    server.feed(b"MAIL FROM:<> SIZE=%d\r\n" % declared, RCPT_LINE, b"DATA\r\n")
    wire = b"a\r\n..\r\nNOOP\r\nb\r\n.\r\nNOOP\r\n"
    events, sent = server.feed_events(*single_octets(wire))
    assert content_of(events) == b"a\r\n.\r\nNOOP\r\nb\r\n"
    assert codes_of(lines_of(sent)) == [250, 250]


@pytest.mark.parametrize("code", [250, 451, 554])
@pytest.mark.req("RFC5321-4.1.1.4-07")
def test_the_transaction_ends_with_the_content_whatever_the_reply(code: int) -> None:
    server = ready_server()
    server.feed(TO_DATA)
    server.ask(b".\r\n")
    server.machine.answer(Reply(code))
    assert sent_by(server) == ("", ())
    assert server.codes(TO_DATA) == [code, 250, 250, 354]


def test_a_refused_data_keeps_the_transaction() -> None:
    server = ready_server()
    server.feed(ENVELOPE_LINES)
    server.ask(b"DATA\r\n")
    server.machine.answer(Reply(451))
    assert server.codes(b"DATA\r\n") == [451, 354]


@pytest.mark.req("RFC5321-3.3-01")
@pytest.mark.parametrize(
    "end", [b"RSET\r\n", EHLO_LINE, b"DATA\r\nx\r\n.\r\n", b"DATA\r\nx\n\r\n.\r\n"]
)
def test_mail_starts_with_an_empty_transaction(end: bytes) -> None:
    server = ready_server()
    server.feed(ENVELOPE_LINES)
    for line in end.splitlines(keepends=True):
        server.feed(line)
    assert server.codes(b"MAIL FROM:<eve@example.org>\r\n") == [250]
    assert sent_by(server) == ("eve@example.org", ())
    assert server.machine.transaction.size == 0


@pytest.mark.req("RFC5321-4.1.1.3-05")
def test_each_rcpt_adds_one_recipient() -> None:
    server = ready_server()
    paths = ["bob@example.org", "ann@example.org", "bob@example.org"]
    server.feed(b"MAIL FROM:<eve@example.org>\r\n")
    for count, path in enumerate(paths, 1):
        (event,), _ = server.feed_events(b"RCPT TO:<%s>\r\n" % path.encode())
        assert isinstance(event, Rcpt) and str(event.path) == path
        assert server.machine.envelope == Envelope("eve@example.org", paths[:count])


@pytest.mark.req("RFC2920-3.2-03")
@pytest.mark.parametrize(
    ("answers", "last"), [([550, 550], 503), ([250, 550], 354), ([550, 250], 354)]
)
def test_data_needs_one_accepted_recipient(answers: list[int], last: int) -> None:
    server = ready_server()
    server.feed(b"MAIL FROM:<>\r\n")
    for code in answers:
        server.machine.receive(b"RCPT TO:<a@b.example>\r\n")
        server.machine.next_event()
        server.machine.answer(Reply(code))
    server.machine.data_to_send()
    assert server.codes(b"DATA\r\n") == [last]


@pytest.mark.req("RFC5321-3.4-02", "RFC5321-3.4-05")
def test_251_accepts_a_recipient_and_551_refuses_it() -> None:
    server = ready_server()
    server.feed(b"MAIL FROM:<ann@example.org>\r\n")
    for name, code in ((b"moved", 251), (b"gone", 551)):
        server.machine.receive(b"RCPT TO:<%s@example.org>\r\n" % name)
        server.machine.next_event()
        server.machine.answer(Reply(code, None, "<elsewhere@example.net>"))
    assert server.machine.envelope == Envelope("ann@example.org", ["moved@example.org"])
    assert server.machine.phase is Phase.RCPT


@pytest.mark.req("RFC5321-4.5.3.1-01/server", "RFC5321-4.5.3.1.8-01")
def test_one_hundred_recipients_are_accepted() -> None:
    server = ready_server()
    server.feed(b"MAIL FROM:<>\r\n")
    lines = b"".join(b"RCPT TO:<u%d@b.example>\r\n" % number for number in range(100))
    assert server.codes(lines + b"DATA\r\n") == [250] * 100 + [354]
    assert len(server.machine.envelope.recipients) == 100


@pytest.mark.req("RFC5321-4.5.3.1-01/server")
def test_a_message_of_65536_octets_is_accepted() -> None:
    server = ready_server(limits=SMALL_MESSAGES)
    server.feed(TO_DATA)
    body = (b"x" * 62 + b"\r\n") * 1024
    assert len(body) == 65536
    events, sent = server.feed_events(body + b".\r\n")
    assert content_of(events) == body
    assert codes_of(lines_of(sent)) == [250]


@pytest.mark.req("RFC6152-3-02")
@pytest.mark.parametrize("step", [1000, 10**6])
def test_all_octets_of_8_bit_content_are_preserved(step: int) -> None:
    """Each pair of octets, but those with a CR or LF alone."""
    octets = [number for number in range(256) if number not in b"\r\n"]
    content = b"".join(
        b"x" + b"".join(bytes([one, other]) for other in octets) + b"\r\n" for one in octets
    )
    server = ready_server(TO_DATA.replace(b"org>\r\n", b"org> BODY=8BITMIME\r\n", 1))
    wire = content + b".\r\n"
    assert server.codes(*(wire[at : at + step] for at in range(0, len(wire), step))) == [250]
    assert server.content == content


@pytest.mark.req("RFC5321-4.5.3.1.6-01/server", "RFC5321-4.5.3.1-01/server", "RFC6152-3-03/server")
@pytest.mark.parametrize("fill", [b"x", b"\xff", b"\xc3\xa9"])
def test_content_lines_of_1000_octets_are_accepted(fill: bytes) -> None:
    """A line has 1000 octets with CRLF, or 1001 with a stuffed dot, also in 8-bit."""
    server = ready_server()
    server.feed(TO_DATA.replace(b"org>\r\n", b"org> BODY=8BITMIME\r\n", 1))
    line, dotted = (fill * 998)[:998], b"." + (fill * 997)[:997]
    events, sent = server.feed_events(line + b"\r\n." + dotted + b"\r\n.\r\n")
    assert content_of(events) == line + b"\r\n" + dotted + b"\r\n"
    assert codes_of(lines_of(sent)) == [250]
