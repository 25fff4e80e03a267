"""Senders that name the recipient (VERP)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError
from smtpproto.grammar.address import ForwardPath, Mailbox
from smtpproto.mta.verp import read_verp, write_verp
from smtpproto.testing.strategies import forward_paths

LIST = Mailbox.parse("list@example.org")


DOMAINS = st.sampled_from(["b.example", "B.example", "bücher.example", "[192.0.2.1]", "[IPv6:::1]"])
MAILBOXES = st.builds(Mailbox, st.text('ab+-=.@ "é', max_size=8), DOMAINS)


@given(
    MAILBOXES,
    st.builds(ForwardPath, MAILBOXES) | st.just(ForwardPath(None)),
    st.sampled_from(["+", "-", "+="]),
)
def test_the_recipient_is_read_as_it_was_written(
    sender: Mailbox, recipient: ForwardPath, mark: str
) -> None:
    path = write_verp(sender, recipient, mark=mark)
    assert path.mailbox is not None
    assert read_verp(ForwardPath(path.mailbox), sender, mark=mark) == recipient


@given(forward_paths(smtputf8=True))
def test_any_recipient_may_be_asked_and_only_those_of_the_sender_name_one(
    path: ForwardPath,
) -> None:
    found = read_verp(path, LIST)
    assert found is None or write_verp(LIST, found).mailbox == path.mailbox


@pytest.mark.parametrize(
    ("path", "recipient"),
    [
        ("list+bob=b.example@example.org", "bob@b.example"),
        ("LIST+bob=b.example@EXAMPLE.org", "bob@b.example"),
        ("list+a=b=c.example@example.org", "a=b@c.example"),
        ('"list+bob=[192.0.2.1]"@example.org', "bob@[192.0.2.1]"),
        ("list+Postmaster=@example.org", "postmaster"),
        ("list@example.org", None),
        ("list+bob@example.org", None),
        ('"list+bob=b..example"@example.org', None),
        ("list+bob=b.example@other.example", None),
        ("postmaster", None),
    ],
)
def test_a_report_to_such_a_sender_says_whom_it_is_about(path: str, recipient: Any) -> None:
    assert read_verp(ForwardPath.of(path), LIST) == recipient


def test_a_recipient_that_does_not_fit_is_refused() -> None:
    with pytest.raises(GrammarError, match="64 octets"):
        write_verp(LIST, ForwardPath.of(f"{'b' * 60}@b.example"))
