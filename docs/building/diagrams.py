"""The diagrams of the rings and of the phases of a session, drawn from the tables of the code."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

from smtpproto.protocol import COLUMNS, ROWS, Phase

# Pages are shown in both colour schemes, by code forges and by the site.
CSS = """
text { font: 14px ui-sans-serif, system-ui, sans-serif; fill: #1f2328 }
.small { font-size: 12px; fill: #57606a }
.code { font: 13px ui-monospace, monospace }
.middle { text-anchor: middle }
.end { text-anchor: end }
rect { fill: #dafbe1; stroke: #57606a; stroke-width: 1.2 }
rect.outer { fill: #ddf4ff }
.line { fill: none; stroke: #57606a; stroke-width: 1.5 }
marker path { fill: #57606a }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.small { fill: #9198a1 }
rect { fill: #12361f; stroke: #8b949e }
rect.outer { fill: #0c2d4b }
.line { stroke: #8b949e }
marker path { fill: #8b949e }
}
"""
ARROW = (
    '<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
    'orient="auto"><path d="M0 0 8 4 0 8z"/></marker>'
)


def picture(width: int, height: int, title: str, parts: Iterator[str]) -> str:
    """Return the SVG of *parts*."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img">\n<title>{escape(title)}</title>\n'
        f"<style>{CSS}</style>\n<defs>{ARROW}</defs>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, kind: str = "") -> str:
    size = f'width="{width:g}" height="{height:g}" rx="6"'
    return f'<rect x="{x:g}" y="{y:g}" {size} class="{kind}"/>'


def arrow(*points: tuple[float, float]) -> str:
    """Return a line through *points*, with an arrow at its end."""
    path = " ".join(f"{x:g} {y:g}" for x, y in points)
    return f'<path class="line" marker-end="url(#arrow)" d="M{path}"/>'


# The rings

OUTER = {"adapters", "testing", "cli", "__main__"}  # the parts that do I/O
ROW, LEFT, WIDTH = 44, 70, 680


def parts_by_ring(page: str) -> Mapping[int, list[str]]:
    """Return the parts in each ring, from the table in architecture.md, which a test compares with
    the imports."""
    rings: dict[int, list[str]] = defaultdict(list)
    rows = page.partition("| ring |")[2].partition("\n\n")[0].splitlines()[2:]
    for row in rows:
        ring, parts, *_ = row.strip("| ").split(" | ")
        rings[int(ring)] += re.findall(r"`(\w+)/?`", parts)
    return rings


def lines_of(parts: list[str]) -> Iterator[list[str]]:
    """Yield *parts* in lines that fit into the picture."""
    line: list[str] = []
    for part in parts:
        if sum(map(box_width, [*line, part])) > WIDTH - LEFT - 10:
            yield line
            line = []
        line.append(part)
    yield line


def box_width(part: str) -> int:
    return 8 * len(part) + 30


def rings(page: str) -> str:
    """Return the picture of the rings: the outermost at the top."""
    by_ring = parts_by_ring(page)
    rows = [
        (ring, number, line)
        for ring in sorted(by_ring, reverse=True)
        for number, line in enumerate(lines_of(by_ring[ring]))
    ]
    height = len(rows) * ROW + 30

    def drawn() -> Iterator[str]:
        yield arrow((20, 12), (20, height - 34))
        for at, (ring, number, line) in enumerate(rows):
            y = 8 + at * ROW
            if not number:
                yield text(LEFT - 16, y + 22, str(ring), "end")
            x = LEFT
            for part in line:
                width = box_width(part) - 10
                yield box(x, y, width, 32, "outer" if part in OUTER else "")
                yield text(x + width / 2, y + 21, part, "code middle")
                x += width + 10
        legend = "Imports go down only. Blue parts do input and output."
        yield text(LEFT, height - 8, legend, "small")

    return picture(WIDTH, height, "The rings of smtpproto and their parts", drawn())


# The phases

LADDER = (Phase.TLS, Phase.START, Phase.READY, Phase.MAIL, Phase.RCPT, Phase.CHUNKS, Phase.BODY)
NOT_COMMANDS = {(Phase.TLS, Phase.START): ["handshake"], (Phase.BODY, Phase.READY): ["final dot"]}
STEP, HIGH, NODE_X, NODE, RIGHT = 76, 34, 190, 100, 545
Edges = Mapping[tuple[Phase, Phase], list[str]]


def edges() -> Edges:
    """Return the commands that lead from one phase of the ladder to another, from the phase
    table."""
    found: dict[tuple[Phase, Phase], list[str]] = defaultdict(list)
    for verb, cells in ROWS.items():
        for phase, cell in zip(COLUMNS, cells, strict=True):
            if phase in LADDER and cell in LADDER and cell is not phase:
                assert isinstance(cell, Phase)
                found[phase, cell].append(verb)
    return {**found, **NOT_COMMANDS}


def phases() -> str:
    """Return the picture of the phases, as a ladder, with the ways back beside it."""
    height = len(LADDER) * STEP + 6

    def drawn() -> Iterator[str]:
        for phase in LADDER:
            y = top(phase)
            yield box(NODE_X, y, NODE, HIGH)
            yield text(NODE_X + NODE / 2, y + 22, phase.value, "middle")
        for (here, there), verbs in edges().items():
            label = ", ".join(verbs)
            if near(here, there):
                yield from step(here, there, label)
            elif there is Phase.READY:
                yield from back(here, there, label)
            else:
                yield from on_the_left(here, there, label)

    return picture(RIGHT, height, "The phases of a session, and the commands between them", drawn())


def top(phase: Phase) -> float:
    return 8 + LADDER.index(phase) * STEP


def near(here: Phase, there: Phase) -> bool:
    """Return whether *there* is the next step down."""
    return LADDER.index(there) == LADDER.index(here) + 1


def step(here: Phase, there: Phase, label: str) -> Iterator[str]:
    x = NODE_X + NODE / 2
    yield arrow((x, top(here) + HIGH), (x, top(there)))
    yield text(x + 8, top(there) - 16, label, "code")


def on_the_left(here: Phase, there: Phase, label: str) -> Iterator[str]:
    """Draw a way past other phases, up or down."""
    steps = LADDER.index(here) - LADDER.index(there)
    x = NODE_X - 20 - 75 * (steps > 1)
    out, into = top(here) + HIGH / 2 + 6 * steps, top(there) + HIGH / 2
    yield arrow((NODE_X, out), (x, out), (x, into), (NODE_X, into))
    yield text(x - 6, (out + into) / 2 + 5, label, "code end")


def back(here: Phase, there: Phase, label: str) -> Iterator[str]:
    """Draw a way up on the right, in a lane of its own."""
    lane = LADDER.index(here) - LADDER.index(there) - 1
    edge, x = NODE_X + NODE, RIGHT - 80 + 20 * lane
    out, into = top(here) + HIGH / 2 + 4, top(there) + HIGH - 6 - 8 * lane
    yield arrow((edge, out), (x, out), (x, into), (edge, into))
    yield text(edge + 10, out - 6, label, "code")


def rings_of(docs: Path) -> str:
    return rings((docs / "explanation/architecture.md").read_text())
