"""RFC 5321 and its neighbours on the server's machine, requirement by requirement."""

from __future__ import annotations

import base64

import pytest

from smtpproto.events import BodyChunk, ServerEvent, asks
from smtpproto.grammar.command import Command, Mail, Rcpt, Vrfy
from smtpproto.grammar.command_line import COMMANDS
from smtpproto.grammar.envelope import Envelope
from smtpproto.grammar.extension import EXTENSIONS
from smtpproto.grammar.extension_command import Auth
from smtpproto.grammar.reply import Reply
from smtpproto.limits import Limits
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.server import ServerProtocol
from smtpproto.protocol.verbs import Verb

OPEN = b"EHLO client.example\r\n"
TO_DATA = b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n"
NOTHING: dict[str, str | None] = dict.fromkeys(
    ["PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "LIMITS", "ENHANCEDSTATUSCODES",
     "HELP"]
)  # fmt: skip


def server(**options: object) -> ServerProtocol:
    """Greeted; what was said is taken."""
    machine = ServerProtocol(**({"hostname": "mx.example.org"} | options))  # type: ignore[arg-type]
    machine.next_event()
    machine.answer()
    machine.data_to_send()
    return machine


def opened(**options: object) -> ServerProtocol:
    machine = server(**options)
    feed(machine, OPEN)
    return machine


def feed(machine: ServerProtocol, data: bytes) -> tuple[list[ServerEvent], list[str]]:
    """All events, each answered with the usual, and the lines of what was said."""
    machine.receive(data)
    events = []
    while (event := machine.next_event()) is not None:
        events.append(event)
        if asks(event):
            machine.answer()
    return events, machine.data_to_send().decode().split("\r\n")[:-1]


def codes(machine: ServerProtocol, data: bytes) -> list[int]:
    return [int(line[:3]) for line in feed(machine, data)[1] if line[3] == " "]


def content(events: list[ServerEvent]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, BodyChunk))


# -- extensions and verbs ----------------------------------------------------------------------


@pytest.mark.req("RFC5321-2.2.1-01")
def test_no_extension_at_all() -> None:
    machine = server(extensions=NOTHING)
    assert feed(machine, OPEN)[1] == ["250 mx.example.org greets you"]
    assert codes(machine, TO_DATA + b"x\r\n.\r\n") == [250, 250, 354, 250]


@pytest.mark.req("RFC5321-4.1.1.1-11", "RFC5321-2.2.2-01")
def test_a_keyword_is_registered_or_private() -> None:
    with pytest.raises(ValueError, match="neither implemented nor private"):
        server(extensions={"FOO": ""})
    assert "250 XFOO bar" in feed(server(extensions={"XFOO": "bar"}), OPEN)[1]


@pytest.mark.req("RFC5321-2.2.2-02")
def test_no_keyword_is_private_by_default() -> None:
    options = {"starttls": True, "mechanisms": ("PLAIN",), "auth_in_clear": True}
    for lines in (feed(server(), OPEN)[1], feed(server(**options), OPEN)[1]):
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
        machine = server(verbs=(Verb.own(command, default_reply=yes, keyword=keyword),))
        assert any(line[4:] == (keyword or "XFOO") for line in feed(machine, OPEN)[1])
        assert feed(machine, b"%s\r\n" % command.verb.encode())[1] == ["250 2.0.0 Done"]


@pytest.mark.req("RFC5321-4.5.1-01")
@pytest.mark.parametrize("line", [b"EHLO a.example", b"HELO a.example", b"MAIL FROM:<>",
    b"RCPT TO:<a@b.example>", b"DATA", b"RSET", b"NOOP", b"QUIT", b"VRFY bob"])  # fmt: skip
def test_the_nine_commands_are_known(line: bytes) -> None:
    for machine in (server(), opened()):
        assert codes(machine, line + b"\r\n")[0] not in (500, 502)


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
    for options, offered in ((ENABLED, True), ({"extensions": NOTHING}, False)):
        machine = server(**options)
        keywords = [line[4:].split()[0] for line in feed(machine, OPEN)[1][1:]]
        assert (keyword in keywords) == offered
        if keyword != "HELP" or offered:  # HELP is known in any case
            assert codes(machine, line + b"\r\n") == [code if offered else 502]


# -- transactions ------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-3.3-01")
@pytest.mark.parametrize("end", [b"RSET\r\n", OPEN, b"DATA\r\nx\r\n.\r\n", b"DATA\r\nx\n\r\n.\r\n"])
def test_mail_begins_anew(end: bytes) -> None:
    machine = opened()
    feed(machine, TO_DATA[:-6])
    for line in end.splitlines(keepends=True):
        feed(machine, line)
    assert codes(machine, b"MAIL FROM:<eve@example.org>\r\n") == [250]
    assert machine.envelope == Envelope("eve@example.org", [])
    assert machine.transaction.size == 0


@pytest.mark.req("RFC5321-4.1.1.3-05")
def test_each_rcpt_adds_one_recipient() -> None:
    machine = opened()
    paths = ["bob@example.org", "ann@example.org", "bob@example.org"]
    feed(machine, b"MAIL FROM:<eve@example.org>\r\n")
    for count, path in enumerate(paths, 1):
        (event,), _ = feed(machine, b"RCPT TO:<%s>\r\n" % path.encode())
        assert isinstance(event, Rcpt) and str(event.path) == path
        assert machine.envelope == Envelope("eve@example.org", paths[:count])


@pytest.mark.req("RFC2920-3.2-03")
@pytest.mark.parametrize(
    ("answers", "last"), [([550, 550], 503), ([250, 550], 354), ([550, 250], 354)]
)
def test_data_is_for_those_accepted(answers: list[int], last: int) -> None:
    machine = opened()
    feed(machine, b"MAIL FROM:<>\r\n")
    for code in answers:
        machine.receive(b"RCPT TO:<a@b.example>\r\n")
        machine.next_event()
        machine.answer(Reply(code))
    machine.data_to_send()
    assert codes(machine, b"DATA\r\n") == [last]


@pytest.mark.req("RFC5321-3.4-02", "RFC5321-3.4-05")
def test_251_accepts_and_551_does_not() -> None:
    machine = opened()
    feed(machine, b"MAIL FROM:<ann@example.org>\r\n")
    for name, code in ((b"moved", 251), (b"gone", 551)):
        machine.receive(b"RCPT TO:<%s@example.org>\r\n" % name)
        machine.next_event()
        machine.answer(Reply(code, None, "<elsewhere@example.net>"))
    assert machine.envelope == Envelope("ann@example.org", ["moved@example.org"])
    assert machine.phase is Phase.RCPT


@pytest.mark.req("RFC5321-4.1.1.9-02")
@pytest.mark.parametrize("argument", [b"", b" foo", b" RCPT TO:<a@b.example>", b' "x y" z'])
def test_what_stands_behind_noop_does_not_matter(argument: bytes) -> None:
    for machine in (server(), opened()):
        assert feed(machine, b"NOOP" + argument + b"\r\n")[1] == ["250 2.0.0 OK"]


# -- sizes -------------------------------------------------------------------------------------

DOMAIN = b".".join([b"d" * 63] * 3 + [b"d" * 63])  # 255 octets


@pytest.mark.req("RFC5321-4.5.3.1-01")
@pytest.mark.parametrize(
    "line",
    [
        b"MAIL FROM:<%s@b.example>" % (b"l" * 64),
        b"EHLO " + DOMAIN,
        b"MAIL FROM:<%s@%s>" % (b"l" * 64, DOMAIN[: 256 - 2 - 65 - 1] + b"x"),
        b"RCPT TO:<%s@%s>" % (b"l" * 64, DOMAIN[: 256 - 2 - 65 - 1] + b"x"),
        b"NOOP " + b"x" * (512 - 7),
    ],
    ids=["local-part", "domain", "reverse-path", "forward-path", "command line"],
)
def test_least_sizes_of_commands(line: bytes) -> None:
    machine = opened()
    if line.startswith(b"RCPT"):
        feed(machine, b"MAIL FROM:<>\r\n")
    assert codes(machine, line + b"\r\n") == [250]


@pytest.mark.req("RFC5321-4.5.3.1-01", "RFC5321-4.5.3.1.8-01")
def test_least_recipients() -> None:
    machine = opened()
    feed(machine, b"MAIL FROM:<>\r\n")
    lines = b"".join(b"RCPT TO:<u%d@b.example>\r\n" % number for number in range(100))
    assert codes(machine, lines + b"DATA\r\n") == [250] * 100 + [354]
    assert len(machine.envelope.recipients) == 100


@pytest.mark.req("RFC5321-4.5.3.1-01")
def test_least_message() -> None:
    machine = opened(limits=Limits(message_size=65536))
    feed(machine, TO_DATA)
    body = (b"x" * 62 + b"\r\n") * 1024
    assert len(body) == 65536
    events, lines = feed(machine, body + b".\r\n")
    assert content(events) == body
    assert lines[0].startswith("250 ")


@pytest.mark.req("RFC5321-4.5.3.1.6-01", "RFC5321-4.5.3.1-01", "RFC6152-3-03")
@pytest.mark.parametrize("fill", [b"x", b"\xff", b"\xc3\xa9"])
def test_longest_lines_of_content(fill: bytes) -> None:
    """1000 octets with CRLF, and 1001 with a stuffed dot, of eight bits too."""
    machine = opened()
    feed(machine, TO_DATA.replace(b"org>\r\n", b"org> BODY=8BITMIME\r\n", 1))
    line, dotted = (fill * 998)[:998], b"." + (fill * 997)[:997]
    events, lines = feed(machine, line + b"\r\n." + dotted + b"\r\n.\r\n")
    assert content(events) == line + b"\r\n" + dotted + b"\r\n"
    assert lines[0].startswith("250 ")


# -- AUTH --------------------------------------------------------------------------------------


@pytest.mark.req("RFC4954-5-02")
@pytest.mark.parametrize("value", [b"<>", b"ann@example.org"])
def test_auth_parameter_of_somebody_who_has_not_logged_in(value: bytes) -> None:
    machine = opened(mechanisms=("PLAIN",), secure=True)
    events, lines = feed(machine, b"MAIL FROM:<a@b.example> AUTH=%s\r\n" % value)
    assert lines == ["250 2.1.0 Sender OK"]
    (mail,) = events
    assert isinstance(mail, Mail)
    assert mail.parameters.auth is not None and mail.parameters.auth.mailbox is None


@pytest.mark.req("RFC4954-8-02")
def test_mechanisms_have_no_case_and_base64_has() -> None:
    encoded = base64.b64encode(b"\0ann\0secret")
    given = []
    for line in (b"auth PlAiN " + encoded, b"AUTH PLAIN " + encoded.swapcase()):
        machine = opened(mechanisms=("PLAIN",), secure=True)
        machine.receive(line + b"\r\n")
        event = machine.next_event()
        assert isinstance(event, Auth) and event.initial is not None
        assert event.mechanism == "PLAIN"
        given.append(event.initial.reveal())
    assert given[0] == b"\0ann\0secret" != given[1]


# -- SMTPUTF8 ----------------------------------------------------------------------------------


@pytest.mark.req("RFC6531-3.1-05")
def test_smtputf8_comes_with_8bitmime() -> None:
    with pytest.raises(ValueError, match="8BITMIME"):
        server(extensions={"8BITMIME": None})
    machine = opened()
    assert {"SMTPUTF8", "8BITMIME"} <= set(machine.offered)
    data = TO_DATA.replace(b"org>\r\n", b"org> SMTPUTF8 BODY=8BITMIME\r\n", 1)
    assert codes(machine, data) == [250, 250, 354]
    events, _ = feed(machine, b"caf\xc3\xa9\r\n.\r\n")
    assert content(events) == b"caf\xc3\xa9\r\n"


@pytest.mark.req("RFC6531-3.2-12")
def test_who_does_not_use_smtputf8_sees_no_difference() -> None:
    data = TO_DATA + b"x\r\n.\r\nVRFY bob\r\nRCPT TO:<\xff>\r\nQUIT\r\n"
    assert feed(opened(), data) == feed(opened(extensions={"SMTPUTF8": None}), data)
    machine = opened()
    machine.receive(b"VRFY bob\r\n")
    assert machine.next_event() == Vrfy("bob")
