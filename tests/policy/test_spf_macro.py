"""Macros of SPF (RFC 7208 7)."""

from __future__ import annotations

import re
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.policy.spf_macro import MAX_NAME, Macro, MacroString, as_name

from .spf_terms import macros
from .spf_zones import NOW, check, txt, zone

VALUES = {
    "s": "strong-bad@email.example.com",
    "l": "strong-bad",
    "o": "email.example.com",
    "d": "email.example.com",
    "i": "192.0.2.3",
    "p": "mx.example.org",
    "v": "in-addr",
    "h": "mx.example.org",
}
TEXTS = st.text(max_size=40)
DELIMITERS = ".-+,/_="

# RFC 7208 7.4
EXAMPLES = [
    ("%{s}", "strong-bad@email.example.com"),
    ("%{o}", "email.example.com"),
    ("%{d}", "email.example.com"),
    ("%{d4}", "email.example.com"),
    ("%{d3}", "email.example.com"),
    ("%{d2}", "example.com"),
    ("%{d1}", "com"),
    ("%{dr}", "com.example.email"),
    ("%{d2r}", "example.email"),
    ("%{l}", "strong-bad"),
    ("%{l-}", "strong.bad"),
    ("%{lr}", "strong-bad"),
    ("%{lr-}", "bad.strong"),
    ("%{l1r-}", "strong"),
    ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
    ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
    ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
    ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
    ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
    ("%%%_%-", "% %20"),
    ("%{S}", "strong-bad%40email.example.com"),
    ("%{L+}", "strong-bad"),
    ("%{p}%{h}", "mx.example.orgmx.example.org"),
]


def expand(text: str) -> str:
    return MacroString.parse_explanation(text).expand(VALUES.__getitem__)


@pytest.mark.req("RFC7208-7.3-03", "RFC7208-7.3-04", "RFC7208-7.3-05")
@pytest.mark.parametrize(("text", "expected"), EXAMPLES)
def test_the_examples_of_the_rfc_expand_as_it_says(text: str, expected: str) -> None:
    assert expand(text) == expected


@pytest.mark.req("RFC7208-7.3-06")
def test_a_number_of_parts_may_be_128_and_more() -> None:
    name = ".".join(["a"] * 130)
    for parts in (127, 128, 10**30):
        macro = MacroString.parse_domain(f"%{{d{parts}}}")
        assert macro.expand({"d": name}.__getitem__).count("a") == min(parts, 130)


@given(TEXTS, st.text(DELIMITERS, max_size=3))
def test_reversing_twice_is_splitting_once(value: str, delimiters: str) -> None:
    reverse = Macro("l", reverse=True, delimiters=delimiters)
    split = re.split(f"[{re.escape(delimiters or '.')}]", value)
    assert reverse.apply(value) == ".".join(reversed(split))
    if "." not in value:
        assert Macro("l", reverse=True).apply(reverse.apply(value)) == ".".join(split)


@given(TEXTS, st.integers(1, 9), st.booleans())
def test_parts_are_counted_from_the_right(value: str, parts: int, reverse: bool) -> None:
    whole = Macro("l", reverse=reverse, delimiters="-").apply(value)
    some = Macro("l", parts=parts, reverse=reverse, delimiters="-").apply(value)
    assert whole.endswith(some)
    assert some == whole or value.count("-") >= parts


@pytest.mark.req("RFC7208-7.3-05")
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_letters_in_upper_case_escape_what_a_url_reserves(value: str) -> None:
    escaped = Macro("s", escaped=True).apply(value)
    assert re.fullmatch(r"([A-Za-z0-9._~-]|%[0-9A-F]{2})*", escaped)
    assert urllib.parse.unquote(escaped) == value


@given(st.lists(macros("slodipvhcrt") | st.text("ab -%", max_size=5)).map("".join))
def test_any_text_is_an_explanation_or_an_error_inside_it(text: str) -> None:
    try:
        found = MacroString.parse_explanation(text)
    except GrammarError as error:
        assert 0 <= error.offset < len(text)
    else:
        assert "".join(it if isinstance(it, str) else "?" for it in found.parts)[:1] or not text
        assert found.expand(lambda letter: "").isascii()


@pytest.mark.req("RFC7208-7.3-07")
@given(st.lists(st.integers(1, 260).map("a".__mul__), min_size=1, max_size=9))
def test_long_names_lose_labels_at_the_left(labels: list[str]) -> None:
    written = ".".join(labels)
    name = as_name(written)
    assert len(name) <= MAX_NAME
    assert written == name or written.endswith("." + name) or (not name and len(labels[-1]) > 253)
    kept = name.count(".") + 1 if name else 0
    if kept < len(labels):
        assert len(".".join(labels[len(labels) - kept - 1 :])) > MAX_NAME


@pytest.mark.req("RFC7208-7.3-09")
def test_names_are_asked_for_in_lower_case_and_without_the_last_dot() -> None:
    assert as_name("A.Example.ORG.") == "a.example.org"


# -- the values ------------------------------------------------------------------------------------


def explanation(text: str, client: str = "192.0.2.1") -> str:
    names = zone("v=spf1 -all exp=exp.example.org", exp_example_org=txt(text))
    return check(names, client).explanation


@pytest.mark.req("RFC7208-7.2-02")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%{s}", "ann@example.org"),
        ("%{l}", "ann"),
        ("%{o}", "example.org"),
        ("%{d}", "example.org"),
        ("%{i}", "192.0.2.1"),
        ("%{c}", "192.0.2.1"),
        ("%{p}", "unknown"),
        ("%{v}", "in-addr"),
        ("%{h}", "mx.example.net"),
        ("%{r}", "mx.example.com"),
        ("%{t}", str(int(NOW))),
    ],
)
def test_each_letter_has_its_value(text: str, expected: str) -> None:
    assert explanation(text) == expected


@pytest.mark.req("RFC7208-7.2-02")
def test_an_ipv6_address_is_written_by_nibbles_and_for_people() -> None:
    nibbles = "2.0.0.1.0.D.B.8" + ".0" * 23 + ".A"
    assert explanation("%{i} %{v} %{c}", "2001:DB8:0::A") == f"{nibbles} ip6 2001:db8::a"


def test_the_domain_is_that_of_the_record_and_the_origin_that_of_the_sender() -> None:
    names = zone(
        "v=spf1 redirect=%{d2}.net",
        example_org_net=txt("v=spf1 -all exp=exp.%{o}"),
        exp_example_org=txt("%{d} of %{o}"),
    )
    assert check(names).explanation == "example.org.net of example.org"


@pytest.mark.req("RFC8616-4-01")
@pytest.mark.parametrize("letter", ["l", "s", "L", "S"])
def test_a_term_with_a_local_part_that_is_not_ascii_never_matches(letter: str) -> None:
    names = zone(f"v=spf1 exists:%{{{letter}}}.example.org ?all")
    matching = check(names, sender="j\u00f6rg@example.org")
    assert matching.result.value == "neutral"
    assert [it.name for it in matching.trace.asked] == ["example.org"]
