"""The function calls that a message or a recipient costs, in process: they must not grow.

Unlike times, calls repeat exactly. If you made something shorter, lower its bound. The counts
differ a little between versions of Python, so a bound is the highest of them.
"""

from __future__ import annotations

import sys

import pytest

from bench.calls import DIALOGUES, UNITS, count_calls, in_a_group, is_profiled, listing

# What one unit of each dialogue may cost at most. `python -m bench.calls` prints what it costs now.
BOUNDS = {
    "S1": 345,
    "S2": 175,
    "S2 SIZE BODY": 185,
    "S2p": 151,
    "S7": 23,
    "S7 refused": 69,
    "C1": 532,
    "C2": 286,
    "C2 fresh": 355,
    "C7": 45,
    "C7 refused": 46,
}

pytestmark = pytest.mark.skipif(is_profiled(), reason="another profiler runs, and would count too")


def test_every_dialogue_has_a_bound() -> None:
    assert BOUNDS.keys() == DIALOGUES.keys()


@pytest.mark.parametrize("name", BOUNDS)
def test_a_message_costs_no_more_calls_than_its_bound(name: str) -> None:
    calls = DIALOGUES[name].calls()
    cost = calls.total() / UNITS
    assert cost <= BOUNDS[name], (
        f"{DIALOGUES[name].unit} costs {cost} calls, at most {BOUNDS[name]} before. To see what"
        f" grew, compare `python -m bench.calls '{name}'` before and after your change. Now:\n"
        + "\n".join(listing(calls).splitlines()[:40])
    )


def test_calls_of_python_and_c_functions_are_counted_but_not_those_of_the_harness() -> None:
    calls = count_calls(lambda: in_a_group() and len(""))
    assert [place.split()[-1].split(".")[-1] for place in calls] == ["<lambda>", "<lambda>"]
    assert list(calls.values()) == [1, 1]


def test_another_profiler_is_noticed() -> None:
    sys.setprofile(lambda *_: None)
    try:
        assert is_profiled()
    finally:
        sys.setprofile(None)
    assert not is_profiled()
