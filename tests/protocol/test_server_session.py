"""Greeting, EHLO, HELO, QUIT and the end of a server's session."""

from __future__ import annotations

import pytest

from smtpproto.errors import GrammarError, LocalProtocolError
from smtpproto.events import (
    BodyEnd,
    Connected,
    Disconnected,
)
from smtpproto.grammar.command import Ehlo, Helo, Quit
from smtpproto.grammar.envelope import Envelope
from smtpproto.grammar.reply import Reply
from smtpproto.limits import Timeouts
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.server import ServerProtocol
from smtpproto.protocol.server_replies import TIMED_OUT

from .machines import (
    EHLO_LINE,
    ENVELOPE_LINES,
    HOST,
    MAIL_LINE,
    RCPT_LINE,
    TO_DATA,
    ServerDriver,
    codes_of,
    greeted_server,
    ready_server,
    reply_to,
    server_in_exchange,
)

ENDS = {
    "start": b"NO",
    "half a line": EHLO_LINE + b"NOOP",
    "ready": EHLO_LINE,
    "mail": EHLO_LINE + MAIL_LINE,
    "rcpt": EHLO_LINE + ENVELOPE_LINES,
    "body": EHLO_LINE + TO_DATA + b"text\r\n.\r",
    "tls": EHLO_LINE + b"STARTTLS\r\n",
}


@pytest.mark.req("RFC5321-4.3.1-04", "RFC5321-4.1.1.1-07", "RFC5321-4.1.1.1-05")
@pytest.mark.parametrize("name", [HOST, "[192.0.2.1]", "[IPv6:2001:db8::1]"])
def test_the_server_names_itself_in_greeting_hello_and_quit(name: str) -> None:
    server = ServerDriver(reply_to(Connected, Reply(220, None, "ready\nand glad")), hostname=name)
    server.handle_events()
    assert server.machine.data_to_send() == f"220-{name} ready\r\n220 and glad\r\n".encode()
    assert server.lines(b"HELO a.example\r\n") == [f"250 {name} greets you"]
    assert server.lines(EHLO_LINE)[0] == f"250-{name} greets you"
    assert server.lines(b"QUIT\r\n") == [f"221 2.0.0 {name} Service closing transmission channel"]


@pytest.mark.req("RFC5321-4.1.1.1-05", "RFC5321-2.2.1-03/server")
@pytest.mark.parametrize(
    "name", [b"a", b"a.example", b"mx1.mail.a-b.example.org", b"[192.0.2.1]", b"[IPv6:2001:db8::1]"]
)
@pytest.mark.parametrize("before", [b"", b"NOOP\r\n", EHLO_LINE, EHLO_LINE + ENVELOPE_LINES])
def test_helo_is_answered_with_250_and_the_name_of_the_server(name: bytes, before: bytes) -> None:
    server = greeted_server()
    server.feed(before)
    assert server.lines(b"HELO " + name + b"\r\n") == [f"250 {HOST} greets you"]
    assert server.codes(TO_DATA, b"x\r\n.\r\n") == [250, 250, 354, 250]


@pytest.mark.req("RFC5321-3.8-04", "RFC5321-4.3.1-04")
@pytest.mark.parametrize(
    "before", [b"", EHLO_LINE, EHLO_LINE + TO_DATA, EHLO_LINE + TO_DATA + b"text\r\n"]
)
def test_hanging_up_sends_421_in_any_phase(before: bytes) -> None:
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


def test_hanging_up_withdraws_the_open_question() -> None:
    server = greeted_server()
    server.ask(EHLO_LINE)
    server.machine.hang_up(TIMED_OUT)
    assert server.machine.question is None
    assert server.machine.next_event() is None
    with pytest.raises(LocalProtocolError):
        server.machine.answer()


@pytest.mark.req("RFC6531-3.7.1-02")
def test_an_internationalized_host_name_is_sent_in_ascii() -> None:
    machine = ServerProtocol(hostname="b\u00fccher.example")
    assert str(machine.settings.hostname) == "xn--bcher-kva.example"
    machine.next_event()
    machine.answer()
    machine.receive(EHLO_LINE)
    machine.next_event()
    machine.answer()
    greeting, hello, *_ = machine.data_to_send().decode("ascii").split("\r\n")
    assert "xn--bcher-kva.example" in greeting
    assert "xn--bcher-kva.example" in hello
    with pytest.raises(GrammarError):  # IDNA 2003 and IDNA 2008 convert this name differently
        ServerProtocol(hostname="stra\u00dfe.example")


@pytest.mark.req("RFC5321-4.3.1-03", "RFC5321-3.1-02", "SMUGGLING-08")
def test_a_554_greeting_refuses_and_a_421_greeting_closes() -> None:
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
def test_a_refused_session_accepts_only_quit(options: dict[str, bool]) -> None:
    refuse = reply_to(Connected, Reply(554, "5.7.1", "No service here"))
    server = ServerDriver(refuse, **options)
    server.handle_events()
    assert server.codes() == [554]
    for verb in (b"EHLO a.example", b"HELO a.example", b"MAIL FROM:<>", b"NOOP", b"RSET"):
        assert server.codes(verb + b"\r\n") == [503]
    for verb in (b"AUTH PLAIN", b"STARTTLS", b"VRFY a", b"DATA", b"MAIL"):
        assert server.codes(verb + b"\r\n") == [503]
    assert server.codes(b"QUIT\r\n") == [221]


@pytest.mark.req(
    "RFC5321-3.2-01",
    "RFC5321-F.3-02",
    "RFC5321-4.1.1.11-01",
    "RFC2034-4-05",
    "RFC5321-2.2.1-03/server",
)
def test_helo_negotiates_no_extensions() -> None:
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
    lines = server.lines(EHLO_LINE + b"HELO client.example\r\n")
    assert lines[-1] == "250 mx.example.org greets you", "also after EHLO"
    assert lines[-2].startswith("250 ")


@pytest.mark.req("RFC5321-4.1.4-06", "RFC5321-4.1.4-07")
@pytest.mark.parametrize("hello", [b"EHLO", b"EHLO a\tb", b"HELO", b"EHLO \xc3\xa9\0"])
def test_a_refused_ehlo_changes_nothing(hello: bytes) -> None:
    server = ready_server()
    server.feed(b"MAIL FROM:<ann@example.org>\r\n")
    assert server.codes(hello + b"\r\n") == [501]
    assert server.codes(b"RCPT TO:<bob@example.org>\r\n") == [250]
    server.ask(b"EHLO c.example\r\n")
    server.machine.answer(Reply(550, "5.7.1", "Not you"))
    assert server.machine.data_to_send() == b"550 Not you\r\n"
    assert server.machine.envelope == Envelope("ann@example.org", ["bob@example.org"])
    assert server.codes(b"RSET\r\n", b"MAIL FROM:<> SIZE=1\r\n") == [250, 250], "SIZE as before"
    assert server.codes(RCPT_LINE, b"DATA\r\n") == [250, 354]


@pytest.mark.req("RFC5321-4.1.4-02", "RFC5321-4.1.4-03", "RFC5321-4.1.1.5-02")
def test_before_ehlo_only_commands_without_a_transaction_are_accepted() -> None:
    server = greeted_server(starttls=True)
    lines = b"NOOP\r\nHELP\r\nVRFY bob\r\nEXPN list\r\nRSET\r\n"
    assert server.codes(lines) == [250, 214, 252, 502, 250]
    assert server.codes(TO_DATA + b"STARTTLS\r\n") == [503, 503, 503, 503]
    assert server.codes(EHLO_LINE, b"MAIL FROM:<>\r\n") == [250, 250]


@pytest.mark.req("RFC5321-4.1.1.10-01")
def test_after_quit_no_input_is_read() -> None:
    server = ready_server()
    events, sent = server.feed_events(ENVELOPE_LINES + b"QUIT\r\nNOOP\r\n")
    assert isinstance(events[-1], Quit)
    assert sent.endswith(b"221 2.0.0 mx.example.org Service closing transmission channel\r\n")
    assert server.machine.phase is Phase.CLOSED
    events = list(server.events)
    assert server.feed(b"NOOP\r\n") + server.end() == b""
    assert server.events == events


@pytest.mark.parametrize("data", ENDS.values(), ids=ENDS)
def test_the_end_of_the_connection_is_reported_once(data: bytes) -> None:
    server = greeted_server(starttls=True)
    server.feed(data)
    server.events.clear()
    for _ in range(2):
        assert server.end() == b""
        assert server.events == [Disconnected()]
        assert server.machine.phase is Phase.CLOSED


def test_the_end_is_reported_before_the_greeting_and_in_a_sasl_exchange() -> None:
    server = ServerDriver()
    server.end()
    assert [type(event) for event in server.events] == [Connected, Disconnected]
    server = server_in_exchange()
    assert server.feed(b"AA") + server.end() == b""
    assert server.events == [Disconnected()]


def test_commands_that_arrived_before_the_end_are_served() -> None:
    server = greeted_server()
    server.machine.receive(EHLO_LINE + TO_DATA + b"x\r\n.\r\n")
    server.machine.receive(b"")
    server.end()
    assert [type(event) for event in server.events][-2:] == [BodyEnd, Disconnected]


def test_the_timeout_is_that_of_commands_or_of_the_handshake() -> None:
    times = Timeouts(command=7, tls=3)
    server = ready_server(timeouts=times, starttls=True)
    assert server.machine.timeout == 7
    server.feed(b"STARTTLS\r\n")
    assert server.machine.timeout == 3


def test_the_ehlo_event_has_the_name_of_the_client() -> None:
    event = greeted_server().ask(b"eHlO [192.0.2.1]\r\n")
    assert isinstance(event, Ehlo)
    assert not isinstance(event, Helo)
    assert str(event.host) == "[192.0.2.1]"


def test_input_after_quit_is_not_kept() -> None:
    server = greeted_server()
    server.feed(b"QUIT\r\n")
    for _ in range(100):
        server.machine.receive(b"x" * 10000)
    assert len(server.machine.buffer) == 0
