"""RFC 5321 and its neighbours on the server's machine, requirement by requirement."""

from __future__ import annotations

import base64

import pytest

from smtpproto.grammar.command import Command, Mail, Rcpt, Vrfy
from smtpproto.grammar.command_line import COMMANDS
from smtpproto.grammar.envelope import Envelope
from smtpproto.grammar.extension import EXTENSIONS
from smtpproto.grammar.extension_command import Auth
from smtpproto.grammar.reply import Reply
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.verbs import Verb

from .machines import (
    EHLO_LINE,
    ENVELOPE_LINES,
    SMALL_MESSAGES,
    TO_DATA,
    codes_of,
    content_of,
    greeted_server,
    lines_of,
    ready_server,
)

NO_EXTENSIONS: dict[str, str | None] = dict.fromkeys(
    ["PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "LIMITS", "ENHANCEDSTATUSCODES",
     "HELP"]
)  # fmt: skip


# -- extensions and verbs ----------------------------------------------------------------------


@pytest.mark.req("RFC5321-2.2.1-01")
def test_no_extension_at_all() -> None:
    server = greeted_server(extensions=NO_EXTENSIONS)
    assert server.lines(EHLO_LINE) == ["250 mx.example.org greets you"]
    assert server.codes(TO_DATA + b"x\r\n.\r\n") == [250, 250, 354, 250]


@pytest.mark.req("RFC5321-4.1.1.1-11", "RFC5321-2.2.2-01")
def test_a_keyword_is_registered_or_private() -> None:
    with pytest.raises(ValueError, match="neither implemented nor private"):
        greeted_server(extensions={"FOO": ""})
    assert "250 XFOO bar" in greeted_server(extensions={"XFOO": "bar"}).lines(EHLO_LINE)


@pytest.mark.req("RFC5321-2.2.2-02")
def test_no_keyword_is_private_by_default() -> None:
    options = {"starttls": True, "mechanisms": ("PLAIN",), "auth_in_clear": True}
    for lines in (greeted_server().lines(EHLO_LINE), greeted_server(**options).lines(EHLO_LINE)):
        assert not any(line[4:].upper().startswith("X") for line in lines)


@pytest.mark.req("RFC5321-2.2.2-03")
def test_every_verb_belongs_to_an_rfc_or_is_private() -> None:
    rfcs = {verb: row.rfc for row in EXTENSIONS.values() for verb in row.verbs}
    assert COMMANDS.keys() - rfcs.keys() == {
        "EHLO", "HELO", "MAIL", "RCPT", "DATA", "RSET", "VRFY", "EXPN", "HELP", "NOOP", "QUIT",
        "LHLO",
    }  # fmt: skip
    assert all(rfc.isdecimal() or verb.startswith("X") for verb, rfc in rfcs.items())


class Foo(Command):
    verb = "FOO"


class XFoo(Command):
    verb = "XFOO"


@pytest.mark.req("RFC5321-4.1.5-02")
def test_a_verb_of_ones_own_is_private_or_has_a_keyword() -> None:
    with pytest.raises(ValueError, match="FOO is not private"):
        Verb.own(Foo)
    yes = Reply(250, "2.0.0", "Done")
    for command, keyword in ((Foo, "FOOBAR"), (XFoo, None)):
        server = greeted_server(verbs=(Verb.own(command, default_reply=yes, keyword=keyword),))
        assert any(line[4:] == (keyword or "XFOO") for line in server.lines(EHLO_LINE))
        assert server.lines(b"%s\r\n" % command.verb.encode()) == ["250 2.0.0 Done"]


@pytest.mark.req("RFC5321-4.5.1-01")
@pytest.mark.parametrize("line", [b"EHLO a.example", b"HELO a.example", b"MAIL FROM:<>",
    b"RCPT TO:<a@b.example>", b"DATA", b"RSET", b"NOOP", b"QUIT", b"VRFY bob"])  # fmt: skip
def test_the_nine_commands_are_known(line: bytes) -> None:
    for server in (greeted_server(), ready_server()):
        assert server.codes(line + b"\r\n")[0] not in (500, 502)


ENABLED: dict[str, object] = {
    "starttls": True,
    "mechanisms": ("PLAIN",),
    "auth_in_clear": True,
    "extensions": {"ETRN": ""},
}


@pytest.mark.req("RFC5321-4.2.4-02", "RFC5321-4.1.1.1-10")
@pytest.mark.parametrize(
    ("keyword", "line", "code"),
    [
        ("STARTTLS", b"STARTTLS", 220),
        ("AUTH", b"AUTH PLAIN =", 235),
        ("CHUNKING", b"BDAT 0", 503),
        ("ETRN", b"ETRN example.org", 251),
        ("HELP", b"HELP", 214),
    ],
)
def test_what_is_offered_is_known(keyword: str, line: bytes, code: int) -> None:
    for options, offered in ((ENABLED, True), ({"extensions": NO_EXTENSIONS}, False)):
        server = greeted_server(**options)
        keywords = [line[4:].split()[0] for line in server.lines(EHLO_LINE)[1:]]
        assert (keyword in keywords) == offered
        if keyword != "HELP" or offered:  # HELP is known in any case
            assert server.codes(line + b"\r\n") == [code if offered else 502]


# -- transactions ------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-3.3-01")
@pytest.mark.parametrize(
    "end", [b"RSET\r\n", EHLO_LINE, b"DATA\r\nx\r\n.\r\n", b"DATA\r\nx\n\r\n.\r\n"]
)
def test_mail_begins_anew(end: bytes) -> None:
    server = ready_server()
    server.feed(ENVELOPE_LINES)
    for line in end.splitlines(keepends=True):
        server.feed(line)
    assert server.codes(b"MAIL FROM:<eve@example.org>\r\n") == [250]
    assert server.machine.envelope == Envelope("eve@example.org", [])
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
def test_data_is_for_those_accepted(answers: list[int], last: int) -> None:
    server = ready_server()
    server.feed(b"MAIL FROM:<>\r\n")
    for code in answers:
        server.machine.receive(b"RCPT TO:<a@b.example>\r\n")
        server.machine.next_event()
        server.machine.answer(Reply(code))
    server.machine.data_to_send()
    assert server.codes(b"DATA\r\n") == [last]


@pytest.mark.req("RFC5321-3.4-02", "RFC5321-3.4-05")
def test_251_accepts_and_551_does_not() -> None:
    server = ready_server()
    server.feed(b"MAIL FROM:<ann@example.org>\r\n")
    for name, code in ((b"moved", 251), (b"gone", 551)):
        server.machine.receive(b"RCPT TO:<%s@example.org>\r\n" % name)
        server.machine.next_event()
        server.machine.answer(Reply(code, None, "<elsewhere@example.net>"))
    assert server.machine.envelope == Envelope("ann@example.org", ["moved@example.org"])
    assert server.machine.phase is Phase.RCPT


@pytest.mark.req("RFC5321-4.1.1.9-02")
@pytest.mark.parametrize("argument", [b"", b" foo", b" RCPT TO:<a@b.example>", b' "x y" z'])
def test_what_stands_behind_noop_does_not_matter(argument: bytes) -> None:
    for server in (greeted_server(), ready_server()):
        assert server.lines(b"NOOP" + argument + b"\r\n") == ["250 2.0.0 OK"]


# -- sizes -------------------------------------------------------------------------------------

DOMAIN_OF_255_OCTETS = b".".join([b"d" * 63] * 3 + [b"d" * 63])  # 255 octets


@pytest.mark.req("RFC5321-4.5.3.1-01")
@pytest.mark.parametrize(
    "line",
    [
        b"MAIL FROM:<%s@b.example>" % (b"l" * 64),
        b"EHLO " + DOMAIN_OF_255_OCTETS,
        b"MAIL FROM:<%s@%s>" % (b"l" * 64, DOMAIN_OF_255_OCTETS[: 256 - 2 - 65 - 1] + b"x"),
        b"RCPT TO:<%s@%s>" % (b"l" * 64, DOMAIN_OF_255_OCTETS[: 256 - 2 - 65 - 1] + b"x"),
        b"NOOP " + b"x" * (512 - 7),
    ],
    ids=["local-part", "domain", "reverse-path", "forward-path", "command line"],
)
def test_least_sizes_of_commands(line: bytes) -> None:
    server = ready_server()
    if line.startswith(b"RCPT"):
        server.feed(b"MAIL FROM:<>\r\n")
    assert server.codes(line + b"\r\n") == [250]


@pytest.mark.req("RFC5321-4.5.3.1-01", "RFC5321-4.5.3.1.8-01")
def test_least_recipients() -> None:
    server = ready_server()
    server.feed(b"MAIL FROM:<>\r\n")
    lines = b"".join(b"RCPT TO:<u%d@b.example>\r\n" % number for number in range(100))
    assert server.codes(lines + b"DATA\r\n") == [250] * 100 + [354]
    assert len(server.machine.envelope.recipients) == 100


@pytest.mark.req("RFC5321-4.5.3.1-01")
def test_least_message() -> None:
    server = ready_server(limits=SMALL_MESSAGES)
    server.feed(TO_DATA)
    body = (b"x" * 62 + b"\r\n") * 1024
    assert len(body) == 65536
    events, sent = server.feed_events(body + b".\r\n")
    assert content_of(events) == body
    assert codes_of(lines_of(sent)) == [250]


@pytest.mark.req("RFC5321-4.5.3.1.6-01", "RFC5321-4.5.3.1-01", "RFC6152-3-03")
@pytest.mark.parametrize("fill", [b"x", b"\xff", b"\xc3\xa9"])
def test_longest_lines_of_content(fill: bytes) -> None:
    """1000 octets with CRLF, and 1001 with a stuffed dot, of eight bits too."""
    server = ready_server()
    server.feed(TO_DATA.replace(b"org>\r\n", b"org> BODY=8BITMIME\r\n", 1))
    line, dotted = (fill * 998)[:998], b"." + (fill * 997)[:997]
    events, sent = server.feed_events(line + b"\r\n." + dotted + b"\r\n.\r\n")
    assert content_of(events) == line + b"\r\n" + dotted + b"\r\n"
    assert codes_of(lines_of(sent)) == [250]


# -- AUTH --------------------------------------------------------------------------------------


@pytest.mark.req("RFC4954-5-02")
@pytest.mark.parametrize("value", [b"<>", b"ann@example.org"])
def test_auth_parameter_of_somebody_who_has_not_logged_in(value: bytes) -> None:
    server = ready_server(mechanisms=("PLAIN",), secure=True)
    events, sent = server.feed_events(b"MAIL FROM:<a@b.example> AUTH=%s\r\n" % value)
    assert lines_of(sent) == ["250 2.1.0 Sender OK"]
    (mail,) = events
    assert isinstance(mail, Mail)
    assert mail.parameters.auth is not None and mail.parameters.auth.mailbox is None


@pytest.mark.req("RFC4954-8-02")
def test_mechanisms_have_no_case_and_base64_has() -> None:
    encoded = base64.b64encode(b"\0ann\0secret")
    given = []
    for line in (b"auth PlAiN " + encoded, b"AUTH PLAIN " + encoded.swapcase()):
        server = ready_server(mechanisms=("PLAIN",), secure=True)
        server.machine.receive(line + b"\r\n")
        event = server.machine.next_event()
        assert isinstance(event, Auth) and event.initial is not None
        assert event.mechanism == "PLAIN"
        given.append(event.initial.reveal())
    assert given[0] == b"\0ann\0secret" != given[1]


# -- SMTPUTF8 ----------------------------------------------------------------------------------


@pytest.mark.req("RFC6531-3.1-05")
def test_smtputf8_comes_with_8bitmime() -> None:
    with pytest.raises(ValueError, match="8BITMIME"):
        greeted_server(extensions={"8BITMIME": None})
    server = ready_server()
    assert {"SMTPUTF8", "8BITMIME"} <= set(server.machine.offered)
    data = TO_DATA.replace(b"org>\r\n", b"org> SMTPUTF8 BODY=8BITMIME\r\n", 1)
    assert server.codes(data) == [250, 250, 354]
    events, _ = server.feed_events(b"caf\xc3\xa9\r\n.\r\n")
    assert content_of(events) == b"caf\xc3\xa9\r\n"


@pytest.mark.req("RFC6531-3.2-12")
def test_who_does_not_use_smtputf8_sees_no_difference() -> None:
    data = TO_DATA + b"x\r\n.\r\nVRFY bob\r\nRCPT TO:<\xff>\r\nQUIT\r\n"
    assert ready_server().feed_events(data) == ready_server(
        extensions={"SMTPUTF8": None}
    ).feed_events(data)
    server = ready_server()
    server.machine.receive(b"VRFY bob\r\n")
    assert server.machine.next_event() == Vrfy("bob")
