"""The reader, the recogniser and the generators of the ABNF oracle."""

from __future__ import annotations

import re
from itertools import chain, islice
from random import Random

import abnf
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from smtpproto.testing.abnf import SMTP, SMTPUTF8, matching, near_misses, parse_abnf

NESTED = parse_abnf('comment = "(" *( ALPHA / comment ) ")"', SMTP)


def test_every_rule_has_its_section_and_is_read_as_it_is_printed() -> None:
    printed = parse_abnf("\n".join(map(str, SMTPUTF8.values())))
    assert [rule.node for rule in printed.values()] == [rule.node for rule in SMTPUTF8.values()]
    for rule in SMTPUTF8.values():
        assert re.fullmatch(r"RFC \d{4} [A-Z0-9.]+", rule.reference), rule.name


@pytest.mark.parametrize(
    ("element", "matched", "refused"),
    [
        ('"aB"', [b"aB", b"AB", b"ab"], [b"a", b"aBc", b""]),
        ('%i"aB"', [b"Ab"], [b"a"]),
        ('%s"aB"', [b"aB"], [b"ab", b"AB"]),
        ('""', [b""], [b"a"]),
        ("%d13.10", [b"\r\n"], [b"\n", b"\r"]),
        ("%x61-63", [b"a", b"c"], [b"d", b"A", b"ab"]),
        ("%b1100001", [b"a"], [b"A"]),
        ('2"a"', [b"aa"], [b"a", b"aaa"]),
        ('1*2"a"', [b"a", b"aa"], [b"", b"aaa"]),
        ('*2"a"', [b"", b"aa"], [b"aaa"]),
        ('0*"a"', [b"", b"a" * 500], [b"b"]),
        ('"a" / "b" "c"', [b"a", b"bc"], [b"ac", b"b"]),
        ('( "a" / "b" ) "c"', [b"ac", b"bc"], [b"a"]),
        ('[ "a" ] "b"', [b"b", b"ab"], [b"a", b"aab"]),
        ('*( *"a" ) *"a" "a"', [b"a", b"a" * 200], [b"", b"ab"]),  # every way is tried
        ('*( "a" / "aa" ) "b" ; a comment with "quotes"', [b"b", b"aaab"], [b"aa"]),
        ('"a"\n  ; a comment in between\n  "b;"', [b"ab;"], [b"a"]),
    ],
)
def test_an_element_matches_what_rfc_5234_says(
    element: str, matched: list[bytes], refused: list[bytes]
) -> None:
    grammar = parse_abnf(f"x = {element}")
    assert all(grammar.matches("X", octets) for octets in matched)
    assert not any(grammar.matches("x", octets) for octets in refused)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = y", "the rule x uses y, which has no rule"),
        ('x = "a', "line 1 of the grammar: not ABNF at '\"a'"),
        ('ok = "a"\n\nx = ( "a"', "line 3 of the grammar: the rule ends too early"),
        ('x = ( "a" ]', "'(' is not closed"),
        ('x = "a" )', "')' is not expected"),
        ("x = / y", "'/' is not expected"),
        ("x = <any octet>", "not ABNF at '<any octet>'"),
        ("x = %x1F600", "write UTF-8 as its octets"),
        ("x = 3*2DIGIT", "must not end below its start"),
        ("what is this", "not a rule"),
        ('x = "a"\nX = "b"', "the rule X is defined twice; write =/"),
        ('x =/ "a"', "the rule x has nothing to add to"),
    ],
)
def test_a_malformed_grammar_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_abnf(text)


def test_rules_of_a_base_are_replaced_and_extended() -> None:
    grammar = parse_abnf('Domain = "x"\nString =/ "?"', SMTP)
    assert grammar.matches("ehlo", b"EHLO x\r\n")
    assert not grammar.matches("ehlo", b"EHLO y\r\n")
    assert grammar.matches("noop", b"NOOP ?\r\n")
    assert not SMTP.matches("noop", b'NOOP "\r\n')


def test_an_unknown_rule_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(KeyError, match=r"no rule 'Mailboks'; did you mean Mailbox\?"):
        SMTP.matches("Mailboks", b"")
    with pytest.raises(KeyError, match="no rule 'Mailboks'"):
        matching("Mailboks")


def test_text_in_the_place_of_octets_is_an_error() -> None:
    with pytest.raises(TypeError, match="octets cannot be of the type str; pass bytes"):
        SMTP.matches("Mailbox", "ann@example.org")  # type: ignore[arg-type]


def test_rules_that_contain_themselves_are_matched_and_bounded() -> None:
    assert NESTED.matches("comment", b"(a(b)(c(d)))")
    assert not NESTED.matches("comment", b"(a(b)(c(d))")
    assert NESTED.matches("comment", b"(" * 50 + b")" * 50)
    with pytest.raises(ValueError, match="comment is nested more than 50 times"):
        NESTED.matches("comment", b"(" * 100_000)


def test_a_rule_that_starts_with_itself_or_has_no_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="starts with itself; write it as a repetition"):
        parse_abnf('x = x "a" / "a"').matches("x", b"aa")
    with pytest.raises(ValueError, match="contains itself without an end"):
        next(parse_abnf('x = "a" x').sentences("x"))


def test_a_sentence_matches_its_rule_and_its_seed_repeats_it() -> None:
    seed = Random().randrange(1000)
    for grammar, name in [(NESTED, "comment"), *((SMTPUTF8, name) for name in SMTPUTF8)]:
        first, second = (next(grammar.sentences(name, seed)) for _ in range(2))
        assert first == second, (name, seed)
        assert grammar.matches(name, first), (name, seed)


@given(matching("mail", SMTPUTF8), near_misses("mail", SMTPUTF8))
def test_a_strategy_draws_sentences_and_near_misses(sentence: bytes, near: bytes) -> None:
    assert SMTPUTF8.matches("mail", sentence)
    SMTPUTF8.matches("mail", near)


def test_most_near_misses_do_not_match() -> None:
    near = list(islice(SMTP.near_misses("ehlo"), 200))
    assert 100 < sum(not SMTP.matches("ehlo", octets) for octets in near) < 200


def test_a_sentence_shrinks_to_the_simplest() -> None:
    same = settings(derandomize=True, database=None)  # a few others end at '"0"@[0.0.0.0]'
    found = find(matching("Mailbox"), lambda octets: b"[" in octets, settings=same)
    assert found == b"0@[0.0.0.0]"


class Peer(abnf.Rule):
    """The grammar, read by another library."""


def test_another_library_reads_and_recognises_the_same() -> None:
    for rule in SMTPUTF8.values():
        if rule.reference != "RFC 5234 B.1":  # that library has the core rules
            Peer.create(str(rule))
    seed = Random().randrange(1000)
    for name in Random(seed).sample(list(SMTPUTF8), 80):
        cases = zip(SMTPUTF8.sentences(name, seed), SMTPUTF8.near_misses(name, seed), strict=True)
        for octets in filter(lambda octets: len(octets) < 60, chain(*islice(cases, 1))):
            found = SMTPUTF8.matches(name, octets)
            assert found == recognised_by_peer(name, octets.decode("latin-1")), (name, octets)


def recognised_by_peer(name: str, text: str) -> bool:
    try:
        Peer(name).parse_all(text)
    except abnf.ParseError:
        return False
    return True


@given(st.binary(max_size=20))
def test_the_recogniser_agrees_with_a_regular_expression(octets: bytes) -> None:
    atom = re.compile(rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
    assert SMTP.matches("Dot-string", octets) == bool(atom.fullmatch(octets))
