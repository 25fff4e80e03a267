"""The Hypothesis strategies draw every command, and values at the limits."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from smtpproto.grammar.command_line import COMMANDS
from smtpproto.grammar.extension import EXTENSIONS
from smtpproto.grammar.local_part import quote
from smtpproto.grammar.parameters import MailParameters
from smtpproto.grammar.xtext import encode_xtext
from smtpproto.testing import strategies

QUICK = settings(max_examples=5000, database=None, phases=[Phase.generate], derandomize=True)


def test_the_strategies_make_every_command() -> None:
    for verb, command in COMMANDS.items():
        assert type(find(strategies.commands([verb]), bool, settings=QUICK)) is command


@pytest.mark.parametrize("keyword", sorted(EXTENSIONS))
def test_the_offers_have_every_extension(keyword: str) -> None:
    find(strategies.offers(), lambda offer: keyword in offer, settings=QUICK)


LIMITS_REACHED: list[tuple[SearchStrategy[Any], Callable[[Any], object]]] = [
    (strategies.domains(), lambda domain: len(bytes(domain)) == 255),
    (strategies.domains(), lambda domain: len(bytes(domain)) == 1),
    (strategies.domains(), lambda domain: max(map(len, str(domain).split("."))) == 63),
    (strategies.domains(), lambda domain: str(domain).count(".") == 127),
    (strategies.domains(u_labels=True), lambda domain: not domain.isascii),
    (strategies.address_literals(), lambda literal: len(bytes(literal)) == 255),
    (strategies.local_parts(), lambda local_part: len(quote(local_part)) == 64),
    (strategies.local_parts(), lambda local_part: quote(local_part).startswith('"')),
    (strategies.address_literals(), lambda literal: str(literal).find(":") > 200),
    (strategies.address_literals(), lambda literal: "::" in str(literal)),
    (strategies.address_literals(), lambda literal: str(literal.address).count(".") == 3),
    (strategies.hosts(), lambda host: bytes(host).startswith(b"[IPv6:")),
    (strategies.local_parts(), lambda local_part: local_part == ""),
    (strategies.local_parts(), lambda local_part: re.search(r'\\["\\]', quote(local_part))),
    (strategies.local_parts(), lambda local_part: local_part.count(".") > 3),
    (strategies.local_parts(smtputf8=True), lambda local_part: not local_part.isascii()),
    (strategies.mailboxes(), lambda mailbox: len(bytes(mailbox)) == 320),
    (strategies.reverse_paths(), lambda path: len(bytes(path)) == 256),
    (strategies.reverse_paths(), lambda path: path.mailbox is None),
    (strategies.forward_paths(), lambda path: len(bytes(path)) == 256),
    (strategies.forward_paths(smtputf8=True), lambda path: not path.isascii),
    (strategies.replies(), lambda reply: len(bytes(reply).split(b"\r\n")[0]) == 510),
    (strategies.replies(), lambda reply: len(reply.lines) > 3 and "" in reply.lines),
    (strategies.replies(), lambda reply: reply.enhanced and len(reply.lines) > 1),
    (strategies.replies(), lambda reply: re.match("2.* 5.* ", str(reply))),
    (strategies.enhanced_codes(), lambda code: str(code).endswith(".999.999")),
    (strategies.timestamps(), lambda instant: instant.year in (1, 9999)),
    (strategies.mail_parameters(), lambda parameters: parameters == MailParameters()),
    (strategies.mail_parameters(), lambda parameters: len(parameters.parameters()) > 9),
    (strategies.mail_parameters(), lambda parameters: parameters.auth == ""),
    (strategies.rcpt_parameters(), lambda parameters: len(parameters.parameters()) == 3),
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
    (strategies.offers(), lambda offer: len(offer.rows) == len(EXTENSIONS)),
    (strategies.offers(), lambda offer: len(offer.mechanisms) > 1),
    (strategies.extensions(), lambda offered: offered.malformed),
    (strategies.extensions(), lambda offered: len(offered.rows) < len(offered.lines())),
    (strategies.extensions(), lambda offered: max(map(len, offered.lines()), default=0) == 506),
    (strategies.messages(), lambda content: b"\r\n.\r\n" in content),
    (strategies.messages(), lambda content: max(map(len, content.split(b"\r\n"))) == 998),
    (strategies.messages(), lambda content: content.startswith(b".\r\n")),
    (strategies.messages(), lambda content: content in (b"", b"\r\n")),
    (strategies.messages(), lambda content: b"\0" in content and not content.isascii()),
    (strategies.xtexts(), lambda text: re.search("[+]4[1-F]", text)),
    (strategies.splits(b"abc"), lambda pieces: pieces == [b"a", b"b", b"c"]),
    (strategies.splits(b"abc"), lambda pieces: pieces == [b"abc"]),
]


@pytest.mark.parametrize("number", range(len(LIMITS_REACHED)))
def test_the_strategies_reach_the_limits(number: int) -> None:
    strategy, is_reached = LIMITS_REACHED[number]
    find(strategy, lambda value: bool(is_reached(value)), settings=QUICK)


@given(strategies.messages(), st.data())
def test_messages_have_whole_lines_and_splits_lose_nothing(
    content: bytes, data: DataObject
) -> None:
    assert content.endswith(b"\r\n") or not content
    assert content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")
    pieces = data.draw(strategies.splits(content))
    assert b"".join(pieces) == content
    assert all(pieces)


def test_an_unknown_verb_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no such verb: 'MAYL'; did you mean MAIL\?"):
        strategies.commands(["MAYL"])
