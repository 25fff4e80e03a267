"""Domains, address literals and A-labels (RFC 5321 4.1.2, 4.1.3; RFC 6531 3.3, 3.7.1)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from smtpproto import ClientConfig
from smtpproto.errors import GrammarError
from smtpproto.grammar.domain import (
    AddressLiteral,
    Domain,
    GeneralLiteral,
    parse_host,
    to_ascii_host,
)
from smtpproto.testing import strategies

L63 = "a" * 63
D255 = ".".join([L63, L63, L63, L63])  # 4 * 63 + 3
D256 = ".".join([L63, L63, L63, "a" * 62, "b"])


@pytest.mark.req("RFC5321-2.3.5-02", "RFC6531-3.3-02")
@pytest.mark.parametrize(
    "name",
    ["a", "a-b.example", "1", "3com.example", "a--b.example", "xn--fsq.example", "EXAMPLE.Com", L63,
     f"{L63}.{L63}", D255, ".".join(["a"] * 128), "例え.jp", "Ⅷ.example", "münchen.example",
     "a・b.jp", "l·l.cat", "नमस्ते.in", "é" * 31 + "a", "1.2.3.4"],
)  # fmt: skip
def test_a_domain_is_written_as_it_was_read(name: str) -> None:
    domain = Domain.parse(name.encode())
    assert str(domain) == name
    assert bytes(domain) == name.encode()
    assert domain.isascii is name.isascii()


@pytest.mark.req("RFC5321-2.3.5-02", "RFC5321-4.1.2-08", "RFC6531-3.3-02")
@pytest.mark.parametrize(
    ("name", "offset"),
    [("", 0), (".", 0), ("a.", 2), (".a", 0), ("a..b", 2), ("a_b.example", 0), ("b.a_b", 2),
     ("a b", 0), ("a/b", 0), ("-a", 0), ("a-", 0), ("a.-", 2), ("-", 0), ("a\n", 0), ("a.b\n", 2),
     ("a\0", 0), ("#123", 0), ("[192.0.2.1]", 0), ("a,b", 0), ("(a)", 0), (L63 + "a", 63),
     (f"b.{L63}a", 65), (D256, 255),
     # U-labels: not in normal form C, a mark or hyphen at the edge, symbols, spaces, look-alikes
     # of a dot
     ("e\u0301.example", 0), ("\u0301a.example", 0), ("-é", 0), ("é-", 0), ("é_", 0), ("é é", 0),
     ("é\xa0", 0), ("€", 0), ("a\u3002b", 0), ("a\uff0eb", 0), ("a\uff61b", 0), ("a\u2024b", 0),
     ("é\x80", 0), ("é\u202e", 0), ("é\ufeff", 0), ("é.é..a", 6), ("é" * 32, 63),
     ("\ud800", 0), ("é\ud800", 0)],
)  # fmt: skip
def test_a_malformed_domain_is_refused_with_501_at_the_bad_octet(name: str, offset: int) -> None:
    with pytest.raises(GrammarError) as caught:
        Domain.parse(name)
    assert caught.value.offset == offset
    assert caught.value.reply is not None
    assert caught.value.reply.code == 501


@pytest.mark.req("RFC6531-3.3-03")
@pytest.mark.parametrize(
    "octets",
    [b"a\xc0\xaeb", b"\xe0\x80\xae", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc3", b"\xff",
     b"\x80", b"\xf8\x88\x80\x80\x80", b"\xc1\xa1"],
)  # fmt: skip
def test_a_domain_that_is_not_utf8_is_refused(octets: bytes) -> None:
    with pytest.raises(GrammarError, match="UTF-8") as caught:
        Domain.parse(b"x." + octets)
    assert caught.value.offset == 2 + octets.startswith(b"a")


def test_domains_compare_ignoring_the_case_of_ascii_letters() -> None:
    assert Domain("Example.COM") == Domain("example.com") == "EXAMPLE.com"
    assert {Domain("Example.COM"), Domain("example.com")} == {Domain("example.COM")}
    assert Domain("Example.COM") in {"example.com"}
    assert str(Domain("Example.COM")) == "Example.COM"
    assert Domain("example.com") != Domain("example.org")
    assert Domain("example.com") != b"example.com"
    # Only ASCII letters: a long s is not an s, and a Kelvin sign is not a k.
    assert Domain("s.example") != "\u017f.example"
    assert Domain("k.example") != "\u212a.example"


@pytest.mark.req("RFC5321-4.1.3-01", "RFC5321-4.1.3-03")
@pytest.mark.parametrize(
    ("literal", "address"),
    [("[192.0.2.1]", "192.0.2.1"), ("[0.0.0.0]", "0.0.0.0"),
     ("[255.255.255.255]", "255.255.255.255"),
     ("[010.0.0.1]", "10.0.0.1"), ("[001.002.003.004]", "1.2.3.4"), ("[08.09.0.1]", "8.9.0.1"),
     ("[IPv6:2001:db8::1]", "2001:db8::1"), ("[ipv6:2001:DB8::1]", "2001:db8::1"),
     ("[IPv6:::]", "::"), ("[IPv6:::1]", "::1"), ("[IPv6:1::]", "1::"),
     ("[IPv6:1:2:3:4:5:6:7:8]", "1:2:3:4:5:6:7:8"),
     ("[IPv6:0001:2:3:4:5:6:7:8]", "1:2:3:4:5:6:7:8"),
     ("[IPv6:1:2:3:4:5:6::]", "1:2:3:4:5:6:0:0"), ("[IPv6:::3:4:5:6:7:8]", "0:0:3:4:5:6:7:8"),
     ("[IPv6:1:2:3::6:7:8]", "1:2:3:0:0:6:7:8"),
     ("[IPv6:1:2:3:4:5:6:192.0.2.1]", "1:2:3:4:5:6:c000:201"),
     ("[IPv6:::192.0.2.1]", "::c000:201"), ("[IPv6:::ffff:192.0.2.1]", "::ffff:c000:201"),
     ("[IPv6:1:2:3:4::192.0.2.1]", "1:2:3:4::c000:201"),
     ("[IPv6:1::4:192.0.2.1]", "1::4:c000:201"), ("[IPv6:64:ff9b::010.0.0.1]", "64:ff9b::a00:1")],
)  # fmt: skip
def test_an_ip_address_literal_is_read(literal: str, address: str) -> None:
    value = AddressLiteral.parse(literal.encode())
    assert value.address == ip_address(address)
    assert parse_host(literal) == value
    assert AddressLiteral.parse(bytes(value)) == value
    assert value.isascii


@pytest.mark.parametrize(
    ("address", "octets"),
    [(IPv4Address("192.0.2.1"), b"[192.0.2.1]"),
     (IPv6Address("2001:DB8:0::1"), b"[IPv6:2001:db8::1]"),
     (GeneralLiteral("x400", "c=us"), b"[x400:c=us]")],
)  # fmt: skip
def test_address_literals_are_written_with_brackets_and_tag(
    address: IPv4Address | IPv6Address | GeneralLiteral, octets: bytes
) -> None:
    assert bytes(AddressLiteral(address)) == octets


@pytest.mark.req("RFC5321-4.1.3-01", "RFC5321-4.1.3-03")
@pytest.mark.parametrize(
    "literal",
    ["", "[", "]", "[]", "192.0.2.1", "[192.0.2.1", "192.0.2.1]", "[[192.0.2.1]]", "[192.0.2.1] ",
     "[ 192.0.2.1]", "[256.1.1.1]", "[1.2.3]", "[1]", "[0x7f.1]", "[0x7f.0.0.1]", "[1.2.3.4.5]",
     "[1.2.3.0004]", "[1.2.3.-4]", "[1.2.3.4\n]", "[1.2.3.\u0661]", "[1..2.3]", "[example.com]",
     "[2001:db8::1]", "[0::]", "[::1]", "[1:2:3:4:5:6:7:8]", "[64:ff9b::192.0.2.1]",
     "[IPv6:fe80::1%eth0]", "[IPv6:fe80::1%25eth0]",
     "[IPv6:]", "[IPv6::]", "[IPv6:1]", "[IPv6:::1::]", "[IPv6::::]", "[IPv6:12345::]",
     "[IPv6:g::]",
     "[IPv6:1:2:3:4:5:6:7]", "[IPv6:1:2:3:4:5:6:7:8:9]", "[IPv6:1:2:3:4:5:6:7:8:]",
     "[IPv6::1:2:3:4:5:6:7:8]", "[IPv6:1:]", "[IPv6::1]", "[IPv6:192.0.2.1]", "[IPv6: ::1]",
     # "::" must stand for at least two groups
     "[IPv6:1:2:3:4:5:6:7::]", "[IPv6:::2:3:4:5:6:7:8]", "[IPv6:1:2:3::5:6:7:8]",
     "[IPv6:1:2:3:4::5:6:7:8]", "[IPv6:1:2:3:4:5::192.0.2.1]", "[IPv6:1:2:3:4:5:6::192.0.2.1]",
     "[IPv6:1:2:3:4:5:6:7:192.0.2.1]", "[IPv6:1:2:3:4:5:192.0.2.1]", "[IPv6:::256.0.0.1]",
     "[IPv6:::192.0.2.1:1]", "[IPv6:::1.2.3]", "[IPv6::192.0.2.1]", "[IPv6::::192.0.2.1]",
     "[tag:]", "[:x]", "[tag-:x]", "[tag:a b]", "[tag:a[b]", "[tag:a]b]", "[tag:a\\b]",
     "[tag:\x7f]",
     "[t_g:x]", "[tag:é]", "[tag:\x1b]", f"[x:{'a' * 252}]"],
)  # fmt: skip
def test_a_malformed_address_literal_is_refused_with_501(literal: str) -> None:
    readers = [AddressLiteral.parse, parse_host][: 1 + literal.startswith("[")]
    for parse in readers:
        with pytest.raises(GrammarError) as caught:
            parse(literal.encode())
        assert 0 <= caught.value.offset <= len(literal.encode())
        assert caught.value.reply is not None
        assert caught.value.reply.code == 501


@pytest.mark.req("RFC5321-4.1.3-02")
@pytest.mark.parametrize(
    ("literal", "tag", "content"),
    [("[x400:c=us]", "x400", "c=us"), ("[-a:b]", "-a", "b"), ("[a:b:c]", "a", "b:c"),
     ("[2001:db8::g]", "2001", "db8::g"), ("[a:<>@,;]", "a", "<>@,;"),
     (f"[x:{'a' * 251}]", "x", "a" * 251)],
)  # fmt: skip
def test_a_general_address_literal_is_read_and_written(
    literal: str, tag: str, content: str
) -> None:
    value = AddressLiteral.parse(literal)
    assert value.address == GeneralLiteral(tag, content)
    assert bytes(value) == literal.encode()


@pytest.mark.req("RFC5321-4.1.3-02")
@pytest.mark.parametrize(
    ("tag", "content"),
    [("IPv6", "x"), ("ipV6", "::1"), ("a:b", "c"), ("IPv6:a", "b"), ("", "x"), ("a", ""),
     ("a", "]"), ("a b", "c"), ("a", "b\n"), ("2001", "db8::1"), ("0", ":")],
)  # fmt: skip
def test_a_malformed_general_literal_cannot_be_built(tag: str, content: str) -> None:
    with pytest.raises(GrammarError):
        GeneralLiteral(tag, content)


def test_an_address_literal_has_no_zone_and_at_most_255_octets() -> None:
    with pytest.raises(GrammarError, match="zone"):
        AddressLiteral(IPv6Address("fe80::1%eth0"))
    with pytest.raises(GrammarError, match="255"):
        AddressLiteral(GeneralLiteral("x", "a" * 252))


@given(strategies.domains(u_labels=True), st.data())
def test_a_domain_equals_itself_in_any_case(domain: Domain, data: DataObject) -> None:
    bits = data.draw(st.integers(0, 2 ** len(str(domain)) - 1))
    other = Domain(
        "".join(swap_ascii_case(c) if bits >> n & 1 else c for n, c in enumerate(str(domain)))
    )
    assert other == domain == str(other)
    assert hash(other) == hash(domain)
    assert {domain: 1}[other] == 1


def swap_ascii_case(character: str) -> str:
    return character.swapcase() if character.isascii() else character


@given(strategies.domains(u_labels=True), strategies.domains(u_labels=True))
def test_domains_that_differ_in_more_than_case_are_not_equal(a: Domain, b: Domain) -> None:
    same = a.canonical == b.canonical
    assert (a == b) is (a == str(b)) is same
    assert same or bytes(a).lower() != bytes(b).lower()  # bytes.lower() changes ASCII letters only
    assert a != object()


@pytest.mark.parametrize(
    ("name", "ascii_name"),
    [
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("B\u00fccher.example", "xn--bcher-kva.example"),
        ("\u4f8b\u3048.jp", "xn--r8jz45g.jp"),
        ("mx.example", "mx.example"),
        ("MX.Example", "MX.Example"),
        ("MX.B\u00fccher.Example", "MX.xn--bcher-kva.Example"),
    ],
)
def test_u_labels_become_a_labels(name: str, ascii_name: str) -> None:
    assert str(Domain(name).a_labels()) == ascii_name
    assert str(to_ascii_host(name)) == ascii_name


@pytest.mark.parametrize("name", ["stra\u00dfe.example", "\u03c2.example", "a\u200db.example"])
def test_names_that_idna_2003_and_2008_convert_differently_are_refused(name: str) -> None:
    with pytest.raises(GrammarError, match="A-labels"):
        Domain(name).a_labels()


@given(strategies.domains(u_labels=True))
@example(Domain("\u00bc\u2488"))  # the codec encodes it, but cannot decode the result
def test_a_labels_are_ascii_or_raise_grammar_error(domain: Domain) -> None:
    try:
        assert domain.a_labels().isascii
    except GrammarError:
        assert not domain.isascii


@pytest.mark.req("RFC6531-3.7.1-01")
def test_the_host_in_ehlo_is_written_in_ascii() -> None:
    assert str(ClientConfig(hello="b\u00fccher.example").hello) == "xn--bcher-kva.example"
