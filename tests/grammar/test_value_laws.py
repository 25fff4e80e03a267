"""Laws of single values, and of the strategies that make them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, assume, find, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from smtpproto.errors import GrammarError
from smtpproto.grammar.address import ForwardPath, Mailbox, ReversePath, quote
from smtpproto.grammar.command import Command
from smtpproto.grammar.command_line import COMMANDS, parse_command
from smtpproto.grammar.domain import AddressLiteral, Domain, parse_host
from smtpproto.grammar.printable import printable
from smtpproto.grammar.reply import Reply
from smtpproto.grammar.xtext import decode_xtext, encode_xtext
from smtpproto.testing import strategies as our

law = settings(deadline=None)  # no assertion on time
QUICK = settings(law, max_examples=5000, database=None, phases=[Phase.generate], derandomize=True)


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
    (our.mail_parameters(), lambda parameters: len(encode_xtext(parameters.envid or "")) == 100),
    (our.mail_parameters(), lambda parameters: len(",".join(parameters.solicit or ())) == 1000),
    (our.mail_parameters(), lambda parameters: parameters.hold_for and parameters.by),
    (our.original_recipients(), lambda recipient: len(str(recipient).encode()) == 500),
    (our.original_recipients(), lambda recipient: not recipient.isascii),
    (our.original_recipients(smtputf8=False), lambda recipient: not recipient.address.isascii()),
    (our.deliver_by(), lambda by: by.seconds < 0 and by.trace),
    (our.notify(), lambda notify: len(notify) == 3),
    (our.offers(), lambda offer: "LIMITS" in offer and "BINARYMIME" in offer),
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
