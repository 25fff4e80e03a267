"""Errors of addresses quote the address and say what to pass instead."""

from __future__ import annotations

from collections.abc import Callable
from email.headerregistry import Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import AddressLiteral, Domain, Envelope, ForwardPath, Mailbox, ReversePath
from smtpproto.errors import GrammarError
from smtpproto.testing import strategies

A = "ann@x.test"
# Text that users pass, with the advice that the error must have.
ADVICE = {
    f"Ann <{A}>": f"a display name? use {A}",
    f'"Doe, Ann" <{A}>': f"a display name? use {A}",
    f"{A} <{A}>": f"a display name? use {A}",
    f"Ann<{A}>": f"a display name? use {A}",
    f"Ann <{A}>, ": f"a display name? use {A}",
    f"<{A}>": f"leave out the brackets; use {A}",
    f" <{A}>\n": f"leave out the brackets; use {A}",
    f"{A} (Ann)": f"a comment? use {A}",
    f"(Ann) {A}": f"a comment? use {A}",
    f"{A}, bob@x.test": "pass a list, with one address each",
    f"{A};bob@x.test": "pass a list, with one address each",
    f"{A} bob@x.test": "pass a list, with one address each",
    f"{A}\nbob@x.test": "pass a list, with one address each",
    f"Ann <{A}>, Bob <bob@x.test>": "pass a list, with one address each",
    f"{A};": f"leave out the blanks and separators around it; use {A}",
    f"{A},": f"use {A}",
    f" {A}": f"use {A}",
    f"{A}\r\n": f"use {A}",
    "ann @ x.test": f"leave out the blanks; use {A}",
    "ann@ x.test": f"leave out the blanks; use {A}",
    "ann@@x.test": f"write one '@'; use {A}",
    f"<{A}": f"leave out the bracket; use {A}",
    f"{A}>": f"leave out the bracket; use {A}",
    f"({A}": f"leave out the parentheses; use {A}",
    f"{A})": f"leave out the parentheses; use {A}",
    f'"Ann" {A}': f"a display name? use {A}",
    f"{A} Ann Doe": f"a display name? use {A}",
    f"root, {A}": "pass a list, with one address each",
    "ann@[::1]": "an IPv6 address needs its tag; use ann@[IPv6:::1]",
    f"mailto:{A}": f"leave out what is before the address; use {A}",
    f"MAILTO:{A}?subject=x": f"use {A}",
    f'"{A}"': f"leave out the quotes; use {A}",
    f"'{A}'": f"leave out the quotes; use {A}",
    f"{A}.": f"leave out the dot at its end; use {A}",
    "ann\uff20x.test": f"characters that only look alike, or are invisible; use {A}",
    "ann@x\u3002test": f"use {A}",
    "ann@x.te\u200bst": f"invisible; use {A}",
    f"{A}\ufeff": f"use {A}",
    f"{A}\xa0": f"use {A}",
    "ann@[192.0.2.1": "ann@[192.0.2.1",
    "ann@192.0.2.1": "an IP address must be in brackets; use ann@[192.0.2.1]",
    "ann@2001:db8::1": "an IP address must be in brackets; use ann@[IPv6:2001:db8::1]",
    "ann smith@x.test": 'the local-part, quote it; use "ann smith"@x.test',
    "ann@home@x.test": 'quote it; use "ann@home"@x.test',
    "ann..smith@x.test": 'quote it; use "ann..smith"@x.test',
    "ann.@x.test": 'quote it; use "ann."@x.test',
    "": "it is empty",
    " ": "it is empty",
    "ann": "it has no '@' and domain; add them; to use it as it is, pass Mailbox('ann', None)",
    "ann smith": "it has no '@' and domain",
    "ann@": "the domain after the '@' is missing",
    "@x.test": "the local-part before the '@' is missing",
    "@": "is missing",
    "ann@x_y.test": "to use it as it is, pass Mailbox('ann', Domain('x_y.test', loose=True))",
    f"{'l' * 65}@x.test": f"64 octets; to use it as it is, pass Mailbox('{'l' * 65}', 'x.test', l",
    "ann@x..test": "empty label",
    "ann@-x.test": "letters, digits and hyphens",
    "ann@x.test\0": "'ann@x.test\\x00'",
    f"ann@{'d' * 64}.test": "label of more than 63 octets",
    f"ann@{'d.' * 130}test": "255 octets",
}  # fmt: skip

MAKERS: list[Callable[[str], object]] = [
    ForwardPath.of,
    lambda text: Envelope("a@b.test", ["c@d.test", text]),
    lambda text: Envelope("a@b.test", text),
    lambda text: Envelope(text, "a@b.test") if text else ForwardPath.of(text),
    lambda text: ReversePath.of(text) if text else ForwardPath.of(text),
]


def error_of(make: Callable[[str], object], address: str) -> GrammarError:
    with pytest.raises(GrammarError) as caught:
        make(address)
    return caught.value


@pytest.mark.parametrize("address", ADVICE, ids=lambda address: repr(address)[:40])
def test_the_error_quotes_the_address_and_says_what_to_pass(address: str) -> None:
    for make in MAKERS:
        text = str(error_of(make, address))
        assert text.startswith(f"not an address: {address[:100]!r}: ")
        assert ADVICE[address] in text
        assert "at octet" not in text
        assert "\n" not in text


@given(st.text(max_size=30) | st.text(st.sampled_from('a@b. <>,;"()\\[]:'), max_size=30))
def test_any_text_is_an_address_or_has_an_error_on_one_printable_line(text: str) -> None:
    try:
        path = ForwardPath.of(text)
    except GrammarError as error:
        assert str(error).isprintable()
        assert repr(text[:100]) in str(error)
        assert error.reply is not None
        _, used, advised = str(error).rpartition("; use ")
        if used and advised.isascii() and "to use it" not in advised:
            assert ForwardPath.of(advised) == advised
    else:
        assert path == text


@given(strategies.mailboxes(smtputf8=True), st.sampled_from([
    "Ann <{}>", "<{}>", " {}", "{};", "mailto:{}", "{} (Ann)", "{}\n",
]))  # fmt: skip
def test_the_advice_for_a_decorated_address_is_the_address(mailbox: Mailbox, form: str) -> None:
    written = f"{mailbox.local_part}{mailbox.domain}"
    plain = str(mailbox).isascii() and not set("<>()?@,; ") & set(written)
    if plain and '"' not in str(mailbox):
        assert f"use {mailbox}" in str(error_of(ForwardPath.of, form.format(mailbox)))


def test_octets_have_the_offset_and_no_advice() -> None:
    parsers: list[tuple[Callable[[bytes | str], object], bytes, int]] = [
        (Mailbox.parse, b"Ann <ann@x.test>", 3),
        (ForwardPath.parse, b"<ann smith@x.test>", 4),
        (ReversePath.parse, b"<ann>", 4),
        (Domain.parse, b"a_b.test", 0),
        (AddressLiteral.parse, b"[x]", 1),
    ]
    for parse, octets, at in parsers:
        with pytest.raises(GrammarError, match=rf"\(at octet {at}\)$") as caught:
            parse(octets)
        assert "; use" not in str(caught.value)
        assert "at octet" not in str(error_of(parse, octets.decode()))


@pytest.mark.parametrize("value", [b"ann@x.test", None, 5, ["ann@x.test"], ("Ann", "ann@x.test")])
def test_a_recipient_of_a_wrong_type_raises_type_error_that_says_what_to_pass(
    value: object,
) -> None:
    for make in (ForwardPath.of, lambda value: Envelope("a@b.test", [value])):
        with pytest.raises(TypeError, match=f"not an address: {type(value).__name__}; pass str"):
            make(value)  # type: ignore[arg-type]


def test_an_address_of_the_email_package_has_advice_of_its_own() -> None:
    with pytest.raises(TypeError, match="here its addr_spec"):
        Envelope(Address("Ann", "ann", "x.test"), ["bob@x.test"])  # type: ignore[arg-type]


def test_values_built_by_applications_have_no_offset() -> None:
    for make in (
        lambda: Mailbox("x" * 65, "b.test"),
        lambda: Mailbox("a\n", "b.test"),
        lambda: Mailbox("a", "b_c.test"),
        lambda: Mailbox("a", "[192.0.2.1"),
        lambda: Domain("a b"),
        lambda: ForwardPath(Mailbox("a", f"{'d.' * 126}ddd")),
    ):
        with pytest.raises(GrammarError) as caught:
            make()
        assert "at octet" not in str(caught.value)


def test_an_envelope_as_text_has_its_addresses() -> None:
    assert str(Envelope("", ["a@b.test", "c@d.test"])) == "<> to a@b.test, c@d.test"
