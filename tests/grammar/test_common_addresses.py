"""The short road for common addresses reads what the cursor parser reads."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import Domain, ForwardPath, Mailbox, ReversePath
from smtpproto.grammar.address import COMMON_MAILBOX, common_forward_path, common_reverse_path
from smtpproto.grammar.domain import COMMON_DOMAIN
from smtpproto.testing import strategies

COMMON = re.compile(COMMON_MAILBOX)
LABEL = re.compile(r"(?=.{1,63}\Z)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")

TEXTS = (
    st.from_regex(COMMON, fullmatch=True)
    | strategies.mailboxes(smtputf8=True).map(str)
    | st.text('aZ1.-_+@<>"\\ \u00e9\n', max_size=12).map("a@b{}".format)
)


def shown(address: Any) -> list[object]:
    """Return all that users see of an address."""
    mailbox: Any = address if isinstance(address, Mailbox) else address.mailbox
    return [
        type(address), repr(address), str(address), bytes(address), hash(address),
        address.canonical, address.isascii, mailbox.leniencies, mailbox.long, mailbox.isascii,
        str(mailbox), bytes(mailbox), str(mailbox.domain), bytes(mailbox.domain),
    ]  # fmt: skip


@given(TEXTS)
def test_a_common_address_is_what_the_cursor_parser_reads(text: str) -> None:
    if COMMON.fullmatch(text) is None:
        return
    read, sender = ForwardPath.parse(f"<{text}>"), ReversePath.parse(f"<{text}>")
    assert common_forward_path(text) == ForwardPath.of(text) == read
    assert shown(common_forward_path(text)) == shown(ForwardPath.of(text)) == shown(read)
    assert common_reverse_path(text) == ReversePath.of(text) == sender
    assert shown(common_reverse_path(text)) == shown(ReversePath.of(text)) == shown(sender)
    built = Mailbox(read.local_part, str(read.domain))
    assert Mailbox.parse(text) == read.mailbox == built
    assert shown(Mailbox.parse(text)) == shown(read.mailbox) == shown(built)


@given(st.from_regex(COMMON_DOMAIN, fullmatch=True))
def test_a_common_domain_has_labels_that_the_grammar_allows(name: str) -> None:
    assert all(LABEL.fullmatch(label) for label in name.split("."))


@pytest.mark.parametrize(
    "text",
    ["bob@example.org", "a.b+c@mx-1.example.org", "bob@localhost", f"{'x' * 64}@b.test",
     f"b@{'x' * 63}.test", f"{'x' * 64}@{'.'.join(['a' * 60] * 3)}.org.ok", "a@b.xn--p1ai"],
)  # fmt: skip
def test_addresses_within_the_limits_are_common(text: str) -> None:
    assert COMMON.fullmatch(text)
    assert COMMON.match(f"{text}> SIZE=5")


@pytest.mark.parametrize(
    "text",
    ["bob@[192.0.2.1]", "bob@192.0.2.1", "bob@1", '"a b"@b.test', "a..b@b.test", ".a@b.test",
     "a.@b.test", "a@b_c.test", "a@-b.test", "a@b-.test", "a@b-", "a@b.test.", "a@b..test",
     "\u00e9@b.test", "a@\u00e9.test", "a@b.test\n", "a@", "@b", "root", f"{'x' * 65}@b.test",
     f"b@{'x' * 64}.test", f"b@b.{'x' * 64}", f"{'x' * 64}@{'.'.join(['a' * 60] * 3)}.org.oks"],
)  # fmt: skip
def test_other_addresses_are_left_to_the_cursor_parser(text: str) -> None:
    assert COMMON.fullmatch(text) is None


@pytest.mark.parametrize("label", ["ab", "a-b", "a" * 63])
def test_a_long_domain_that_is_not_common_is_read_in_short_time(label: str) -> None:
    """A pattern that can match a label in two ways takes twice as long for each further label."""
    name = ".".join([label] * (180 // (len(label) + 1))) + ".9"
    assert Domain(name).name == name
    assert str(Mailbox.parse(f"ann@{name}")) == f"ann@{name}"
