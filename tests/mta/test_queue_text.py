"""What is written of a message and its deliveries can be read again."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import QueueFailed
from smtpproto.grammar.address import ForwardPath, read_leniently
from smtpproto.grammar.reply import Reply
from smtpproto.mta.queue import Attempt, Delivery, Result
from smtpproto.mta.queue_text import (
    read_delivery,
    read_message,
    write_log,
    write_message,
    write_recipient,
)
from smtpproto.mta.store import Queued
from smtpproto.testing.queue_contract import make_queued, queued_messages


def read_again(delivery: Delivery, recipient: str | None = None) -> Delivery:
    return read_delivery(
        delivery.message,
        delivery.number,
        recipient or write_recipient(delivery),
        write_log(delivery.log),
        due=delivery.due,
        state=delivery.state,
        attempts=delivery.attempts,
        warned=delivery.warned,
        reason=delivery.reason,
    )


@given(queued_messages())
def test_messages_and_deliveries_are_read_as_they_were_written(queued: Queued) -> None:
    message = queued.message
    again = read_message(message.id, message.size, write_message(message))
    assert again == message
    assert str(again.sender) == str(message.sender)
    for delivery in queued.deliveries:
        copy = read_again(delivery)
        assert copy == delivery
        assert str(copy.recipient) == str(delivery.recipient)
        assert write_recipient(delivery).isascii()


@pytest.mark.parametrize(
    "address", ["root", "ann@under_score.test", f"{'x' * 100}@example.org", '"a b"@example.org']
)
def test_addresses_that_a_leniency_let_in_can_be_read(address: str) -> None:
    delivery = evolve(make_queued().deliveries[0], recipient=ForwardPath(read_leniently(address)))
    assert repr(read_again(delivery)) == repr(delivery)


@pytest.mark.parametrize("text", ["", "[]", "{", '["a b","X"]', '["<>",""]', "[1,2]"])
def test_rows_that_something_else_has_changed_give_one_clear_error(text: str) -> None:
    queued = make_queued("m1")
    with pytest.raises(QueueFailed, match="entry of message m1 cannot be read"):
        read_again(queued.deliveries[0], text or "x")
    with pytest.raises(QueueFailed, match="entry of message m1 cannot be read"):
        read_message("m1", 0, text)


@given(
    st.lists(st.sampled_from(["", "x", "y" * 500, "z" * 5000]), min_size=1, max_size=50),
    st.integers(0, 5000),
)
def test_an_attempt_remembers_the_beginning_of_what_was_said(lines: list[str], size: int) -> None:
    reply = Reply(550, "5.1.1", lines)
    kept = Attempt(at=0, result=Result.REFUSED, reply=reply, error="x" * size)
    assert kept.reply is not None and reply.text.startswith(kept.reply.text.rstrip("\n"))
    assert (kept.reply.code, kept.reply.enhanced) == (reply.code, reply.enhanced)
    assert kept.reply == reply or 1000 < len(kept.reply.text) <= 2100
    assert len(kept.error) == min(size, 2000)
