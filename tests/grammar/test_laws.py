"""The laws of ring 1, for all its values: round trips, and that only our error escapes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta, timezone
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, DrawFn, SearchStrategy

from smtpproto.errors import GrammarError
from smtpproto.grammar.address import ForwardPath, Mailbox, ReversePath
from smtpproto.grammar.command import Command, Ehlo, Mail, Noop, Rcpt, Vrfy
from smtpproto.grammar.command_line import COMMANDS, parse_command, read_verb
from smtpproto.grammar.domain import AddressLiteral, Domain, GeneralLiteral, parse_host
from smtpproto.grammar.dsn import Notify, OriginalRecipient
from smtpproto.grammar.ehlo_parameters import FutureRelease, SessionLimits
from smtpproto.grammar.extension import EXTENSIONS, Extensions
from smtpproto.grammar.extension_command import Auth
from smtpproto.grammar.offer_rules import refusal_of
from smtpproto.grammar.parameters import (
    MAIL_CODECS,
    RCPT_CODECS,
    MailParameters,
    Parameter,
    RcptParameters,
    read_parameters,
)
from smtpproto.grammar.parse_context import ParseContext
from smtpproto.grammar.reply import EnhancedCode, Reply, parse_reply_line
from smtpproto.grammar.rrvs import NoSupport, ValidSince
from smtpproto.grammar.scheduling import ByMode, DeliverBy
from smtpproto.grammar.secret import Secret
from smtpproto.grammar.timestamp import read_timestamp, write_timestamp
from smtpproto.grammar.unitext import decode_unitext, encode_unitext
from smtpproto.grammar.xtext import decode_base64, decode_xtext, encode_base64, encode_xtext
from smtpproto.testing import strategies as our

law = settings(deadline=None)  # no assertion on time


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


def read_rcpt_parameters(octets: bytes) -> RcptParameters:
    return RcptParameters.read(read_parameters(as_text(octets)) if octets else ())


def write_text(value: object) -> bytes:
    return str(value).encode()


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
    "rcpt parameters": Production(our.rcpt_parameters(), read_rcpt_parameters),
    "deliver-by": Production(
        our.deliver_by(), lambda octets: DeliverBy.parse(as_text(octets)), write_text
    ),
    "original recipient": Production(
        our.original_recipients(),
        lambda octets: OriginalRecipient.parse(as_text(octets)),
        write_text,
    ),
    "valid since": Production(
        our.valid_since(), lambda octets: ValidSince.parse(as_text(octets)), write_text
    ),
    "date-time": Production(
        our.timestamps(),
        lambda octets: read_timestamp(as_text(octets)),
        lambda when: write_timestamp(when).encode(),
    ),
    "unitext": Production(
        our.original_recipients().filter(lambda r: r.is_utf8).map(lambda r: r.address),
        lambda octets: decode_unitext(as_text(octets)),
        lambda text: encode_unitext(text).encode(),
    ),
    "session limits": Production(
        our.session_limits(),
        lambda octets: SessionLimits.parse_leniently(as_text(octets)),
        write_text,
    ),
    "future release": Production(
        our.future_releases(), lambda octets: FutureRelease.parse(as_text(octets)), write_text
    ),
    "parameter list": Production(
        (our.mail_parameters() | our.rcpt_parameters()).map(lambda p: p.parameters()).filter(bool),
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
@given(our.commands(["MAIL", "RCPT"]), st.data())
def test_parameters_are_taken_only_if_offered(command: Command, data: DataObject) -> None:
    assert isinstance(command, Mail | Rcpt)
    used = {parameter.keyword for parameter in command.parameters.parameters()}
    known = sorted(MAIL_CODECS if isinstance(command, Mail) else RCPT_CODECS)
    offered = used | data.draw(st.sets(st.sampled_from(known)))
    offered -= data.draw(st.sets(st.sampled_from(known), max_size=1))
    try:
        assert parse_command(bytes(command), ParseContext(parameters=offered)) == command
        assert used <= offered
    except GrammarError as error:
        assert not used <= offered
        assert error.reply is not None
        assert error.reply.code == 555


EVERYTHING = Extensions(dict.fromkeys(EXTENSIONS, ""))


@pytest.mark.req("RFC3461-4.5-01", "RFC3461-5.4-04")
@law
@given(our.commands(["MAIL", "RCPT"]))
def test_lines_are_within_their_limit_and_name_no_parameter_twice(command: Command) -> None:
    assert isinstance(command, Mail | Rcpt)
    assert len(bytes(command)) + len("\r\n") <= EVERYTHING.line_limit(command.verb)
    keywords = [parameter.keyword for parameter in command.parameters.parameters()]
    assert len(keywords) == len(set(keywords))


@law
@given(our.commands(["MAIL", "RCPT"]), our.offers())
def test_the_offer_of_everything_refuses_nothing(command: Command, offer: Extensions) -> None:
    assert isinstance(command, Mail | Rcpt)
    assert refusal_of(command.parameters, EVERYTHING) is None
    reply = refusal_of(command.parameters, offer)
    assert reply is None or reply.code in (501, 555)


# Values cannot exist invalid: whatever the arguments, building one fails with our error or gives
# a value that can be written and read.
ANY = st.text(st.characters()) | st.lists(
    st.sampled_from(
        [octets.decode("utf-8", "ignore") for octets in HOSTILE] + ["a", "IPv6", "\ud800"]
    )
).map("".join)
ZONES = st.none() | st.timedeltas(
    timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59)
).map(timezone)
DATE_TIMES = st.datetimes(timezones=ZONES)
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
    "MailParameters, of text": (
        "mail parameters",
        lambda e, s: MailParameters(envid=e, solicit=s),
        (st.none() | ANY, st.none() | st.lists(ANY).map(tuple)),
    ),
    "MailParameters, of times": (
        "mail parameters",
        lambda by, hold, until: MailParameters(by=by, hold_for=hold, hold_until=until),
        (st.none() | our.deliver_by(), st.none() | st.integers(), st.none() | DATE_TIMES),
    ),
    "RcptParameters": (
        "rcpt parameters",
        lambda n: RcptParameters(notify=n),
        (st.none() | st.lists(st.sampled_from(Notify)),),
    ),
    "DeliverBy": ("deliver-by", DeliverBy, (st.integers(), st.sampled_from(ByMode), st.booleans())),
    "OriginalRecipient": ("original recipient", OriginalRecipient, (ANY, ANY)),
    "OriginalRecipient, utf-8": ("original recipient", OriginalRecipient, (st.just("utf-8"), ANY)),
    "ValidSince": ("valid since", ValidSince, (DATE_TIMES, st.none() | st.sampled_from(NoSupport))),
    "FutureRelease": ("future release", FutureRelease, (st.integers(), DATE_TIMES)),
    "SessionLimits": (
        "session limits",
        lambda a, b: SessionLimits(mail_max=a, rcpt_max=b),
        (st.integers(), st.none() | st.integers()),
    ),
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
XCHAR = r"([!-*,-<>-~]|\+(20|2B|3D))"
UNICHAR = (
    r"([!-*,-<>-\[\]-~]|\\x\{(0[1-9]|1[0-9]|20|2B|3D|5C|7F|[89A-F][0-9A-F]|[1-9A-F][0-9A-F]{2}"
    r"|[1-9A-CEF][0-9A-F]{3}|D[0-7][0-9A-F]{2}|[1-9A-F][0-9A-F]{4}|10[0-9A-F]{4})\})"
)
ORCPT = rf"(rfc822;{XCHAR}{{0,99}}|[uU][tT][fF]-8;{UNICHAR}{{1,40}})"
NOTIFY = "(NEVER|SUCCESS(,FAILURE)?(,DELAY)?|FAILURE(,DELAY)?|DELAY)"
NUMBER = "[1-9][0-9]{0,8}"
BY = rf"({NUMBER};R|(0|-?{NUMBER});N)T?"
WORD = "[A-Za-z][A-Za-z0-9._:-]{0,19}"
SECONDS = (
    "(000[1-9]|[1-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
    "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
)
DATE_TIME = rf"{SECONDS}(\.[0-9]{{0,5}}[1-9])?Z"
LIMIT = "[1-9][0-9]{0,5}"
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
    (
        "mail parameters",
        r"(SIZE=(0|[1-9][0-9]{0,19}))?( BODY=(7BIT|8BITMIME|BINARYMIME))?( SMTPUTF8)?",
    ),
    ("mail parameters", rf"(RET=(FULL|HDRS))?( ENVID={XCHAR}{{1,33}})?( REQUIRETLS)?( BY={BY})?"),
    ("mail parameters", rf"HOLDFOR={NUMBER} MT-PRIORITY=(0|-?[1-9])( SOLICIT={WORD}(,{WORD})*)?"),
    ("mail parameters", rf"HOLDUNTIL={DATE_TIME}"),
    ("rcpt parameters", rf"NOTIFY={NOTIFY}( ORCPT={ORCPT})?( RRVS={SECONDS}Z(;[CR])?)?"),
    ("deliver-by", BY),
    ("original recipient", ORCPT),
    ("valid since", rf"{SECONDS}Z(;[CR])?"),
    ("date-time", DATE_TIME),
    ("session limits", rf"MAILMAX={LIMIT}( RCPTMAX={LIMIT})?( RCPTDOMAINMAX={LIMIT})?"),
    ("future release", rf"{NUMBER} {DATE_TIME}"),
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
