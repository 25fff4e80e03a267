"""Each leniency: accepted, reported or rejected by the machine that it concerns."""

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
from smtpproto.grammar.domain import AddressLiteral, Domain, Host, MalformedHost
from smtpproto.grammar.parameters import MailParameters
from smtpproto.grammar.printable import printable
from smtpproto.grammar.reply import Reply
from smtpproto.limits import Leniencies, Tolerance
from smtpproto.protocol.client import ClientProtocol
from smtpproto.protocol.phases import Phase

from .machines import (
    MAIL_LINE,
    RCPT,
    RCPT_LINE,
    DrivenClient,
    assert_refused,
    ready_client,
    ready_server,
    receive,
)

NAMES = [field.name for field in fields(Leniencies)]
LONG = "x" * 65
LONG_REPLY = Reply.from_lines([b"250-a", b"250 " + b"x" * 507], lambda *_: None)
ACCEPT, REPORT, REJECT = Tolerance.ACCEPT, Tolerance.REPORT, Tolerance.REJECT


def only_with(**tolerances: Tolerance) -> Leniencies:
    """Return *tolerances*, with REJECT for all others."""
    return Leniencies(**(dict.fromkeys(NAMES, REJECT) | tolerances))


@frozen
class CommandExample:
    """A command for a server: its line, the command parsed, and the code if refused."""

    line: bytes
    meaning: Command
    code: int = 501
    before: bytes = b""


@frozen
class ReplyExample:
    """A reply for a client, and the reply parsed."""

    octets: bytes
    meaning: Reply


ANN = ReversePath.of("ann@example.org")
# Names in EHLO that devices, scripts and misconfigured hosts send.
MALFORMED_HOSTS = [
    b"a_b", b"a.test.", b"my pc", b"(none)", b"localhost.localdomain.", b"a..b", b".", b"pc-",
    b"-pc", b"[2001:db8::1]", b"[IPv6:fe80::1%eth0]", b"[192.0.2.1", b"192.0.2.1]", b"<pc>",
    b"pc:25", b"a@b.test", b"%hostname%", b"x" * 300, b"x" * 64 + b".test",
    "büro-pc".encode(), "büro-pc".encode("latin-1"), "例え".encode(), b"\xff", b"a  b", b'"pc"',
]  # fmt: skip


def sender_at(domain: Host | str) -> ReversePath:
    return ReversePath(Mailbox("a", domain))


def sender_at_b_test(local_part: str) -> ReversePath:
    return ReversePath(Mailbox(local_part, Domain("b.test")))


EXAMPLES: dict[str, list[CommandExample | ReplyExample]] = {
    "trailing_blanks": [
        CommandExample(b"NOOP ", Noop()),
        CommandExample(b"NOOP \t ", Noop()),
        CommandExample(MAIL_LINE[:-2] + b"\t", Mail(ANN)),
        CommandExample(b"EHLO a.test ", Ehlo(Domain("a.test"))),
    ],
    "extra_blanks": [
        CommandExample(b"MAIL  FROM:<ann@example.org>", Mail(ANN)),
        CommandExample(b"RCPT   TO:<bob@example.org>", RCPT, before=MAIL_LINE),
        CommandExample(b"MAIL FROM:<ann@example.org>  SIZE=5", Mail(ANN, MailParameters(size=5))),
        CommandExample(b"EHLO  a.test", Ehlo(Domain("a.test"))),
    ],
    "space_after_colon": [
        CommandExample(b"MAIL FROM: <ann@example.org>", Mail(ANN)),
        CommandExample(b"RCPT TO:  <bob@example.org>", RCPT, before=MAIL_LINE),
    ],
    "missing_brackets": [
        CommandExample(b"MAIL FROM:ann@example.org", Mail(ANN)),
        CommandExample(b"MAIL FROM:ann@example.org SIZE=5", Mail(ANN, MailParameters(size=5))),
        CommandExample(b"RCPT TO:bob@example.org", RCPT, before=MAIL_LINE),
    ],
    "loose_dots": [
        CommandExample(b"MAIL FROM:<a..b@b.test>", Mail(sender_at_b_test("a..b"))),
        CommandExample(b"MAIL FROM:<.a@b.test>", Mail(sender_at_b_test(".a"))),
        CommandExample(b"MAIL FROM:<a.@b.test>", Mail(sender_at_b_test("a."))),
        CommandExample(
            b"RCPT TO:<a.@b.test>",
            Rcpt(ForwardPath(Mailbox("a.", Domain("b.test")))),
            before=MAIL_LINE,
        ),
    ],
    "long_local_part": [
        CommandExample(
            b"MAIL FROM:<%s@b.test>" % LONG.encode(),
            Mail(ReversePath(Mailbox(LONG, Domain("b.test"), long=True))),
        ),
    ],
    "domain_underscores": [
        CommandExample(b"MAIL FROM:<a@b_c.test>", Mail(sender_at(Domain("b_c.test", loose=True)))),
        CommandExample(b"MAIL FROM:<@x_y:a@b.test>", Mail(sender_at("b.test"))),
        CommandExample(
            b"RCPT TO:<a@_b.test>",
            Rcpt(ForwardPath(Mailbox("a", Domain("_b.test", loose=True)))),
            before=MAIL_LINE,
        ),
    ],
    "domain_final_dot": [
        CommandExample(b"MAIL FROM:<a@b.test.>", Mail(sender_at("b.test"))),
        CommandExample(
            b"RCPT TO:<a@b.test.>", Rcpt(ForwardPath(Mailbox("a", "b.test"))), before=MAIL_LINE
        ),
    ],
    "missing_domain": [
        CommandExample(b"MAIL FROM:<root>", Mail(ReversePath(Mailbox("root", None)))),
        CommandExample(b"MAIL FROM:<postmaster>", Mail(ReversePath(Mailbox("postmaster", None)))),
        CommandExample(b'MAIL FROM:<"a b">', Mail(ReversePath(Mailbox("a b", None)))),
        CommandExample(
            b"RCPT TO:<root>", Rcpt(ForwardPath(Mailbox("root", None))), before=MAIL_LINE
        ),
    ],
    "loose_hello": [
        CommandExample(b"%b %b" % (command.verb.encode(), name), command(MalformedHost(name)))
        for command in (Ehlo, Helo)
        for name in MALFORMED_HOSTS
    ],
    "hello_literal": [
        CommandExample(b"HELO [192.0.2.1]", Helo(AddressLiteral.parse("[192.0.2.1]")))
    ],
    "bare_code": [
        ReplyExample(b"250\r\n", Reply(250)),
        ReplyExample(b"250-a\r\n250\r\n", Reply(250, None, ["a", ""])),
    ],
    "long_reply": [
        ReplyExample(b"250-a\r\n250 " + b"x" * 507 + b"\r\n", LONG_REPLY),
    ],
    "mixed_codes": [
        ReplyExample(b"250-a\r\n550 b\r\n", Reply(550, None, "a\nb")),
        ReplyExample(b"550-a\r\n250-b\r\n250 c\r\n", Reply(250, None, "a\nb\nc")),
    ],
}
ON_SERVERS = [
    (n, e) for n, examples in EXAMPLES.items() for e in examples if isinstance(e, CommandExample)
]
ON_CLIENTS = [
    (n, e) for n, examples in EXAMPLES.items() for e in examples if isinstance(e, ReplyExample)
]


def test_each_leniency_has_an_example() -> None:
    """Others are tested in tests/mail/test_preparation.py, tests/client/test_refusals.py,
    tests/client/test_login_leniencies.py and test_bare_line_ends.py."""
    in_content, in_login = (
        {"long_lines", "bare_cr_or_lf"},
        {"login_prompts", "already_authenticated"},
    )
    assert {*EXAMPLES, "auth_lines", "recipient_552", *in_content, *in_login} == set(NAMES)
    assert all(EXAMPLES.values())


@pytest.mark.parametrize(("name", "example"), ON_SERVERS)
def test_a_server_accepts_reports_or_rejects_each_leniency(
    name: str, example: CommandExample
) -> None:
    for tolerance in (ACCEPT, REPORT):
        server = ready_server(example.before, leniencies=only_with(**{name: tolerance}))
        assert server.codes(example.line + b"\r\n") == [250]
        report = Tolerated((name,), printable(example.line))
        assert server.events == ([report] if tolerance is REPORT else []) + [example.meaning]
    server = ready_server(example.before, leniencies=only_with())
    phase = server.machine.phase
    assert server.codes(example.line + b"\r\n") == [example.code]
    (event,) = server.events
    assert isinstance(event, Rejected)
    assert server.machine.phase is phase


@pytest.mark.parametrize(("name", "example"), ON_CLIENTS)
def test_a_client_accepts_reports_or_rejects_each_leniency(
    name: str, example: ReplyExample
) -> None:
    for tolerance in (ACCEPT, REPORT):
        client = ready_client(leniencies=only_with(**{name: tolerance}))
        sent = client.send(Noop())
        (answer,) = receive(client, example.octets)
        reported = (name,) if tolerance is REPORT else ()
        assert answer == Answer(sent, example.meaning, reported)
        client.send(Noop())
        assert receive(client, b"250 ok\r\n")[0].leniencies == (), "only the first reply needed it"
    client = ready_client(leniencies=only_with())
    client.send(Noop())
    client.receive(example.octets)
    with pytest.raises(RemoteProtocolError):
        client.next_event()
    assert client.phase is Phase.CLOSED


def test_several_leniencies_of_a_command_are_reported_once() -> None:
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


def test_leniencies_of_rset_noop_and_quit_are_reported() -> None:
    for line in (b"RSET ", b"NOOP ", b"QUIT "):
        server = ready_server(leniencies=only_with(trailing_blanks=REPORT))
        assert server.codes(line + b"\r\n") == [221 if line == b"QUIT " else 250]
        assert [type(event).__name__.upper() for event in server.events] == [
            "TOLERATED",
            line.decode().strip(),
        ]


def test_leniencies_of_bdat_are_reported() -> None:
    server = ready_server(MAIL_LINE, RCPT_LINE, leniencies=only_with(trailing_blanks=REPORT))
    assert server.codes(b"BDAT 4 LAST \r\ntext") == [250]
    assert server.events[0] == Tolerated(("trailing_blanks",), "BDAT 4 LAST ")
    assert server.content == b"text"


def test_the_default_rejects_six_deviations_and_strict_all_but_four() -> None:
    accepted = {name for name, value in _values(Leniencies()).items() if value is not REJECT}
    assert accepted == set(NAMES) - {
        "missing_brackets",
        "loose_dots",
        "missing_domain",
        "bare_cr_or_lf",
        "long_lines",
        "mixed_codes",
    }
    strict = _values(Leniencies.strict())
    assert {name for name, value in strict.items() if value is not REJECT} == {
        "trailing_blanks",
        "hello_literal",
        "bare_code",
        "recipient_552",
    }


@pytest.mark.parametrize("bracket", [b"<%s>", b"%s"])
def test_no_leniency_extends_the_length_of_a_path(bracket: bytes) -> None:
    """The limit is 256 octets with brackets, also for a path without (RFC 5321 4.5.3.1.3)."""
    for size, code in ((247, 250), (248, 501), (400, 501)):
        server = ready_server(leniencies=only_with(long_local_part=ACCEPT, missing_brackets=ACCEPT))
        path = bracket % (b"x" * size + b"@b.test")
        assert server.codes(b"MAIL FROM:" + path + b"\r\n") == [code]


def _values(leniencies: Leniencies) -> dict[str, Tolerance]:
    return {name: getattr(leniencies, name) for name in NAMES}


# -- strict ------------------------------------------------------------------------------------

# RFC 5321 4.1.1.2, 4.1.2 and 4.1.1.1 as a regular expression. Trailing blanks: 4.1.1.
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
QUOTED = r'"(?:[ !#-\[\]-~]|\\[ -~])*"'
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
DOMAIN = rf"{LABEL}(?:\.{LABEL})*"
MAILBOX = rf"(?P<local>{ATOM}(?:\.{ATOM})*|{QUOTED})@(?:{DOMAIN}|\[192\.0\.2\.1\])"
ROUTE = rf"(?:@{DOMAIN}(?:,@{DOMAIN})*:)?"
STRICT_GRAMMAR = re.compile(
    rf"MAIL FROM:<(?:{ROUTE}{MAILBOX})?>(?: (?:SIZE=[0-9]+|BODY=7BIT))*[ \t]*"
    rf"|(?:EHLO|HELO) (?:{DOMAIN}|\[192\.0\.2\.1\])[ \t]*",
    re.IGNORECASE,
)


def choose(expected: str, *others: str) -> st.SearchStrategy[str]:
    return st.sampled_from([expected, expected, *others])


MAILS = st.tuples(
    choose("MAIL", "mail", " MAIL"),
    choose(" ", "  ", "\t", "", " \t"),
    choose("FROM:", "from:", "FROM", "FROM :", "TO:"),
    choose("", " ", "  ", "\t"),
    choose("<", "", "<<", "< ", "<@a.test:", "<@a.test,@b.test:", "<@a_b:"),
    choose(
        "a", "a.b", "a..b", ".a", "a.", '"a b"', '"a', "a b", "x" * 64, LONG, "\u00e9", "", '""'
    ),
    choose("@", "", "@@", " @ "),
    choose("b.test", "b", "b_c.test", "b.test.", ".b", "[192.0.2.1]", "[192.0.2.1", "-b.test", ""),
    choose(">", "", ">>", " >", ">x"),
    choose("", " SIZE=5", "  SIZE=5", "SIZE=5", " SIZE=5 BODY=7BIT", " SIZE=5  BODY=7BIT", " SIZE"),
    choose("", " ", "\t ", "\x0b", "\0"),
).map("".join)
HELLOS = st.tuples(
    choose("EHLO", "HELO", "helo"),
    choose(" ", "  ", "", "\t"),
    choose(
        "a.test", "a_b", "a.test.", "[192.0.2.1]", "[192.0.2.1", "a b", "", "-a", "a..b", "\u00e9"
    ),
    choose("", " ", "\t", "."),
).map("".join)


@given(MAILS | HELLOS)
@example("MAIL FROM:<>")
@example('MAIL FROM:<"a.."@b>')
@example("EHLO a.test. ")
def test_strict_accepts_exactly_the_grammar(line: str) -> None:
    server = ready_server(leniencies=Leniencies.strict())
    (code,) = server.codes(f"{line}\r\n".encode())
    match = STRICT_GRAMMAR.fullmatch(line)
    wanted = match is not None and len(match["local"] or "") <= 64
    assert (code == 250) is wanted
    assert not any(isinstance(event, Tolerated) for event in server.events)


@given(MAILS | HELLOS)
def test_lenient_servers_read_strict_commands_alike(line: str) -> None:
    strict, lenient = (
        ready_server(leniencies=leniencies) for leniencies in (Leniencies.strict(), Leniencies())
    )
    if strict.codes(f"{line}\r\n".encode()) == [250]:
        assert lenient.codes(f"{line}\r\n".encode()) == [250]
        assert lenient.events == strict.events


# -- what a client sends -----------------------------------------------------------------------


SENDERS = {
    "long_local_part": Mailbox(LONG, "b.test", long=True),
    "domain_underscores": Mailbox("a", Domain("b_c.test", loose=True)),
    "missing_domain": Mailbox("root", None),
}


@pytest.mark.parametrize("name", SENDERS)
def test_a_client_sends_a_value_that_needs_a_leniency_only_if_it_has_that(name: str) -> None:
    mailbox = SENDERS[name]
    assert mailbox.leniencies == (name,)
    for command in (Mail(ReversePath(mailbox)), Rcpt(ForwardPath(mailbox))):
        client = ready_client(leniencies=only_with(**{name: ACCEPT}))
        if isinstance(command, Rcpt):
            client.send(Mail(ANN))
            receive(client, b"250 ok\r\n")
            client.data_to_send()
        client.send(command)
        assert client.data_to_send() == bytes(command) + b"\r\n"
        client = ready_client(leniencies=Leniencies.strict())
        if isinstance(command, Mail):
            assert_refused(client, partial(client.send, command), match=name)


def test_a_client_passes_on_what_a_server_with_the_default_leniencies_accepts() -> None:
    for line in (b"MAIL FROM:<%b@b.test>" % LONG.encode(), b"MAIL FROM:<a@b_c.test>"):
        server = ready_server()
        assert server.codes(line + b"\r\n") == [250]
        (mail,) = (event for event in server.events if isinstance(event, Mail))
        client = ready_client()
        client.send(mail)
        assert client.data_to_send() == line + b"\r\n"
    client = ready_client()
    local = Mail(ReversePath(Mailbox("root", None)))
    assert_refused(client, partial(client.send, local), match="missing_domain")


def test_a_client_never_sends_a_malformed_host_name() -> None:
    client = ready_client(leniencies=Leniencies(loose_hello=ACCEPT))
    hello = Ehlo(MalformedHost(b"my pc"))
    assert_refused(client, partial(client.send, hello), match="my%20pc")


def test_a_client_writes_loose_dots_in_quotes() -> None:
    client = ready_client(leniencies=Leniencies.strict())
    client.send(Mail(sender_at_b_test("a..b")))
    assert client.data_to_send() == b'MAIL FROM:<"a..b"@b.test>\r\n'


@pytest.mark.parametrize("line", [b"MAIL FROM:root", b"MAIL FROM: SIZE=5", b"MAIL FROM:<root@>"])
def test_a_mailbox_without_a_domain_needs_its_brackets(line: bytes) -> None:
    lenient = only_with(
        missing_domain=ACCEPT,
        missing_brackets=ACCEPT,
        space_after_colon=ACCEPT,
        extra_blanks=ACCEPT,
    )
    assert ready_server(leniencies=lenient).codes(line + b"\r\n") == [501]


def test_a_submission_server_refuses_a_mailbox_without_a_domain() -> None:
    """RFC 6409 4.2: the server must not guess the domain."""
    lenient = only_with(missing_domain=ACCEPT)
    server = ready_server(submission=True, secure=True, mechanisms=("PLAIN",), leniencies=lenient)
    server.machine.terms = server.machine.terms.replace(authenticated=True)
    assert server.codes(b"MAIL FROM:<root>\r\nMAIL FROM:<>\r\nRCPT TO:<root>\r\n") == [
        554,
        250,
        554,
    ]


def test_bare_dots_that_need_quotes_can_exceed_64_octets() -> None:
    """The 64 octets are those of the local-part as it is written again."""
    line = b"MAIL FROM:<%b..a@b.test>\r\n" % (b"x" * 60)
    assert ready_server(leniencies=only_with(loose_dots=ACCEPT)).codes(line) == [501]
    both = only_with(loose_dots=ACCEPT, long_local_part=ACCEPT)
    assert ready_server(leniencies=both).codes(line) == [250]


@given(st.binary(min_size=1, max_size=60))
@example(b"x\r\n")
def test_any_name_in_ehlo_is_kept_and_shown_as_one_word(name: bytes) -> None:
    server = ready_server()
    code = server.codes(b"EHLO x" + name.replace(b"\r", b"").replace(b"\n", b"") + b"\r\n")
    hellos = [event for event in server.events if isinstance(event, Ehlo)]
    assert code == ([250] if hellos else [501])
    for hello in hellos:
        assert re.fullmatch(r"[A-Za-z0-9.:_%\[\]-]+", str(hello.host))
        kept = name.replace(b"\r", b"").replace(b"\n", b"").rstrip(b" \t")
        assert bytes(hello.host) == b"x" + kept
        assert bytes(hello) == b"EHLO x" + kept


def test_several_lines_of_auth_add_up_unless_rejected() -> None:
    for tolerance, expected, reported in (
        (ACCEPT, ("PLAIN", "LOGIN"), ()),
        (REPORT, ("PLAIN", "LOGIN"), ("auth_lines",)),
        (REJECT, ("PLAIN",), ()),
    ):
        client = DrivenClient(leniencies=only_with(auth_lines=tolerance))
        receive(client, b"220 mx\r\n")
        client.send(Ehlo(Domain("client.example")))
        (answer,) = receive(client, b"250-mx\r\n250-AUTH PLAIN\r\n250 AUTH=LOGIN\r\n")
        assert client.extensions.mechanisms == expected
        assert answer.leniencies == reported


def test_leniencies_of_the_greeting_are_reported() -> None:
    client = ClientProtocol(leniencies=only_with(bare_code=REPORT))
    (answer,) = receive(client, b"220\r\n")
    assert answer.leniencies == ("bare_code",)


@pytest.mark.parametrize("line", [b"BDAT  5", b"BDAT   0 LAST"])
def test_no_leniency_applies_to_the_size_of_a_chunk(line: bytes) -> None:
    server = ready_server(b"MAIL FROM:<>\r\nRCPT TO:<b@c.example>\r\n", leniencies=Leniencies())
    assert server.codes(line + b"\r\n") == [501, 421]
