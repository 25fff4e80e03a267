"""Verbs of one's own, and those that leave transactions alone, on both machines."""

from __future__ import annotations

from functools import partial
from ipaddress import IPv4Address
from typing import Any

import pytest
from attrs import frozen

from smtpproto.errors import LocalProtocolError, NotOffered, RemoteProtocolError
from smtpproto.events import Rejected
from smtpproto.grammar.command import Command, Expn, Help, Noop, TextCommand, Vrfy
from smtpproto.grammar.extension_command import Auth, Etrn, StartTLS, XClient, XForward
from smtpproto.grammar.parse_context import ParseContext
from smtpproto.grammar.reply import Reply
from smtpproto.grammar.xclient import Unavailable, XClientAttributes, XForwardAttributes
from smtpproto.limits import Limits
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.verbs import Verb, vocabulary

from .machines import (
    EHLO,
    MAIL,
    MAIL_LINE,
    PROXY_EXTENSIONS,
    RCPT,
    RCPT_LINE,
    ServerDriver,
    assert_refused,
    client_with_recipient,
    codes_of,
    exchange,
    ready_client,
    ready_server,
    receive,
    reply_to,
)
from .own_verbs import OWN_VERBS, XCOUNT_VERB, XCount, XSay


@frozen
class XRaw(Command):
    """A command whose value lets anything through."""

    verb = "XRAW"
    raw: str

    def argument(self) -> str:
        return self.raw


# -- verbs of one's own, on a server -----------------------------------------------------------


def test_a_verb_of_ones_own_is_a_question() -> None:
    server = ready_server(verbs=OWN_VERBS)
    assert server.lines(b"xcount 007\r\n") == ["250 2.0.0 Counted"]
    assert server.events == [XCount(7)]
    assert server.machine.phase is Phase.READY
    server.application = reply_to(XCount, Reply(250, None, "one\ntwo"))
    assert server.lines(b"XCOUNT 2\r\n") == ["250-2.0.0 one", "250 2.0.0 two"]
    server.application = reply_to(XCount, Reply(452, "4.3.1", "No room"))
    assert server.lines(b"XCOUNT 2\r\n") == ["452 4.3.1 No room"]


def test_its_own_grammar_says_what_is_wrong() -> None:
    server = ready_server(verbs=OWN_VERBS)
    lines = server.lines(b"XCOUNT 1x\r\n", b"XCOUNT\r\n", b"XCOUNT 1\0\r\n", b"XCOUNTS 1\r\n")
    assert codes_of(lines) == [501, 501, 501, 500]
    assert lines[0] == "501 5.5.4 Count, please: not a number (at octet 7)"


def test_only_its_codes_answer_it() -> None:
    for code, kind in ((211, XSay), (251, XCount), (354, XCount), (220, XSay)):
        server = ready_server(verbs=(XCOUNT_VERB, Verb.own(XSay, accepted_codes={250})))
        server.machine.receive(b"XCOUNT 1\r\n" if kind is XCount else b"XSAY a\r\n")
        server.machine.next_event()
        with pytest.raises(LocalProtocolError, match="does not answer"):
            server.machine.answer(Reply(code, None, ""))


def test_without_an_answer_it_is_not_implemented() -> None:
    server = ready_server(verbs=(Verb.own(XSay),))
    assert server.lines(b"XSAY hello\r\n") == ["502 5.5.1 Command not implemented"]
    assert server.events == [XSay("hello")]


@pytest.mark.parametrize(
    ("before", "phase", "count", "say"),
    [
        (b"", Phase.START, 503, 211),
        (b"EHLO a.example\r\n", Phase.READY, 250, 503),
        (b"EHLO a.example\r\n" + MAIL_LINE, Phase.MAIL, 250, 503),
        (b"EHLO a.example\r\n" + MAIL_LINE + RCPT_LINE, Phase.RCPT, 250, 503),
        (b"EHLO a.example\r\n" + MAIL_LINE + RCPT_LINE + b"BDAT 0\r\n", Phase.CHUNKS, 503, 211),
    ],
)
def test_where_it_may_stand(before: bytes, phase: Phase, count: int, say: int) -> None:
    """It leaves the phase as it is. What comes before EHLO was not negotiated, so not even XSAY_VERB."""
    server = ServerDriver(reply_to(XSay, Reply(211, None, "said")), verbs=OWN_VERBS)
    server.feed(before or b"NOOP\r\n")
    envelope = server.machine.envelope
    assert server.codes(b"XCOUNT 1\r\n") == [count]
    assert server.codes(b"XSAY a\r\n") == [503 if phase is Phase.START else say]
    assert server.machine.phase is phase
    assert server.machine.envelope == envelope


def test_where_there_is_no_service_there_is_none_of_it() -> None:
    server = ServerDriver(lambda _: Reply(554, None, "No"), verbs=OWN_VERBS)
    assert server.codes(b"XCOUNT 1\r\n")[1:] == [503]


def test_helo_does_not_negotiate_it_and_what_is_required_comes_first() -> None:
    server = ServerDriver(verbs=OWN_VERBS)
    assert server.codes(b"HELO a.example\r\n", b"XCOUNT 1\r\n")[1:] == [250, 503]
    assert ready_server(verbs=OWN_VERBS, require_tls=True).codes(b"XCOUNT 1\r\n") == [530]
    assert ready_server(verbs=OWN_VERBS, require_auth=True).codes(b"XCOUNT 1\r\n") == [530]


def test_what_is_offered_of_it() -> None:
    assert [*ready_server(verbs=OWN_VERBS).machine.offered][-2:] == ["XCOUNT", "XTALK"]
    machine = ready_server(verbs=OWN_VERBS, extensions={"XTALK": "EN DE", "XCOUNT": None}).machine
    assert machine.offered.keywords["XTALK"] == "EN DE"
    assert "XCOUNT" not in machine.offered
    server = ready_server(verbs=OWN_VERBS, extensions={"XCOUNT": None})
    assert server.codes(b"XCOUNT 1\r\n") == [502], "what is not offered is not there"
    own = Verb.own(XSay, keyword="SIZE")
    assert ready_server(verbs=(own,)).machine.offered.size == 32 * 1024 * 1024


@pytest.mark.parametrize("lmtp", [False, True])
@pytest.mark.parametrize(
    "verb", ["MAIL", "LHLO", "EHLO", "BDAT", "SIZE", "XCLIENT", "xsay", "X Y", ""]
)
def test_what_is_taken_or_no_verb(verb: str, lmtp: bool) -> None:
    own = Verb.own(type("Own", (TextCommand,), {"verb": verb}), keyword="XOWN")
    wanted = f"{verb} is taken" if verb.isupper() and verb != "X Y" else "not a verb"
    with pytest.raises(ValueError, match=wanted):
        vocabulary(lmtp=lmtp, own=(own,))
    with pytest.raises(ValueError, match=wanted):
        ServerDriver(lmtp=lmtp, verbs=(own,))


def test_the_same_twice() -> None:
    with pytest.raises(ValueError, match="XCOUNT is taken"):
        vocabulary(own=(XCOUNT_VERB, XCOUNT_VERB))


def test_a_verb_that_nobody_implements_any_more_may_be_ones_own() -> None:
    """RFC 5321 F.1: TURN is 502, until somebody does implement it."""
    own = Verb.own(
        type("Turn", (TextCommand,), {"verb": "TURN"}),
        default_reply=Reply(250, None, "Turned"),
        keyword="XTURN",
    )
    assert ready_server().codes(b"TURN\r\n") == [502]
    assert ready_server(verbs=(own,)).codes(b"TURN\r\n") == [250]


# -- verbs of one's own, on a client -----------------------------------------------------------


def test_a_client_says_it_where_it_is_offered() -> None:
    client = ready_client("XCOUNT", "PIPELINING", verbs=OWN_VERBS)
    sent = client.send(XCount(7))
    assert client.data_to_send() == b"XCOUNT 7\r\n"
    assert_refused(client, lambda: client.send(MAIL), match="wait")
    assert client.timeout == client.timeouts.other
    (answer,) = receive(client, b"250-seven\r\n250 indeed\r\n")
    assert answer.sent is sent
    assert client.phase is Phase.READY
    assert_refused(client, lambda: client.send(XSay("a")), match="out of order")
    client = ready_client("PIPELINING", verbs=OWN_VERBS)
    assert_refused(client, lambda: client.send(XCount(7)), NotOffered, match="XCOUNT")
    client = ready_client("XCOUNT")
    assert_refused(client, lambda: client.send(XCount(7)), match="not a verb of this session")


def test_a_client_says_it_where_it_may_stand() -> None:
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
def test_3yz_makes_no_sense_to_it(reply: bytes) -> None:
    client = ready_client("XCOUNT", verbs=OWN_VERBS)
    client.send(XCount(1))
    client.receive(reply)
    with pytest.raises(RemoteProtocolError):
        client.next_event()


@pytest.mark.parametrize("raw", ["a\r\nQUIT", "a\n", "a\0", "\x7f", "\u00e9", "x" * 506])
def test_nothing_of_it_ends_the_line(raw: str) -> None:
    client = ready_client("XRAW", verbs=(Verb.own(XRaw),))
    assert_refused(client, lambda: client.send(XRaw(raw)))
    client.send(XRaw("x" * 505))


# -- ETRN --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "node"),
    [
        (b"ETRN example.org", "example.org"),
        (b"etrn @example.org", "@example.org"),
        (b"ETRN #queue", "#queue"),
    ],
)
def test_etrn(line: bytes, node: str) -> None:
    server = ready_server(extensions={"ETRN": ""})
    assert server.codes(line + b"\r\n") == [251]
    assert server.events == [Etrn(node)]
    for code in (250, 252, 253, 458, 459):
        server.application = reply_to(Etrn, Reply(code, None, "So"))
        assert server.codes(line + b"\r\n") == [code]
    assert server.machine.phase is Phase.READY
    assert server.codes(b"ETRN\r\n", b"ETRN a b\r\n", MAIL_LINE, line + b"\r\n") == [
        501,
        501,
        250,
        503,
    ]
    assert ready_server().codes(line + b"\r\n") == [502]


def test_etrn_on_a_client() -> None:
    client = ready_client("ETRN", "PIPELINING")
    client.send(Etrn("example.org"))
    assert client.data_to_send() == b"ETRN example.org\r\n"
    assert_refused(client, lambda: client.send(MAIL), match="wait")
    assert_refused(ready_client(), partial(ready_client().send, Etrn("a.b")), NotOffered)


# -- XCLIENT, XFORWARD -------------------------------------------------------------------------


PROXY_OPTIONS: dict[str, Any] = {
    "mechanisms": ("PLAIN",),
    "auth_in_clear": True,
    "extensions": PROXY_EXTENSIONS,
}


def test_after_xclient_the_session_begins_again() -> None:
    server = ready_server(**PROXY_OPTIONS)
    lines = server.lines(b"XCLIENT NAME=a.example ADDR=192.0.2.1\r\n")
    assert lines == ["220 mx.example.org ESMTP ready"], "a greeting, so without enhanced code"
    assert server.events == [
        XClient(XClientAttributes(name="a.example", addr=IPv4Address("192.0.2.1")))
    ]
    assert server.machine.phase is Phase.START
    assert [*server.machine.negotiated] == []
    assert server.codes(MAIL_LINE, b"EHLO a.example\r\n", MAIL_LINE) == [503, 250, 250]
    assert server.codes(b"XCLIENT NAME=a.example\r\n") == [503], "not in a transaction"


def test_xclient_says_who_logged_in() -> None:
    server = ready_server(b"AUTH PLAIN AGEAYg==\r\n", **PROXY_OPTIONS)
    assert server.machine.authenticated
    server.feed(b"XCLIENT LOGIN=ann\r\nEHLO a.example\r\n")
    assert server.machine.authenticated
    server.feed(b"XCLIENT LOGIN=[UNAVAILABLE]\r\n")
    assert not server.machine.authenticated


def test_after_xclient_was_refused_nobody_is_served() -> None:
    """Else who is not wanted would have the rights of the one that speaks for it."""
    server = ready_server(
        **PROXY_OPTIONS, application=reply_to(XClient, Reply(550, "5.7.0", "Not you"))
    )
    assert server.lines(b"XCLIENT NAME=a.example\r\n") == ["550 5.7.0 Not you"]
    assert server.machine.phase is Phase.REFUSED
    assert server.codes(b"MAIL FROM:<>\r\n", b"XCLIENT NAME=b.example\r\n") == [503, 503]
    assert server.codes(b"QUIT\r\n") == [221]


def test_xclient_that_cannot_be_read_changes_nothing() -> None:
    server = ready_server(**PROXY_OPTIONS)
    assert server.codes(b"XCLIENT\r\n", b"XCLIENT FOO\r\n") == [501, 501]
    assert server.machine.phase is Phase.READY
    assert "SIZE" in server.machine.negotiated


def test_a_verb_that_fails_to_read() -> None:
    class Number(TextCommand):
        verb = "XNUMBER"

        @classmethod
        def read(cls, argument: str, context: ParseContext) -> Number:
            return cls(str(int(argument)))

    server = ready_server(verbs=(Verb.own(Number, default_reply=Reply(250, None, "OK")),))
    assert server.lines(b"XNUMBER x\r\n")[0].startswith("451 4.3.0 ")
    assert server.codes(b"XNUMBER 1\r\n") == [250]


def test_a_short_bound_on_auth_lines_cuts_no_others() -> None:
    server = ready_server(extensions={"DSN": ""}, limits=Limits(auth_line=512))
    line = b"RCPT TO:<bob@example.org> ORCPT=rfc822;" + b"x" * 480
    assert server.codes(b"MAIL FROM:<>\r\n", line + b"\r\n") == [250, 250]


def test_a_yes_to_tls_in_words_of_one_s_own_is_no_refusal() -> None:
    server = ready_server(starttls=True)
    server.machine.receive(b"STARTTLS\r\n")
    server.machine.next_event()
    server.machine.answer()
    server.machine.tls_started(Reply(250, None, "TLS is fine"))
    server.machine.data_to_send()
    assert server.codes(b"EHLO a.example\r\n", b"MAIL FROM:<>\r\n") == [250, 250]
    assert server.machine.transaction.mail is not None


@pytest.mark.parametrize("falsy", [False, "", 0, []])
def test_what_is_no_reply_is_no_yes(falsy: Any) -> None:
    machine = ready_server().machine
    machine.receive(b"MAIL FROM:<>\r\n")
    machine.next_event()
    with pytest.raises(AttributeError):
        machine.answer(falsy)
    assert machine.question is not None


def test_xclient_on_a_client() -> None:
    client = ready_client("XCLIENT NAME LOGIN", "AUTH PLAIN")
    exchange(client, XClient(XClientAttributes(login="ann")), reply=b"220 mx ready\r\n")
    assert client.phase is Phase.START
    assert client.authenticated
    assert [*client.extensions] == []
    assert_refused(client, lambda: client.send(MAIL), match="EHLO")
    client.send(EHLO)
    receive(client, b"250-mx\r\n250-XCLIENT LOGIN\r\n250 AUTH PLAIN\r\n")
    client.data_to_send()
    assert_refused(client, lambda: client.send(Auth("PLAIN")), match="already")
    gone = XClient(XClientAttributes(login=Unavailable.UNAVAILABLE))
    exchange(client, gone, reply=b"220 mx ready\r\n")
    exchange(client, EHLO, reply=b"250-mx\r\n250 AUTH PLAIN\r\n")
    client.send(Auth("PLAIN"))


def test_xclient_refused_on_a_client() -> None:
    client = ready_client("XCLIENT NAME", "PIPELINING")
    exchange(client, XClient(XClientAttributes(name="a.example")), reply=b"550 no\r\n")
    assert client.phase is Phase.READY
    assert "PIPELINING" in client.extensions


def test_xforward() -> None:
    line = b"XFORWARD NAME=a.example ADDR=[UNAVAILABLE]\r\n"
    server = ready_server(**PROXY_OPTIONS)
    assert server.codes(line, line, MAIL_LINE) == [250, 250, 250]
    assert server.events[0] == server.events[1]
    assert isinstance(server.events[0], XForward)
    assert server.events[0].attributes.name == "a.example"
    assert server.events[0].attributes.addr is Unavailable.UNAVAILABLE
    assert server.codes(line) == [503]
    assert ready_server().codes(line) == [502]
    client = ready_client("XFORWARD NAME")
    exchange(client, XForward(XForwardAttributes(name="a.example")))
    assert client.phase is Phase.READY
    assert_refused(
        ready_client(),
        partial(ready_client().send, XForward(XForwardAttributes(name="a.example"))),
        NotOffered,
    )


@pytest.mark.parametrize("line", [b"XCLIENT NAME=a.example\r\n", b"XFORWARD NAME=a.example\r\n"])
def test_a_trusted_proxy_needs_no_login_and_no_tls(line: bytes) -> None:
    for server in (
        ready_server(extensions=PROXY_EXTENSIONS, require_auth=True),
        ready_server(extensions=PROXY_EXTENSIONS, require_tls=True),
    ):
        assert server.codes(line) == [220 if line.startswith(b"XCLIENT") else 250]


# -- VRFY, EXPN, HELP, NOOP --------------------------------------------------------------------


@pytest.mark.req("RFC5321-3.5.3-01")
def test_nobody_is_verified_unasked() -> None:
    server = ready_server()
    assert server.codes(b"VRFY bob\r\n", b"VRFY <bob@example.org>\r\n") == [252, 252]
    assert server.codes(b"EXPN list\r\n") == [502]


@pytest.mark.req("RFC5321-3.5.1-01", "RFC5321-3.5.1-07", "RFC5321-3.5.2-09")
def test_who_wants_to_can_verify_and_expand() -> None:
    server = ready_server(
        application=reply_to(Command, Reply(250, None, "A <a@b.example>\n<c@b.example>"))
    )
    for verb, kind in ((b"VRFY", Vrfy), (b"EXPN", Expn)):
        assert server.lines(verb + b" bob@example.org\r\n") == [
            "250-2.0.0 A <a@b.example>",
            "250 2.0.0 <c@b.example>",
        ]
        assert server.events[-1] == kind("bob@example.org")


@pytest.mark.req("RFC5321-4.1.1.8-02")
def test_help() -> None:
    server = ready_server(application=reply_to(Help, Reply(211, None, "Of MAIL")))
    assert server.lines(b"HELP\r\nHELP MAIL\r\n") == ["211 2.0.0 Of MAIL"] * 2
    assert server.events == [Help(), Help("MAIL")]
    assert ready_server().codes(b"HELP MAIL\r\n") == [214]


@pytest.mark.req("RFC5321-4.1.1.9-02")
def test_noop_takes_any_argument() -> None:
    server = ready_server()
    assert server.lines(b"NOOP\r\nNOOP foo bar\r\n") == ["250 2.0.0 OK"] * 2
    assert server.events == [Noop(), Noop("foo bar")]


@pytest.mark.req("RFC5321-4.5.1-01")
def test_the_least_that_a_server_implements() -> None:
    lines = [
        b"HELO a.example",
        b"EHLO a.example",
        MAIL_LINE[:-2],
        RCPT_LINE[:-2],
        b"DATA",
        b".",
        b"RSET",
    ]
    server = ServerDriver()
    replies = server.codes(*[line + b"\r\n" for line in [*lines, b"NOOP", b"VRFY a", b"QUIT"]])
    assert replies == [220, 250, 250, 250, 250, 354, 250, 250, 250, 252, 221]


@pytest.mark.req("RFC5321-4.2.4-02")
def test_what_is_offered_is_there() -> None:
    options: dict[str, Any] = {
        "mechanisms": ("PLAIN",),
        "auth_in_clear": True,
        "starttls": True,
        "extensions": {**PROXY_EXTENSIONS, "ETRN": ""},
    }
    lines = {
        "CHUNKING": b"BDAT 0",
        "STARTTLS": b"STARTTLS",
        "AUTH": b"AUTH PLAIN",
        "HELP": b"HELP",
        "ETRN": b"ETRN example.org",
        "XCLIENT": b"XCLIENT NAME=a.example",
        "XFORWARD": b"XFORWARD NAME=a.example",
    }
    machine = ready_server(**options).machine
    assert lines.keys() == {
        *machine.offered.verbs - {"BDAT"},
        *["CHUNKING", "HELP"],
    }, "each keyword that stands for a verb"
    for keyword, line in lines.items():
        server = (
            ready_server(MAIL_LINE, RCPT_LINE, **options)
            if keyword == "CHUNKING"
            else ready_server(**options)
        )
        server.application = reply_to(Auth, Reply(535, None, "No"))
        assert server.codes(line + b"\r\n")[0] not in (500, 502)
        assert not any(isinstance(event, Rejected) for event in server.events)


@pytest.mark.req("RFC2920-3.1-03")
def test_what_ends_a_group() -> None:
    """STARTTLS, AUTH, ETRN and what this library does not know; not BDAT."""
    offered = ("PIPELINING", "STARTTLS", "AUTH PLAIN", "ETRN", "CHUNKING", "XCOUNT")
    for command in (StartTLS(), Auth("PLAIN"), Etrn("a.example"), XCount(1)):
        client = ready_client(*offered, verbs=OWN_VERBS)
        client.send(command)
        client.data_to_send()
        assert not client.ready
        for behind in (Noop(), MAIL):
            with pytest.raises(LocalProtocolError):
                client.send(behind)
        assert client.data_to_send() == b""
    client = ready_client(*offered, verbs=OWN_VERBS)
    client.send(MAIL)
    client.send(RCPT)
    client.send_chunk(b"", last=True)
    assert client.ready
    client.send(MAIL)
