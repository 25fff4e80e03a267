"""bench/: how rounds are compared and shown. .ci/run tries the measurements themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from bench.loads import client_loads
from bench.measuring import Figures, count_for, in_rounds
from bench.plot import chart
from bench.report import Goals, Row, Table, absences, cost, cost_against, times

LOAD = client_loads(20)[1]


def figures(**costs: list[float]) -> Figures:
    return Figures(
        "C2", "messages", "us of CPU per message", 1e6, costs, {"peer": "not here"}, set()
    )


def test_two_contenders_are_compared_within_each_round() -> None:
    """The second round was twice as slow for both, which does not change how they compare."""
    measured = figures(ours=[1.0, 2.0, 1.0], floor=[0.5, 1.0, 0.4])
    ratio, spread = measured.ratio("ours", "floor")
    assert ratio == 2.0
    assert spread == pytest.approx(0.125)
    assert measured.cost("ours") == 1.0


def test_each_contender_is_measured_once_in_each_round() -> None:
    order = []

    def measure(name: str, count: int) -> tuple[float, float]:
        order.append(name)
        return 6.0, count

    measures = {name: lambda count, name=name: measure(name, count) for name in "ab"}
    costs = in_rounds(measures, {"a": 2, "b": 3}, 2, lambda _: contextlib.nullcontext())
    assert order == ["a", "b", "a", "b"]
    assert costs == {"a": [3.0, 3.0], "b": [2.0, 2.0]}


def test_a_contender_that_fails_is_left_out_of_the_other_rounds() -> None:
    failed = []

    @contextlib.contextmanager
    def noting(name: str) -> Iterator[None]:
        try:
            yield
        except OSError:
            failed.append(name)

    def fail(count: int) -> tuple[float, float]:
        raise OSError

    costs = in_rounds({"a": fail, "b": lambda _: (1, 1)}, {"a": 1, "b": 1}, 3, noting)
    assert failed == ["a"]
    assert costs == {"b": [1.0, 1.0, 1.0]}


def test_a_smoke_run_does_the_least_without_warming_up() -> None:
    assert count_for(lambda _: pytest.fail("measured"), LOAD, 0.0) == LOAD.least


def test_tables_show_costs_ratios_and_what_is_missing() -> None:
    measured = figures(floor=[1e-4, 1e-4], ours=[2e-4, 3e-4])
    assert str(Table("CPU", [measured], cost)).splitlines() == [
        "| CPU | C2 |",
        "| --- | ---: |",
        "| floor | 100 |",
        "| ours | 250 |",
    ]
    assert cost_against("absent", "floor")(measured, "ours") == "2.50 ±20%"
    assert times("ours")(measured, "floor") == "2.50 ±20%"
    assert times("absent")(measured, "floor") == ""
    assert absences([measured, measured]) == "* peer (C2): not here"


def test_a_table_of_goals_compares_rates_and_costs_with_the_reference() -> None:
    """Of a rate, more is better; of a cost, less."""
    measured = figures(ours=[0.01], postfix=[0.02], disk=[0.001])
    rows = [Row(measured, "at least 1", rate=True), Row(measured, "", rate=False)]
    assert str(Goals("sent", rows, "postfix", ["ours", "theirs"])) == (
        "| sent | ours | postfix | disk | ours / postfix | theirs / postfix | goal |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| C2, us of CPU per message | 100 | 50.0 | 1,000 | 2.00 |  | at least 1 |\n"
        "| C2, us of CPU per message | 10,000 | 20,000 | 1,000 | 0.50 |  |  |"
    )


def test_the_chart_has_a_bar_for_each_contender_that_took_part() -> None:
    drawn = chart([figures(peer=[2.0], ours=[1.0])], "peer", ["ours", "absent"])
    assert drawn.count("<rect") == 1 + 2 + 1  # the background, the legend, one bar
    assert ">2.00</text>" in drawn
    assert chart([], "peer", ["ours"]).endswith("</svg>\n")
