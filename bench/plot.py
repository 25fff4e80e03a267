"""A bar chart in SVG: how much more than a peer each contender does in the same CPU time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from .measuring import Figures

WIDTH, LABEL, BAR, GAP, TOP = 720, 60, 11, 14, 44
COLOURS = ["#1f6f8b", "#3a9bb8", "#7cc3d6", "#b5dfe9", "#c05a2b", "#dd8b57", "#b8a13a", "#8a8a8a"]

DARK = """<style>@media (prefers-color-scheme: dark) {
.ground { fill: #131416 } text { fill: #e6edf3 } line { stroke: #9198a1 } }</style>"""


def chart(figures: Sequence[Figures], reference: str, names: Sequence[str]) -> str:
    """Return the chart, with a group of bars for each load and a bar for each of *names*.

    The scale is logarithmic; the line in the middle is *reference*.
    """
    compared = [one for one in figures if reference in one.costs]
    bars = {
        (one.load, name): one.ratio(reference, name)[0]
        for one in compared
        for name in names
        if name in one.costs
    }
    low, high = min([0.5, *bars.values()]), max([2.0, *bars.values()])
    scale = (WIDTH - LABEL - 60) / math.log(high / low)
    one = LABEL + scale * math.log(1 / low)
    shapes, y = [_text(20, 14, f"times {reference}, in the same CPU time")], TOP
    shapes += _legend(names)
    for load in compared:
        shapes.append(_text(LABEL - 8, y + BAR, f"{load.load}", "end"))
        for name in names:
            if (load.load, name) in bars:
                value = bars[load.load, name]
                x = LABEL + scale * math.log(value / low)
                colour = COLOURS[names.index(name) % len(COLOURS)]
                shapes.append(_bar(min(one, x), y, abs(x - one), colour))
                shapes.append(_text(max(one, x) + 4, y + BAR - 2, f"{value:.2f}"))
                y += BAR
        y += GAP
    shapes.append(f'<line x1="{one:.0f}" x2="{one:.0f}" y1="{TOP}" y2="{y}" stroke="#444"/>')
    size = f'width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="10">'
    )
    background = f'<rect class="ground" width="{WIDTH}" height="{y}" fill="#fff"/>'
    return "\n".join([head, DARK, background, *shapes, "</svg>"]) + "\n"


def _legend(names: Sequence[str]) -> list[str]:
    shapes, x = [], 20
    for index, name in enumerate(names):
        shapes.append(_bar(x, 22, 9, COLOURS[index % len(COLOURS)]))
        shapes.append(_text(x + 12, 31, name))
        x += 35 + 6 * len(name)
    return shapes


def _bar(x: float, y: float, width: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR - 1}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
