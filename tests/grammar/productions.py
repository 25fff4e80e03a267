"""Every production of the grammar: its values, how they are read and how they are written."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from attrs import evolve
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from smtpproto.errors import GrammarError
from smtpproto.grammar.address import ForwardPath, Mailbox, ReversePath
from smtpproto.grammar.command_line import COMMANDS, parse_command, read_verb
from smtpproto.grammar.domain import AddressLiteral, Domain, parse_host
from smtpproto.grammar.dsn import OriginalRecipient
from smtpproto.grammar.ehlo_parameters import FutureRelease
from smtpproto.grammar.extension import Extensions
from smtpproto.grammar.parameters import (
    MailParameters,
    Parameter,
    RcptParameters,
    read_parameters,
)
from smtpproto.grammar.parse_context import ParseContext
from smtpproto.grammar.reply import EnhancedCode, Reply, parse_reply_line
from smtpproto.grammar.scheduling import DeliverBy, ValidSince
from smtpproto.grammar.timestamp import read_timestamp, write_timestamp
from smtpproto.grammar.unitext import decode_unitext, encode_unitext
from smtpproto.grammar.xtext import decode_base64, decode_xtext, encode_base64, encode_xtext
from smtpproto.limits import Leniencies, Tolerance
from smtpproto.testing import strategies
from smtpproto.testing.laws import check_round_trip


class Production(NamedTuple):
    """Values of one production, their parser and their writer."""

    values: SearchStrategy[Any]
    parse: Callable[[bytes], Any]
    write: Callable[[Any], bytes] = bytes


def as_text(octets: bytes) -> str:
    """Decode any octets, for parsers that take text. Octets that are not UTF-8 become lone
    surrogates."""
    return octets.decode("utf-8", "surrogateescape")


def parse_reply(octets: bytes) -> Reply:
    """Read a reply whose lines may be long: what was read escaped may have more than 512 octets."""
    if not octets.endswith(b"\r\n"):
        return Reply.parse(octets)
    leniencies = Leniencies.strict()
    context = ParseContext(leniencies=evolve(leniencies, long_reply=Tolerance.ACCEPT))
    return Reply.from_lines(octets[:-2].split(b"\r\n"), context.tolerate)


def read_ehlo(octets: bytes) -> Extensions:
    return Extensions.from_reply(parse_reply(octets))


def write_ehlo(extensions: Extensions) -> bytes:
    *lines, last = ["mx", *extensions.lines()]
    octets = "".join([*(f"250-{line}\r\n" for line in lines), f"250 {last}\r\n"]).encode()
    # An octet that is not UTF-8 was escaped; as such it would take more room in its line.
    return re.sub(rb"\\x([89a-f][0-9a-f])", lambda it: bytes.fromhex(it[1].decode()), octets)


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
    "domain": Production(strategies.domains(u_labels=True), Domain.parse),
    "literal": Production(strategies.address_literals(), AddressLiteral.parse),
    "host": Production(strategies.hosts(u_labels=True), parse_host),
    "mailbox": Production(strategies.mailboxes(smtputf8=True), Mailbox.parse),
    "reverse-path": Production(strategies.reverse_paths(smtputf8=True), ReversePath.parse),
    "forward-path": Production(strategies.forward_paths(smtputf8=True), ForwardPath.parse),
    "enhanced code": Production(
        strategies.enhanced_codes(),
        lambda octets: EnhancedCode.parse(as_text(octets)),
        lambda code: str(code).encode(),
    ),
    "reply": Production(strategies.replies(), parse_reply),
    "reply line": Production(
        strategies.replies().map(lambda reply: (reply.code, False, reply.lines[-1])),
        parse_reply_line,
        write_line,
    ),
    "extensions": Production(strategies.extensions(), read_ehlo, write_ehlo),
    "mail parameters": Production(strategies.mail_parameters(), read_mail_parameters),
    "rcpt parameters": Production(strategies.rcpt_parameters(), read_rcpt_parameters),
    "deliver-by": Production(
        strategies.deliver_by(), lambda octets: DeliverBy.parse(as_text(octets)), write_text
    ),
    "original recipient": Production(
        strategies.original_recipients(),
        lambda octets: OriginalRecipient.parse(as_text(octets)),
        write_text,
    ),
    "valid since": Production(
        strategies.valid_since(), lambda octets: ValidSince.parse(as_text(octets)), write_text
    ),
    "date-time": Production(
        strategies.timestamps(),
        lambda octets: read_timestamp(as_text(octets)),
        lambda when: write_timestamp(when).encode(),
    ),
    "unitext": Production(
        strategies.original_recipients().filter(lambda r: r.is_utf8).map(lambda r: r.address),
        lambda octets: decode_unitext(as_text(octets)),
        lambda text: encode_unitext(text).encode(),
    ),
    "session limits": Production(
        strategies.session_limits(),
        lambda octets: Extensions({"LIMITS": as_text(octets)}).limits,
        write_text,
    ),
    "future release": Production(
        strategies.future_releases(),
        lambda octets: FutureRelease.parse(as_text(octets)),
        write_text,
    ),
    "parameter list": Production(
        (strategies.mail_parameters() | strategies.rcpt_parameters())
        .map(lambda p: p.parameters())
        .filter(bool),
        lambda octets: read_parameters(as_text(octets)),
        write_list,
    ),
    "xtext": Production(
        st.text(st.characters(exclude_categories=["Cs"])),
        lambda octets: decode_xtext(as_text(octets)),
        lambda text: encode_xtext(text).encode(),
    ),
    "base64": Production(st.binary(), decode_base64, encode_base64),
    "command": Production(strategies.commands(), parse_command),
    "verb": Production(
        st.sampled_from(sorted(COMMANDS)), read_verb, lambda verb: f"{verb} x".encode()
    ),
}


def check_parse(production: Production, octets: bytes) -> GrammarError | None:
    """Parse *octets*; check that the value round-trips, or return the GrammarError."""
    try:
        value = production.parse(octets)
    except GrammarError as error:
        assert 0 <= error.offset <= len(octets)
        assert str(error).isprintable()
        return error
    check_round_trip(value, production.parse, production.write)
    return None


FRAGMENTS = [
    *(bytes([octet]) for octet in b"\0\t\n\r \"+,-.:;<=>@[\\]_{}\x1b\x7f\x80\xa0\xc3\xff"),
    b"\r\n", b"\r\n.\r\n", b"..", b"::", b"<>", b'""', b"\\", b"[]", b"IPv6:", b"[IPv6:::1]",
    b" SIZE=1", b" AUTH=<>", b" BODY=", b"+0D+0A", b"+2b", b"+ED+A0+80", b"@a,@b:", b"Postmaster",
    b"a" * 64, b"a." * 128, b"9" * 21, b"250-", b"334 ", b"5.7.1 ", b"=AAA", b"AAAA=",
    b"\xc0\xae", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80\xa8", b"\xc2\x85",
    "\u017fize".encode(), "\u212a".encode(), "\u0130".encode(), "e\u0301".encode(),
    "\u3002".encode(), "\uff0e".encode(), "\u0661".encode(), "\uff11".encode(),
]  # fmt: skip


@st.composite
def damaged(draw: DrawFn, legal: SearchStrategy[bytes]) -> bytes:
    """Draw *legal* octets with one to three small changes, some of which keep them legal."""
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
                octets[at:at] = draw(st.sampled_from(FRAGMENTS) | st.binary(min_size=1, max_size=4))
    return bytes(octets)
