"""Addresses compare with strings: RFC 5321 2.4 and 4.1.2, RFC 5890 2.3.2.4."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import AddressLiteral, Domain, ForwardPath, Mailbox, ReversePath
from smtpproto.testing import strategies

# Each row: spellings of one address. No address of one row is equal to one of another.
ADDRESSES = [
    ["bob@example.org", "bob@EXAMPLE.org", '"bob"@example.org', r'"b\ob"@Example.Org',
     "bob@example.org."],
    ["Bob@example.org", "Bob@EXAMPLE.ORG"],
    ["bob@example.com"],
    ['"a b"@b.test', r'"a\ b"@B.test'],
    ['"a..b"@b.test', "a..b@b.test"],
    ['""@b.test'],
    ["a@[192.0.2.1]"],
    ["a@[IPv6:2001:db8::1]", "a@[ipv6:2001:DB8:0::1]"],
    ["ann@b\u00fccher.example", "ann@B\u00fccher.example", "ann@xn--bcher-kva.example",
     "ann@XN--BCHER-KVA.Example"],
    ["\u7528\u6237@\u4f8b\u3048.jp", "\u7528\u6237@xn--r8jz45g.jp"],
    ["a@stra\u00dfe.example"],  # has no certain A-labels
    ["a@strasse.example"],
    ["a_b@c_d.test", "a_b@C_D.test"],
    [f"{'x' * 70}@b.test"],
    ["root"],
    ["Root"],
]  # fmt: skip
NO_ADDRESSES = ["", "@", "bob", "bob@", "<bob@example.org>", "bob@example.org ", "Bob <bob@b.test>",
                "bob@example.org,", "\ud800@b.test", "bob@example.org\n"]  # fmt: skip


def mailbox_of(text: str) -> Mailbox:
    """Return the mailbox that *text* means, whatever leniency that needs."""
    local_part, at, domain = text.removesuffix(".").rpartition("@")
    if not at:
        return Mailbox(text, None)
    if local_part.startswith('"'):
        local_part = local_part[1:-1].replace("\\", "")
    host = domain if domain.startswith("[") else Domain(domain, loose=True)
    return Mailbox(local_part, host, long=True)


@pytest.mark.parametrize("of", [lambda box: box, ForwardPath, ReversePath], ids=["m", "f", "r"])
def test_an_address_is_equal_to_the_spellings_of_the_same_address_only(of: type) -> None:
    for row, other in itertools.product(ADDRESSES, ADDRESSES):
        for left, right in itertools.product(row, other):
            address, same = of(mailbox_of(left)), row is other
            for value in (right, mailbox_of(right), ForwardPath(mailbox_of(right))):
                assert (address == value) is same, (left, right)
                assert (value == address) is same
                assert (address != value) is not same
            if same:
                assert hash(address) == hash(mailbox_of(right))
    for text, row in itertools.product(NO_ADDRESSES, ADDRESSES):
        assert of(mailbox_of(row[0])) != text


@given(strategies.mailboxes(smtputf8=True))
def test_an_address_is_found_in_a_set_of_canonical_strings(mailbox: Mailbox) -> None:
    fits = len(bytes(mailbox)) <= 254
    for address in (mailbox, *([ForwardPath(mailbox)] if fits else [])):
        assert address == str(mailbox) == address
        assert address == address.canonical
        assert address in {address.canonical}
        assert {address: 1}[address.canonical] == 1  # type: ignore[index]
        assert hash(address) == hash(address.canonical)


@given(st.lists(strategies.mailboxes() | strategies.forward_paths(), min_size=2, max_size=5))
def test_addresses_are_equal_exactly_if_their_canonical_forms_are(
    addresses: list[Mailbox | ForwardPath],
) -> None:
    for one, other in itertools.combinations(addresses, 2):
        assert (one == other) is (one.canonical == other.canonical)
        assert (one == str(other)) is (one == other)


def test_plain_addresses_are_found_in_sets_and_dicts_of_strings() -> None:
    recipient = ForwardPath.parse(b"<bob@EXAMPLE.org>")
    assert recipient == "bob@example.org"
    assert recipient != "Bob@example.org"
    assert recipient in {"bob@example.org"}
    assert recipient in ["ann@example.org", "bob@Example.ORG"]
    assert {recipient: 250}["bob@example.org"] == 250  # type: ignore[index]
    assert {"bob@example.org": 250}[recipient] == 250  # type: ignore[index]


def test_the_null_path_and_the_bare_postmaster_compare_with_strings() -> None:
    assert ReversePath(None) == ""
    assert ReversePath(None) in {""}
    assert ReversePath(None) != "<>"
    assert ForwardPath(None) == "postmaster" == ForwardPath(None)
    assert ForwardPath(None) == "Postmaster"
    assert ForwardPath(None) in {"postmaster"}
    assert ForwardPath(None) != "postmaster@example.org"
    assert ForwardPath(None) != ReversePath(None)


def test_the_mailbox_postmaster_without_a_domain_is_the_bare_postmaster() -> None:
    assert ForwardPath(Mailbox("PostMaster", None)).mailbox is None
    assert Mailbox("PostMaster", None) == ForwardPath(None)


@pytest.mark.parametrize("other", [None, 5, b"a@b.test", object(), ("a@b.test",)])
def test_addresses_are_not_equal_to_values_of_other_types(other: object) -> None:
    for address in (
        Mailbox("a", "b.test"),
        ForwardPath(None),
        ReversePath(None),
        Domain("b.test"),
        AddressLiteral.parse("[192.0.2.1]"),
    ):
        assert address != other


def test_domains_compare_by_their_a_labels() -> None:
    u_label, a_label = Domain("B\u00fccher.example"), Domain("xn--bcher-kva.EXAMPLE")
    assert u_label == a_label == "b\u00fccher.example"
    assert u_label == "XN--bcher-kva.example"
    assert hash(u_label) == hash(a_label) == hash("xn--bcher-kva.example")
    assert u_label.canonical == "xn--bcher-kva.example"
    assert u_label != "bucher.example"
    assert Domain("stra\u00dfe.example").canonical == "stra\u00dfe.example"


def test_address_literals_compare_with_strings_that_mean_the_same_address() -> None:
    literal = AddressLiteral.parse("[IPv6:2001:db8::1]")
    assert literal == "[ipv6:2001:DB8:0:0::1]"
    assert literal in {"[IPv6:2001:db8::1]"}
    assert literal != "2001:db8::1"
    assert literal != "[192.0.2.1]"
    assert literal != Domain("b.test")
