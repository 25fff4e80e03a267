"""Replies and offers that a client keeps, because servers repeat them."""

from __future__ import annotations

import pytest
from hypothesis import given

from smtpproto import Extensions, GrammarError, Leniencies, Reply
from smtpproto.commands import ParseContext
from smtpproto.limits import Tolerance
from smtpproto.testing import strategies

from .productions import damaged

OFFERS = strategies.extensions().map(lambda offered: Reply(250, None, ["mx", *offered.lines()]))
OCTETS = damaged((OFFERS | strategies.replies()).map(bytes))
LINES = OCTETS.map(lambda octets: octets.split(b"\r\n"))
TOLERANCES = [Tolerance.ACCEPT, Tolerance.REPORT, Tolerance.REJECT]


def read(lines: list[bytes], tolerance: Tolerance) -> tuple[object, ...]:
    """Return the reply and its offer, or the error, and the leniencies that were reported."""
    context = ParseContext(leniencies=Leniencies(mixed_codes=tolerance, auth_lines=tolerance))
    try:
        found = Reply.from_lines(lines, context.tolerate)
    except GrammarError as error:
        return str(error), error.offset, context.used
    offer = Extensions.from_reply(found, context.tolerate)
    return repr(found), bytes(found), repr(offer), context.used


@pytest.mark.parametrize("tolerance", TOLERANCES)
@given(LINES)
def test_a_reply_and_its_offer_are_read_again_as_before(
    tolerance: Tolerance, lines: list[bytes]
) -> None:
    first = read(lines, tolerance)
    for other in TOLERANCES:
        read(lines, other)
    assert read(lines, tolerance) == first


@pytest.mark.parametrize("tolerance", TOLERANCES)
@pytest.mark.parametrize("lines", [[b"250-mx", b"251 x"], [b"250-mx", b"250 AUTH=B"]])
def test_a_leniency_is_reported_each_time_that_it_is_needed(
    tolerance: Tolerance, lines: list[bytes]
) -> None:
    first = read(lines, tolerance)
    assert read(lines, tolerance) == first
    assert bool(first[-1]) is (tolerance is Tolerance.REPORT)


@given(strategies.replies())
def test_a_reply_that_was_read_is_equal_to_the_one_that_was_built(built: Reply) -> None:
    found = Reply.from_lines(bytes(built).split(b"\r\n")[:-1], lambda leniency, error: None)
    assert (found, repr(found), bytes(found), hash(found)) == (
        built, repr(built), bytes(built), hash(built)
    )  # fmt: skip


def test_only_short_replies_and_few_of_them_are_kept() -> None:
    assert Reply.from_lines([b"250 2.1.5 Ok"]) is Reply.from_lines([b"250 2.1.5 Ok"])
    for number in range(1000):
        Reply.from_lines([b"250 2.0.0 Ok: queued as %d" % number])
    first = [b"250 2.0.0 Ok: queued as 0"]
    assert Reply.from_lines(first) is Reply.from_lines(first)
    long = [b"250-" + b"x" * 500] * 4 + [b"250 " + b"x" * 500]
    assert Reply.from_lines(long) is not Reply.from_lines(long)


@pytest.mark.parametrize("lines", [[b"334 c2VjcmV0"], [b"334-c2Vj", b"334 cmV0"]])
def test_a_challenge_is_not_kept_because_it_may_be_secret(lines: list[bytes]) -> None:
    assert Reply.from_lines(lines) is not Reply.from_lines(lines)


def test_an_offer_without_keywords_is_the_same_offer_if_it_has_none_of_them() -> None:
    offered = Extensions({"SIZE": "5", "STARTTLS": ""})
    assert offered.without("STARTTLS", "DSN") == Extensions({"SIZE": "5"})
    assert offered.without("DSN") is offered
