"""The laws of ring 1, for all its values: round trips, and that only our error escapes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import Phase, assume, example, find, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, DrawFn, SearchStrategy

from smtpproto.errors import GrammarError
from smtpproto.grammar.address import ForwardPath, Mailbox, ReversePath, quote
from smtpproto.grammar.command import Command, Ehlo, Mail, Noop, Vrfy
from smtpproto.grammar.domain import AddressLiteral, Domain, GeneralLiteral, parse_host
from smtpproto.grammar.extended import Auth
from smtpproto.grammar.extension import Extensions
from smtpproto.grammar.line import COMMANDS, parse_command, read_verb
from smtpproto.grammar.parameters import MailParameters, Parameter, read_parameters
from smtpproto.grammar.printable import printable
from smtpproto.grammar.reading import Reading
from smtpproto.grammar.reply import Reply, parse_reply_line
from smtpproto.grammar.status import EnhancedCode
from smtpproto.grammar.xtext import decode_base64, decode_xtext, encode_base64, encode_xtext
from smtpproto.secret import Secret
from smtpproto.testing import strategies as our

law = settings(deadline=None)  # no assertion on time
QUICK = settings(law, max_examples=5000, database=None, phases=[Phase.generate], derandomize=True)


class Production(NamedTuple):
    """A kind of value, and its two directions."""

    values: SearchStrategy[Any]
    parse: Callable[[bytes], Any]
    write: Callable[[Any], bytes] = bytes


def as_text(octets: bytes) -> str:
    """Any octets as ``str``, for productions that read text: lone surrogates are hostile too."""
    return octets.decode("utf-8", "surrogateescape")


def read_ehlo(octets: bytes) -> Extensions:
    return Extensions.from_reply(Reply.parse(octets))


def write_ehlo(extensions: Extensions) -> bytes:
    return bytes(Reply(250, None, ["mx", *extensions.lines()]))


def read_mail_parameters(octets: bytes) -> MailParameters:
    return MailParameters.read(read_parameters(as_text(octets)) if octets else ())


def write_list(parameters: tuple[Parameter, ...]) -> bytes:
    return " ".join(map(str, parameters)).encode()


def write_line(line: tuple[int, bool, str]) -> bytes:
    code, more, text = line
    return f"{code}{'-' if more else ' '}{text}".encode()


PRODUCTIONS = {
    "domain": Production(our.domains(u_labels=True), Domain.parse),
    "literal": Production(our.address_literals(), AddressLiteral.parse),
    "host": Production(our.hosts(u_labels=True), parse_host),
    "mailbox": Production(our.mailboxes(smtputf8=True), Mailbox.parse),
    "reverse-path": Production(our.reverse_paths(smtputf8=True), ReversePath.parse),
    "forward-path": Production(our.forward_paths(smtputf8=True), ForwardPath.parse),
    "enhanced code": Production(
        our.enhanced_codes(),
        lambda octets: EnhancedCode.parse(as_text(octets)),
        lambda code: str(code).encode(),
    ),
    "reply": Production(our.replies(), Reply.parse),
    "reply line": Production(
        our.replies().map(lambda reply: (reply.code, False, reply.lines[-1])),
        parse_reply_line,
        write_line,
    ),
    "extensions": Production(our.extensions(), read_ehlo, write_ehlo),
    "mail parameters": Production(our.mail_parameters(), read_mail_parameters),
    "parameter list": Production(
        our.mail_parameters().map(MailParameters.parameters).filter(bool),
        lambda octets: read_parameters(as_text(octets)),
        write_list,
    ),
    "xtext": Production(
        st.text(st.characters(exclude_categories=["Cs"])),
        lambda octets: decode_xtext(as_text(octets)),
        lambda text: encode_xtext(text).encode(),
    ),
    "base64": Production(st.binary(), decode_base64, encode_base64),
    "command": Production(our.commands(), parse_command),
    "verb": Production(
        st.sampled_from(sorted(COMMANDS)), read_verb, lambda verb: f"{verb} x".encode()
    ),
}

every = pytest.mark.parametrize("kind", PRODUCTIONS)


@every
@law
@given(data=st.data())
def test_what_is_written_is_read_back(kind: str, data: DataObject) -> None:
    production = PRODUCTIONS[kind]
    value = data.draw(production.values)
    assert production.parse(production.write(value)) == value


HOSTILE = [
    *(bytes([octet]) for octet in b"\0\t\n\r \"+,-.:;<=>@[\\]_{}\x1b\x7f\x80\xa0\xc3\xff"),
    b"\r\n", b"\r\n.\r\n", b"..", b"::", b"<>", b'""', b"\\", b"[]", b"IPv6:", b"[IPv6:::1]",
    b" SIZE=1", b" AUTH=<>", b" BODY=", b"+0D+0A", b"+2b", b"+ED+A0+80", b"@a,@b:", b"Postmaster",
    b"a" * 64, b"a." * 128, b"9" * 21, b"250-", b"334 ", b"5.7.1 ", b"=AAA", b"AAAA=",
    b"\xc0\xae", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80\xa8", b"\xc2\x85",
    "\u017fize".encode(), "\u212a".encode(), "\u0130".encode(), "e\u0301".encode(),
    "\u3002".encode(), "\uff0e".encode(), "\u0661".encode(), "\uff11".encode(),
]  # fmt: skip


@st.composite
def nearly(draw: DrawFn, legal: SearchStrategy[bytes]) -> bytes:
    """Legal octets with one to three small faults, some of which keep them legal."""
    octets = bytearray(draw(legal))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(octets)))
        match draw(st.sampled_from(["flip", "swap case", "delete", "double", "insert", "cut"])):
            case "flip" if at < len(octets):
                octets[at] ^= 1 << draw(st.integers(0, 7))
            case "swap case":
                octets[at:] = octets[at:].swapcase()
            case "delete":
                del octets[at : at + draw(st.integers(1, 3))]
            case "double":
                octets[at:at] = octets[at : at + draw(st.integers(1, 8))]
            case "cut":
                del octets[at:]
            case _:
                octets[at:at] = draw(st.sampled_from(HOSTILE) | st.binary(min_size=1, max_size=4))
    return bytes(octets)


def judge(production: Production, octets: bytes) -> GrammarError | None:
    """Parse *octets*: a value must itself round-trip, an error must be ours and well-formed."""
    try:
        value = production.parse(octets)
    except GrammarError as error:
        assert 0 <= error.offset <= len(octets)
        assert str(error).isprintable()
        return error
    assert production.parse(production.write(value)) == value
    return None


@every
@law
@given(data=st.data())
def test_only_our_error_escapes(kind: str, data: DataObject) -> None:
    production = PRODUCTIONS[kind]
    legal = production.values.map(production.write)
    judge(production, data.draw(st.one_of(nearly(legal), nearly(legal), st.binary())))


VERBS = st.sampled_from([f"{verb} ".encode() for verb in (*COMMANDS, "MAIL FROM:", "RCPT TO:")])


@law
@given(
    st.one_of(
        nearly(our.commands(["MAIL", "RCPT"]).map(bytes)),
        nearly(our.commands().map(bytes)),
        st.builds(bytes.__add__, VERBS, st.binary() | st.text().map(str.encode)),
    )
)
@example(b"EHLO")  # errors at the end of a line are not beyond it
@example(b"")
def test_a_command_that_cannot_be_read_has_an_answer(line: bytes) -> None:
    error = judge(PRODUCTIONS["command"], line)
    if error is not None:
        assert error.reply is not None
        assert error.reply.permanent
        assert error.reply.enhanced is not None
        assert all(text.isascii() for text in error.reply.lines)


@law
@given(our.commands(["MAIL"]), st.sets(st.sampled_from(["SIZE", "BODY", "SMTPUTF8", "AUTH"])))
def test_parameters_are_taken_only_if_offered(command: Command, offered: set[str]) -> None:
    assert isinstance(command, Mail)
    used = {parameter.keyword for parameter in command.parameters.parameters()}
    try:
        assert parse_command(bytes(command), Reading(parameters=offered)) == command
        assert used <= offered
    except GrammarError as error:
        assert not used <= offered
        assert error.reply is not None
        assert error.reply.code == 555


# Values cannot exist invalid: whatever the arguments, building one fails with our error or gives
# a value that can be written and read.
ANY = st.text(st.characters()) | st.lists(
    st.sampled_from(
        [octets.decode("utf-8", "ignore") for octets in HOSTILE] + ["a", "IPv6", "\ud800"]
    )
).map("".join)
BUILDERS: dict[str, tuple[str, Callable[..., Any], tuple[SearchStrategy[Any], ...]]] = {
    "Domain": ("domain", Domain, (ANY,)),
    "GeneralLiteral": ("literal", lambda *a: AddressLiteral(GeneralLiteral(*a)), (ANY, ANY)),
    "Mailbox": ("mailbox", Mailbox, (ANY, our.hosts(u_labels=True))),
    "ReversePath": ("reverse-path", ReversePath, (our.mailboxes(smtputf8=True),)),
    "ForwardPath": ("forward-path", ForwardPath, (our.mailboxes(smtputf8=True),)),
    "EnhancedCode": ("enhanced code", EnhancedCode, (st.integers(),) * 3),
    "EnhancedCode, nearly": ("enhanced code", EnhancedCode, (st.integers(-1, 1001),) * 3),
    "Reply": ("reply", Reply, (st.integers(199, 600), st.none() | our.enhanced_codes(), ANY)),
    "Reply, of lines": ("reply", Reply, (st.integers(199, 600), st.none(), st.lists(ANY))),
    "Extensions": ("extensions", Extensions, (st.dictionaries(ANY.map(str.upper), ANY),)),
    "Parameter": ("parameter list", lambda *a: (Parameter(*a),), (ANY, st.none() | ANY)),
    "MailParameters": ("mail parameters", lambda n: MailParameters(size=n), (st.integers(),)),
    "Noop": ("command", Noop, (ANY,)),
    "Vrfy": ("command", Vrfy, (ANY,)),
    "Ehlo": ("command", Ehlo, (our.hosts(u_labels=True),)),
    "Auth": ("command", Auth, (ANY, st.none() | st.binary().map(Secret))),
}


@pytest.mark.parametrize("name", BUILDERS)
@law
@given(data=st.data())
def test_what_can_be_built_can_be_written_and_read(name: str, data: DataObject) -> None:
    kind, build, arguments = BUILDERS[name]
    try:
        value = build(*(data.draw(argument) for argument in arguments))
    except GrammarError:
        return
    assert PRODUCTIONS[kind].parse(PRODUCTIONS[kind].write(value)) == value


# What is read is written back octet by octet if it was canonical. These octets do not come from
# our values, so that a fault that reading and writing share cannot hide.
LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
DOMAIN = rf"{LABEL}(\.{LABEL}){{0,2}}"
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}"
QUOTED = r'"([!#-\[\]-~]|\\["\\]){0,20} ([!#-\[\]-~]|\\["\\]){0,8}"'  # its space needs the quotes
SNUM = "(0|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])"
HOST = rf"({DOMAIN}|\[{SNUM}(\.{SNUM}){{3}}\])"
MAILBOX = rf"({ATOM}(\.{ATOM}){{0,2}}|{QUOTED})@{HOST}"
CODE = r"(0|[1-9][0-9]{0,2})"
XTEXT = r"([!-*,-<>-~]|\+(0[0-9A-F]|1[0-9A-F]|20|2B|3D|7F|C3\+A9))*"
XATOM = r"([A-Za-z0-9!#$%&'*/?^_`{|}~-]|\+2B|\+3D){1,20}"
TEXT = r"([\t -/:-~][\t -~]{0,40})?"  # no enhanced code at its start
CANONICAL = [
    ("domain", DOMAIN),
    ("host", HOST),
    ("mailbox", MAILBOX),
    ("reverse-path", rf"<({MAILBOX})?>"),
    ("forward-path", rf"<(Postmaster|{MAILBOX})>"),
    ("enhanced code", rf"[245]\.{CODE}\.{CODE}"),
    ("reply", rf"250-{TEXT}\r\n(250-{TEXT}\r\n)*250 {TEXT}\r\n"),
    ("reply", rf"(550-5\.1\.1 {TEXT}\r\n)*550 5\.1\.1 {TEXT}\r\n"),
    ("reply", rf"[2-5][0-9]{{2}} {TEXT}\r\n"),
    ("extensions", r"250-mx\r\n250-SIZE [0-9]{1,20}\r\n250 X-[A-Z]{9}( [!-~]{1,9}){0,4}\r\n"),
    ("mail parameters", r"(SIZE=(0|[1-9][0-9]{0,19}))?( BODY=(7BIT|8BITMIME))?( SMTPUTF8)?"),
    ("parameter list", r"[A-Z0-9][A-Z0-9-]*(=[!-<>-~]+)?"),
    ("xtext", XTEXT),
    ("base64", "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?"),
    ("command", rf"(EHLO|HELO) {HOST}"),
    ("command", rf"MAIL FROM:<({MAILBOX})?>( SIZE=[1-9][0-9]{{0,19}})?( BODY=8BITMIME)?"),
    ("command", rf"MAIL FROM:<> AUTH=(<>|{XATOM}@{DOMAIN})"),
    ("command", rf"RCPT TO:<(Postmaster|{MAILBOX})>"),
    ("command", "(NOOP|HELP|VRFY|EXPN) [!-~]([ -~]{0,40}[!-~])?"),
    ("command", "(DATA|RSET|QUIT|STARTTLS|NOOP|HELP)"),
    ("command", "AUTH [A-Z0-9_-]{1,20}( (=|([A-Za-z0-9+/]{4})+))?"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "regex"), CANONICAL)
@law
@given(data=st.data())
def test_canonical_octets_are_written_as_they_were_read(
    kind: str, regex: str, data: DataObject
) -> None:
    production = PRODUCTIONS[kind]
    octets = data.draw(st.from_regex(regex, fullmatch=True)).strip(" ").encode("ascii")
    assert production.write(production.parse(octets)) == octets


@law
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_xtext_encoding_is_xtext(text: str) -> None:
    encoded = encode_xtext(text)
    assert re.fullmatch(r"([!-*,-<>-~]|\+[0-9A-F]{2})*", encoded)
    assert decode_xtext(encoded) == text


@law
@given(our.xtexts())
def test_xtext_escapes_may_be_more_than_needed(encoded: str) -> None:
    assert decode_xtext(encode_xtext(decode_xtext(encoded))) == decode_xtext(encoded)


@law
@given(our.domains(u_labels=True), st.data())
def test_domains_ignore_the_case_of_ascii_letters(domain: Domain, data: DataObject) -> None:
    bits = data.draw(st.integers(0, 2 ** len(str(domain)) - 1))
    other = Domain("".join(swapped(c) if bits >> n & 1 else c for n, c in enumerate(str(domain))))
    assert other == domain == str(other)
    assert hash(other) == hash(domain)
    assert {domain: 1}[other] == 1


def swapped(character: str) -> str:
    return character.swapcase() if character.isascii() else character


@law
@given(our.domains(u_labels=True), our.domains(u_labels=True))
def test_domains_that_differ_in_more_than_case_are_not_equal(a: Domain, b: Domain) -> None:
    same = bytes(a).lower() == bytes(b).lower()  # bytes.lower() knows ASCII only
    assert (a == b) is (a == str(b)) is same
    assert a != object()


@pytest.mark.req("RFC5321-4.1.2-05", "RFC5321-4.1.2-06")
@law
@given(our.mailboxes(smtputf8=True), st.data())
def test_all_quoted_forms_are_equal(mailbox: Mailbox, data: DataObject) -> None:
    meaning = mailbox.local_part
    escapes = data.draw(st.sets(st.integers(0, len(meaning) - 1)))
    quoted = "".join(
        f"\\{c}" if c in '"\\' or (n in escapes and c.isascii()) else c
        for n, c in enumerate(meaning)
    )
    written = f'"{quoted}"'
    assume(len(written.encode()) <= 64)
    other = Mailbox.parse(f"{written}@{mailbox.domain}")
    assert other == mailbox
    assert hash(other) == hash(mailbox)
    assert len(bytes(mailbox)) <= len(f"{written}@{mailbox.domain}".encode())  # the least quoting


@law
@given(our.mailboxes())
def test_local_parts_keep_their_case(mailbox: Mailbox) -> None:
    swapped = mailbox.local_part.swapcase()
    assert (Mailbox(swapped, mailbox.domain) == mailbox) is (swapped == mailbox.local_part)


@law
@given(our.forward_paths(smtputf8=True), st.lists(our.domains(), min_size=1, max_size=2))
def test_a_source_route_is_read_and_dropped(path: ForwardPath, route: list[Domain]) -> None:
    assume(path.mailbox is not None)
    hops = ",".join(f"@{hop}" for hop in route)
    written = f"<{hops}:{path}>".encode()
    if len(written) <= 256:
        assert ForwardPath.parse(written) == path
        assert ReversePath.parse(written) == ReversePath(path.mailbox)
    else:
        with pytest.raises(GrammarError, match="256"):
            ForwardPath.parse(written)


@law
@given(our.replies())
def test_replies_fit_the_wire(reply: Reply) -> None:
    *lines, rest = bytes(reply).split(b"\r\n")
    assert rest == b""
    assert len(lines) == len(reply.lines)
    assert all(line[:3] == b"%d" % reply.code for line in lines)
    assert [line[3:4] for line in lines] == [b"-"] * (len(lines) - 1) + [b" "]
    if reply.code != 334:
        assert max(map(len, lines)) + 2 <= 512
    assert reply.ascii() == reply.ascii().ascii()
    assert bytes(reply.ascii()).isascii()


@law
@given(our.replies(), st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=2000))
def test_folding_loses_nothing(reply: Reply, text: str) -> None:
    folded = Reply(reply.code, reply.enhanced, ["-", text])
    assert "".join(folded.lines) == f"-{text}"


@law
@given(our.commands())
def test_a_command_is_shown_on_one_line_without_its_secret(command: Command) -> None:
    assert str(command).isprintable()
    initial = getattr(command, "initial", None)
    if initial is None:
        assert str(command) == printable(bytes(command))
    else:
        assert str(command) == f"AUTH {getattr(command, 'mechanism', '')} ***"


@law
@given(our.commands(), st.text(" \t"), st.data())
def test_verbs_in_any_case_and_blanks_at_the_end(
    command: Command, blanks: str, data: DataObject
) -> None:
    verb, space, argument = bytes(command).partition(b" ")
    letters = data.draw(st.tuples(*(st.sampled_from([c, c.lower()]) for c in verb.decode())))
    line = "".join(letters).encode() + space + argument + blanks.encode()
    assert parse_command(line) == command


@law
@given(st.text(st.characters()) | st.binary())
def test_what_is_shown_never_moves_the_cursor(text: str | bytes) -> None:
    assert printable(text).isprintable()


@law
@given(st.text(st.characters(), max_size=300), st.data())
def test_text_and_octets_are_read_alike(text: str, data: DataObject) -> None:
    """``parse`` takes ``str`` too; lone surrogates in it are refused as other bad characters."""
    parse = data.draw(st.sampled_from([
        Domain.parse, AddressLiteral.parse, parse_host, Mailbox.parse, ReversePath.parse,
        ForwardPath.parse,
    ]))  # fmt: skip
    for wrapped in (text, f"<{text}>", f"a@{text}", f"<@{text}:a@b>", f'"{text}"@b', f"[{text}]"):
        try:
            value = parse(wrapped)
        except GrammarError as error:
            assert 0 <= error.offset <= len(wrapped.encode("utf-8", "replace"))
        else:
            assert parse(wrapped.encode()) == value


# The strategies promise whole spaces: every command, and the ends of the limits.


def test_the_strategies_make_every_command() -> None:
    for verb, command in COMMANDS.items():
        assert type(find(our.commands([verb]), bool, settings=QUICK)) is command


ENDS: list[tuple[SearchStrategy[Any], Callable[[Any], bool]]] = [
    (our.domains(), lambda domain: len(bytes(domain)) == 255),
    (our.domains(), lambda domain: len(bytes(domain)) == 1),
    (our.domains(), lambda domain: max(map(len, str(domain).split("."))) == 63),
    (our.domains(u_labels=True), lambda domain: not domain.isascii),
    (our.address_literals(), lambda literal: len(bytes(literal)) == 255),
    (our.local_parts(), lambda local_part: len(quote(local_part)) == 64),
    (our.local_parts(), lambda local_part: quote(local_part).startswith('"')),
    (our.mailboxes(), lambda mailbox: len(bytes(mailbox)) == 320),
    (our.reverse_paths(), lambda path: len(bytes(path)) == 256),
    (our.reverse_paths(), lambda path: path.mailbox is None),
    (our.forward_paths(), lambda path: len(bytes(path)) == 256),
    (our.forward_paths(smtputf8=True), lambda path: not path.isascii),
    (our.replies(), lambda reply: len(bytes(reply).split(b"\r\n")[0]) == 510),
    (our.mail_parameters(), lambda parameters: parameters.size == 0),
    (our.extensions(), lambda offered: max(map(len, offered.lines()), default=0) == 506),
    (our.messages(), lambda content: b"\r\n.\r\n" in content),
    (our.messages(), lambda content: max(map(len, content.split(b"\r\n"))) == 998),
    (our.splits(b"abc"), lambda pieces: pieces == [b"a", b"b", b"c"]),
    (our.splits(b"abc"), lambda pieces: pieces == [b"abc"]),
]


@pytest.mark.parametrize("number", range(len(ENDS)))
def test_the_strategies_reach_the_ends(number: int) -> None:
    find(ENDS[number][0], ENDS[number][1], settings=QUICK)


@law
@given(our.messages(), st.data())
def test_messages_have_whole_lines_and_splits_lose_nothing(
    content: bytes, data: DataObject
) -> None:
    assert content.endswith(b"\r\n") or not content
    assert content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")
    pieces = data.draw(our.splits(content))
    assert b"".join(pieces) == content
    assert all(pieces)
