"""Turns of origins within a queue."""

from __future__ import annotations

from collections import Counter

import hypothesis.strategies as st
import pytest
from hypothesis import given

from smtpproto.mta.fair_queue import FairQueue

Item = tuple[str, int, float, int]  # origin, priority, due, number


def take(queue: FairQueue[Item], cost: float = 1) -> Item:
    item = queue.first()
    queue.charge(cost, done=True)
    return item


def queue_of(items: list[Item]) -> FairQueue[Item]:
    queue: FairQueue[Item] = FairQueue()
    for item in items:
        queue.add(item, origin=item[0], priority=item[1], due=item[2])
    return queue


ITEMS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(-2, 2), st.floats(0, 9), st.integers(0, 99)),
    max_size=40,
)


@given(ITEMS, st.data())
def test_each_item_comes_out_once_and_never_before_one_of_a_higher_priority(
    items: list[Item], data: st.DataObject
) -> None:
    queue, left, taken = queue_of([]), list(items), list[Item]()
    while left or queue:
        if left and (not queue or data.draw(st.booleans())):
            item = left.pop()
            queue.add(item, origin=item[0], priority=item[1], due=item[2])
        else:
            waiting = Counter(items) - Counter(left) - Counter(taken)
            taken.append(take(queue, data.draw(st.floats(0.1, 100))))
            assert taken[-1][1] == max(priority for _, priority, _, _ in waiting)
    assert Counter(taken) == Counter(items)


@given(ITEMS)
def test_the_items_of_one_origin_and_priority_come_out_by_due_time(items: list[Item]) -> None:
    queue, last = queue_of(items), dict[tuple[str, int], float]()
    while queue:
        origin, priority, due, _ = take(queue)
        assert last.get((origin, priority), 0) <= due
        last[origin, priority] = due


@given(ITEMS, st.lists(st.floats(0.5, 8), min_size=40, max_size=40))
def test_no_origin_that_waits_gets_less_than_another_by_more_than_two_turns(
    items: list[Item], costs: list[float]
) -> None:
    queue = queue_of([(origin, 0, due, number) for origin, _, due, number in items])
    paid, left = Counter[str](), Counter(origin for origin, *_ in items)
    while queue:
        origin, *_ = take(queue, cost := costs.pop())
        left[origin] -= 1
        paid[origin] += cost  # type: ignore[assignment]
        waiting = [it for it in left if left[it]]
        assert all(paid[origin] <= paid[other] + 2 * 8 for other in waiting)


@pytest.mark.parametrize("served", [0, 1, 7, 500])
def test_an_origin_that_was_idle_is_next_but_one(served: int) -> None:
    queue = queue_of([("giant", 0, 0.0, number) for number in range(1000)])
    for _ in range(served):
        take(queue)
    queue.add(("small", 0, 9.0, 0), origin="small", priority=0, due=9.0)
    assert "small" in [take(queue)[0] for _ in range(2)]


def test_an_origin_that_was_idle_cannot_make_up_for_that() -> None:
    queue = queue_of([("giant", 0, 0.0, number) for number in range(100)])
    for _ in range(50):
        take(queue)
    for number in range(50):
        queue.add(("late", 0, 0.0, number), origin="late", priority=0, due=0.0)
    assert Counter(take(queue)[0] for _ in range(20)) == {"giant": 10, "late": 10}


def test_an_origin_that_adds_a_message_after_each_turn_gets_no_more_than_its_share() -> None:
    queue = queue_of([("giant", 0, 0.0, number) for number in range(10)])
    served: list[str] = []
    for number in range(10):
        if served[-1:] != ["giant"]:
            queue.add(("quick", 0, 0.0, number), origin="quick", priority=0, due=0.0)
        served.append(take(queue)[0])
    assert 4 <= served.count("quick") <= 6


def test_an_origin_whose_turn_was_costly_is_passed_over_for_as_long() -> None:
    queue = queue_of([(origin, 0, 0.0, number) for origin in "ab" for number in range(10)])
    order = [take(queue, 3 if queue.first()[0] == "a" else 1)[0] for _ in range(8)]
    assert Counter(order) == {"a": 2, "b": 6}


def test_an_item_that_is_not_done_is_next_in_the_following_turn_of_its_origin() -> None:
    queue = queue_of([("a", 0, 0.0, 1), ("b", 0, 0.0, 2)])
    assert queue.first() == ("a", 0, 0.0, 1)
    queue.charge(1, done=False)
    assert [take(queue)[3], take(queue)[3]] == [2, 1]


def test_clear_returns_all_items_and_leaves_the_queue_empty() -> None:
    items = [("a", 0, 0.0, 1), ("b", 1, 0.0, 2), ("a", 0, 1.0, 3)]
    queue = queue_of(items)
    assert sorted(queue.clear()) == sorted(items)
    assert not queue
    with pytest.raises(ValueError, match="empty"):
        queue.first()
