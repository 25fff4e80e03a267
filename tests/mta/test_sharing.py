"""Limits that hold for several processes together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smtpproto.mta.sharing import share_of

members = st.sets(st.integers(1, 1000), min_size=1, max_size=9)
limits = st.integers(0, 40)


@given(limits, st.text(max_size=9), members)
def test_the_parts_add_up_to_the_limit_and_differ_by_one_at_most(
    limit: int, what: str, members: set[int]
) -> None:
    parts = [share_of(limit, what, it, members) for it in members]
    assert sum(parts) == limit
    assert max(parts) - min(parts) <= 1


@given(limits, st.text(max_size=9), members, members)
def test_nobodys_part_grows_if_others_join(
    limit: int, what: str, members: set[int], more: set[int]
) -> None:
    for it in members:
        assert share_of(limit, what, it, members | more) <= share_of(limit, what, it, members)


def test_what_is_no_member_has_no_part() -> None:
    assert share_of(9, "x.test", 3, {1, 2}) == 0
    assert share_of(9, "x.test", 1, set()) == 0


def test_the_odd_ones_are_spread() -> None:
    first = [share_of(1, f"d{number}.test", 1, {1, 2, 3}) for number in range(90)]
    assert 15 < sum(first) < 45
