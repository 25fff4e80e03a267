"""Address lists of header fields: each address is read, or an error points to the fault."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError, Mailbox
from smtpproto.mail.address_list import parse_address_list
from smtpproto.testing.strategies import address_fields


@given(address_fields())
def test_each_mailbox_is_read_in_every_syntax(field: tuple[str, list[Mailbox]]) -> None:
    text, found = field
    assert parse_address_list(text) == found


@given(address_fields(), st.data())
def test_a_field_broken_anywhere_raises_or_keeps_as_many_addresses_as_it_has_at_signs(
    field: tuple[str, list[Mailbox]], data: st.DataObject
) -> None:
    text, _ = field
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 2))
    broken = text[:at] + data.draw(st.sampled_from(["", *'@<>,;:()".\\[] x'])) + text[at + cut :]
    try:
        found = parse_address_list(broken)
    except GrammarError:
        return
    plain = without_quotes_and_comments(broken)
    routes = sum(route.count("@") for route in re.findall(r"<\s*([@,][^:<>]*):", plain))
    assert len(found) == plain.count("@") - routes


def without_quotes_and_comments(text: str) -> str:
    """Return *text* with "q" for the quotes of quoted strings, and without their content and
    comments. It is read in another way than the library reads it."""
    kept, depth, in_quotes, escaped = [], 0, False, False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\" and (depth or in_quotes):
            escaped = True
        elif character == '"' and not depth:
            in_quotes = not in_quotes
            kept.append("q")
        elif character == "(" and not in_quotes:
            depth += 1
        elif character == ")" and depth:
            depth -= 1
        elif not depth and not in_quotes:
            kept.append(character)
    return "".join(kept)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("j@example.org; al@example.org", "; al"),
        ("j@example.org al@example.org", "al@"),
        ("j@example.org\tal@example.org", "al@"),
        ("J <j@x.test> <al@x.test>", "<al"),
        ("jo@ex ample.org", "ample"),
        ("Smith, John <j@x.test>", "Smith"),
        ("J <j@x.test", ""),
        ("j@x.test>", ">"),
        ("j..k@x.test", ".k"),
        (".j@x.test", ".j"),
        ("j.@x.test", "@x"),
        ("a b@x.test", "b@"),
        ("j@", ""),
        ("@x.test", "@x"),
        ("<>", ">"),
        ("j@x.test.", ""),
        ("j@-x.test", "j@"),
        ("a@b.test@c.test", "@c"),
        ("G: a@b.test", ""),
        ("A: B: a@b.test;;", "B:"),
        ("a@b.test;", ";"),
        ("<@a.test@b.test:c@d.test>", "@b"),
        ("a@b.test (open", "(open"),
        ('"a@b.test', '"a'),
        ("bob", "bob"),
        ("a@b.test, bob", "bob"),
        ("undisclosed recipients", "undisclosed"),
    ],
)
def test_a_malformed_list_raises_at_the_fault(text: str, near: str) -> None:
    with pytest.raises(GrammarError) as caught:
        parse_address_list(text)
    assert text.encode()[caught.value.offset :].startswith(near.encode())
    assert near or caught.value.offset == len(text)


def test_an_encoded_word_is_not_decoded_in_an_address() -> None:
    """RFC 2047 5(3)."""
    (mailbox,) = parse_address_list("=?utf-8?q?J=2C?= <=?utf-8?q?j?=@x.test>")
    assert mailbox == Mailbox("=?utf-8?q?j?=", "x.test")


def test_the_offset_of_an_error_counts_octets() -> None:
    with pytest.raises(GrammarError) as caught:
        parse_address_list("Jörg <j@x.test> <al@x.test>")
    assert caught.value.offset == len("Jörg <j@x.test> ".encode())


def test_a_domain_may_be_a_literal() -> None:
    (mailbox,) = parse_address_list("j@[IPv6: 2001:db8::1] (host)")
    assert str(mailbox) == "j@[IPv6:2001:db8::1]"


def test_quoted_pairs_are_read_without_their_backslashes() -> None:
    (mailbox,) = parse_address_list(r'"a\"b\\c" . d@x.test')
    assert mailbox == Mailbox(r'a"b\c.d', "x.test")


@pytest.mark.parametrize(
    ("text", "leniency"),
    [("bob@my_host.test", "domain_underscores"), (f"{'x' * 65}@x.test", "long_local_part")],
)
def test_an_address_that_needs_a_leniency_of_the_client_is_read(text: str, leniency: str) -> None:
    (mailbox,) = parse_address_list(f"Bob <{text}>")
    assert mailbox == text
    assert mailbox.leniencies == (leniency,)


@pytest.mark.parametrize("length", [247, 248])
def test_an_address_that_is_too_long_for_a_path_is_an_error(length: int) -> None:
    text = f"a@b.test, {'x' * length}@x.test"
    if length == 247:
        assert len(parse_address_list(text)) == 2
        return
    with pytest.raises(GrammarError, match="path of more than 256 octets") as caught:
        parse_address_list(text)
    assert caught.value.offset == len("a@b.test, ")
