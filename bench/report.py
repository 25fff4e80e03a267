"""The tables of the report, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .measuring import Figures

Cell = Callable[[Figures, str], str]


def table(title: str, figures: Sequence[Figures], cell: Cell) -> str:
    """Return a table with a row for each contender and a column for each load."""
    names = list(dict.fromkeys(name for column in figures for name in column.costs))
    rows = [[title, *[column.load for column in figures]]]
    rows += [[name, *[_cell(column, name, cell) for column in figures]] for name in names]
    return "\n".join([_row(rows[0]), "|---" + "|---:" * len(figures) + "|", *map(_row, rows[1:])])


def _cell(figures: Figures, name: str, cell: Cell) -> str:
    return cell(figures, name) if name in figures.costs else ""


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def absences(figures: Sequence[Figures]) -> str:
    """Return a list of what was left out, and why."""
    loads: dict[tuple[str, str], list[str]] = {}
    for column in figures:
        for name, reason in column.absent.items():
            loads.setdefault((name, reason), []).append(column.load)
    return "\n".join(
        f"* {name} ({', '.join(names)}): {reason}" for (name, reason), names in loads.items()
    )


def cost(figures: Figures, name: str) -> str:
    """Return the CPU time of a unit, in microseconds."""
    return f"{figures.cost(name) * figures.scale:,.0f}"


def against(reference: str) -> Cell:
    """Return a cell that compares with the cost of *reference*, with the spread of the rounds."""

    def compare(figures: Figures, name: str) -> str:
        if reference not in figures.costs:
            return ""
        ratio, spread = figures.ratio(name, reference)
        return f"{ratio:.2f} ±{spread:.0%}"

    return compare


def times(reference: str) -> Cell:
    """Return a cell that says how many times as fast as *reference* a contender is."""

    def compare(figures: Figures, name: str) -> str:
        if reference not in figures.costs:
            return ""
        ratio, spread = figures.ratio(reference, name)
        return f"{ratio:.2f} ±{spread:.0%}"

    return compare
