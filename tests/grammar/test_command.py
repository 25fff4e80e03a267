"""Command lines (RFC 5321 4.1.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from smtpproto.errors import GrammarError
from smtpproto.grammar import command as c
from smtpproto.grammar import extension_command as x
from smtpproto.grammar.address import ForwardPath, ReversePath
from smtpproto.grammar.command import Command
from smtpproto.grammar.command_line import COMMANDS, parse_command, read_verb
from smtpproto.grammar.domain import AddressLiteral, Domain, parse_host
from smtpproto.grammar.extension import EXTENSIONS
from smtpproto.grammar.parameters import Body, MailParameters
from smtpproto.grammar.parse_context import ParseContext
from smtpproto.grammar.printable import printable
from smtpproto.grammar.secret import Secret
from smtpproto.testing import strategies

ANN = ReversePath.of("ann@example.com")
BOB = ForwardPath.of("bob@example.org")


@pytest.mark.req(
    "RFC4954-8-01/server",
    "RFC5321-2.4-01/client",
    "RFC5321-2.4-01/server",
    "RFC5321-2.4-04",
    "RFC5321-4.1.1.3-03",
)
@pytest.mark.parametrize(
    ("line", "command", "canonical"),
    [(b"EHLO client.example", c.Ehlo(Domain("client.example")), None),
     (b"ehlo client", c.Ehlo(Domain("client")), b"EHLO client"),
     (b"EHLO [192.0.2.1]", c.Ehlo(parse_host("[192.0.2.1]")), None),
     (b"EHLO [IPv6:2001:db8::1]", c.Ehlo(parse_host("[IPv6:2001:db8::1]")), None),
     (b"hElO x", c.Helo(Domain("x")), b"HELO x"),
     (b"HELO [192.0.2.1]", c.Helo(parse_host("[192.0.2.1]")), None),
     (b"MAIL FROM:<>", c.Mail(ReversePath(None)), None),
     (b"mAiL fRoM:<>", c.Mail(ReversePath(None)), b"MAIL FROM:<>"),
     (b"MAIL FROM:<ann@example.com>", c.Mail(ANN), None),
     (b"MAIL FROM:<ann@example.com> SIZE=0", c.Mail(ANN, MailParameters(size=0)), None),
     (b"mail from:<ann@example.com> smtputf8 body=8bitmime size=007",
      c.Mail(ANN, MailParameters(size=7, body=Body.EIGHT_BIT_MIME, smtputf8=True)),
      b"MAIL FROM:<ann@example.com> SIZE=7 BODY=8BITMIME SMTPUTF8"),
     (b"MAIL FROM:<> AUTH=ann@example.com",
      c.Mail(ReversePath(None), MailParameters(auth=ANN)), None),
     ("MAIL FROM:<用户@例え.jp> SMTPUTF8".encode(),
      c.Mail(ReversePath.of("用户@例え.jp"), MailParameters(smtputf8=True)), None),
     (b"RCPT TO:<bob@example.org>", c.Rcpt(BOB), None),
     (b"rcpt to:<bob@example.org>", c.Rcpt(BOB), b"RCPT TO:<bob@example.org>"),
     (b"RCPT TO:<@a.example,@b.example:bob@example.org>",
      c.Rcpt(BOB), b"RCPT TO:<bob@example.org>"),
     (b"RCPT TO:<pOsTmAsTeR>", c.Rcpt(ForwardPath(None)), b"RCPT TO:<Postmaster>"),
     (b'RCPT TO:<"a> b"@c>', c.Rcpt(ForwardPath.of('"a> b"@c')), None),
     (b"DATA", c.Data(), None), (b"data", c.Data(), b"DATA"), (b"RSET", c.Rset(), None),
     (b"QuIt", c.Quit(), b"QUIT"), (b"STARTTLS", x.StartTLS(), None), (b"NOOP", c.Noop(), None),
     (b"NOOP foo bar", c.Noop("foo bar"), None), (b"HELP", c.Help(), None),
     (b"HELP Mail", c.Help("Mail"), None), (b"VRFY ann", c.Vrfy("ann"), None),
     (b"vrfy <ann@example.com>", c.Vrfy("<ann@example.com>"), b"VRFY <ann@example.com>"),
     ("VRFY é".encode(), c.Vrfy("é"), None), (b"EXPN list", c.Expn("list"), None),
     (b"AUTH PLAIN", x.Auth("PLAIN"), None), (b"auth PlAiN", x.Auth("PLAIN"), b"AUTH PLAIN"),
     (b"AUTH EXTERNAL =", x.Auth("EXTERNAL", Secret(b"")), None),
     (b"AUTH PLAIN AHQAcA==", x.Auth("PLAIN", Secret(b"\0t\0p")), None)],
)  # fmt: skip
def test_a_command_is_read_and_written_in_canonical_form(
    line: bytes, command: Command, canonical: bytes | None
) -> None:
    assert parse_command(line) == command
    assert type(parse_command(line)) is type(command)
    assert bytes(command) == (canonical or line)
    for blanks in (b" ", b"\t", b" \t  "):
        assert parse_command(line + blanks) == command


@pytest.mark.req("RFC5321-3.8-02", "RFC5321-4.2.4-01", "RFC5321-4.2.4-03", "SMUGGLING-07")
@pytest.mark.parametrize(
    "line",
    [b"", b" ", b"\t", b" NOOP", b"FOO", b"FOO bar", b"NOOPfoo", b"NOOP\n", b"NOOP\nQUIT",
     b"NOOP\r",
     b"\nNOOP", b"NOOP\0", b"NOOP\tfoo", b"NOO", b"XFOO", b"MAILFROM:<>", b"MAIL:FROM:<>", b"\xff",
     b"\x16\x03\x01", b"GET / HTTP/1.1", "\u017ftarttls".encode(), "quit\u0130".encode(), b"BURL x",
     b"A" * 2000],
)  # fmt: skip
def test_an_unknown_command_is_refused_with_500(line: bytes) -> None:
    for read in (parse_command, read_verb):
        with pytest.raises(GrammarError) as caught:
            read(line)
        assert caught.value.reply is not None
        assert caught.value.reply.code == 500
        assert 0 <= caught.value.offset <= len(line)


@pytest.mark.req(
    "RFC5321-4.2.4-01",
    "RFC5321-4.2.4-04",
    "RFC5321-F.1-01/client",
    "RFC5321-F.1-01/server",
    "RFC5321-F.6-02",
)
@pytest.mark.parametrize("line", [b"TURN", b"send FROM:<a@b>", b"Soml FROM:<a@b>", b"SAML"])
def test_a_retired_command_is_refused_with_502(line: bytes) -> None:
    with pytest.raises(GrammarError) as caught:
        parse_command(line)
    assert caught.value.reply is not None
    assert caught.value.reply.code == 502
    assert line.split()[0].upper().decode() not in EXTENSIONS, "so EHLO cannot list it"


@pytest.mark.parametrize(
    "verb", ["EHLO", "HELO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT", "VRFY"]
)
def test_the_commands_that_rfc_5321_requires_are_recognised(verb: str) -> None:
    assert read_verb(f"{verb.lower()} \0\xff".encode("latin-1")) == verb
    assert COMMANDS[verb].verb == verb


@pytest.mark.req("RFC5321-4.1.4-06", "RFC5321-4.1.4-16", "RFC5321-4.1.2-07")
@pytest.mark.parametrize(
    ("line", "enhanced", "offset"),
    [(b"EHLO", "5.5.2", 4), (b"EHLO ", "5.5.2", 4), (b"EHLO a b", "5.5.2", 5),
     (b"EHLO  a", "5.5.2", 5), (b"EHLO a_b", "5.5.2", 5), (b"EHLO a.b_c", "5.5.2", 7),
     (b"EHLO [300.0.0.1]", "5.5.2", 6), (b"EHLO <a>", "5.5.2", 5), ("EHLO é".encode(), "5.5.4", 5),
     (b"HELO", "5.5.2", 4), (b"HELO a.", "5.5.2", 7),
     (b"MAIL", "5.1.7", 4), (b"MAIL ", "5.1.7", 4), (b"MAIL FROM", "5.1.7", 5),
     (b"MAIL FROM:", "5.1.7", 10), (b"MAIL FROM: <a@b>", "5.1.7", 10),
     (b"MAIL FROM :<a@b>", "5.1.7", 5),
     (b"MAIL  FROM:<a@b>", "5.5.2", 5), (b"MAIL FROM:a@b", "5.1.7", 10),
     (b"MAIL TO:<a@b>", "5.1.7", 5),
     (b"MAIL <a@b>", "5.1.7", 5), (b"MAIL FROM:<a b@c>", "5.1.7", 12),
     (b"MAIL FROM:<a@b", "5.1.7", 14),
     (b"MAIL FROM:<a@b_c>", "5.1.7", 13), (b"MAIL FROM:<postmaster>", "5.1.7", 21),
     (b"MAIL FROM:<a@b>SIZE=1", "5.1.7", 15), (b"MAIL FROM:<><a@b>", "5.1.7", 12),
     ("MAIL FROM:<é@b>x".encode(), "5.1.7", 16), (b"MAIL FRO\xc5\xbf:<a@b>", "5.1.7", 5),
     (b"RCPT", "5.1.3", 4), (b"RCPT TO:", "5.1.3", 8), (b"RCPT TO:<>", "5.1.3", 9),
     (b"RCPT TO: <a@b>", "5.1.3", 8), (b"RCPT TO:<a@b> <c@d>", "5.5.4", 14),
     (b"RCPT TO:<a@b>,<c@d>", "5.1.3", 13), (b"RCPT FROM:<a@b>", "5.1.3", 5),
     (b"RCPT TO:<Postmaster>x", "5.1.3", 20), (b"RCPT TO:<a@b>>", "5.1.3", 13),
     (b"VRFY", "5.5.4", 4), (b"EXPN  ", "5.5.4", 4), (b"AUTH", "5.5.4", 4),
     (b"AUTH plain!", "5.5.4", 5), (b"AUTH " + b"A" * 21, "5.5.4", 5),
     (b"AUTH PLAIN  =", "5.5.2", 5),
     (b"AUTH PLAIN = =", "5.5.2", 5), (b"AUTH PLAIN AA== AA==", "5.5.2", 5),
     # control characters, and octets that are not UTF-8
     (b"NOOP a\0b", "5.5.2", 6), (b"NOOP a\nQUIT", "5.5.2", 6), (b"NOOP a\rb", "5.5.2", 6),
     (b"NOOP a\tb", "5.5.2", 6), (b"HELP \x7f", "5.5.2", 5), (b"VRFY \x1b[2J", "5.5.2", 5),
     (b"EHLO a\0", "5.5.2", 6), ("VRFY é\x01".encode(), "5.5.2", 7), (b"DATA \n", "5.5.2", 5),
     (b"MAIL FROM:<a\x01b@c>", "5.5.2", 12), (b"MAIL FROM:<a@b>\n", "5.5.2", 15),
     (b"MAIL FROM:<a@b>\tSIZE=1", "5.5.2", 15), (b"RCPT TO:<a\0@b>", "5.5.2", 10),
     (b"MAIL FROM:<\xe9@b>", "5.5.2", 11), (b"RCPT TO:<\xc0\xae@b>", "5.5.2", 9),
     (b"NOOP \xed\xa0\x80", "5.5.2", 5), (b"EHLO \xff", "5.5.2", 5)],
)  # fmt: skip
def test_a_malformed_argument_is_refused_with_501_at_the_bad_octet(
    line: bytes, enhanced: str, offset: int
) -> None:
    with pytest.raises(GrammarError) as caught:
        parse_command(line)
    assert caught.value.reply is not None
    assert caught.value.reply.code == 501
    assert str(caught.value.reply.enhanced) == enhanced
    assert caught.value.offset == offset


@pytest.mark.req("RFC5321-4.1.1-04")
@pytest.mark.parametrize("verb", ["DATA", "RSET", "QUIT", "STARTTLS"])
@pytest.mark.parametrize("argument", ["foo", "now please", "<a@b>"])
def test_a_command_that_takes_no_argument_refuses_one_with_501(verb: str, argument: str) -> None:
    with pytest.raises(GrammarError, match="no argument") as caught:
        parse_command(f"{verb} {argument}".encode())
    assert caught.value.reply is not None
    assert (caught.value.reply.code, caught.value.offset) == (501, len(verb) + 1)


@pytest.mark.req("RFC5321-4.1.1.11-01", "RFC1870-6-01", "RFC6152-3-01")
@pytest.mark.parametrize(
    ("parameters", "code"),
    [("FOO=1", 555), ("X", 555), ("BODY=7BIT FOO", 555), ("MTRK=x", 555),
     ("NOTIFY=NEVER", 555), ("\u017fIZE=1", 501),
     ("SIZE=1 SIZE=1", 501), ("SIZE=1 size=2", 501), ("BODY=7BIT BODY=8BITMIME", 501),
     ("SMTPUTF8 SMTPUTF8", 501), ("AUTH=<> AUTH=<>", 501), ("FOO FOO", 501),
     ("SIZE=1  BODY=7BIT", 501),
     (" SIZE=1", 501), ("SIZE==1", 501), ("=1", 501), ("SIZE=", 501), ("-A=1", 501), ("A_B=1", 501),
     ("BODY=16BIT", 501), ("SIZE=x", 501)],
)  # fmt: skip
def test_a_bad_parameter_is_refused_with_501_or_555(parameters: str, code: int) -> None:
    with pytest.raises(GrammarError) as caught:
        parse_command(f"MAIL FROM:<a@b> {parameters}".encode())
    assert caught.value.reply is not None
    assert (caught.value.reply.code, str(caught.value.reply.enhanced)) == (code, "5.5.4")


@pytest.mark.req("RFC5321-4.1.1.11-01")
def test_a_parameter_that_was_not_offered_is_refused_with_555() -> None:
    line = b"MAIL FROM:<a@b> SIZE=1 BODY=7BIT"
    assert parse_command(line, ParseContext(parameters={"SIZE", "BODY"})) == parse_command(line)
    for offered in ((), {"SIZE"}, {"BODY"}):
        with pytest.raises(GrammarError) as caught:
            parse_command(line, ParseContext(parameters=offered))
        assert caught.value.reply is not None
        assert caught.value.reply.code == 555
    for parameter in (b"RET=FULL", b"SIZE=1"):
        with pytest.raises(GrammarError) as caught:
            parse_command(b"RCPT TO:<a@b> " + parameter)
        assert caught.value.reply is not None
        assert caught.value.reply.code == 555


@pytest.mark.req("RFC5321-4.5.3.1.9-01")
@pytest.mark.parametrize(
    "mailbox",
    ["a" * 65 + "@b", f"a@{'b' * 64}", "a@" + "b." * 128 + "b", f"{'a' * 64}@" + "b." * 96],
)
def test_an_address_that_is_too_long_is_refused_with_501(mailbox: str) -> None:
    for line in (f"MAIL FROM:<{mailbox}>", f"RCPT TO:<{mailbox}>"):
        with pytest.raises(GrammarError) as caught:
            parse_command(line.encode())
        assert caught.value.reply is not None
        assert caught.value.reply.code == 501


@pytest.mark.parametrize("text", ["a\nb", "a\r\nQUIT", "\0", "\x7f", "\ud800", " a", "a "])
@pytest.mark.parametrize("command", [c.Noop, c.Help, c.Vrfy, c.Expn])
def test_an_argument_that_does_not_fit_on_one_line_is_refused(
    command: type[c.Noop | c.Help | c.Vrfy | c.Expn], text: str
) -> None:
    with pytest.raises(GrammarError) as caught:
        command(text)
    assert caught.value.reply is not None


def test_vrfy_needs_a_name_and_ehlo_an_ascii_host() -> None:
    for command in (c.Vrfy, c.Expn):
        with pytest.raises(GrammarError):
            command("")
    for hello in (c.Ehlo, c.Helo):
        with pytest.raises(GrammarError, match="ASCII"):
            hello(Domain("é.example"))
    assert c.Ehlo(Domain("x")) != c.Helo(Domain("x"))


def test_a_command_is_shown_with_unprintable_characters_escaped() -> None:
    assert str(c.Vrfy("é\u202e\x85")) == "VRFY é\\u202e\\x85"
    assert str(c.Ehlo(AddressLiteral.parse("[192.0.2.1]"))) == "EHLO [192.0.2.1]"


@given(strategies.commands())
def test_a_command_is_shown_on_one_line_without_its_secret(command: Command) -> None:
    assert str(command).isprintable()
    initial = getattr(command, "initial", None)
    if initial is None:
        assert str(command) == printable(bytes(command))
    else:
        assert str(command) == f"AUTH {getattr(command, 'mechanism', '')} ***"


@given(strategies.commands(), st.text(" \t"), st.data())
def test_verbs_are_read_in_any_case_and_with_blanks_at_the_end(
    command: Command, blanks: str, data: DataObject
) -> None:
    verb, space, argument = bytes(command).partition(b" ")
    letters = data.draw(st.tuples(*(st.sampled_from([c, c.lower()]) for c in verb.decode())))
    line = "".join(letters).encode() + space + argument + blanks.encode()
    assert parse_command(line) == command
