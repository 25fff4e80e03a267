"""The report, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from attrs import frozen

from .measuring import Figures

Cell = Callable[[Figures, str], str]
"""Returns what a table says about a contender that took part in a load."""


@frozen
class Table:
    """A table with a row for each contender and a column for each load."""

    title: str
    columns: Sequence[Figures]
    cell: Cell

    def __str__(self) -> str:
        names = list(dict.fromkeys(name for column in self.columns for name in column.costs))
        rows = [self._row(name) for name in names]
        head = _line([self.title, *[column.load for column in self.columns]])
        rule = "| --- " + "| ---: " * len(self.columns) + "|"
        return "\n".join([head, rule, *[_line(row) for row in rows if any(row[1:])]])

    def _row(self, name: str) -> list[str]:
        taken = [(column, name in column.costs) for column in self.columns]
        return [name, *[self.cell(column, name) if took else "" for column, took in taken]]


@frozen
class Row:
    """A row of :class:`Goals`: what something cost, as a rate or as a cost."""

    figures: Figures
    goal: str
    rate: bool

    def cell(self, name: str) -> str:
        if name not in self.figures.costs:
            return ""
        cost = self.figures.cost(name)
        return number(1 / cost if self.rate else cost * self.figures.scale)

    def ratio(self, name: str, reference: str) -> str:
        """Return what it is, as a multiple of that of *reference*."""
        if not {name, reference} <= self.figures.costs.keys():
            return ""
        pair = (reference, name) if self.rate else (name, reference)
        return _ratio(*self.figures.ratio(*pair))


@frozen
class Goals:
    """A table with a row for each thing that was measured, and what is aimed at.

    *compared* are compared with the *reference*.
    """

    title: str
    rows: Sequence[Row]
    reference: str
    compared: Sequence[str]

    def __str__(self) -> str:
        names = list(dict.fromkeys(name for row in self.rows for name in row.figures.costs))
        pairs = [f"{name} / {self.reference}" for name in self.compared]
        head = [self.title, *names, *pairs, "goal"]
        lines = [
            [f"{row.figures.load}, {row.figures.unit}", *map(row.cell, names)]
            + [row.ratio(name, self.reference) for name in self.compared] + [row.goal]
            for row in self.rows
        ]  # fmt: skip
        return "\n".join(
            [_line(head), "| --- " + "| ---: " * (len(head) - 1) + "|", *map(_line, lines)]
        )


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def number(value: float) -> str:
    """Return *value* with about three significant digits."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def cost(figures: Figures, name: str) -> str:
    """Return what a unit costs."""
    return number(figures.cost(name) * figures.scale)


def cost_against(*references: str) -> Cell:
    """Return a cell with the cost as a multiple of that of the first reference that took part."""

    def compare(figures: Figures, name: str) -> str:
        reference = next((one for one in references if one in figures.costs), None)
        return "" if reference is None else _ratio(*figures.ratio(name, reference))

    return compare


def times(reference: str) -> Cell:
    """Return a cell that says how much more a contender does in the same time as *reference*."""

    def compare(figures: Figures, name: str) -> str:
        return _ratio(*figures.ratio(reference, name)) if reference in figures.costs else ""

    return compare


def _ratio(ratio: float, spread: float) -> str:
    return f"{number(ratio)} ±{spread:.0%}" if spread else number(ratio)


def growth(small: Sequence[Figures], large: Sequence[Figures]) -> Table:
    """Return the table of what a unit costs among many, against a unit among few."""
    few = {figures.load: figures for figures in small}

    def compare(figures: Figures, name: str) -> str:
        before = few[figures.load].costs.get(name)
        if not before:
            return ""
        cost = figures.cost(name)
        return f"{number(cost / median(before))} ({number(cost * 1e9)} ns)"

    return Table("growth (CPU per unit, large)", large, compare)


def units(figures: Sequence[Figures]) -> str:
    """Return a list of what the loads are, and in which unit their cost is shown."""
    return "\n".join(f"* {one.load}: {one.title}; {one.unit}" for one in figures)


def absences(figures: Sequence[Figures]) -> str:
    """Return a list of what was left out, and why."""
    loads: dict[tuple[str, str], list[str]] = {}
    for column in figures:
        for name, reason in column.absent.items():
            loads.setdefault((name, reason), []).append(column.load)
    return "\n".join(
        f"* {name} ({', '.join(dict.fromkeys(names))}): {reason}"
        for (name, reason), names in loads.items()
    )
