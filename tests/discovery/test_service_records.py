"""The order of SRV records (RFC 2782)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.discovery import in_order
from smtpproto.dns import SRV


def srv(target: str, *, priority: int = 0, weight: int = 0, port: int = 587) -> SRV:
    """Return a record."""
    return SRV(priority=priority, weight=weight, port=port, target=target)


RECORDS = st.lists(
    st.builds(
        srv,
        st.sampled_from(["a.test", "b.test", "c.test"]),
        priority=st.integers(0, 3),
        weight=st.sampled_from([0, 0, 1, 2, 65535]),
    ),
    max_size=12,
)


def draws(*numbers: int) -> Callable[[int], bytes]:
    """Return randomness that comes out as *numbers*, then as 0."""
    left = list(numbers)

    def random(size: int) -> bytes:
        return (left.pop(0) if left else 0).to_bytes(size)

    return random


@given(RECORDS, st.lists(st.integers(0, 2**64 - 1), min_size=12, max_size=12))
def test_each_record_comes_once_and_no_priority_before_a_lower_one(
    records: list[SRV], numbers: Sequence[int]
) -> None:
    ordered = in_order(records, draws(*numbers))
    assert Counter(ordered) == Counter(records)
    assert [it.priority for it in ordered] == sorted(it.priority for it in records)


@pytest.mark.req("RFC6186-4-02")
def test_weights_are_shares_of_what_is_drawn() -> None:
    records = [srv("heavy", weight=3), srv("light", weight=1), srv("none", weight=0)]
    first = Counter(in_order(records, draws(number))[0].target for number in range(5))
    # RFC 2782 draws from 0 to the sum, both included: 0 is the share of those without weight.
    assert first == {"none": 1, "heavy": 3, "light": 1}


def test_a_single_record_needs_no_luck() -> None:
    assert in_order([srv("a")], draws(2**64 - 1)) == [srv("a")]
    assert in_order([], draws()) == []
