"""The Hypothesis strategies draw every command, and values at the limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from smtpproto.grammar.command_line import COMMANDS
from smtpproto.grammar.local_part import quote
from smtpproto.grammar.xtext import encode_xtext
from smtpproto.testing import strategies

QUICK = settings(max_examples=5000, database=None, phases=[Phase.generate], derandomize=True)


def test_the_strategies_make_every_command() -> None:
    for verb, command in COMMANDS.items():
        assert type(find(strategies.commands([verb]), bool, settings=QUICK)) is command


LIMITS_REACHED: list[tuple[SearchStrategy[Any], Callable[[Any], bool]]] = [
    (strategies.domains(), lambda domain: len(bytes(domain)) == 255),
    (strategies.domains(), lambda domain: len(bytes(domain)) == 1),
    (strategies.domains(), lambda domain: max(map(len, str(domain).split("."))) == 63),
    (strategies.domains(u_labels=True), lambda domain: not domain.isascii),
    (strategies.address_literals(), lambda literal: len(bytes(literal)) == 255),
    (strategies.local_parts(), lambda local_part: len(quote(local_part)) == 64),
    (strategies.local_parts(), lambda local_part: quote(local_part).startswith('"')),
    (strategies.mailboxes(), lambda mailbox: len(bytes(mailbox)) == 320),
    (strategies.reverse_paths(), lambda path: len(bytes(path)) == 256),
    (strategies.reverse_paths(), lambda path: path.mailbox is None),
    (strategies.forward_paths(), lambda path: len(bytes(path)) == 256),
    (strategies.forward_paths(smtputf8=True), lambda path: not path.isascii),
    (strategies.replies(), lambda reply: len(bytes(reply).split(b"\r\n")[0]) == 510),
    (strategies.mail_parameters(), lambda parameters: parameters.size == 0),
    (
        strategies.mail_parameters(),
        lambda parameters: len(encode_xtext(parameters.envid or "")) == 100,
    ),
    (
        strategies.mail_parameters(),
        lambda parameters: len(",".join(parameters.solicit or ())) == 1000,
    ),
    (strategies.mail_parameters(), lambda parameters: parameters.hold_for and parameters.by),
    (strategies.original_recipients(), lambda recipient: len(str(recipient).encode()) == 500),
    (strategies.original_recipients(), lambda recipient: not recipient.isascii),
    (
        strategies.original_recipients(smtputf8=False),
        lambda recipient: not recipient.address.isascii(),
    ),
    (strategies.deliver_by(), lambda by: by.seconds < 0 and by.trace),
    (strategies.notify(), lambda notify: len(notify) == 3),
    (strategies.offers(), lambda offer: "LIMITS" in offer and "BINARYMIME" in offer),
    (strategies.extensions(), lambda offered: max(map(len, offered.lines()), default=0) == 506),
    (strategies.messages(), lambda content: b"\r\n.\r\n" in content),
    (strategies.messages(), lambda content: max(map(len, content.split(b"\r\n"))) == 998),
    (strategies.splits(b"abc"), lambda pieces: pieces == [b"a", b"b", b"c"]),
    (strategies.splits(b"abc"), lambda pieces: pieces == [b"abc"]),
]


@pytest.mark.parametrize("number", range(len(LIMITS_REACHED)))
def test_the_strategies_reach_the_limits(number: int) -> None:
    find(LIMITS_REACHED[number][0], LIMITS_REACHED[number][1], settings=QUICK)


@given(strategies.messages(), st.data())
def test_messages_have_whole_lines_and_splits_lose_nothing(
    content: bytes, data: DataObject
) -> None:
    assert content.endswith(b"\r\n") or not content
    assert content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")
    pieces = data.draw(strategies.splits(content))
    assert b"".join(pieces) == content
    assert all(pieces)
