"""Each leniency, accepted, reported and refused, on the machine that meets it; and none besides."""

from __future__ import annotations

import re
from functools import partial

import pytest
from attrs import fields, frozen
from hypothesis import example, given
from hypothesis import strategies as st

from smtpproto.errors import RemoteProtocolError
from smtpproto.events import Answer, Rejected, Tolerated
from smtpproto.grammar.address import ForwardPath, Mailbox, ReversePath
from smtpproto.grammar.command import Command, Ehlo, Helo, Mail, Noop, Rcpt
from smtpproto.grammar.domain import AddressLiteral, Domain
from smtpproto.grammar.parameters import MailParameters
from smtpproto.grammar.reply import Reply
from smtpproto.limits import Leniencies, Tolerance
from smtpproto.protocol.client import ClientProtocol
from smtpproto.protocol.phases import Phase

from .machines import (
    MAIL_LINE,
    RCPT,
    RCPT_LINE,
    assert_refused,
    ready_client,
    ready_server,
    receive,
)

NAMES = [field.name for field in fields(Leniencies)]
LONG = "x" * 65
ACCEPT, REPORT, REJECT = Tolerance.ACCEPT, Tolerance.REPORT, Tolerance.REJECT


def only(**tolerances: Tolerance) -> Leniencies:
    """These, and nothing else."""
    return Leniencies(**(dict.fromkeys(NAMES, REJECT) | tolerances))


@frozen
class Line:
    """A command that a server meets: its line, what it means, the code that assert_refused it."""

    line: bytes
    meaning: Command
    code: int = 501
    before: bytes = b""


@frozen
class Lines:
    """A reply that a client meets, and what it means."""

    octets: bytes
    meaning: Reply


ANN = ReversePath.of("ann@example.org")


def loose(local_part: str) -> ReversePath:
    return ReversePath(Mailbox(local_part, Domain("b.test")))


EXAMPLES: dict[str, list[Line | Lines]] = {
    "trailing_blanks": [
        Line(b"NOOP ", Noop()),
        Line(b"NOOP \t ", Noop()),
        Line(MAIL_LINE[:-2] + b"\t", Mail(ANN)),
        Line(b"EHLO a.test ", Ehlo(Domain("a.test"))),
    ],
    "extra_blanks": [
        Line(b"MAIL  FROM:<ann@example.org>", Mail(ANN)),
        Line(b"RCPT   TO:<bob@example.org>", RCPT, before=MAIL_LINE),
        Line(b"MAIL FROM:<ann@example.org>  SIZE=5", Mail(ANN, MailParameters(size=5))),
        Line(b"EHLO  a.test", Ehlo(Domain("a.test"))),
    ],
    "space_after_colon": [
        Line(b"MAIL FROM: <ann@example.org>", Mail(ANN)),
        Line(b"RCPT TO:  <bob@example.org>", RCPT, before=MAIL_LINE),
    ],
    "missing_brackets": [
        Line(b"MAIL FROM:ann@example.org", Mail(ANN)),
        Line(b"MAIL FROM:ann@example.org SIZE=5", Mail(ANN, MailParameters(size=5))),
        Line(b"RCPT TO:bob@example.org", RCPT, before=MAIL_LINE),
    ],
    "loose_dots": [
        Line(b"MAIL FROM:<a..b@b.test>", Mail(loose("a..b"))),
        Line(b"MAIL FROM:<.a@b.test>", Mail(loose(".a"))),
        Line(b"MAIL FROM:<a.@b.test>", Mail(loose("a."))),
        Line(
            b"RCPT TO:<a.@b.test>",
            Rcpt(ForwardPath(Mailbox("a.", Domain("b.test")))),
            before=MAIL_LINE,
        ),
    ],
    "long_local_part": [
        Line(
            b"MAIL FROM:<%s@b.test>" % LONG.encode(),
            Mail(ReversePath(Mailbox(LONG, Domain("b.test"), long=True))),
        ),
    ],
    "loose_hello": [
        Line(b"EHLO a_b", Ehlo(Domain("a_b", loose=True))),
        Line(b"EHLO a.test.", Ehlo(Domain("a.test", loose=True))),
        Line(b"HELO WIN_PC", Helo(Domain("WIN_PC", loose=True))),
    ],
    "hello_literal": [Line(b"HELO [192.0.2.1]", Helo(AddressLiteral.parse("[192.0.2.1]")))],
    "bare_code": [
        Lines(b"250\r\n", Reply(250)),
        Lines(b"250-a\r\n250\r\n", Reply(250, None, ["a", ""])),
    ],
    "long_reply": [
        Lines(b"250-a\r\n250 " + b"x" * 507 + b"\r\n", Reply(250, None, ["a", "x" * 507])),
    ],
    "mixed_codes": [
        Lines(b"250-a\r\n550 b\r\n", Reply(550, None, "a\nb")),
        Lines(b"550-a\r\n250-b\r\n250 c\r\n", Reply(250, None, "a\nb\nc")),
    ],
}
ON_SERVERS = [(n, e) for n, examples in EXAMPLES.items() for e in examples if isinstance(e, Line)]
ON_CLIENTS = [(n, e) for n, examples in EXAMPLES.items() for e in examples if isinstance(e, Lines)]


def test_each_leniency_has_an_example() -> None:
    """Here, but for that of content: tests/mail/test_line_lengths.py."""
    assert {*EXAMPLES, "long_lines"} == set(NAMES)
    assert all(EXAMPLES.values())


@pytest.mark.parametrize(("name", "example"), ON_SERVERS)
def test_on_a_server(name: str, example: Line) -> None:
    for tolerance in (ACCEPT, REPORT):
        server = ready_server(example.before, leniencies=only(**{name: tolerance}))
        assert server.codes(example.line + b"\r\n") == [250]
        told = Tolerated((name,), example.line.decode().replace("\t", "\\t"))
        assert server.events == ([told] if tolerance is REPORT else []) + [example.meaning]
    server = ready_server(example.before, leniencies=only())
    phase = server.machine.phase
    assert server.codes(example.line + b"\r\n") == [example.code]
    (event,) = server.events
    assert isinstance(event, Rejected)
    assert server.machine.phase is phase


@pytest.mark.parametrize(("name", "example"), ON_CLIENTS)
def test_on_a_client(name: str, example: Lines) -> None:
    for tolerance in (ACCEPT, REPORT):
        client = ready_client(leniencies=only(**{name: tolerance}))
        sent = client.send(Noop())
        (answer,) = receive(client, example.octets)
        reported = (name,) if tolerance is REPORT else ()
        assert answer == Answer(sent, example.meaning, reported)
        client.send(Noop())
        assert receive(client, b"250 ok\r\n")[0].leniencies == (), "of that reply only"
    client = ready_client(leniencies=only())
    client.send(Noop())
    client.receive(example.octets)
    with pytest.raises(RemoteProtocolError):
        client.next_event()
    assert client.phase is Phase.CLOSED


def test_several_at_once_are_reported_once() -> None:
    server = ready_server(leniencies=Leniencies(trailing_blanks=REPORT))
    assert server.codes(b"MAIL  FROM:  <ann@example.org>  SIZE=5 \r\nNOOP\r\n") == [250, 250]
    assert [type(event) for event in server.events] == [Tolerated, Mail, Noop]
    assert isinstance(server.events[0], Tolerated)
    assert sorted(server.events[0].leniencies) == [
        "extra_blanks",
        "space_after_colon",
        "trailing_blanks",
    ]


def test_a_command_that_is_refused_reports_no_leniency() -> None:
    server = ready_server()
    assert server.codes(b"RCPT TO: <bob@example.org>\r\n", b"MAIL FROM: <ann@>\r\n") == [503, 501]
    assert {type(event) for event in server.events} == {Rejected}


def test_what_is_answered_at_once_is_reported_too() -> None:
    for line in (b"RSET ", b"NOOP ", b"QUIT "):
        server = ready_server(leniencies=only(trailing_blanks=REPORT))
        assert server.codes(line + b"\r\n") == [221 if line == b"QUIT " else 250]
        assert [type(event).__name__.upper() for event in server.events] == [
            "TOLERATED",
            line.decode().strip(),
        ]


def test_a_chunk_may_be_reported() -> None:
    server = ready_server(MAIL_LINE, RCPT_LINE, leniencies=only(trailing_blanks=REPORT))
    assert server.codes(b"BDAT 4 LAST \r\ntext") == [250]
    assert server.events[0] == Tolerated(("trailing_blanks",), "BDAT 4 LAST ")
    assert server.content == b"text"


def test_the_defaults() -> None:
    taken = {name for name, value in _values(Leniencies()).items() if value is not REJECT}
    assert taken == set(NAMES) - {
        "missing_brackets",
        "loose_dots",
        "long_local_part",
        "long_lines",
        "mixed_codes",
    }
    strict = _values(Leniencies.strict())
    assert {name for name, value in strict.items() if value is not REJECT} == {
        "trailing_blanks",
        "hello_literal",
        "bare_code",
    }


@pytest.mark.parametrize("bracket", [b"<%s>", b"%s"])
def test_no_leniency_makes_a_path_longer(bracket: bytes) -> None:
    """256 octets with the brackets, whether they are there or not (RFC 5321 4.5.3.1.3)."""
    for size, code in ((247, 250), (248, 501), (400, 501)):
        server = ready_server(leniencies=only(long_local_part=ACCEPT, missing_brackets=ACCEPT))
        path = bracket % (b"x" * size + b"@b.test")
        assert server.codes(b"MAIL FROM:" + path + b"\r\n") == [code]


def _values(leniencies: Leniencies) -> dict[str, Tolerance]:
    return {name: getattr(leniencies, name) for name in NAMES}


# -- strict ------------------------------------------------------------------------------------

# RFC 5321 4.1.1.2, 4.1.2 and 4.1.1.1, written down once more. Trailing blanks: 4.1.1.
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
QUOTED = r'"(?:[ !#-\[\]-~]|\\[ -~])*"'
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
DOMAIN = rf"{LABEL}(?:\.{LABEL})*"
MAILBOX = rf"(?P<local>{ATOM}(?:\.{ATOM})*|{QUOTED})@(?:{DOMAIN}|\[192\.0\.2\.1\])"
ROUTE = rf"(?:@{DOMAIN}(?:,@{DOMAIN})*:)?"
GRAMMAR = re.compile(
    rf"MAIL FROM:<(?:{ROUTE}{MAILBOX})?>(?: (?:SIZE=[0-9]+|BODY=7BIT))*[ \t]*"
    rf"|(?:EHLO|HELO) (?:{DOMAIN}|\[192\.0\.2\.1\])[ \t]*",
    re.IGNORECASE,
)


def slot(usual: str, *others: str) -> st.SearchStrategy[str]:
    return st.sampled_from([usual, usual, *others])


MAILS = st.tuples(
    slot("MAIL", "mail", " MAIL"),
    slot(" ", "  ", "\t", "", " \t"),
    slot("FROM:", "from:", "FROM", "FROM :", "TO:"),
    slot("", " ", "  ", "\t"),
    slot("<", "", "<<", "< ", "<@a.test:", "<@a.test,@b.test:", "<@a_b:"),
    slot("a", "a.b", "a..b", ".a", "a.", '"a b"', '"a', "a b", "x" * 64, LONG, "\u00e9", "", '""'),
    slot("@", "", "@@", " @ "),
    slot("b.test", "b", "b_c.test", "b.test.", ".b", "[192.0.2.1]", "[192.0.2.1", "-b.test", ""),
    slot(">", "", ">>", " >", ">x"),
    slot("", " SIZE=5", "  SIZE=5", "SIZE=5", " SIZE=5 BODY=7BIT", " SIZE=5  BODY=7BIT", " SIZE"),
    slot("", " ", "\t ", "\x0b", "\0"),
).map("".join)
HELLOS = st.tuples(
    slot("EHLO", "HELO", "helo"),
    slot(" ", "  ", "", "\t"),
    slot(
        "a.test", "a_b", "a.test.", "[192.0.2.1]", "[192.0.2.1", "a b", "", "-a", "a..b", "\u00e9"
    ),
    slot("", " ", "\t", "."),
).map("".join)


@given(MAILS | HELLOS)
@example("MAIL FROM:<>")
@example('MAIL FROM:<"a.."@b>')
@example("EHLO a.test. ")
def test_strict_is_the_grammar_and_nothing_else(line: str) -> None:
    server = ready_server(leniencies=Leniencies.strict())
    (code,) = server.codes(f"{line}\r\n".encode())
    match = GRAMMAR.fullmatch(line)
    wanted = match is not None and len(match["local"] or "") <= 64
    assert (code == 250) is wanted
    assert not any(isinstance(event, Tolerated) for event in server.events)


@given(MAILS | HELLOS)
def test_what_strict_takes_all_take_alike(line: str) -> None:
    strict, lenient = (
        ready_server(leniencies=leniencies) for leniencies in (Leniencies.strict(), Leniencies())
    )
    if strict.codes(f"{line}\r\n".encode()) == [250]:
        assert lenient.codes(f"{line}\r\n".encode()) == [250]
        assert lenient.events == strict.events


# -- what a client sends -----------------------------------------------------------------------


def test_a_client_sends_nothing_that_only_leniency_made() -> None:
    for leniencies in (Leniencies(), Leniencies.strict()):
        client = ready_client(leniencies=leniencies)
        hello = Ehlo(Domain("a_b", loose=True))
        assert_refused(client, partial(client.send, hello), match="underscores")
        long = Mail(ReversePath(Mailbox(LONG, Domain("b.test"), long=True)))
        assert_refused(client, partial(client.send, long), match="64 octets")
        client.send(Mail(loose("a..b")))
        assert client.data_to_send() == b'MAIL FROM:<"a..b"@b.test>\r\n'


def test_a_long_local_part_is_sent_where_it_is_granted() -> None:
    client = ready_client(leniencies=Leniencies(long_local_part=ACCEPT))
    client.send(Mail(ReversePath(Mailbox(LONG, Domain("b.test"), long=True))))
    assert client.data_to_send() == b"MAIL FROM:<%s@b.test>\r\n" % LONG.encode()


def test_a_greeting_may_be_lenient() -> None:
    client = ClientProtocol(leniencies=only(bare_code=REPORT))
    (answer,) = receive(client, b"220\r\n")
    assert answer.leniencies == ("bare_code",)


@pytest.mark.parametrize("line", [b"BDAT  5", b"BDAT   0 LAST"])
def test_no_leniency_touches_where_a_chunk_begins(line: bytes) -> None:
    server = ready_server(b"MAIL FROM:<>\r\nRCPT TO:<b@c.example>\r\n", leniencies=Leniencies())
    assert server.codes(line + b"\r\n") == [501, 421]
