"""What the server's machine says and does by itself, rule by rule."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError, LocalProtocolError
from smtpproto.events import (
    AuthResponse,
    BodyChunk,
    BodyEnd,
    Connected,
    Disconnected,
    Rejected,
    ServerEvent,
)
from smtpproto.grammar.command import Ehlo, Helo, Mail, Noop, Quit, Rcpt, Rset
from smtpproto.grammar.envelope import Envelope
from smtpproto.grammar.extension import Extensions
from smtpproto.grammar.extension_command import StartTLS
from smtpproto.grammar.reply import Reply
from smtpproto.grammar.secret import Secret
from smtpproto.limits import Limits, Timeouts
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.server import ServerProtocol
from smtpproto.protocol.server_replies import TIMED_OUT

from .machines import (
    EHLO_LINE,
    ENVELOPE_LINES,
    HOST,
    MAIL_LINE,
    RCPT_LINE,
    SMALL_MESSAGES,
    TO_DATA,
    ServerDriver,
    challenge_auth,
    codes_of,
    content_of,
    cut,
    greeted_server,
    lines_of,
    merge_content,
    ready_server,
    reply_to,
    server_in_exchange,
    single_octets,
)

SECRET = base64.b64encode(b"\0ann\0hunter2hunter2")


# -- its name ----------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-4.3.1-04", "RFC5321-4.1.1.1-07", "RFC5321-4.1.1.1-05")
@pytest.mark.parametrize("name", [HOST, "[192.0.2.1]", "[IPv6:2001:db8::1]"])
def test_it_names_itself(name: str) -> None:
    server = ServerDriver(reply_to(Connected, Reply(220, None, "ready\nand glad")), hostname=name)
    server.handle_events()
    assert server.machine.data_to_send() == f"220-{name} ready\r\n220 and glad\r\n".encode()
    assert server.lines(b"HELO a.example\r\n") == [f"250 {name} greets you"]
    assert server.lines(EHLO_LINE)[0] == f"250-{name} greets you"
    assert server.lines(b"QUIT\r\n") == [f"221 2.0.0 {name} Service closing transmission channel"]


@pytest.mark.req("RFC5321-3.8-04")
@pytest.mark.parametrize(
    "before", [b"", EHLO_LINE, EHLO_LINE + TO_DATA, EHLO_LINE + TO_DATA + b"text\r\n"]
)
def test_421_may_be_said_at_any_time(before: bytes) -> None:
    server = greeted_server()
    server.feed(before)
    server.machine.hang_up(TIMED_OUT)
    assert server.machine.data_to_send() == (
        b"421 4.4.2 mx.example.org Timeout; closing transmission channel\r\n"
    )
    assert server.machine.phase is Phase.CLOSED
    events = list(server.events)
    assert server.feed(b"NOOP\r\n") + server.end() == b""
    assert server.events == events


def test_hanging_up_drops_the_question() -> None:
    server = greeted_server()
    server.ask(EHLO_LINE)
    server.machine.hang_up(TIMED_OUT)
    assert server.machine.question is None
    assert server.machine.next_event() is None
    with pytest.raises(LocalProtocolError):
        server.machine.answer()


@pytest.mark.req("RFC6531-3.7.1-02")
def test_its_name_is_ascii() -> None:
    machine = ServerProtocol(hostname="b\u00fccher.example")
    assert str(machine.hostname) == "xn--bcher-kva.example"
    machine.next_event()
    machine.answer()
    machine.receive(EHLO_LINE)
    machine.next_event()
    machine.answer()
    greeting, hello, *_ = machine.data_to_send().decode("ascii").split("\r\n")
    assert "xn--bcher-kva.example" in greeting
    assert "xn--bcher-kva.example" in hello
    with pytest.raises(GrammarError):  # IDNA of 2003 and of 2008 make different names of it
        ServerProtocol(hostname="stra\u00dfe.example")


@pytest.mark.req("RFC5321-4.3.1-03", "RFC5321-3.1-02", "SMUGGLING-08")
def test_greetings() -> None:
    for reply, phase in ((Reply(554), Phase.REFUSED), (Reply(421), Phase.CLOSED)):
        machine = ServerProtocol(hostname=HOST)
        assert machine.next_event() == Connected(early_talk=False)
        machine.answer(reply)
        assert machine.phase is phase
    machine = ServerProtocol(hostname=HOST)
    machine.receive(b"EH")
    assert machine.next_event() == Connected(early_talk=True)


@pytest.mark.req("RFC5321-3.1-03", "RFC5321-3.1-04")
@pytest.mark.parametrize("options", [{}, {"require_tls": True}, {"require_auth": True}])
def test_refused_sessions_know_quit_only(options: dict[str, bool]) -> None:
    refuse = reply_to(Connected, Reply(554, "5.7.1", "No service here"))
    server = ServerDriver(refuse, **options)
    server.handle_events()
    assert server.codes() == [554]
    for verb in (b"EHLO a.example", b"HELO a.example", b"MAIL FROM:<>", b"NOOP", b"RSET"):
        assert server.codes(verb + b"\r\n") == [503]
    for verb in (b"AUTH PLAIN", b"STARTTLS", b"VRFY a", b"DATA", b"MAIL"):
        assert server.codes(verb + b"\r\n") == [503]
    assert server.codes(b"QUIT\r\n") == [221]


# -- EHLO, HELO --------------------------------------------------------------------------------


@pytest.mark.req("RFC2034-3-01", "RFC6531-3.1-01", "RFC5321-2.4-10", "RFC5321-4.3.2-03")
def test_what_ehlo_offers() -> None:
    assert greeted_server().lines(EHLO_LINE) == [
        "250-mx.example.org greets you",
        "250-PIPELINING",
        "250-SIZE 33554432",
        "250-8BITMIME",
        "250-SMTPUTF8",
        "250-CHUNKING",
        "250-LIMITS RCPTMAX=1000",
        "250-ENHANCEDSTATUSCODES",
        "250 HELP",
    ]


@pytest.mark.req(
    "RFC3207-3-01",
    "RFC3207-4.2-06",
    "RFC4954-6-07",
    "RFC5321-4.5.3.1.7-02",
    "RFC4954-3-01",
    "RFC8314-3.3-03",
)
@pytest.mark.parametrize(
    ("options", "present", "absent"),
    [
        ({"starttls": True}, ["STARTTLS"], ["AUTH PLAIN LOGIN"]),
        ({"starttls": True, "secure": True}, ["AUTH PLAIN LOGIN"], ["STARTTLS"]),
        ({"auth_in_clear": True}, ["AUTH PLAIN LOGIN"], ["STARTTLS"]),
        ({"limits": Limits(message_size=None)}, ["SIZE"], ["STARTTLS", "AUTH PLAIN LOGIN"]),
        ({"limits": SMALL_MESSAGES}, ["SIZE 65536"], []),
    ],
)
def test_what_ehlo_offers_depends(
    options: dict[str, object], present: list[str], absent: list[str]
) -> None:
    lines = [
        line[4:]
        for line in greeted_server(mechanisms=("PLAIN", "LOGIN"), **options).lines(EHLO_LINE)
    ]
    assert set(present) <= set(lines)
    assert not set(absent) & set(lines)


@pytest.mark.req("RFC5321-3.2-01", "RFC5321-F.3-02", "RFC5321-4.1.1.11-01", "RFC2034-4-05")
def test_helo_negotiates_nothing() -> None:
    server = greeted_server(starttls=True, mechanisms=("PLAIN",), auth_in_clear=True)
    events, sent = server.feed_events(b"HELO client.example\r\n")
    assert sent == b"250 mx.example.org greets you\r\n"
    assert isinstance(events[0], Helo)
    assert server.lines(b"STARTTLS\r\n", b"AUTH PLAIN\r\n") == ["503 5.5.1 Send EHLO first"] * 2
    for parameter in (b"SIZE=1", b"BODY=8BITMIME", b"SMTPUTF8", b"AUTH=<>"):
        assert server.codes(b"MAIL FROM:<> %s\r\n" % parameter) == [555]
    lines = server.lines(TO_DATA, b"x\r\n.\r\n")
    assert codes_of(lines) == [250, 250, 354, 250]
    assert lines[0].startswith("250 2.1.0 ")


@pytest.mark.req("RFC5321-4.1.1.1-08", "RFC5321-4.1.4-05", "RFC5321-3.3-08")
@pytest.mark.parametrize("hello", [b"EHLO b.example\r\n", b"HELO b.example\r\n", b"RSET\r\n"])
def test_what_clears_the_transaction(hello: bytes) -> None:
    server = ready_server()
    server.feed(b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\n")
    assert server.machine.envelope == Envelope("ann@example.org", ["bob@example.org"])
    server.feed(hello)
    assert server.machine.envelope == Envelope(None, ())
    assert server.lines(b"RCPT TO:<bob@example.org>\r\n") == ["503 5.5.1 Send MAIL first"]
    assert server.codes(b"MAIL FROM:<>\r\n") == [250]


@pytest.mark.req("RFC5321-4.1.4-06", "RFC5321-4.1.4-07")
@pytest.mark.parametrize("hello", [b"EHLO", b"EHLO a b", b"HELO", b"EHLO \xc3\xa9.example"])
def test_a_bad_hello_changes_nothing(hello: bytes) -> None:
    server = ready_server()
    server.feed(b"MAIL FROM:<ann@example.org>\r\n")
    assert server.codes(hello + b"\r\n") == [501]
    assert server.codes(b"RCPT TO:<bob@example.org>\r\n") == [250]
    server.ask(b"EHLO c.example\r\n")
    server.machine.answer(Reply(550, "5.7.1", "Not you"))
    assert server.machine.data_to_send() == b"550 Not you\r\n"
    assert server.codes(b"DATA\r\n") == [354]


@pytest.mark.req("RFC5321-4.1.4-02", "RFC5321-4.1.4-03", "RFC5321-4.1.1.5-02")
def test_before_ehlo() -> None:
    server = greeted_server(starttls=True)
    lines = b"NOOP\r\nHELP\r\nVRFY bob\r\nEXPN list\r\nRSET\r\n"
    assert server.codes(lines) == [250, 214, 252, 502, 250]
    assert server.codes(TO_DATA + b"STARTTLS\r\n") == [503, 503, 503, 503]
    assert server.codes(EHLO_LINE, b"MAIL FROM:<>\r\n") == [250, 250]


# -- forms of replies --------------------------------------------------------------------------


# All that a machine can be made to say, in one session.
EVERYTHING = [
    EHLO_LINE,
    b"EHLO\r\nHELO a b\r\n",
    b"FOO\r\nTURN\r\nNOOP\r\nRSET\r\nHELP\r\nVRFY a\r\nEXPN a\r\n" + b"x" * 600 + b"\r\n",
    b"AUTH PLAIN\r\n*\r\nAUTH PLAIN\r\n!\r\nAUTH X\r\nAUTH PLAIN\r\n\r\nAUTH PLAIN\r\n",
    b"AUTH PLAIN =\r\n",
    b"RCPT TO:<a@b.example>\r\nDATA\r\nMAIL FROM:x\r\nMAIL FROM:<> FOO\r\n",
    b"MAIL FROM:<> SIZE=99999\r\n",
    b"MAIL FROM:<\xc3\xa9@b.example>\r\nMAIL FROM:<>\r\nMAIL FROM:<>\r\n",
    b"RCPT TO:<\xc3\xa9@b.example>\r\n",
    b"RCPT TO:<a>\r\nDATA\r\n" + b"RCPT TO:<a@b.example>\r\n" * 101 + b"DATA\r\n",
    b"x\r\n.\r\n" + TO_DATA + b"x\n\r\n.\r\n" + TO_DATA + b"x" * 70000 + b"\r\n.\r\n",
    b"STARTTLS\r\nNOOP\r\n",
]


def everything() -> list[tuple[str, bytes]]:
    """Each reply line, with the line that it answers as far as that matters here."""
    limits = Limits(message_size=65536, recipients=100)
    server = ready_server(
        limits=limits,
        starttls=True,
        mechanisms=("PLAIN",),
        auth_in_clear=True,
        application=challenge_auth,
    )
    return [(line, data) for data in EVERYTHING for line in server.lines(data)]


@pytest.mark.req("RFC2034-3-02", "RFC2034-4-01")
def test_enhanced_codes_are_everywhere_but_where_they_must_not_be() -> None:
    for line, data in everything():
        if data in EVERYTHING[:2] or line.startswith("3"):
            assert not re.match(r"... ?-?[0-9]\.[0-9]", line), line
        else:
            assert re.match(r"([245])[0-9]{2}[ -]\1\.[0-9]{1,3}\.[0-9]{1,3} \S", line), line


@pytest.mark.req("RFC5321-4.2-05", "RFC5321-4.2.1-06")
def test_replies_have_text_and_no_odd_codes() -> None:
    seen = set()
    for line, _ in everything():
        if line != "334 ":  # the one text that is not for people
            assert re.match(r"[2345][0-5][0-9][ -]\S", line)
            seen.add(int(line[:3]))
    assert seen == {
        214, 235, 250, 252, 354, 421, 452, 500, 501, 502, 503, 504, 550, 552, 553, 554, 555
    }  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "wire"),
    [
        (Reply(250), b"250 2.0.0 \r\n"),
        (Reply(450, None, "later"), b"450 4.0.0 later\r\n"),
        (Reply(550, "5.1.1", "a\nb\nc"), b"550-5.1.1 a\r\n550-5.1.1 b\r\n550 5.1.1 c\r\n"),
        (Reply(550, None, "caf\u00e9 \u2028"), b"550 5.0.0 caf\\xe9 \r\n"),
        (Reply(421, None, "bye"), b"421 4.0.0 mx.example.org bye\r\n"),
    ],
)
@pytest.mark.req("RFC2034-4-04")
def test_an_answer_is_put_in_form(reply: Reply, wire: bytes) -> None:
    server = ready_server()
    server.ask(b"MAIL FROM:<>\r\n")
    server.machine.answer(reply)
    assert server.machine.data_to_send() == wire


@pytest.mark.req("RFC5321-4.5.3.1.5-01")
def test_no_reply_line_is_too_long() -> None:
    server = ready_server()
    server.ask(b"VRFY a\r\n")
    server.machine.answer(Reply(421, "4.0.0", "word " * 300))
    lines = server.machine.data_to_send().split(b"\r\n")
    assert max(map(len, lines)) <= 510
    assert all(line.startswith(b"421") for line in lines[:-1])


# -- answers -----------------------------------------------------------------------------------


WRONG = {
    EHLO_LINE: [220, 251, 354, 334, 221, 399],
    b"MAIL FROM:<>\r\n": [220, 251, 252, 354, 299],
    b"MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\n": [252, 354, 220],
    TO_DATA: [250, 334, 355, 220],
    TO_DATA + b".\r\n": [354, 251, 220, 235],
    b"VRFY a\r\n": [334, 354, 214],
    b"EXPN a\r\n": [251, 354],
    b"HELP\r\n": [250, 354],
    b"STARTTLS\r\n": [250, 354, 334],
    b"AUTH PLAIN\r\n": [250, 220, 354],
    b"AUTH PLAIN\r\nAAAA\r\n": [250, 220, 354],
}


@pytest.mark.req("RFC5321-4.3.1-06")
@pytest.mark.parametrize("data", WRONG)
def test_answers_that_do_not_suit_are_refused_and_say_nothing(data: bytes) -> None:
    server = ready_server(starttls=True, mechanisms=("PLAIN",), auth_in_clear=True)
    *before, last = data.splitlines(keepends=True)
    for line in before:
        server.ask(line)
        server.machine.answer(Reply(334, None, "") if line.startswith(b"AUTH") else None)
    question = server.ask(last)
    server.machine.data_to_send()
    phase = server.machine.phase
    for code in WRONG[data]:
        with pytest.raises(LocalProtocolError):
            server.machine.answer(Reply(code))
        assert server.machine.data_to_send() == b""
        assert (server.machine.question, server.machine.phase) == (question, phase)
    server.machine.answer()
    assert server.machine.data_to_send()


def test_no_event_before_the_answer_and_no_answer_without_a_question() -> None:
    server = greeted_server()
    with pytest.raises(LocalProtocolError):
        server.machine.answer()
    with pytest.raises(LocalProtocolError):
        server.machine.answer(Reply(550))
    with pytest.raises(LocalProtocolError):
        server.machine.challenge(b"")
    with pytest.raises(LocalProtocolError):
        server.machine.tls_started()
    server.ask(EHLO_LINE + b"NOOP\r\n")
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="answer Ehlo first"):
            server.machine.next_event()
    assert server.machine.data_to_send() == b""
    server.machine.answer()
    assert isinstance(server.machine.next_event(), Noop)
    with pytest.raises(LocalProtocolError):
        server.machine.answer()
    assert isinstance(server.ask(b"MAIL FROM:<>\r\n"), Mail)
    with pytest.raises(LocalProtocolError):
        server.machine.challenge(b"x")
    server.machine.answer()


@pytest.mark.req("RFC2920-3.2-02", "RFC2920-3.2-09")
def test_a_group_is_answered_in_order_and_together() -> None:
    server = ready_server()
    server.machine.receive(
        b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@f.example>\r\n"
    )
    for code in (250, 550, 251):
        server.machine.next_event()
        server.machine.answer(Reply(code))
    assert codes_of(lines_of(server.machine.data_to_send())) == [250, 550, 251]
    assert server.machine.envelope == Envelope("a@b.example", ["e@f.example"])


# -- order -------------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-4.1.4-15", "RFC5321-4.1.4-16")
def test_nested_and_bad_mail_leave_the_transaction() -> None:
    server = ready_server()
    lines = server.lines(b"MAIL FROM:bad\r\n", b"MAIL FROM:<ann@example.org>\r\n")
    assert codes_of(lines) == [501, 250]
    assert server.lines(b"MAIL FROM:<eve@example.org>\r\n") == [
        "503 5.5.1 Transaction already open"
    ]
    assert server.codes(b"RCPT TO:<bob@example.org>\r\n") == [250]
    assert server.machine.envelope == Envelope("ann@example.org", ["bob@example.org"])


@pytest.mark.req("RFC5321-4.1.1.5-01", "RFC5321-4.1.1.5-03", "RFC5321-4.1.1.5-05")
def test_rset_forgets_the_transaction_only() -> None:
    server = ready_server(mechanisms=("PLAIN",), secure=True, require_auth=True)
    server.feed(b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n", ENVELOPE_LINES)
    events, sent = server.feed_events(b"RSET\r\n")
    assert events == [Rset()]
    assert sent == b"250 2.0.0 OK\r\n"
    assert server.machine.envelope == Envelope(None, ())
    assert server.codes(TO_DATA) == [250, 250, 354]


@pytest.mark.req("RFC5321-4.1.1.6-01", "RFC5321-4.1.1.7-01", "RFC5321-4.1.1.8-03")
def test_what_leaves_the_transaction_alone() -> None:
    server = ready_server()
    server.feed(b"MAIL FROM:<>\r\nVRFY a\r\nEXPN a\r\nHELP\r\nNOOP\r\nFOO\r\nDATA x\r\n")
    assert server.codes(b"RCPT TO:<bob@example.org>\r\n") == [250]


@pytest.mark.req("RFC5321-4.1.1.10-01", "RFC5321-4.1.1.10-07")
def test_quit_ends_it_all() -> None:
    server = ready_server()
    events, sent = server.feed_events(ENVELOPE_LINES + b"QUIT\r\nNOOP\r\n")
    assert isinstance(events[-1], Quit)
    assert sent.endswith(b"221 2.0.0 mx.example.org Service closing transmission channel\r\n")
    assert server.machine.phase is Phase.CLOSED
    events = list(server.events)
    assert server.feed(b"NOOP\r\n") + server.end() == b""
    assert server.events == events


@pytest.mark.req("RFC5321-2.4-05")
def test_half_a_command_is_nothing() -> None:
    server = ready_server()
    for octet in (b"Q", b"UIT", b"\r"):
        assert server.feed_events(octet) == ([], b"")
    assert server.codes(b"\n") == [221]


@pytest.mark.req("RFC5321-2.3.8-01", "SMUGGLING-07")
def test_bare_ends_do_not_end_commands() -> None:
    server = ready_server()
    assert server.feed_events(b"NOOP\n") == ([], b"")
    assert server.codes(b"NOOP\r\nNOOP\r\n") == [500, 250]
    assert server.codes(b"NOOP\rNOOP\r\nNOOP x\nQUIT\r\nNOOP\r\n") == [500, 501, 250]


@pytest.mark.req("RFC5321-4.1.1-01", "RFC5321-2.4-01")
@pytest.mark.parametrize(
    "line", [b"noop ", b"NoOp\t", b"rset  ", b"RSET\t", b"Quit \t ", b"mail from:<>  "]
)
def test_case_and_blanks_at_the_end_do_not_matter(line: bytes) -> None:
    assert ready_server().codes(line + b"\r\n")[0] in (250, 221)


@pytest.mark.req("RFC3207-4-05", "RFC3207-4-06", "RFC3207-6-01")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"EHLO a.example", 250), (b"NOOP", 250), (b"QUIT", 221), (b"STARTTLS", 220),
        (b"MAIL FROM:<>", 530), (b"MAIL", 530), (b"RCPT TO:<a@b.example>", 530), (b"DATA", 530),
        (b"RSET", 530), (b"VRFY a", 530), (b"EXPN a", 530), (b"HELP", 530), (b"AUTH PLAIN", 530),
    ],
)  # fmt: skip
@pytest.mark.parametrize("require_auth", [False, True])
def test_tls_required(line: bytes, code: int, require_auth: bool) -> None:
    options = {"starttls": True, "mechanisms": ("PLAIN",), "require_auth": require_auth}
    server = ready_server(require_tls=True, **options)
    lines = server.lines(line + b"\r\n")
    assert codes_of(lines) == [code]
    assert code != 530 or lines == ["530 5.7.0 Must issue a STARTTLS command first"]
    server = ready_server(require_tls=True, secure=True, mechanisms=("PLAIN",))
    assert 530 not in server.codes(line + b"\r\n")


def test_tls_required_of_helo() -> None:
    assert greeted_server(require_tls=True).lines(b"HELO a.example\r\n") == [
        "530 Must issue a STARTTLS command first"
    ]


@pytest.mark.req("RFC4954-6-06")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"EHLO a.example", 250), (b"HELO a.example", 250), (b"NOOP", 250), (b"RSET", 250),
        (b"QUIT", 221), (b"STARTTLS", 220), (b"AUTH PLAIN =", 235),
        (b"MAIL FROM:<>", 530), (b"RCPT TO:<a@b.example>", 530), (b"DATA", 530),
        (b"VRFY a", 530), (b"EXPN a", 530), (b"HELP", 530),
    ],
)  # fmt: skip
def test_auth_required(line: bytes, code: int) -> None:
    server = ready_server(
        require_auth=True, mechanisms=("PLAIN",), auth_in_clear=True, starttls=True
    )
    lines = server.lines(line + b"\r\n")
    assert codes_of(lines) == [code]
    assert code != 530 or lines == ["530 5.7.0 Authentication required"]


# -- what is refused unasked -------------------------------------------------------------------


@pytest.mark.req("RFC5321-4.2.4-03", "RFC5321-4.2.4-04", "RFC5321-3.8-02", "RFC3207-4-02")
@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"FOO", "500 5.5.1 "),
        (b"TURN", "502 5.5.1 "),
        (b"SEND FROM:<>", "502 5.5.1 "),
        (b"STARTTLS", "502 5.5.1 "),
        (b"AUTH PLAIN", "502 5.5.1 "),
        (b"MAIL FROM:<a b@c.example>", "501 5.1.7 "),
        (b"MAIL FROM:<a@b.example> SIZE=1 SIZE=1", "501 5.5.4 "),
        (b"MAIL FROM:<a@b.example> BODY=x", "501 5.5.4 "),
        (b"MAIL FROM:<a@b.example> FOO=1", "555 5.5.4 "),
        (b"MAIL FROM:<a@b.example> AUTH=<>", "555 5.5.4 "),
        (b"MAIL FROM:<> SMTPUTF8=1", "501 5.5.4 "),
        (b"NOOP \x00", "501 5.5.2 "),
        (b"VRFY", "501 5.5.4 "),
    ],
)
def test_syntax(line: bytes, reply: str) -> None:
    server = ready_server()
    event = server.ask(line + b"\r\n")
    assert isinstance(event, Rejected)
    assert server.machine.data_to_send().decode().startswith(reply)
    assert server.codes(b"NOOP\r\n") == [250]


def test_rejected_tells_what_and_why() -> None:
    server = ready_server()
    event = server.ask(b"FOO \x1b[31m\xff\r\n")
    assert event == Rejected("FOO \\x1b[31m\\xff", Reply(500, "5.5.1", event.reply.text))  # type: ignore[union-attr]
    event = server.ask(b"MAIL FROM:<a@b_.example>\r\n")
    assert isinstance(event, Rejected)
    assert "at octet 13" in event.reply.text


@pytest.mark.req("RFC6531-3.5-01", "RFC6531-3.5-02", "RFC6531-3.2-01", "RFC5321-2.4-09")
def test_utf8_addresses_need_smtputf8() -> None:
    server = ready_server()
    address = "\u7528\u6237@\u4f8b\u3048.jp".encode()
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


@pytest.mark.req("RFC5321-4.5.3.1.8-02", "RFC5321-4.5.3.1.10-01", "RFC5321-4.5.3.1.8-06")
def test_too_many_recipients() -> None:
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
def test_refused_recipients_do_not_count() -> None:
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
def test_declared_size() -> None:
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


@pytest.mark.req("RFC1870-4-02", "RFC5321-4.5.3.1.7-01")
@pytest.mark.parametrize("size", [65535, 65536, 65537, 500000])
@pytest.mark.parametrize("step", [1000, 10**6])
def test_real_size(size: int, step: int) -> None:
    """Stuffed dots and the end do not count; what is too big is drained, and the session lives."""
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
    assert server.machine.envelope == Envelope(None, ())
    assert server.codes(TO_DATA) == [250, 250, 354]


# -- content -----------------------------------------------------------------------------------


@pytest.mark.req("SMUGGLING-02")
@pytest.mark.parametrize(
    "content",
    [
        b"a\n.\nMAIL FROM:<evil@example.net>\r\n",
        b"a\r.\r\n",
        b"\n",
        b"\r",
        b"x" * 70000 + b"\n.\r\n",
    ],
    ids=lambda content: repr(content[:20]),
)
def test_bare_cr_or_lf(content: bytes) -> None:
    """Refused behind the true end; the command behind it is the next one, and the session lives."""
    server = ready_server()
    server.feed(TO_DATA)
    events, sent = server.feed_events(content + b"\r\n.\r\nNOOP\r\n")
    assert [type(event) for event in events][-2:] == [Rejected, Noop]
    assert not any(isinstance(event, BodyEnd) for event in events)
    assert sent == b"554 5.6.0 CR or LF alone in message content\r\n250 2.0.0 OK\r\n"
    assert server.codes(TO_DATA, b"good\r\n.\r\n") == [250, 250, 354, 250]


@pytest.mark.req("RFC5321-4.1.1.4-02", "RFC1870-6-03")
def test_content_arrives() -> None:
    server = ready_server()
    server.feed(TO_DATA)
    assert server.feed_events(b".\r\n")[0] == [BodyEnd(0)]
    server = ready_server()
    server.feed(TO_DATA)
    events, _ = server.feed_events(b"..a\r\n", b"QUIT\r\n.", b"\r\n")
    assert content_of(events) == b".a\r\nQUIT\r\n"
    assert events[-1] == BodyEnd(10)
    assert "QUIT" not in repr(events)


@pytest.mark.parametrize("code", [250, 451, 554])
@pytest.mark.req("RFC5321-4.1.1.4-07")
def test_after_the_content_the_transaction_is_over(code: int) -> None:
    server = ready_server()
    server.feed(TO_DATA)
    server.ask(b".\r\n")
    server.machine.answer(Reply(code))
    assert server.machine.envelope == Envelope(None, ())
    assert server.codes(TO_DATA) == [code, 250, 250, 354]


def test_refusing_data_leaves_the_transaction() -> None:
    server = ready_server()
    server.feed(ENVELOPE_LINES)
    server.ask(b"DATA\r\n")
    server.machine.answer(Reply(451))
    assert server.codes(b"DATA\r\n") == [451, 354]


# -- STARTTLS ----------------------------------------------------------------------------------


@pytest.mark.req("RFC3207-6-04", "RFC3207-4-01", "RFC3207-4-02")
def test_octets_behind_starttls_close() -> None:
    """In the same read, or in a later one before the answer."""
    server = ready_server(starttls=True)
    events, sent = server.feed_events(b"STARTTLS\r\nRSET\r\n")
    assert [type(event) for event in events] == [Rejected]
    assert sent.startswith(b"421 4.7.0 mx.example.org Octets after STARTTLS")
    assert server.machine.phase is Phase.CLOSED

    server = ready_server(starttls=True)
    assert isinstance(server.ask(b"STARTTLS\r\n"), StartTLS)
    server.machine.receive(b"R")
    server.machine.answer()
    assert server.machine.data_to_send().startswith(b"421 4.7.0 ")
    assert server.machine.phase is Phase.CLOSED

    server = ready_server(starttls=True)
    assert isinstance(server.ask(b"STARTTLS\r\n"), StartTLS)
    server.machine.answer(Reply(454, "4.7.0", "TLS not available now"))
    assert server.codes(b"NOOP\r\nSTARTTLS x\r\n") == [454, 250, 501]


@pytest.mark.req(
    "RFC3207-4.2-01",
    "RFC3207-4.2-04",
    "RFC3207-4.2-07",
    "RFC3207-4.2-08",
    "RFC4954-3-02",
    "RFC3207-4-02",
)
def test_after_the_handshake_the_session_is_new() -> None:
    server = ready_server(starttls=True, mechanisms=("PLAIN",))
    events, sent = server.feed_events(b"STARTTLS\r\n")
    assert events == [StartTLS()]
    assert sent == b"220 2.0.0 Ready to start TLS\r\n"
    assert server.machine.timeout == Timeouts().tls
    with pytest.raises(LocalProtocolError):
        server.machine.receive(b"\x16\x03\x01")
    server.machine.tls_started()
    assert server.feed_events() == ([], b"")
    assert (server.machine.phase, server.machine.secure) == (Phase.START, True)
    assert server.codes(b"MAIL FROM:<>\r\nAUTH PLAIN\r\nSTARTTLS\r\n") == [503, 503, 503]
    lines = server.lines(EHLO_LINE)
    assert "250-AUTH PLAIN" in lines or "250 AUTH PLAIN" in lines
    assert not any("STARTTLS" in line for line in lines)
    assert server.lines(b"STARTTLS\r\n") == ["503 5.5.1 TLS is already active"]


@pytest.mark.req("RFC3207-4.2-01")
def test_tls_forgets_that_somebody_logged_in() -> None:
    server = ready_server(
        starttls=True, mechanisms=("PLAIN",), auth_in_clear=True, require_auth=True
    )
    assert server.codes(b"AUTH PLAIN =\r\n", b"STARTTLS\r\n") == [235, 220]
    server.machine.tls_started()
    assert not server.machine.authenticated
    assert server.codes(EHLO_LINE, b"MAIL FROM:<>\r\n") == [250, 530]


@pytest.mark.req("RFC8314-3.3-03")
def test_implicit_tls_has_no_starttls() -> None:
    server = ready_server(starttls=True, secure=True)
    assert server.lines(b"STARTTLS\r\n") == ["503 5.5.1 TLS is already active"]


@pytest.mark.req("RFC3207-4.1-03")
def test_tls_that_is_not_enough() -> None:
    server = ready_server(starttls=True)
    assert server.codes(b"STARTTLS\r\n") == [220]
    server.machine.tls_started(Reply(554, "5.7.0", "Not with this cipher"))
    for command in (b"EHLO client.example", b"MAIL FROM:<a@b.example>", b"NOOP", b"RSET", b"DATA"):
        assert isinstance(server.ask(command + b"\r\n"), Rejected)
        reply = server.machine.data_to_send()
        assert reply[:4] == b"554 "
        assert reply.endswith(b"Not with this cipher\r\n")
    assert server.codes(b"QUIT\r\n") == [221]
    assert server.machine.phase is Phase.CLOSED


# -- AUTH --------------------------------------------------------------------------------------


@pytest.mark.req("RFC4954-4-06", "RFC4954-4-08", "RFC4954-4-21", "RFC4954-4-24", "RFC4422-3.8-01")
def test_an_exchange() -> None:
    server = server_in_exchange()
    assert server.ask(b"YW5u\r\n") == AuthResponse(Secret(b"ann"))
    server.machine.challenge(b"")
    assert server.machine.data_to_send() == b"334 \r\n"
    assert server.ask(b"\r\n") == AuthResponse(Secret(b""))
    server.machine.answer(Reply(535, "5.7.8", "No"))
    assert not server.machine.authenticated
    assert server.lines(b"AUTH PLAIN =\r\n") == [
        "535 5.7.8 No",
        "235 2.7.0 Authentication successful",
    ]
    assert server.machine.authenticated
    assert server.codes(b"AUTH PLAIN\r\n", b"MAIL FROM:<>\r\n") == [503, 250]


@pytest.mark.req("RFC4954-4-02", "RFC4954-4-03", "RFC4954-4-05", "RFC4954-8-01", "RFC4422-A-02")
def test_when_auth_is_refused_unasked() -> None:
    server = ready_server(secure=True, mechanisms=("PLAIN",))
    assert server.lines(b"AUTH CRAM-MD5\r\n") == ["504 5.5.4 Unrecognized authentication mechanism"]
    assert server.codes(b"AUTH EXTERNAL =\r\n") == [504]
    assert server.codes(b"AUTH\r\nAUTH !\r\nAUTH PLAIN =x\r\n") == [501, 501, 501]
    assert server.lines(b"AUTH PLAIN !!!\r\n")[0].startswith("501 5.5.2 ")
    assert server.codes(b"MAIL FROM:<>\r\nAUTH PLAIN\r\nRSET\r\n") == [250, 503, 250]
    assert server.codes(b"auth plain =\r\nAUTH PLAIN\r\n") == [235, 503]
    assert ready_server(mechanisms=("PLAIN",)).lines(b"AUTH PLAIN %s\r\n" % SECRET) == [
        "538 5.7.11 Encryption required for authentication"
    ]


@pytest.mark.req("RFC4954-4-07", "RFC4954-4-13", "RFC4954-4-15", "RFC4954-4-33", "RFC4422-3.5-01")
@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"*", "501 5.7.0 Authentication cancelled"),
        (b"!!!", "501 5.5.2 Cannot decode base64"),
        (b"=AAA", "501 5.5.2 Cannot decode base64"),
        (b"AAA=BBB=", "501 5.5.2 Cannot decode base64"),
        (b"AAA", "501 5.5.2 Cannot decode base64"),
        (b"AA AA", "501 5.5.2 Cannot decode base64"),
        (b" *", "501 5.5.2 Cannot decode base64"),
        (b"MAIL FROM:<>", "501 5.5.2 Cannot decode base64"),
        (b"x" * 12287, "500 5.5.6 Authentication exchange line is too long"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_ends_an_exchange(line: bytes, reply: str) -> None:
    server = server_in_exchange()
    server.machine.receive(line + b"\r\nNOOP\r\n")
    event = server.machine.next_event()
    assert isinstance(event, Rejected)
    assert event.line == "***"
    assert (server.machine.phase, server.machine.authenticated) == (Phase.READY, False)
    assert server.lines() == [reply]
    assert server.codes(b"AUTH PLAIN =\r\n") == [250, 235]


@pytest.mark.req("RFC4954-4-16", "RFC4954-4-17")
def test_the_longest_line_of_an_exchange() -> None:
    """12288 octets with CRLF are taken (12286 before it are no base64), one more is not."""
    assert server_in_exchange().ask(b"A" * 12284 + b"\r\n") == AuthResponse(Secret(bytes(9213)))
    for length, reply in ((12286, b"501 5.5.2 "), (12287, b"500 5.5.6 ")):
        server = server_in_exchange()
        assert isinstance(server.ask(b"A" * length + b"\r\n"), Rejected)
        assert server.machine.data_to_send().startswith(reply)


@pytest.mark.parametrize("line", [b"QUIT", b"NOOP", b"RSET", b"DATA", b"AUTH"])
def test_a_response_that_looks_like_a_command_is_a_response(line: bytes) -> None:
    event = server_in_exchange().ask(line + b"\r\n")
    assert event == AuthResponse(Secret(base64.b64decode(line)))


@pytest.mark.req("RFC4954-9-02", "RFC4954-9-04")
def test_the_third_failure_closes() -> None:
    server = ready_server(secure=True, mechanisms=("PLAIN",))
    for count in (1, 2, 3):
        server.ask(b"AUTH PLAIN %s\r\n" % SECRET)
        server.machine.answer(Reply(535, "5.7.8", "No"))
        assert (server.machine.phase is Phase.CLOSED) == (count == 3)
    assert server.codes() == [535, 535, 535, 421]


def test_temporary_failures_and_cancels_are_no_failed_logins() -> None:
    server = ready_server(secure=True, mechanisms=("PLAIN",))
    for _ in range(5):
        server.ask(b"AUTH PLAIN %s\r\n" % SECRET)
        server.machine.answer(Reply(454, "4.7.0", "Later"))
        server.ask(b"AUTH PLAIN\r\n")
        server.machine.challenge(b"")
        assert isinstance(server.ask(b"*\r\n"), Rejected)
    assert server.codes() == [454, 334, 501] * 5
    assert server.machine.phase is Phase.READY


@pytest.mark.parametrize("lead", [b"AUTH PLAIN ", b"auth plain ", b"AUTH PLAIN  ", b"AUTHPLAIN ",
                                  b"AUTH\t", b" AUTH PLAIN ", b"AUTH FOO "])  # fmt: skip
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("tail", [b"", b"!", b" x", b"\0"])
def test_no_secret_is_shown(lead: bytes, secure: bool, tail: bytes) -> None:
    server = ready_server(secure=secure, mechanisms=("PLAIN",))
    events, sent = server.feed_events(lead + SECRET + tail + b"\r\n")
    assert SECRET.decode() not in repr(events) + "".join(map(str, events))
    assert "hunter2" not in repr(events) + "".join(map(str, events))
    assert SECRET not in sent


def test_no_secret_of_an_exchange_is_shown() -> None:
    for tail in (b"", b"!", b"=", b"\n"):
        events, sent = server_in_exchange().feed_events(SECRET + tail + b"\r\n")
        assert len(events) == 1
        assert SECRET.decode() not in repr(events)
        assert "hunter2" not in repr(events)
        assert SECRET not in sent


# -- bounds ------------------------------------------------------------------------------------


ALL_OPTIONS = {"starttls": True, "mechanisms": ("PLAIN",), "auth_in_clear": True}


@pytest.mark.req(
    "RFC5321-4.5.3.1.4-01", "RFC5321-4.3.2-05", "RFC1870-3-03", "RFC4954-3-03", "RFC6531-3.1-04"
)
@pytest.mark.parametrize(
    ("verb", "options", "limit"),
    [
        (b"NOOP ", {}, 512),
        (b"noop ", ALL_OPTIONS, 512),
        (b"HELP ", ALL_OPTIONS, 512),
        (b"VRFY ", ALL_OPTIONS, 512 + 9),
        (b"EXPN ", ALL_OPTIONS, 512 + 9),
        (b"RCPT ", ALL_OPTIONS, 512),
        (b"STARTTLS ", ALL_OPTIONS, 512),
        (b"EHLO ", ALL_OPTIONS, 512),
        (b"MAIL ", {}, 512 + 26 + 14 + 10),
        (b"mail ", {}, 512 + 26 + 14 + 10),
        (b"MAIL ", ALL_OPTIONS, 512 + 26 + 14 + 10 + 500),
        (b"AUTH ", ALL_OPTIONS, 12288),
        (b"MAILX ", ALL_OPTIONS, 512),
        (b"AUTHX ", ALL_OPTIONS, 512),
        (b"FOO ", ALL_OPTIONS, 512),
    ],
)
def test_line_limits(verb: bytes, options: dict[str, object], limit: int) -> None:
    """At the limit a line is read, one octet above it is not, and both have one reply."""
    for length, too_long in ((limit - 1, False), (limit, False), (limit + 1, True)):
        server = ready_server(**options)
        line = verb.ljust(length - 2, b"x") + b"\r\n"
        lines = server.lines(line[:300], line[300:] + b"NOOP\r\n")
        assert len(codes_of(lines)) == 2
        assert (lines[0] == "500 5.5.2 Line too long") == too_long
        assert lines[-1] == "250 2.0.0 OK"


@pytest.mark.req("RFC5321-2.3.8-02")
def test_an_endless_line_has_one_reply() -> None:
    server = ready_server()
    for _ in range(100):
        assert server.feed_events(b"x" * 10000) == ([], b"")
    events, sent = server.feed_events(b"\nQUIT\r\nNOOP\r\n")
    assert events == [Rejected("", Reply(500, "5.5.2", "Line too long")), Noop()]
    assert codes_of(lines_of(sent)) == [500, 250]


def test_too_many_errors_close() -> None:
    server = ready_server(limits=Limits(errors=3))
    assert server.codes(b"FOO\r\n" * 3 + b"NOOP\r\nDATA\r\n") == [500] * 3 + [250, 503]
    assert server.lines(b"MAIL FROM:x\r\nNOOP\r\n") == [
        "421 4.7.0 mx.example.org Too many errors; closing transmission channel"
    ]
    assert server.machine.phase is Phase.CLOSED


@pytest.mark.req("RFC5321-3.8-01", "RFC5321-4.1.1.10-02")
def test_other_errors_do_not_close() -> None:
    server = ready_server(limits=Limits(errors=3))
    assert server.codes(b"DATA\r\n" * 100) == [503] * 100
    server = ready_server()
    assert server.codes(b"FOO\r\n" * 50) == [500] * 50
    assert server.machine.phase is Phase.READY


# -- the end -----------------------------------------------------------------------------------


ENDS = {
    "start": b"NO",
    "half a line": EHLO_LINE + b"NOOP",
    "ready": EHLO_LINE,
    "mail": EHLO_LINE + MAIL_LINE,
    "rcpt": EHLO_LINE + ENVELOPE_LINES,
    "body": EHLO_LINE + TO_DATA + b"text\r\n.\r",
    "tls": EHLO_LINE + b"STARTTLS\r\n",
}


@pytest.mark.req("RFC5321-4.1.1.10-05")
@pytest.mark.parametrize("data", ENDS.values(), ids=ENDS)
def test_the_end_is_reported_once(data: bytes) -> None:
    server = greeted_server(starttls=True)
    server.feed(data)
    server.events.clear()
    for _ in range(2):
        assert server.end() == b""
        assert server.events == [Disconnected()]
        assert server.machine.phase is Phase.CLOSED


def test_the_end_before_the_greeting_and_in_an_exchange() -> None:
    server = ServerDriver()
    server.end()
    assert [type(event) for event in server.events] == [Connected, Disconnected]
    server = server_in_exchange()
    assert server.feed(b"AA") + server.end() == b""
    assert server.events == [Disconnected()]


def test_commands_that_came_before_the_end_are_served() -> None:
    server = greeted_server()
    server.machine.receive(EHLO_LINE + TO_DATA + b"x\r\n.\r\n")
    server.machine.receive(b"")
    server.end()
    assert [type(event) for event in server.events][-2:] == [BodyEnd, Disconnected]


def test_time_to_wait() -> None:
    times = Timeouts(command=7, tls=3)
    server = ready_server(timeouts=times, starttls=True)
    assert server.machine.timeout == 7
    server.feed(b"STARTTLS\r\n")
    assert server.machine.timeout == 3


# -- laws --------------------------------------------------------------------------------------


STREAM = st.lists(
    st.sampled_from([
        EHLO_LINE, b"HELO a.example\r\n", b"MAIL FROM:<a@b.example>\r\n", b"RCPT TO:<c@d.example>\r\n",
        b"DATA\r\n", b"x\r\n", b"..\r\n", b".\r\n", b"\n", b"\r", b"RSET\r\n", b"NOOP\r\n",
        b"FOO\r\n",
        b"AUTH PLAIN\r\n", b"AAAA\r\n", b"*\r\n", b"STARTTLS\r\n", b"x" * 600 + b"\r\n",
        b"QUIT\r\n", b"VRFY a\r\n", b"MAIL FROM:<> SIZE=99999999999\r\n",
    ]), max_size=15,
).map(b"".join)  # fmt: skip
CUTS = st.lists(st.integers(0, 300), max_size=6)


def history(parts: list[bytes]) -> tuple[list[ServerEvent], bytes]:
    """Return the events and the octets sent when *parts* are fed one by one."""
    server = greeted_server(mechanisms=("PLAIN",), auth_in_clear=True, starttls=True)
    server.application = challenge_auth
    sent = server.feed(*parts)
    return merge_content(server.events), sent


@pytest.mark.req("RFC2920-3.2-08")
@given(STREAM, CUTS)
@example(EHLO_LINE + TO_DATA + b"x\r\n.\r\nNOOP\r\n", [3, 40, 100])
def test_the_split_does_not_matter(data: bytes, cuts: list[int]) -> None:
    """Except for what is behind STARTTLS, where it must: so there is nothing behind it here."""
    head, found, _ = data.partition(b"STARTTLS\r\n")
    data = head + found
    whole = history([data])
    assert history(cut(data, cuts)) == whole
    assert history(single_octets(data)) == whole


@pytest.mark.req("RFC5321-4.2-01", "RFC5321-4.1.1.4-08")
@given(STREAM)
def test_one_reply_to_each(data: bytes) -> None:
    """Events that are commands, ends of content or rejections, and replies: as many."""
    events, sent = history([data])
    counted = [event for event in events if not isinstance(event, BodyChunk)]
    assert len(codes_of(lines_of(sent))) == len(counted)


def test_an_ehlo_event_has_what_was_said() -> None:
    event = greeted_server().ask(b"eHlO [192.0.2.1]\r\n")
    assert isinstance(event, Ehlo)
    assert not isinstance(event, Helo)
    assert str(event.host) == "[192.0.2.1]"


def test_after_the_end_nothing_is_kept() -> None:
    server = greeted_server()
    server.feed(b"QUIT\r\n")
    for _ in range(100):
        server.machine.receive(b"x" * 10000)
    assert len(server.machine._buffer) == 0


@pytest.mark.parametrize("text", ["AUTH\nSIZE 1\nX-MINE", "x" * 900])
def test_words_of_ones_own_in_the_reply_to_ehlo_are_no_keywords(text: str) -> None:
    server = greeted_server()
    server.machine.receive(EHLO_LINE)
    server.machine.next_event()
    server.machine.answer(Reply(250, None, text))
    assert (
        Extensions.from_reply(Reply.parse(server.machine.data_to_send())) == server.machine.offered
    )
