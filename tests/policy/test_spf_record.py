"""The grammar of SPF records (RFC 7208 12)."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.limits import SPF_RECORD
from smtpproto.policy.spf_record import (
    Directive,
    Modifier,
    SPFRecord,
    SPFResult,
    is_spf,
    read_terms,
)

from .spf_terms import records

GOOD = [
    "v=spf1", "v=spf1 ", "V=SPF1 a", "v=spf1 +a -mx ~ptr ?all", "v=spf1  a   mx ",
    "v=spf1 a:example.org", "v=spf1 a:example.org.", "v=spf1 A/24", "v=spf1 a//64",
    "v=spf1 a/0//0", "v=spf1 a:example.org/32//128", "v=spf1 mx:foo:bar/baz.example.org/8",
    "v=spf1 a:.org", "v=spf1 a:x.1-2", "v=spf1 a:x.1a", "v=spf1 a:x.xn--zckzah",
    "v=spf1 a:%{d}", "v=spf1 a:x.%%", "v=spf1 a:%_", "v=spf1 a:%-", "v=spf1 a:%{D12R.-+,/_=}",
    "v=spf1 a:%{d}/24", "v=spf1 exists:%{ir}.%{v}._spf.%{d2}", "v=spf1 ptr", "v=spf1 ptr:a.b",
    "v=spf1 ip4:0.0.0.0", "v=spf1 ip4:255.249.199.99/32", "v=spf1 ip4:1.2.3.4/0",
    "v=spf1 ip6:::", "v=spf1 ip6:2001:db8::1/64", "v=spf1 ip6:::ffff:1.2.3.4/128",
    "v=spf1 include:a.b", "v=spf1 redirect=a.b", "v=spf1 exp=a.b redirect=%{d}", "v=spf1 x=",
    "v=spf1 x=y x=y", "v=spf1 all=a", "v=spf1 x.y_z-1=a:/%{c}%{r}%{t}",
]  # fmt: skip

BAD = [
    ("", 0), ("v=spf10", 0), ("v=spf", 0), (" v=spf1", 0), ("v=spf1\ta", 0),
    ("v=spf1 \ta", 7), ("v=spf1 a\t", 7), ("v=spf1 a\r\nmx", 7), ("v=spf1 \x80", 7),
    ("v=spf1 moo", 7), ("v=spf1 -all moo", 12), ("v=spf1 =a", 7), ("v=spf1 1up=a", 7),
    ("v=spf1 --all", 7), ("v=spf1 *all", 7), ("v=spf1 -x=y", 8), ("v=spf1 -redirect=a.b", 8),
    ("v=spf1 redirect:a.b", 7), ("v=spf1 all.", 7),
    ("v=spf1 all:a", 10), ("v=spf1 all/8", 10),
    ("v=spf1 include", 14), ("v=spf1 include:", 15), ("v=spf1 include/8", 14),
    ("v=spf1 include:a.b/8", 17), ("v=spf1 exists", 13), ("v=spf1 exists:a.b/24", 16),
    ("v=spf1 a:", 9), ("v=spf1 a:org", 9), ("v=spf1 a:a.1", 11), ("v=spf1 a:a.-b", 11),
    ("v=spf1 a:a.b-", 11), ("v=spf1 a:a.b_", 11), ("v=spf1 a:a..", None), ("v=spf1 a:a.%{d}x", 11),
    ("v=spf1 a:a.b/33", 13), ("v=spf1 a/", 8), ("v=spf1 a/01", 9), ("v=spf1 a//129", 10),
    ("v=spf1 a/8/8", 8), ("v=spf1 a/a", 8), ("v=spf1 a///8", None), ("v=spf1 a:a.b/\u0663", 13),
    ("v=spf1 ptr/8", 10), ("v=spf1 ptr:", 11),
    ("v=spf1 ip4", 10), ("v=spf1 ip4:", 11), ("v=spf1 ip4:1.2.3", 11), ("v=spf1 ip4:1.2.3.256", 11),
    ("v=spf1 ip4:01.2.3.4", 11), ("v=spf1 ip4:1.2.3.4/33", 19), ("v=spf1 ip4:1.2.3.4//32", 11),
    ("v=spf1 ip4:::1", 11), ("v=spf1 ip6:1.2.3.4", 11), ("v=spf1 ip6:::1//8", 11),
    ("v=spf1 ip6:::1/129", 15), ("v=spf1 ip6:fe80::1%eth0", 11), ("v=spf1 ip6:[::1]", 11),
    ("v=spf1 ip6:1:2", 11),
    ("v=spf1 a:%(d)", 9), ("v=spf1 a:%(d).org", 9),
    ("v=spf1 a:%", 9), ("v=spf1 a:x.%{x}", 11), ("v=spf1 a:%{d", 9),
    ("v=spf1 a:%{d0}", 9), ("v=spf1 a:%{d000}", 9), ("v=spf1 a:%{dx}", 9), ("v=spf1 a:%{d!}", 9),
    ("v=spf1 a:%{r}", 9), ("v=spf1 exp=%{c}", 11), ("v=spf1 redirect=%{T}", 16),
    ("v=spf1 exp=", 11), ("v=spf1 exp=-all", 11), ("v=spf1 redirect=", 16),
    ("v=spf1 exp=a.b exp=a.b", 15), ("v=spf1 redirect=a.b a REDIRECT=a.b", 22),
    ("v=spf1 x=%a", 9), ("v=spf1 x=%{a}", 9), ("v=spf1 a" + " a" * (SPF_RECORD // 2), SPF_RECORD),
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_a_record_that_fits_the_grammar_is_read(text: str) -> None:
    record = SPFRecord.parse(text)
    assert str(record) == text
    assert [text[it.offset :].partition(" ")[0] for it in record.terms] == text.split()[1:]
    assert SPFRecord.parse(text.encode()) == record


@pytest.mark.req("RFC7208-4.6-01", "RFC7208-4.6.1-01", "RFC7208-6-01", "RFC7208-7.3-01",
                 "RFC7208-7.3-02", "RFC7208-7.2-01")  # fmt: skip
@pytest.mark.parametrize(("text", "offset"), BAD, ids=[text[:40] for text, _ in BAD])
def test_a_record_that_does_not_is_an_error_with_its_place(text: str, offset: int | None) -> None:
    with pytest.raises(GrammarError) as caught:
        SPFRecord.parse(text)
    if offset is not None:
        assert caught.value.offset == offset
    with pytest.raises(GrammarError):
        SPFRecord.parse(text.encode("utf-8"))


def test_the_parts_of_terms_are_read() -> None:
    record = SPFRecord.parse("v=spf1 ~A:%{d2}/24//64 ip4:10.1.2.3/8 -ip6:2001:db8::/32 Exp=a.b x=y")
    a, ip4, ip6 = record.directives
    assert (a.mechanism, a.result, a.ip4_length, a.ip6_length) == ("a", SPFResult.SOFTFAIL, 24, 64)
    assert a.domain is not None and a.domain.text == "%{d2}"
    assert (ip4.network, ip4.ip4_length) == (0x0A010203, 8)
    assert (ip6.network, ip6.ip6_length) == (int(IPv6Address("2001:db8::")), 32)
    assert record.exp is not None and record.exp.name == "exp" and record.redirect is None
    assert [it.name for it in record.terms if isinstance(it, Modifier)] == ["exp", "x"]


def test_all_faults_of_a_record_are_told_with_the_terms_between_them() -> None:
    found = [*read_terms(b"v=spf1 moo a ip4:x -all")]
    assert [type(it) for it in found] == [GrammarError, Directive, GrammarError, Directive]


@pytest.mark.req("RFC7208-4.5-01")
@pytest.mark.parametrize(
    ("octets", "expected"),
    [(b"v=spf1", True), (b"V=sPf1 a", True), (b"v=spf1\x00", False), (b"v=spf10", False),
     (b"v=spf1-all", False), (b" v=spf1", False), (b"spf2.0/pra", False), (b"", False)],
)  # fmt: skip
def test_only_the_whole_version_makes_an_spf_record(octets: bytes, expected: bool) -> None:
    assert is_spf(octets) is expected


@given(records())
def test_any_record_of_the_grammar_is_read_term_by_term(text: str) -> None:
    record = SPFRecord.parse(text)
    assert [it.text for it in record.terms] == text.split()[1:]


@given(st.binary(max_size=60).map(lambda octets: b"v=spf1 " + octets) | st.binary(max_size=30))
def test_any_octets_are_a_record_or_an_error_inside_them(octets: bytes) -> None:
    try:
        record = SPFRecord.parse(octets)
    except GrammarError as error:
        assert 0 <= error.offset <= len(octets)
    else:
        assert record.text.encode() == octets


@given(records(), st.data())
def test_a_record_with_a_changed_character_is_a_record_or_an_error(
    text: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + data.draw(st.sampled_from(" %{}:/=.-+~?a1\x00\xff")) + text[at + 1 :]
    try:
        SPFRecord.parse(changed.encode("latin-1"))
    except GrammarError as error:
        assert 0 <= error.offset <= len(text)
