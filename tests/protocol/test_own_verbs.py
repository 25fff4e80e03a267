"""An application's own verbs, on both machines."""

from __future__ import annotations

import pytest
from attrs import frozen

from smtpproto.errors import LocalProtocolError, NotOffered, RemoteProtocolError
from smtpproto.grammar.command import Command, TextCommand
from smtpproto.grammar.command_line import COMMANDS
from smtpproto.grammar.extension import EXTENSIONS
from smtpproto.grammar.parse_context import ParseContext
from smtpproto.grammar.reply import Reply
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.verbs import Verb, vocabulary

from .machines import (
    EHLO_LINE,
    MAIL,
    MAIL_LINE,
    RCPT_LINE,
    ServerDriver,
    assert_refused,
    client_with_recipient,
    codes_of,
    exchange,
    greeted_server,
    ready_client,
    ready_server,
    receive,
    reply_to,
)
from .own_verbs import OWN_VERBS, XCOUNT_VERB, XCount, XSay


class Foo(Command):
    verb = "FOO"


class XFoo(Command):
    verb = "XFOO"


@frozen
class XRaw(Command):
    """A command whose argument is not checked."""

    verb = "XRAW"
    raw: str

    def argument(self) -> str:
        return self.raw


@pytest.mark.req("RFC5321-2.2.2-03/client", "RFC5321-2.2.2-03/server")
def test_every_verb_belongs_to_an_rfc_or_is_private() -> None:
    rfcs = {verb: row.rfc for row in EXTENSIONS.values() for verb in row.verbs}
    assert COMMANDS.keys() - rfcs.keys() == {
        "EHLO", "HELO", "MAIL", "RCPT", "DATA", "RSET", "VRFY", "EXPN", "HELP", "NOOP", "QUIT",
        "LHLO",
    }  # fmt: skip
    assert all(rfc.isdecimal() or verb.startswith("X") for verb, rfc in rfcs.items())
    for lmtp in (False, True):
        assert vocabulary(lmtp=lmtp).verbs.keys() <= COMMANDS.keys(), "a session has no others"


@pytest.mark.req("RFC5321-4.1.5-02/client", "RFC5321-4.1.5-02/server")
def test_an_own_verb_must_begin_with_x_or_have_a_keyword() -> None:
    for name in ("FOO", "FOOX", "EXTRA", "Y-X", "Q", "XFOO"[1:]):
        own = type(name, (Command,), {"verb": name})
        with pytest.raises(ValueError, match=f"{name} is not private"):
            Verb.own(own)
    done = Reply(250, "2.0.0", "Done")
    for command, keyword in ((Foo, "FOOBAR"), (XFoo, None)):
        server = greeted_server(verbs=(Verb.own(command, default_reply=done, keyword=keyword),))
        assert any(line[4:] == (keyword or "XFOO") for line in server.lines(EHLO_LINE))
        assert server.lines(b"%s\r\n" % command.verb.encode()) == ["250 2.0.0 Done"]


def test_an_own_verb_is_answered_by_the_application() -> None:
    server = ready_server(verbs=OWN_VERBS)
    assert server.lines(b"xcount 007\r\n") == ["250 2.0.0 Counted"]
    assert server.events == [XCount(7)]
    assert server.machine.phase is Phase.READY
    server.application = reply_to(XCount, Reply(250, None, "one\ntwo"))
    assert server.lines(b"XCOUNT 2\r\n") == ["250-2.0.0 one", "250 2.0.0 two"]
    server.application = reply_to(XCount, Reply(452, "4.3.1", "No room"))
    assert server.lines(b"XCOUNT 2\r\n") == ["452 4.3.1 No room"]


def test_the_parser_of_an_own_verb_chooses_the_error_reply() -> None:
    server = ready_server(verbs=OWN_VERBS)
    lines = server.lines(b"XCOUNT 1x\r\n", b"XCOUNT\r\n", b"XCOUNT 1\0\r\n", b"XCOUNTS 1\r\n")
    assert codes_of(lines) == [501, 501, 501, 500]
    assert lines[0] == "501 5.5.4 Count, please: not a number (at octet 7)"


def test_a_code_that_an_own_verb_does_not_accept_cannot_answer_it() -> None:
    for code, kind in ((211, XSay), (251, XCount), (354, XCount), (220, XSay)):
        server = ready_server(verbs=(XCOUNT_VERB, Verb.own(XSay, accepted_codes={250})))
        server.machine.receive(b"XCOUNT 1\r\n" if kind is XCount else b"XSAY a\r\n")
        server.machine.next_event()
        with pytest.raises(LocalProtocolError, match="does not answer"):
            server.machine.answer(Reply(code, None, ""))


def test_an_own_verb_without_a_default_reply_is_refused_with_502() -> None:
    server = ready_server(verbs=(Verb.own(XSay),))
    assert server.lines(b"XSAY hello\r\n") == ["502 5.5.1 Command not implemented"]
    assert server.events == [XSay("hello")]


@pytest.mark.parametrize(
    ("before", "phase", "count", "xsay_code"),
    [
        (b"", Phase.START, 503, 211),
        (b"EHLO a.example\r\n", Phase.READY, 250, 503),
        (b"EHLO a.example\r\n" + MAIL_LINE, Phase.MAIL, 250, 503),
        (b"EHLO a.example\r\n" + MAIL_LINE + RCPT_LINE, Phase.RCPT, 250, 503),
        (b"EHLO a.example\r\n" + MAIL_LINE + RCPT_LINE + b"BDAT 0\r\n", Phase.CHUNKS, 503, 211),
    ],
)
def test_an_own_verb_is_allowed_in_its_phases_only(
    before: bytes, phase: Phase, count: int, xsay_code: int
) -> None:
    """It leaves the phase unchanged. XSAY may come in START but needs EHLO, so it is refused."""
    server = ServerDriver(reply_to(XSay, Reply(211, None, "said")), verbs=OWN_VERBS)
    server.feed(before or b"NOOP\r\n")
    envelope = server.machine.envelope
    assert server.codes(b"XCOUNT 1\r\n") == [count]
    assert server.codes(b"XSAY a\r\n") == [503 if phase is Phase.START else xsay_code]
    assert server.machine.phase is phase
    assert server.machine.envelope == envelope


def test_an_own_verb_is_refused_after_a_554_greeting() -> None:
    server = ServerDriver(lambda _: Reply(554, None, "No"), verbs=OWN_VERBS)
    assert server.codes(b"XCOUNT 1\r\n")[1:] == [503]


def test_an_own_verb_needs_ehlo_and_the_required_tls_or_login() -> None:
    server = ServerDriver(verbs=OWN_VERBS)
    assert server.codes(b"HELO a.example\r\n", b"XCOUNT 1\r\n")[1:] == [250, 503]
    assert ready_server(verbs=OWN_VERBS, require_tls=True).codes(b"XCOUNT 1\r\n") == [530]
    assert ready_server(verbs=OWN_VERBS, require_auth=True).codes(b"XCOUNT 1\r\n") == [530]


def test_the_keyword_of_an_own_verb_is_offered_unless_withdrawn() -> None:
    assert [*ready_server(verbs=OWN_VERBS).machine.terms.offered][-2:] == ["XCOUNT", "XTALK"]
    machine = ready_server(verbs=OWN_VERBS, extensions={"XTALK": "EN DE", "XCOUNT": None}).machine
    assert machine.terms.offered.keywords["XTALK"] == "EN DE"
    assert "XCOUNT" not in machine.terms.offered
    server = ready_server(verbs=OWN_VERBS, extensions={"XCOUNT": None})
    assert server.codes(b"XCOUNT 1\r\n") == [502], (
        "a verb whose keyword is withdrawn is not implemented"
    )
    own = Verb.own(XSay, keyword="SIZE")
    assert ready_server(verbs=(own,)).machine.terms.offered.size == 32 * 1024 * 1024


@pytest.mark.parametrize("lmtp", [False, True])
@pytest.mark.parametrize(
    "verb", ["MAIL", "LHLO", "EHLO", "BDAT", "SIZE", "XCLIENT", "xsay", "X Y", ""]
)
def test_a_verb_that_is_taken_or_malformed_raises_value_error(verb: str, lmtp: bool) -> None:
    own = Verb.own(type("Own", (TextCommand,), {"verb": verb}), keyword="XOWN")
    expected = f"{verb} is taken" if verb.isupper() and verb != "X Y" else "not a verb"
    with pytest.raises(ValueError, match=expected):
        vocabulary(lmtp=lmtp, own=(own,))
    with pytest.raises(ValueError, match=expected):
        ServerDriver(lmtp=lmtp, verbs=(own,))


def test_the_same_own_verb_twice_raises_value_error() -> None:
    with pytest.raises(ValueError, match="XCOUNT is taken"):
        vocabulary(own=(XCOUNT_VERB, XCOUNT_VERB))


def test_a_retired_verb_may_be_an_own_verb() -> None:
    """TURN (RFC 5321 F.1) is refused with 502 unless the application implements it."""
    own = Verb.own(
        type("Turn", (TextCommand,), {"verb": "TURN"}),
        default_reply=Reply(250, None, "Turned"),
        keyword="XTURN",
    )
    assert ready_server().codes(b"TURN\r\n") == [502]
    assert ready_server(verbs=(own,)).codes(b"TURN\r\n") == [250]


@pytest.mark.req("RFC5321-4.1.5-02/client")
def test_a_client_sends_an_own_verb_only_if_offered() -> None:
    client = ready_client("XCOUNT", "PIPELINING", verbs=OWN_VERBS)
    sent = client.send(XCount(7))
    assert client.data_to_send() == b"XCOUNT 7\r\n"
    assert_refused(client, lambda: client.send(MAIL), match="wait")
    assert client.timeout == client.settings.timeouts.other
    (answer,) = receive(client, b"250-seven\r\n250 indeed\r\n")
    assert answer.sent is sent
    assert client.phase is Phase.READY
    assert_refused(client, lambda: client.send(XSay("a")), match="out of order")
    client = ready_client("PIPELINING", verbs=OWN_VERBS)
    assert_refused(client, lambda: client.send(XCount(7)), NotOffered, match="XCOUNT")
    client = ready_client("XCOUNT")
    assert_refused(client, lambda: client.send(XCount(7)), match="not a verb of this session")


def test_a_client_sends_an_own_verb_only_in_its_phases() -> None:
    client = client_with_recipient("XCOUNT", "XTALK", "CHUNKING", verbs=OWN_VERBS)
    exchange(client, XCount(1))
    assert_refused(client, lambda: client.send(XSay("a")), match="out of order")
    client.send_chunk(b"", last=False)
    receive(client, b"250 ok\r\n")
    client.data_to_send()
    exchange(client, XSay("a"))
    assert client.phase is Phase.CHUNKS
    assert_refused(client, lambda: client.send(XCount(1)), match="out of order")


@pytest.mark.parametrize("reply", [b"354 go\r\n", b"334 \r\n"])
def test_3yz_to_an_own_verb_is_a_protocol_error(reply: bytes) -> None:
    client = ready_client("XCOUNT", verbs=OWN_VERBS)
    client.send(XCount(1))
    client.receive(reply)
    with pytest.raises(RemoteProtocolError):
        client.next_event()


@pytest.mark.req("SMUGGLING-06")
@pytest.mark.parametrize(
    "raw", ["a\r\nQUIT", "a\n", "a\0", "\x7f", "x" * 400 + "\r\nQUIT", "\u00e9", "x" * 506]
)
def test_an_own_verb_with_control_characters_is_not_sent(raw: str) -> None:
    client = ready_client("XRAW", verbs=(Verb.own(XRaw),))
    assert_refused(client, lambda: client.send(XRaw(raw)))
    client.send(XRaw("x" * 505))


def test_an_own_verb_whose_parser_raises_is_answered_with_451() -> None:
    class Number(TextCommand):
        verb = "XNUMBER"

        @classmethod
        def read(cls, argument: str, context: ParseContext) -> Number:
            return cls(str(int(argument)))

    server = ready_server(verbs=(Verb.own(Number, default_reply=Reply(250, None, "OK")),))
    assert server.lines(b"XNUMBER x\r\n")[0].startswith("451 4.3.0 ")
    assert server.codes(b"XNUMBER 1\r\n") == [250]
