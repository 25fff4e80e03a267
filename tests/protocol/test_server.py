"""What the server's machine says and does by itself, rule by rule."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

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
    asks,
)
from smtpproto.grammar.command import Ehlo, Helo, Mail, Noop, Quit, Rcpt, Rset
from smtpproto.grammar.envelope import Envelope
from smtpproto.grammar.extension import Extensions
from smtpproto.grammar.extension_command import Auth, StartTLS
from smtpproto.grammar.reply import Reply
from smtpproto.grammar.secret import Secret
from smtpproto.limits import Limits, Timeouts
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.server import ServerProtocol
from smtpproto.protocol.server_replies import TIMED_OUT

HOST = "mx.example.org"
SMALL = Limits(message_size=65536)
OPEN = b"EHLO client.example\r\n"
TO_DATA = b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n"
SECRET = base64.b64encode(b"\0ann\0hunter2hunter2")


def server(**options: object) -> ServerProtocol:
    """Greeted."""
    machine = ServerProtocol(**({"hostname": HOST} | options))  # type: ignore[arg-type]
    machine.next_event()
    machine.answer()
    assert machine.data_to_send() == b"220 mx.example.org ESMTP ready\r\n"
    return machine


def opened(**options: object) -> ServerProtocol:
    """Greeted, EHLO done."""
    machine = server(**options)
    feed(machine, OPEN)
    return machine


def feed(machine: ServerProtocol, *data: bytes) -> tuple[list[ServerEvent], bytes]:
    """Feed, take all events, answer each with the usual, but AUTH without initial response with
    a challenge; give the events and what was said."""
    events: list[ServerEvent] = []
    for piece in data:
        machine.receive(piece)
        while (event := machine.next_event()) is not None:
            events.append(event)
            if isinstance(event, Auth) and event.initial is None:
                machine.challenge(b"")
            elif asks(event):
                machine.answer()
    return events, machine.data_to_send()


def said(machine: ServerProtocol, *data: bytes) -> list[str]:
    """The replies, as lines."""
    return feed(machine, *data)[1].decode("ascii").split("\r\n")[:-1]


def codes(lines: Iterable[str]) -> list[int]:
    """The codes of replies, each but once."""
    return [int(line[:3]) for line in lines if line[3] == " "]


def ask(machine: ServerProtocol, data: bytes) -> ServerEvent:
    machine.receive(data)
    event = machine.next_event()
    assert event is not None
    return event


# -- its name ----------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-4.3.1-04", "RFC5321-4.1.1.1-07", "RFC5321-4.1.1.1-05")
@pytest.mark.parametrize("name", [HOST, "[192.0.2.1]", "[IPv6:2001:db8::1]"])
def test_it_names_itself(name: str) -> None:
    machine = ServerProtocol(hostname=name)
    machine.next_event()
    machine.answer(Reply(220, None, "ready\nand glad"))
    assert machine.data_to_send() == f"220-{name} ready\r\n220 and glad\r\n".encode()
    assert said(machine, b"HELO a.example\r\n") == [f"250 {name} greets you"]
    assert said(machine, OPEN)[0] == f"250-{name} greets you"
    assert said(machine, b"QUIT\r\n") == [f"221 2.0.0 {name} Service closing transmission channel"]


@pytest.mark.req("RFC5321-3.8-04")
@pytest.mark.parametrize("before", [b"", OPEN, OPEN + TO_DATA, OPEN + TO_DATA + b"text\r\n"])
def test_421_may_be_said_at_any_time(before: bytes) -> None:
    machine = server()
    feed(machine, before)
    machine.hang_up(TIMED_OUT)
    assert machine.data_to_send() == (
        b"421 4.4.2 mx.example.org Timeout; closing transmission channel\r\n"
    )
    assert machine.phase is Phase.CLOSED
    assert feed(machine, b"NOOP\r\n", b"") == ([], b"")


def test_hanging_up_drops_the_question() -> None:
    machine = server()
    ask(machine, OPEN)
    machine.hang_up(TIMED_OUT)
    assert machine.question is None
    assert machine.next_event() is None
    with pytest.raises(LocalProtocolError):
        machine.answer()


@pytest.mark.req("RFC6531-3.7.1-02")
def test_its_name_is_ascii() -> None:
    machine = ServerProtocol(hostname="b\u00fccher.example")
    assert str(machine.hostname) == "xn--bcher-kva.example"
    machine.next_event()
    machine.answer()
    ask(machine, b"EHLO client.example\r\n")
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
    machine = ServerProtocol(hostname=HOST, **options)  # type: ignore[arg-type]
    machine.next_event()
    machine.answer(Reply(554, "5.7.1", "No service here"))
    assert codes(said(machine)) == [554]
    for verb in (b"EHLO a.example", b"HELO a.example", b"MAIL FROM:<>", b"NOOP", b"RSET"):
        assert codes(said(machine, verb + b"\r\n")) == [503]
    for verb in (b"AUTH PLAIN", b"STARTTLS", b"VRFY a", b"DATA", b"MAIL"):
        assert codes(said(machine, verb + b"\r\n")) == [503]
    assert codes(said(machine, b"QUIT\r\n")) == [221]


# -- EHLO, HELO --------------------------------------------------------------------------------


@pytest.mark.req("RFC2034-3-01", "RFC6531-3.1-01", "RFC5321-2.4-10", "RFC5321-4.3.2-03")
def test_what_ehlo_offers() -> None:
    assert said(server(), OPEN) == [
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
        ({"limits": SMALL}, ["SIZE 65536"], []),
    ],
)
def test_what_ehlo_offers_depends(
    options: dict[str, object], present: list[str], absent: list[str]
) -> None:
    lines = [line[4:] for line in said(server(mechanisms=("PLAIN", "LOGIN"), **options), OPEN)]
    assert set(present) <= set(lines)
    assert not set(absent) & set(lines)


@pytest.mark.req("RFC5321-3.2-01", "RFC5321-F.3-02", "RFC5321-4.1.1.11-01", "RFC2034-4-05")
def test_helo_negotiates_nothing() -> None:
    machine = server(starttls=True, mechanisms=("PLAIN",), auth_in_clear=True)
    events, out = feed(machine, b"HELO client.example\r\n")
    assert out == b"250 mx.example.org greets you\r\n"
    assert isinstance(events[0], Helo)
    assert said(machine, b"STARTTLS\r\n", b"AUTH PLAIN\r\n") == ["503 5.5.1 Send EHLO first"] * 2
    for parameter in (b"SIZE=1", b"BODY=8BITMIME", b"SMTPUTF8", b"AUTH=<>"):
        assert codes(said(machine, b"MAIL FROM:<> %s\r\n" % parameter)) == [555]
    lines = said(machine, TO_DATA, b"x\r\n.\r\n")
    assert codes(lines) == [250, 250, 354, 250]
    assert lines[0].startswith("250 2.1.0 ")


@pytest.mark.req("RFC5321-4.1.1.1-08", "RFC5321-4.1.4-05", "RFC5321-3.3-08")
@pytest.mark.parametrize("hello", [b"EHLO b.example\r\n", b"HELO b.example\r\n", b"RSET\r\n"])
def test_what_clears_the_transaction(hello: bytes) -> None:
    machine = opened()
    feed(machine, b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\n")
    assert machine.envelope == Envelope("ann@example.org", ["bob@example.org"])
    feed(machine, hello)
    assert machine.envelope == Envelope(None, ())
    assert said(machine, b"RCPT TO:<bob@example.org>\r\n") == ["503 5.5.1 Send MAIL first"]
    assert codes(said(machine, b"MAIL FROM:<>\r\n")) == [250]


@pytest.mark.req("RFC5321-4.1.4-06", "RFC5321-4.1.4-07")
@pytest.mark.parametrize("hello", [b"EHLO", b"EHLO a b", b"HELO", b"EHLO \xc3\xa9.example"])
def test_a_bad_hello_changes_nothing(hello: bytes) -> None:
    machine = opened()
    feed(machine, b"MAIL FROM:<ann@example.org>\r\n")
    assert codes(said(machine, hello + b"\r\n")) == [501]
    assert codes(said(machine, b"RCPT TO:<bob@example.org>\r\n")) == [250]
    ask(machine, b"EHLO c.example\r\n")
    machine.answer(Reply(550, "5.7.1", "Not you"))
    assert machine.data_to_send() == b"550 Not you\r\n"
    assert codes(said(machine, b"DATA\r\n")) == [354]


@pytest.mark.req("RFC5321-4.1.4-02", "RFC5321-4.1.4-03", "RFC5321-4.1.1.5-02")
def test_before_ehlo() -> None:
    machine = server(starttls=True)
    lines = b"NOOP\r\nHELP\r\nVRFY bob\r\nEXPN list\r\nRSET\r\n"
    assert codes(said(machine, lines)) == [250, 214, 252, 502, 250]
    assert codes(said(machine, TO_DATA + b"STARTTLS\r\n")) == [503, 503, 503, 503]
    assert codes(said(machine, OPEN, b"MAIL FROM:<>\r\n")) == [250, 250]


# -- forms of replies --------------------------------------------------------------------------


# All that a machine can be made to say, in one session.
EVERYTHING = [
    OPEN,
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
    machine = opened(limits=limits, starttls=True, mechanisms=("PLAIN",), auth_in_clear=True)
    return [(line, data) for data in EVERYTHING for line in said(machine, data)]


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
    machine = opened()
    ask(machine, b"MAIL FROM:<>\r\n")
    machine.answer(reply)
    assert machine.data_to_send() == wire


@pytest.mark.req("RFC5321-4.5.3.1.5-01")
def test_no_reply_line_is_too_long() -> None:
    machine = opened()
    ask(machine, b"VRFY a\r\n")
    machine.answer(Reply(421, "4.0.0", "word " * 300))
    lines = machine.data_to_send().split(b"\r\n")
    assert max(map(len, lines)) <= 510
    assert all(line.startswith(b"421") for line in lines[:-1])


# -- answers -----------------------------------------------------------------------------------


WRONG = {
    OPEN: [220, 251, 354, 334, 221, 399],
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
    machine = opened(starttls=True, mechanisms=("PLAIN",), auth_in_clear=True)
    *before, last = data.splitlines(keepends=True)
    for line in before:
        ask(machine, line)
        machine.answer(Reply(334, None, "") if line.startswith(b"AUTH") else None)
    question = ask(machine, last)
    machine.data_to_send()
    phase = machine.phase
    for code in WRONG[data]:
        with pytest.raises(LocalProtocolError):
            machine.answer(Reply(code))
        assert machine.data_to_send() == b""
        assert (machine.question, machine.phase) == (question, phase)
    machine.answer()
    assert machine.data_to_send()


def test_no_event_before_the_answer_and_no_answer_without_a_question() -> None:
    machine = server()
    with pytest.raises(LocalProtocolError):
        machine.answer()
    with pytest.raises(LocalProtocolError):
        machine.answer(Reply(550))
    with pytest.raises(LocalProtocolError):
        machine.challenge(b"")
    with pytest.raises(LocalProtocolError):
        machine.tls_started()
    ask(machine, OPEN + b"NOOP\r\n")
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="answer Ehlo first"):
            machine.next_event()
    assert machine.data_to_send() == b""
    machine.answer()
    assert isinstance(machine.next_event(), Noop)
    with pytest.raises(LocalProtocolError):
        machine.answer()
    assert isinstance(ask(machine, b"MAIL FROM:<>\r\n"), Mail)
    with pytest.raises(LocalProtocolError):
        machine.challenge(b"x")
    machine.answer()


@pytest.mark.req("RFC2920-3.2-02", "RFC2920-3.2-09")
def test_a_group_is_answered_in_order_and_together() -> None:
    machine = opened()
    machine.receive(
        b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@f.example>\r\n"
    )
    for code in (250, 550, 251):
        machine.next_event()
        machine.answer(Reply(code))
    assert codes(machine.data_to_send().decode().splitlines()) == [250, 550, 251]
    assert machine.envelope == Envelope("a@b.example", ["e@f.example"])


# -- order -------------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-4.1.4-15", "RFC5321-4.1.4-16")
def test_nested_and_bad_mail_leave_the_transaction() -> None:
    machine = opened()
    lines = said(machine, b"MAIL FROM:bad\r\n", b"MAIL FROM:<ann@example.org>\r\n")
    assert codes(lines) == [501, 250]
    assert said(machine, b"MAIL FROM:<eve@example.org>\r\n") == [
        "503 5.5.1 Transaction already open"
    ]
    assert codes(said(machine, b"RCPT TO:<bob@example.org>\r\n")) == [250]
    assert machine.envelope == Envelope("ann@example.org", ["bob@example.org"])


@pytest.mark.req("RFC5321-4.1.1.5-01", "RFC5321-4.1.1.5-03", "RFC5321-4.1.1.5-05")
def test_rset_forgets_the_transaction_only() -> None:
    machine = opened(mechanisms=("PLAIN",), secure=True, require_auth=True)
    feed(machine, b"AUTH PLAIN %s\r\n" % SECRET, TO_DATA[:-6])
    events, out = feed(machine, b"RSET\r\n")
    assert events == [Rset()]
    assert out == b"250 2.0.0 OK\r\n"
    assert machine.envelope == Envelope(None, ())
    assert codes(said(machine, TO_DATA)) == [250, 250, 354]


@pytest.mark.req("RFC5321-4.1.1.6-01", "RFC5321-4.1.1.7-01", "RFC5321-4.1.1.8-03")
def test_what_leaves_the_transaction_alone() -> None:
    machine = opened()
    feed(machine, b"MAIL FROM:<>\r\nVRFY a\r\nEXPN a\r\nHELP\r\nNOOP\r\nFOO\r\nDATA x\r\n")
    assert codes(said(machine, b"RCPT TO:<bob@example.org>\r\n")) == [250]


@pytest.mark.req("RFC5321-4.1.1.10-01", "RFC5321-4.1.1.10-07")
def test_quit_ends_it_all() -> None:
    machine = opened()
    events, out = feed(machine, TO_DATA[:-6] + b"QUIT\r\nNOOP\r\n")
    assert isinstance(events[-1], Quit)
    assert out.endswith(b"221 2.0.0 mx.example.org Service closing transmission channel\r\n")
    assert machine.phase is Phase.CLOSED
    assert feed(machine, b"NOOP\r\n", b"") == ([], b"")


@pytest.mark.req("RFC5321-2.4-05")
def test_half_a_command_is_nothing() -> None:
    machine = opened()
    for octet in (b"Q", b"UIT", b"\r"):
        assert feed(machine, octet) == ([], b"")
    assert codes(said(machine, b"\n")) == [221]


@pytest.mark.req("RFC5321-2.3.8-01", "SMUGGLING-07")
def test_bare_ends_do_not_end_commands() -> None:
    machine = opened()
    assert feed(machine, b"NOOP\n") == ([], b"")
    assert codes(said(machine, b"NOOP\r\nNOOP\r\n")) == [500, 250]
    assert codes(said(machine, b"NOOP\rNOOP\r\nNOOP x\nQUIT\r\nNOOP\r\n")) == [500, 501, 250]


@pytest.mark.req("RFC5321-4.1.1-01", "RFC5321-2.4-01")
@pytest.mark.parametrize(
    "line", [b"noop ", b"NoOp\t", b"rset  ", b"RSET\t", b"Quit \t ", b"mail from:<>  "]
)
def test_case_and_blanks_at_the_end_do_not_matter(line: bytes) -> None:
    assert codes(said(opened(), line + b"\r\n"))[0] in (250, 221)


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
    machine = opened(require_tls=True, **options)
    lines = said(machine, line + b"\r\n")
    assert codes(lines) == [code]
    assert code != 530 or lines == ["530 5.7.0 Must issue a STARTTLS command first"]
    machine = opened(require_tls=True, secure=True, mechanisms=("PLAIN",))
    assert 530 not in codes(said(machine, line + b"\r\n"))


def test_tls_required_of_helo() -> None:
    assert said(server(require_tls=True), b"HELO a.example\r\n") == [
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
    machine = opened(require_auth=True, mechanisms=("PLAIN",), auth_in_clear=True, starttls=True)
    lines = said(machine, line + b"\r\n")
    assert codes(lines) == [code]
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
    machine = opened()
    event = ask(machine, line + b"\r\n")
    assert isinstance(event, Rejected)
    assert machine.data_to_send().decode().startswith(reply)
    assert codes(said(machine, b"NOOP\r\n")) == [250]


def test_rejected_tells_what_and_why() -> None:
    machine = opened()
    event = ask(machine, b"FOO \x1b[31m\xff\r\n")
    assert event == Rejected("FOO \\x1b[31m\\xff", Reply(500, "5.5.1", event.reply.text))  # type: ignore[union-attr]
    event = ask(machine, b"MAIL FROM:<a@b_.example>\r\n")
    assert isinstance(event, Rejected)
    assert "at octet 13" in event.reply.text


@pytest.mark.req("RFC6531-3.5-01", "RFC6531-3.5-02", "RFC6531-3.2-01", "RFC5321-2.4-09")
def test_utf8_addresses_need_smtputf8() -> None:
    machine = opened()
    address = "\u7528\u6237@\u4f8b\u3048.jp".encode()
    assert said(machine, b"MAIL FROM:<%s>\r\n" % address) == [
        "550 5.6.7 Sender address needs SMTPUTF8"
    ]
    feed(machine, b"MAIL FROM:<a@b.example>\r\n")
    assert said(machine, b"RCPT TO:<%s>\r\n" % address) == [
        "553 5.6.7 Recipient address needs SMTPUTF8"
    ]
    assert codes(said(machine, b"RCPT TO:<a@b.example>\r\nRSET\r\n")) == [250, 250]
    data = b"MAIL FROM:<%s> SMTPUTF8\r\nRCPT TO:<%s>\r\n" % (address, address)
    assert codes(said(machine, data)) == [250, 250]
    assert machine.envelope.sender.mailbox is not None
    assert bytes(machine.envelope.sender.mailbox) == address


@pytest.mark.req("RFC5321-4.5.3.1.8-02", "RFC5321-4.5.3.1.10-01", "RFC5321-4.5.3.1.8-06")
def test_too_many_recipients() -> None:
    machine = opened(limits=Limits(recipients=100))
    feed(machine, b"MAIL FROM:<>\r\n")
    events, out = feed(machine, b"".join(b"RCPT TO:<u%d@b.example>\r\n" % i for i in range(102)))
    assert codes(out.decode().splitlines()) == [250] * 100 + [452] * 2
    assert b"452 4.5.3 Too many recipients" in out
    assert isinstance(events[-1], Rejected)
    assert len(machine.envelope.recipients) == 100
    assert codes(said(machine, b"DATA\r\n", b".\r\n")) == [354, 250]


@pytest.mark.req("RFC2920-3.2-04")
def test_refused_recipients_do_not_count() -> None:
    machine = opened(limits=Limits(recipients=100))
    feed(machine, b"MAIL FROM:<>\r\n")
    for _ in range(101):
        assert isinstance(ask(machine, b"RCPT TO:<a@b.example>\r\n"), Rcpt)
        machine.answer(Reply(550))
    assert machine.phase is Phase.MAIL
    events, out = feed(machine, b"DATA\r\n", b".\r\n")
    assert codes(out.decode().splitlines())[-2:] == [503, 500]
    assert not any(isinstance(event, BodyEnd) for event in events)


@pytest.mark.req("RFC1870-6.1-01", "RFC1870-7-02", "RFC1870-6.1-03", "RFC5321-4.5.3.1.7-04")
def test_declared_size() -> None:
    machine = opened(limits=SMALL)
    assert said(machine, b"MAIL FROM:<> SIZE=65537\r\n") == [
        "552 5.3.4 Message size exceeds fixed maximum message size"
    ]
    assert codes(said(machine, b"MAIL FROM:<> SIZE=10\r\n", TO_DATA[29:])) == [250, 250, 354]
    events, out = feed(machine, b"x" * 100 + b"\r\n.\r\n")
    assert events[-1] == BodyEnd(102)
    assert out.startswith(b"250 ")
    assert codes(said(machine, b"MAIL FROM:<> SIZE=65536\r\n")) == [250]
    unlimited = opened(limits=Limits(message_size=None))
    assert codes(said(unlimited, b"MAIL FROM:<> SIZE=%d\r\n" % (10**20 - 1))) == [250]


@pytest.mark.req("RFC1870-4-02", "RFC5321-4.5.3.1.7-01")
@pytest.mark.parametrize("size", [65535, 65536, 65537, 500000])
@pytest.mark.parametrize("step", [1000, 10**6])
def test_real_size(size: int, step: int) -> None:
    """Stuffed dots and the end do not count; what is too big is drained, and the session lives."""
    machine = opened(limits=SMALL)
    feed(machine, TO_DATA)
    content = b".".ljust(size - 2, b"x") + b"\r\n"
    wire = b"." + content + b".\r\nNOOP\r\n"
    events, out = feed(machine, *(wire[i : i + step] for i in range(0, len(wire), step)))
    body = b"".join(event.data for event in events if isinstance(event, BodyChunk))
    if size <= 65536:
        assert body == content
        assert events[-2] == BodyEnd(size)
        assert codes(out.decode().splitlines()) == [250, 250]
    else:
        assert len(body) <= 65536
        assert [type(event) for event in events[-2:]] == [Rejected, Noop]
        assert codes(out.decode().splitlines()) == [552, 250]
    assert machine.envelope == Envelope(None, ())
    assert codes(said(machine, TO_DATA)) == [250, 250, 354]


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
    machine = opened()
    feed(machine, TO_DATA)
    events, out = feed(machine, content + b"\r\n.\r\nNOOP\r\n")
    assert [type(event) for event in events][-2:] == [Rejected, Noop]
    assert not any(isinstance(event, BodyEnd) for event in events)
    assert out == b"554 5.6.0 CR or LF alone in message content\r\n250 2.0.0 OK\r\n"
    assert codes(said(machine, TO_DATA, b"good\r\n.\r\n")) == [250, 250, 354, 250]


@pytest.mark.req("RFC5321-4.1.1.4-02", "RFC1870-6-03")
def test_content_arrives() -> None:
    machine = opened()
    feed(machine, TO_DATA)
    assert feed(machine, b".\r\n")[0] == [BodyEnd(0)]
    machine = opened()
    feed(machine, TO_DATA)
    events, _ = feed(machine, b"..a\r\n", b"QUIT\r\n.", b"\r\n")
    assert b"".join(e.data for e in events if isinstance(e, BodyChunk)) == b".a\r\nQUIT\r\n"
    assert events[-1] == BodyEnd(10)
    assert "QUIT" not in repr(events)


@pytest.mark.parametrize("code", [250, 451, 554])
@pytest.mark.req("RFC5321-4.1.1.4-07")
def test_after_the_content_the_transaction_is_over(code: int) -> None:
    machine = opened()
    feed(machine, TO_DATA)
    ask(machine, b".\r\n")
    machine.answer(Reply(code))
    assert machine.envelope == Envelope(None, ())
    assert codes(said(machine, TO_DATA)) == [code, 250, 250, 354]


def test_refusing_data_leaves_the_transaction() -> None:
    machine = opened()
    feed(machine, TO_DATA[:-6])
    ask(machine, b"DATA\r\n")
    machine.answer(Reply(451))
    assert codes(said(machine, b"DATA\r\n")) == [451, 354]


# -- STARTTLS ----------------------------------------------------------------------------------


@pytest.mark.req("RFC3207-6-04", "RFC3207-4-01", "RFC3207-4-02")
def test_octets_behind_starttls_close() -> None:
    """In the same read, or in a later one before the answer."""
    machine = opened(starttls=True)
    events, out = feed(machine, b"STARTTLS\r\nRSET\r\n")
    assert [type(event) for event in events] == [Rejected]
    assert out.startswith(b"421 4.7.0 mx.example.org Octets after STARTTLS")
    assert machine.phase is Phase.CLOSED

    machine = opened(starttls=True)
    assert isinstance(ask(machine, b"STARTTLS\r\n"), StartTLS)
    machine.receive(b"R")
    machine.answer()
    assert machine.data_to_send().startswith(b"421 4.7.0 ")
    assert machine.phase is Phase.CLOSED

    machine = opened(starttls=True)
    assert isinstance(ask(machine, b"STARTTLS\r\n"), StartTLS)
    machine.answer(Reply(454, "4.7.0", "TLS not available now"))
    assert codes(said(machine, b"NOOP\r\nSTARTTLS x\r\n")) == [454, 250, 501]


@pytest.mark.req(
    "RFC3207-4.2-01",
    "RFC3207-4.2-04",
    "RFC3207-4.2-07",
    "RFC3207-4.2-08",
    "RFC4954-3-02",
    "RFC3207-4-02",
)
def test_after_the_handshake_the_session_is_new() -> None:
    machine = opened(starttls=True, mechanisms=("PLAIN",))
    events, out = feed(machine, b"STARTTLS\r\n")
    assert events == [StartTLS()]
    assert out == b"220 2.0.0 Ready to start TLS\r\n"
    assert machine.timeout == Timeouts().tls
    with pytest.raises(LocalProtocolError):
        machine.receive(b"\x16\x03\x01")
    machine.tls_started()
    assert feed(machine) == ([], b"")
    assert (machine.phase, machine.secure) == (Phase.START, True)
    assert codes(said(machine, b"MAIL FROM:<>\r\nAUTH PLAIN\r\nSTARTTLS\r\n")) == [503, 503, 503]
    lines = said(machine, OPEN)
    assert "250-AUTH PLAIN" in lines or "250 AUTH PLAIN" in lines
    assert not any("STARTTLS" in line for line in lines)
    assert said(machine, b"STARTTLS\r\n") == ["503 5.5.1 TLS is already active"]


@pytest.mark.req("RFC3207-4.2-01")
def test_tls_forgets_that_somebody_logged_in() -> None:
    machine = opened(starttls=True, mechanisms=("PLAIN",), auth_in_clear=True, require_auth=True)
    assert codes(said(machine, b"AUTH PLAIN =\r\n", b"STARTTLS\r\n")) == [235, 220]
    machine.tls_started()
    assert not machine.authenticated
    assert codes(said(machine, OPEN, b"MAIL FROM:<>\r\n")) == [250, 530]


@pytest.mark.req("RFC8314-3.3-03")
def test_implicit_tls_has_no_starttls() -> None:
    machine = opened(starttls=True, secure=True)
    assert said(machine, b"STARTTLS\r\n") == ["503 5.5.1 TLS is already active"]


# -- AUTH --------------------------------------------------------------------------------------


def authenticating(**options: object) -> ServerProtocol:
    """In an exchange."""
    machine = opened(secure=True, mechanisms=("PLAIN", "LOGIN"), **options)
    assert isinstance(ask(machine, b"AUTH LOGIN\r\n"), Auth)
    machine.challenge(b"Username:")
    assert machine.data_to_send() == b"334 VXNlcm5hbWU6\r\n"
    return machine


@pytest.mark.req("RFC4954-4-06", "RFC4954-4-08", "RFC4954-4-21", "RFC4954-4-24", "RFC4422-3.8-01")
def test_an_exchange() -> None:
    machine = authenticating()
    assert ask(machine, b"YW5u\r\n") == AuthResponse(Secret(b"ann"))
    machine.challenge(b"")
    assert machine.data_to_send() == b"334 \r\n"
    assert ask(machine, b"\r\n") == AuthResponse(Secret(b""))
    machine.answer(Reply(535, "5.7.8", "No"))
    assert not machine.authenticated
    assert said(machine, b"AUTH PLAIN =\r\n") == [
        "535 5.7.8 No",
        "235 2.7.0 Authentication successful",
    ]
    assert machine.authenticated
    assert codes(said(machine, b"AUTH PLAIN\r\n", b"MAIL FROM:<>\r\n")) == [503, 250]


@pytest.mark.req("RFC4954-4-02", "RFC4954-4-03", "RFC4954-4-05", "RFC4954-8-01", "RFC4422-A-02")
def test_when_auth_is_refused_unasked() -> None:
    machine = opened(secure=True, mechanisms=("PLAIN",))
    assert said(machine, b"AUTH CRAM-MD5\r\n") == [
        "504 5.5.4 Unrecognized authentication mechanism"
    ]
    assert codes(said(machine, b"AUTH EXTERNAL =\r\n")) == [504]
    assert codes(said(machine, b"AUTH\r\nAUTH !\r\nAUTH PLAIN =x\r\n")) == [501, 501, 501]
    assert said(machine, b"AUTH PLAIN !!!\r\n")[0].startswith("501 5.5.2 ")
    assert codes(said(machine, b"MAIL FROM:<>\r\nAUTH PLAIN\r\nRSET\r\n")) == [250, 503, 250]
    assert codes(said(machine, b"auth plain =\r\nAUTH PLAIN\r\n")) == [235, 503]
    assert said(opened(mechanisms=("PLAIN",)), b"AUTH PLAIN %s\r\n" % SECRET) == [
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
    machine = authenticating()
    machine.receive(line + b"\r\nNOOP\r\n")
    event = machine.next_event()
    assert isinstance(event, Rejected)
    assert event.line == "***"
    assert (machine.phase, machine.authenticated) == (Phase.READY, False)
    assert said(machine) == [reply]
    assert codes(said(machine, b"AUTH PLAIN =\r\n")) == [250, 235]


@pytest.mark.req("RFC4954-4-16", "RFC4954-4-17")
def test_the_longest_line_of_an_exchange() -> None:
    """12288 octets with CRLF are taken (12286 before it are no base64), one more is not."""
    assert ask(authenticating(), b"A" * 12284 + b"\r\n") == AuthResponse(Secret(bytes(9213)))
    for length, reply in ((12286, b"501 5.5.2 "), (12287, b"500 5.5.6 ")):
        machine = authenticating()
        assert isinstance(ask(machine, b"A" * length + b"\r\n"), Rejected)
        assert machine.data_to_send().startswith(reply)


@pytest.mark.parametrize("line", [b"QUIT", b"NOOP", b"RSET", b"DATA", b"AUTH"])
def test_a_response_that_looks_like_a_command_is_a_response(line: bytes) -> None:
    event = ask(authenticating(), line + b"\r\n")
    assert event == AuthResponse(Secret(base64.b64decode(line)))


@pytest.mark.req("RFC4954-9-02", "RFC4954-9-04")
def test_the_third_failure_closes() -> None:
    machine = opened(secure=True, mechanisms=("PLAIN",))
    for count in (1, 2, 3):
        ask(machine, b"AUTH PLAIN %s\r\n" % SECRET)
        machine.answer(Reply(535, "5.7.8", "No"))
        assert (machine.phase is Phase.CLOSED) == (count == 3)
    assert codes(said(machine)) == [535, 535, 535, 421]


def test_temporary_failures_and_cancels_are_no_failed_logins() -> None:
    machine = opened(secure=True, mechanisms=("PLAIN",))
    for _ in range(5):
        ask(machine, b"AUTH PLAIN %s\r\n" % SECRET)
        machine.answer(Reply(454, "4.7.0", "Later"))
        ask(machine, b"AUTH PLAIN\r\n")
        machine.challenge(b"")
        assert isinstance(ask(machine, b"*\r\n"), Rejected)
    assert codes(said(machine)) == [454, 334, 501] * 5
    assert machine.phase is Phase.READY


@pytest.mark.parametrize("lead", [b"AUTH PLAIN ", b"auth plain ", b"AUTH PLAIN  ", b"AUTHPLAIN ",
                                  b"AUTH\t", b" AUTH PLAIN ", b"AUTH FOO "])  # fmt: skip
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("tail", [b"", b"!", b" x", b"\0"])
def test_no_secret_is_shown(lead: bytes, secure: bool, tail: bytes) -> None:
    machine = opened(secure=secure, mechanisms=("PLAIN",))
    events, out = feed(machine, lead + SECRET + tail + b"\r\n")
    assert SECRET.decode() not in repr(events) + "".join(map(str, events))
    assert "hunter2" not in repr(events) + "".join(map(str, events))
    assert SECRET not in out


def test_no_secret_of_an_exchange_is_shown() -> None:
    for tail in (b"", b"!", b"=", b"\n"):
        events, out = feed(authenticating(), SECRET + tail + b"\r\n")
        assert len(events) == 1
        assert SECRET.decode() not in repr(events)
        assert "hunter2" not in repr(events)
        assert SECRET not in out


# -- bounds ------------------------------------------------------------------------------------


FULL = {"starttls": True, "mechanisms": ("PLAIN",), "auth_in_clear": True}


@pytest.mark.req(
    "RFC5321-4.5.3.1.4-01", "RFC5321-4.3.2-05", "RFC1870-3-03", "RFC4954-3-03", "RFC6531-3.1-04"
)
@pytest.mark.parametrize(
    ("verb", "options", "limit"),
    [
        (b"NOOP ", {}, 512),
        (b"noop ", FULL, 512),
        (b"HELP ", FULL, 512),
        (b"VRFY ", FULL, 512 + 9),
        (b"EXPN ", FULL, 512 + 9),
        (b"RCPT ", FULL, 512),
        (b"STARTTLS ", FULL, 512),
        (b"EHLO ", FULL, 512),
        (b"MAIL ", {}, 512 + 26 + 14 + 10),
        (b"mail ", {}, 512 + 26 + 14 + 10),
        (b"MAIL ", FULL, 512 + 26 + 14 + 10 + 500),
        (b"AUTH ", FULL, 12288),
        (b"MAILX ", FULL, 512),
        (b"AUTHX ", FULL, 512),
        (b"FOO ", FULL, 512),
    ],
)
def test_line_limits(verb: bytes, options: dict[str, object], limit: int) -> None:
    """At the limit a line is read, one octet above it is not, and both have one reply."""
    for length, too_long in ((limit - 1, False), (limit, False), (limit + 1, True)):
        machine = opened(**options)
        line = verb.ljust(length - 2, b"x") + b"\r\n"
        lines = said(machine, line[:300], line[300:] + b"NOOP\r\n")
        assert len(codes(lines)) == 2
        assert (lines[0] == "500 5.5.2 Line too long") == too_long
        assert lines[-1] == "250 2.0.0 OK"


@pytest.mark.req("RFC5321-2.3.8-02")
def test_an_endless_line_has_one_reply() -> None:
    machine = opened()
    for _ in range(100):
        assert feed(machine, b"x" * 10000) == ([], b"")
    events, out = feed(machine, b"\nQUIT\r\nNOOP\r\n")
    assert events == [Rejected("", Reply(500, "5.5.2", "Line too long")), Noop()]
    assert codes(out.decode().splitlines()) == [500, 250]


def test_too_many_errors_close() -> None:
    machine = opened(limits=Limits(errors=3))
    assert codes(said(machine, b"FOO\r\n" * 3 + b"NOOP\r\nDATA\r\n")) == [500] * 3 + [250, 503]
    assert said(machine, b"MAIL FROM:x\r\nNOOP\r\n") == [
        "421 4.7.0 mx.example.org Too many errors; closing transmission channel"
    ]
    assert machine.phase is Phase.CLOSED


@pytest.mark.req("RFC5321-3.8-01", "RFC5321-4.1.1.10-02")
def test_other_errors_do_not_close() -> None:
    machine = opened(limits=Limits(errors=3))
    assert codes(said(machine, b"DATA\r\n" * 100)) == [503] * 100
    machine = opened()
    assert codes(said(machine, b"FOO\r\n" * 50)) == [500] * 50
    assert machine.phase is Phase.READY


# -- the end -----------------------------------------------------------------------------------


ENDS = {
    "start": b"NO",
    "half a line": OPEN + b"NOOP",
    "ready": OPEN,
    "mail": OPEN + TO_DATA[:29],
    "rcpt": OPEN + TO_DATA[:-6],
    "body": OPEN + TO_DATA + b"text\r\n.\r",
    "tls": OPEN + b"STARTTLS\r\n",
}


@pytest.mark.req("RFC5321-4.1.1.10-05")
@pytest.mark.parametrize("data", ENDS.values(), ids=ENDS)
def test_the_end_is_reported_once(data: bytes) -> None:
    machine = server(starttls=True)
    feed(machine, data)
    events, out = feed(machine, b"")
    assert events == [Disconnected()]
    assert out == b""
    assert machine.phase is Phase.CLOSED
    assert feed(machine, b"") == ([], b"")


def test_the_end_before_the_greeting_and_in_an_exchange() -> None:
    machine = ServerProtocol(hostname=HOST)
    assert [type(event) for event in feed(machine, b"")[0]] == [Connected, Disconnected]
    assert feed(authenticating(), b"AA", b"")[0] == [Disconnected()]


def test_commands_that_came_before_the_end_are_served() -> None:
    machine = server()
    machine.receive(OPEN + TO_DATA + b"x\r\n.\r\n")
    machine.receive(b"")
    events, _ = feed(machine, b"")
    assert [type(event) for event in events][-2:] == [BodyEnd, Disconnected]


def test_time_to_wait() -> None:
    times = Timeouts(command=7, tls=3)
    machine = opened(timeouts=times, starttls=True)
    assert machine.timeout == 7
    feed(machine, b"STARTTLS\r\n")
    assert machine.timeout == 3


# -- laws --------------------------------------------------------------------------------------


STREAM = st.lists(
    st.sampled_from([
        OPEN, b"HELO a.example\r\n", b"MAIL FROM:<a@b.example>\r\n", b"RCPT TO:<c@d.example>\r\n",
        b"DATA\r\n", b"x\r\n", b"..\r\n", b".\r\n", b"\n", b"\r", b"RSET\r\n", b"NOOP\r\n",
        b"FOO\r\n",
        b"AUTH PLAIN\r\n", b"AAAA\r\n", b"*\r\n", b"STARTTLS\r\n", b"x" * 600 + b"\r\n",
        b"QUIT\r\n", b"VRFY a\r\n", b"MAIL FROM:<> SIZE=99999999999\r\n",
    ]), max_size=15,
).map(b"".join)  # fmt: skip
CUTS = st.lists(st.integers(0, 300), max_size=6)


def history(parts: list[bytes]) -> tuple[list[ServerEvent], bytes]:
    machine = server(mechanisms=("PLAIN",), auth_in_clear=True, starttls=True)
    events, out = [], b""
    for part in filter(None, parts):
        some, said_now = feed(machine, part)
        events += some
        out += said_now
    merged: list[ServerEvent] = []
    for event in events:
        last = merged[-1] if merged else None
        if isinstance(event, BodyChunk) and isinstance(last, BodyChunk):
            merged[-1] = BodyChunk(last.data + event.data)
        else:
            merged.append(event)
    return merged, out


@pytest.mark.req("RFC2920-3.2-08")
@given(STREAM, CUTS)
@example(OPEN + TO_DATA + b"x\r\n.\r\nNOOP\r\n", [3, 40, 100])
def test_the_split_does_not_matter(data: bytes, cuts: list[int]) -> None:
    """Except for what is behind STARTTLS, where it must: so there is nothing behind it here."""
    head, found, _ = data.partition(b"STARTTLS\r\n")
    data = head + found
    whole = history([data])
    ends = [*sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parts = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert history(parts) == whole
    assert history([data[i : i + 1] for i in range(len(data))]) == whole


@pytest.mark.req("RFC5321-4.2-01", "RFC5321-4.1.1.4-08")
@given(STREAM)
def test_one_reply_to_each(data: bytes) -> None:
    """Events that are commands, ends of content or rejections, and replies: as many."""
    events, out = history([data])
    counted = [event for event in events if not isinstance(event, BodyChunk)]
    assert len(codes(out.decode().splitlines())) == len(counted)


def test_an_ehlo_event_has_what_was_said() -> None:
    event = ask(server(), b"eHlO [192.0.2.1]\r\n")
    assert isinstance(event, Ehlo)
    assert not isinstance(event, Helo)
    assert str(event.host) == "[192.0.2.1]"


def test_after_the_end_nothing_is_kept() -> None:
    machine = server()
    feed(machine, b"QUIT\r\n")
    for _ in range(100):
        machine.receive(b"x" * 10000)
    assert len(machine._buffer) == 0


@pytest.mark.parametrize("text", ["AUTH\nSIZE 1\nX-MINE", "x" * 900])
def test_words_of_ones_own_in_the_reply_to_ehlo_are_no_keywords(text: str) -> None:
    machine = server()
    machine.receive(OPEN)
    machine.next_event()
    machine.answer(Reply(250, None, text))
    assert Extensions.from_reply(Reply.parse(machine.data_to_send())) == machine.offered
