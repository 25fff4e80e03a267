"""Parsers and the ABNF agree: in both directions, but for the differences that are listed here and
in docs/reference/grammar.md."""

from __future__ import annotations

import calendar
import random
import re
from collections.abc import Callable
from itertools import chain, islice
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from smtpproto.errors import GrammarError
from smtpproto.grammar.address import ForwardPath, Mailbox, ReversePath
from smtpproto.grammar.command import Command, Helo
from smtpproto.grammar.command_line import COMMANDS, parse_command
from smtpproto.grammar.domain import AddressLiteral, Domain
from smtpproto.grammar.extension import EXTENSIONS
from smtpproto.grammar.parse_context import ParseContext
from smtpproto.grammar.reply import EnhancedCode, Reply
from smtpproto.grammar.timestamp import read_timestamp, write_timestamp
from smtpproto.grammar.xtext import decode_base64, decode_xtext, encode_base64, encode_xtext
from smtpproto.limits import Leniencies, Tolerance
from smtpproto.testing import strategies
from smtpproto.testing.abnf import (
    SMTP,
    SMTPUTF8,
    Grammar,
    matching,
    near_misses,
    parse_abnf,
)
from tests.grammar.productions import PRODUCTIONS as VALUES
from tests.grammar.productions import as_text, read_mail_parameters, read_rcpt_parameters

# A server refuses parameters that it does not know (555), so MAIL and RCPT have those it knows.
# And 260 is a success, whatever it means (RFC 5321 4.3.2).
KNOWN = """
text = ( "VRFY" / "EXPN" / "HELP" / "NOOP" ) *( SP / VCHAR / UTF8-non-ascii ) CRLF
Mail-parameters = mail-parameter *( SP mail-parameter )
Rcpt-parameters = rcpt-parameter *( SP rcpt-parameter )
Reply-code      = %x32-35 2DIGIT
parameters      = Mail-parameters / Rcpt-parameters
limits          = [ limit *( SP limit ) ]
future-releases = future-release-integer SP future-release-date-time
"""
UTF8 = parse_abnf(KNOWN, SMTPUTF8)
STRICT = Leniencies(**dict.fromkeys(Leniencies.__annotations__, Tolerance.REJECT))


class Production(NamedTuple):
    """A rule, and the parser that reads it."""

    parse: Callable[[bytes], Any]
    write: Callable[[Any], bytes] | None = bytes
    grammar: Grammar = UTF8


def read_command(verb: str) -> Callable[[bytes], Command]:
    """Return a reader of commands of one verb, with CRLF."""

    def read(octets: bytes) -> Command:
        if not octets.endswith(b"\r\n"):
            raise GrammarError("no CRLF")
        context = ParseContext(leniencies=STRICT)
        return parse_command(octets[:-2], context, {verb: COMMANDS[verb]})

    return read


def read_keyword(octets: bytes) -> tuple[str, str]:
    """Read one line of an EHLO reply: a keyword that is known, with its parameters."""
    keyword, space, parameters = as_text(octets).partition(" ")
    row = EXTENSIONS.get(keyword.upper()) if keyword.isascii() else None
    if row is None or (space and not parameters):
        raise GrammarError("not a line of an offer")
    if fault := row.fault_in(parameters):
        raise fault
    return keyword, parameters


def written(value: Any) -> bytes:
    return bytes(value) + b"\r\n"


HELLO = "EHLO", "HELO", "LHLO"
TEXT = "VRFY", "EXPN", "HELP", "NOOP"
POSTFIX = {"XCLIENT", "XFORWARD"}  # which no RFC has
REPLIES = "Reply-line", "Greeting", "ehlo-ok-rsp", "continue-req"
PRODUCTIONS = {
    "Domain": Production(Domain.parse),
    "address-literal": Production(AddressLiteral.parse),
    "Mailbox": Production(Mailbox.parse),
    "Reverse-path": Production(ReversePath.parse),
    "Forward-path": Production(ForwardPath.parse),
    "mail-parameter": Production(read_mail_parameters),
    "rcpt-parameter": Production(read_rcpt_parameters),
    "internet-date-time": Production(
        lambda octets: read_timestamp(as_text(octets)), lambda when: write_timestamp(when).encode()
    ),
    "xtext": Production(
        lambda octets: decode_xtext(as_text(octets)), lambda text: encode_xtext(text).encode()
    ),
    "base64": Production(decode_base64, encode_base64),
    "status-code": Production(
        lambda octets: EnhancedCode.parse(as_text(octets)), lambda code: str(code).encode()
    ),
    **{name: Production(Reply.parse, None) for name in REPLIES},
    **{
        verb.lower(): Production(read_command(verb), written, SMTP if verb in HELLO else UTF8)
        for verb in COMMANDS
        if verb not in POSTFIX
    },
    **{
        name: Production(read_keyword, None)
        for name in SMTP
        if name.endswith("-keyword") and name not in ("ehlo-keyword", "esmtp-keyword")
    },
}


def has_other_ipv6(octets: bytes) -> bool:
    """Whether a literal with the tag IPv6 is no IPv6-address-literal, or one lacks the tag."""
    literals = re.findall(rb"(?=\[([^\]]*)\])", octets)
    return any(
        not SMTP.matches("IPv6-address-literal", literal)
        and (literal[:5].lower() == b"ipv6:" or SMTP.matches("IPv6-addr", literal))
        for literal in literals
    )


def has_other_instant(octets: bytes) -> bool:
    """Whether a date is in no calendar, a second may be no leap second, or a year has no other."""
    dates = rb"(\d{4})-(\d\d)-(\d\d)T\d\d:\d\d:(\d\d)"
    return any(
        second == b"60"
        or year in (b"0000", b"0001", b"9999")
        or int(day) > calendar.monthrange(int(year), int(month))[1]
        for year, month, day, second in re.findall(dates, octets, re.IGNORECASE)
    )


def has_other_label(octets: bytes) -> bool:
    """Whether there may be a U-label, which RFC 5892 restricts."""
    return not octets.isascii()


def has_unicode_space(octets: bytes) -> bool:
    return any(character.isspace() for character in octets.decode() if not character.isascii())


def has_octets_not_printable(octets: bytes) -> bool:
    """Whether xtext stands for more than printable ASCII."""
    return re.search(rb"\+([89A-F01][0-9A-F]|7F)", octets) is not None


def has_other_auth(octets: bytes) -> bool:
    """Whether the value of AUTH stands for no mailbox that the parser accepts, nor for <>."""
    [value] = re.findall(rb"AUTH=(\S*)", octets, re.IGNORECASE)
    decoded = re.sub(rb"\+(..)", lambda hexchar: bytes.fromhex(hexchar[1].decode()), value)
    mailbox = UTF8.matches("Mailbox", decoded)
    return decoded != b"<>" and not (mailbox and decoded.isascii() and len(decoded) <= 64)


def has_other_utf8_type(octets: bytes) -> bool:
    [value] = re.findall(rb"ORCPT=(\S*)", octets, re.IGNORECASE)
    return not UTF8.matches("utf-8-type-addr", value)


def has_a_keyword_twice(octets: bytes) -> bool:
    keywords = [parameter.partition(b"=")[0].upper() for parameter in octets.split()]
    return len(keywords) != len(set(keywords))


def longer_than(limit: int) -> Callable[[bytes], bool]:
    return lambda octets: len(octets) > limit


def finds(pattern: bytes) -> Callable[[bytes], bool]:
    return lambda octets: re.search(pattern, octets, re.IGNORECASE) is not None


# What the parsers refuse although it matches: the message, and what must be true of the octets.
STRICTER: list[tuple[str, Callable[[bytes], bool]]] = [
    ("local-part of more than 64 octets", longer_than(64)),
    ("label of more than 63 octets", longer_than(63)),
    ("domain of more than 255 octets", longer_than(255)),
    ("path of more than 256 octets", longer_than(256)),
    ("an address literal must be in brackets", longer_than(255)),
    ("a label must be letters, digits and hyphens", has_other_label),
    (
        "not a local-part|a path must end|no text may follow|a source route|empty label",
        has_unicode_space,
    ),
    ("not (an IPv6|an IPv4|a general) address", has_other_ipv6),
    (".*not a date-time of RFC 3339", has_other_instant),
    (".*xtext does not decode to UTF-8", has_octets_not_printable),
    (".*an envelope identifier must be printable", has_octets_not_printable),
    ("ORCPT: characters that the type .* does not", has_octets_not_printable),
    ("ORCPT: not (an address of type utf-8|a HEXPOINT)", has_other_utf8_type),
    ("(ENVID: envelope identifier|ORCPT: original recipient) of more", longer_than(100)),
    ("SOLICIT: .* of more than 1000 octets", longer_than(1000)),
    ("not a value for (AUTH|ENVID)", finds(rb"=(\s|\Z)")),
    ("AUTH: ", has_other_auth),
    ("BY: by-mode R needs a by-time above 0", finds(rb"BY=(-\d*|\+?0*);R")),
    ("HOLDFOR and HOLDUNTIL exclude", finds(rb" HOLDFOR=.* HOLDUNTIL=| HOLDUNTIL=.* HOLDFOR=")),
    ("HOLDFOR is longer than BY", finds(rb" HOLDFOR=.* BY=| BY=.* HOLDFOR=")),
    (".* given twice", has_a_keyword_twice),
    ("BDAT needs a chunk size of 1 to 20 digits", finds(rb"[0-9]{21}")),
    ("not the name of a queue", longer_than(255)),
    ("a limit must be 1 to 999999", finds(rb"MAX(?!=[1-9][0-9]{0,5}( |\Z))")),
    ("all lines of a reply must have the same code", finds(rb"\n")),
]


def is_looser(name: str, octets: bytes) -> bool:
    """Whether a parser may accept *octets* although they do not match."""
    if name.upper() in TEXT:  # any text
        return UTF8.matches("text", octets)
    if name in REPLIES:  # any reply, of any text
        lines = octets.removesuffix(b"\r\n").split(b"\r\n")
        return all(re.fullmatch(rb"(?s)[2-5]\d\d([ -].*)?", line) for line in lines)
    if name in ("rcpt", "rcpt-parameter"):  # empty elements of lists
        return re.search(rb"NOTIFY=,|,,|,(\s|\Z)", octets.upper()) is not None
    return name == "base64" and not octets


def check(name: str, octets: bytes) -> None:
    """Check that parser and oracle judge *octets* equally, and agree on the canonical form."""
    parse, write, grammar = PRODUCTIONS[name]
    matched = grammar.matches(name, octets)
    try:
        value = parse(octets)
    except GrammarError as error:
        expected = [test for message, test in STRICTER if re.match(message, error.message)]
        assert not matched or any(test(octets) for test in expected), (octets, error)
        return
    assert matched or is_looser(name, octets), octets
    if write is not None:
        assert parse(write(value)) == value
        assert not matched or grammar.matches(name, write(value)), (octets, write(value))


@pytest.mark.parametrize("name", PRODUCTIONS)
@given(data=st.data())
def test_parser_and_abnf_agree(name: str, data: DataObject) -> None:
    grammar = PRODUCTIONS[name].grammar
    check(name, data.draw(matching(name, grammar) | near_misses(name, grammar)))


# The rule that matches what is written, by the name in productions.py.
WRITTEN = {
    "domain": "Domain",
    "literal": "address-literal",
    "mailbox": "Mailbox",
    "reverse-path": "Reverse-path",
    "enhanced code": "status-code",
    "reply": "Reply-line",
    "extensions": "ehlo-ok-rsp",
    "deliver-by": "by-value",
    "date-time": "internet-date-time",
    "unitext": "utf-8-addr-xtext",
    "session limits": "limits",
    "future release": "future-releases",
    "parameter list": "parameters",
    "xtext": "xtext",
}


@pytest.mark.parametrize("name", WRITTEN)
@given(data=st.data())
def test_what_is_written_matches_the_abnf(name: str, data: DataObject) -> None:
    octets = VALUES[name].write(data.draw(VALUES[name].values))
    assert UTF8.matches(WRITTEN[name], octets)


@given(strategies.commands(sorted(set(COMMANDS) - POSTFIX - set(TEXT))))
def test_a_written_command_matches_the_abnf(command: Command) -> None:
    if isinstance(command, Helo):  # servers accept an address literal, by a leniency
        assume(isinstance(command.host, Domain))
    assert PRODUCTIONS[command.verb.lower()].grammar.matches(command.verb, command.line)


CASES = 100_000


@pytest.mark.soak
@pytest.mark.parametrize("name", PRODUCTIONS)
def test_parser_and_abnf_agree_for_many_cases(name: str) -> None:
    grammar, seed = PRODUCTIONS[name].grammar, random.randrange(2**32)
    cases = zip(grammar.sentences(name, seed), grammar.near_misses(name, seed), strict=True)
    for octets in islice(chain.from_iterable(cases), CASES // len(PRODUCTIONS) + 1):
        check(name, octets)
