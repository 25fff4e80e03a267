"""Joins requirements, waivers and tests; writes requirements.md and rfcs.md in docs/reference/.

    python docs/rfc/matrix.py                  write the page
    python docs/rfc/matrix.py --check          only look whether the page is up to date
    python docs/rfc/matrix.py --passed FILE    and whether each covered row has a test in FILE,
                                               which pytest --requirements FILE wrote
    python docs/rfc/matrix.py --open [LEVEL]   print the open rows, all or of these levels

Exit 1, and a line for each fault: a test names an unknown id, or a row that binds both sides
without saying which; a waiver or a mutant is stale; a row that the page calls covered has lost its
tests; or the page is not what would be written. Nothing is written then. Needs nothing but Python.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from marks import Marks
from mutants import Mutant, read_mutants
from support import PAGE as SUPPORT
from support import support_page

ROOT = Path(__file__).resolve().parents[2]
PAGE = "docs/reference/requirements.md"
COUNTED = ("core", "adapter", "config", "policy")
LEVELS = ("MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY")
REQUIRED = ("MUST", "MUST NOT")
SIDES = ("client", "server")
OUTSIDE = "n/a-library:"  # how a check begins that no library can meet

HEAD = """\
# Requirements and the tests that show them

Written by `nox -s requirements`; do not edit. [rfc/README.md](../rfc/README.md) explains rows, ids
and waivers.

The table counts the rows that a library of this kind can meet (layers core, adapter, config and
policy). A row is *covered* if a test names it with `@pytest.mark.req` (a row that binds client and
server: a test of each side; and not a test of the grammar alone), *waived* if the project states
why it does not apply, and *open* otherwise. A covered MUST or MUST NOT also has a *mutant*, a small
edit that breaks the rule in the code: the tests that name the row must fail with it. Rows on
relaying (queues, routing, delivery reports) are counted apart, because they bind only programs that
relay.

These are outside the matrix, and tests of them name no rows: rows of the layer deployment, which
bind the operator of a server; MIME (RFC 2045 to 2049); most of the message format (RFC 5322, 6532,
6854), because the library reads only the address fields; the versions of TLS (RFC 5246, 8446),
which OpenSSL implements; and DNS.
"""
TABLE = """\
| {} | rows | covered | with a mutant | waived | open | relay rows | of these covered |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""

# A row that the page calls covered, as _Row.entry writes it.
_COVERED = re.compile(r"^\* `([^`]+)` .*\n  covered by ", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """A line of requirements.csv."""

    id: str
    rfc: str
    section: str
    level: str
    role: str
    layer: str
    requirement: str
    check: str

    @property
    def outside(self) -> bool:
        return self.check.startswith(OUTSIDE)

    @property
    def counted(self) -> bool:
        return self.layer in COUNTED and not self.outside

    @property
    def names(self) -> list[str]:
        """What tests name: the id, or for a row that binds both sides ``id/client`` and
        ``id/server``."""
        return [f"{self.id}/{side}" for side in SIDES] if self.role == "both" else [self.id]


@dataclass(frozen=True)
class Waiver:
    """A line of waivers.csv; *id* may be a glob pattern."""

    id: str
    reason: str


class Matrix:
    """The catalogue, the waivers and the tests of the project at *root*, joined."""

    def __init__(self, root: Path) -> None:
        folder = root / "docs/rfc"
        self.page_file = root / PAGE
        self.rows = {row["id"]: Row(**row) for row in _read(folder / "requirements.csv")}
        self.titles = {row["source"]: row["title"] for row in _read(folder / "sources.csv")}
        self.waivers = [Waiver(**row) for row in _read(folder / "waivers.csv")]
        self.marks = Marks(root)
        self.mutants = read_mutants(root)

    def tests(self, row: Row) -> list[str]:
        named = (test for name in row.names for test in self.marks.tests.get(name, []))
        return list(dict.fromkeys(named))

    def covers(self, row: Row) -> bool:
        """Return whether each name of *row* has a test. Tests of the grammar alone do not count for
        a row that binds the client or the server: that a parser can do it does not prove that they
        do it."""
        alone = () if row.role == "grammar" else ("tests/grammar/",)
        return all(
            any(not test.startswith(alone) for test in self.marks.tests.get(name, []))
            for name in row.names
        )

    def mutants_of(self, row: Row) -> list[Mutant]:
        return [mutant for mutant in self.mutants if mutant.name in row.names]

    def waivers_of(self, row: Row) -> list[Waiver]:
        return [waiver for waiver in self.waivers if fnmatchcase(row.id, waiver.id)]

    def state(self, row: Row) -> str:
        """One of covered, waived, outside and open."""
        if self.covers(row):
            return "covered"
        if self.waivers_of(row):
            return "waived"
        return "outside" if row.outside else "open"

    def open_rows(self, levels: Collection[str] = ()) -> str:
        """The counted rows that are open, of all levels or of *levels*, to be read."""
        return "".join(
            f"{row.id} {row.level} ({row.role}) {row.requirement}\n    {row.check}\n"
            for row in self.rows.values()
            if row.counted and row.level in (levels or LEVELS) and self.state(row) == "open"
        )

    # what may be wrong

    def faults(self) -> Iterator[str]:
        yield from self.marks.faults
        yield from self._unknown_ids()
        yield from self._unknown_mutants()
        yield from self._stale_waivers()
        yield from self._lost_rows()

    def _unknown_ids(self) -> Iterator[str]:
        known = {name for row in self.rows.values() for name in row.names}
        for name, tests in self.marks.tests.items():
            if name not in known:
                row = self.rows.get(name.partition("/")[0])
                text = f"write {' or '.join(row.names)}" if row else "no such requirement"
                yield f"{name}: {text}, named by {', '.join(tests)}"

    def _unknown_mutants(self) -> Iterator[str]:
        names = {name for row in self.rows.values() for name in row.names if self.covers(row)}
        seen = set()
        for mutant in self.mutants:
            if mutant.name not in names or mutant.name in seen:
                yield f"mutant {mutant.name}: no covered row has this name, or two mutants have it"
            seen.add(mutant.name)

    def _stale_waivers(self) -> Iterator[str]:
        for waiver in self.waivers:
            rows = [row for row in self.rows.values() if fnmatchcase(row.id, waiver.id)]
            if not rows:
                yield f"waiver {waiver.id}: no such requirement"
            for row in rows:
                if self.tests(row):
                    yield f"waiver {waiver.id}: {row.id} is covered by {self.tests(row)[0]}"
                if waiver != self.waivers_of(row)[0]:
                    yield f"waiver {waiver.id}: {row.id} is waived twice"

    def _lost_rows(self) -> Iterator[str]:
        for identifier in _COVERED.findall(self.committed()):
            row = self.rows.get(identifier)
            if row is None or self.state(row) not in ("covered", "waived"):
                yield f"{identifier}: covered until now, but no test names it any more"

    def not_passed(self, passed: dict[str, list[str]]) -> Iterator[str]:
        """Covered rows without a test among *passed*."""
        for row in self.rows.values():
            for name in row.names:
                tests = self.marks.tests.get(name)
                if tests and not passed.get(name):
                    yield f"{name}: no test of it has passed: {', '.join(tests)}"

    def without_mutant(self) -> list[str]:
        """The names of the covered rows of level MUST and MUST NOT that have no mutant."""
        mutated = {mutant.name for mutant in self.mutants}
        rows = [row for row in self.rows.values() if row.counted and row.level in REQUIRED]
        names = [name for row in rows if self.state(row) == "covered" for name in row.names]
        return [name for name in names if name not in mutated]

    def committed(self) -> str:
        return self.page_file.read_text(encoding="utf-8") if self.page_file.exists() else ""

    # the page

    def page(self) -> str:
        parts = [HEAD, "## Summary\n", self._by_level(), self._by_source()]
        for source in self.titles:
            parts.append(f"## {self._name(source)}\n")
            parts.append("".join(self._entry(row) for row in self._of(source)))
        return "\n".join(parts)

    def _name(self, source: str) -> str:
        number = f"RFC {source}" if source.isdigit() else source
        return f"{number}: {self.titles[source]}"

    def _of(self, source: str) -> list[Row]:
        return [row for row in self.rows.values() if row.rfc == source]

    def _by_level(self) -> str:
        by_level = {
            level: [row for row in self.rows.values() if row.level == level] for level in LEVELS
        }
        lines = [self._counts(level, rows) for level, rows in by_level.items()]
        return TABLE.format("level") + "".join(lines) + self._counts("all", self.rows.values())

    def _by_source(self) -> str:
        lines = [self._counts(self._name(source), self._of(source)) for source in self.titles]
        return TABLE.format("source") + "".join(lines)

    def _counts(self, name: str, rows: Collection[Row]) -> str:
        """A line of the summary."""
        counted = Counter(self.state(row) for row in rows if row.counted)
        relay = Counter(self.state(row) for row in rows if row.layer == "relay")
        mutated = sum(row.counted and bool(self.mutants_of(row)) for row in rows)
        numbers = [counted.total(), counted["covered"], mutated, counted["waived"]]
        numbers += [counted["open"], relay.total(), relay["covered"]]
        return f"| {name} | {' | '.join(map(str, numbers))} |\n"

    def _entry(self, row: Row) -> str:
        return f"* `{row.id}` {row.level}: {_escape(row.requirement)}\n  {self._proof(row)}\n"

    def _proof(self, row: Row) -> str:
        match self.state(row):
            case "covered":
                return "covered by " + ", ".join(f"`{test}`" for test in self.tests(row))
            case "waived":
                return "waived: " + _escape(self.waivers_of(row)[0].reason)
            case "outside":
                return "not for a library: " + _escape(row.check.removeprefix(OUTSIDE).strip())
            case _:
                return "**open**" if row.counted else f"open ({row.layer})"


def _read(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def _escape(text: str) -> str:
    """Plain text as Markdown."""
    return re.sub(r"[\\`*<\[\]~|]", r"\\\g<0>", text)


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Join requirements, waivers and tests.")
    parser.add_argument("--check", action="store_true", help="write nothing, only look")
    parser.add_argument("--passed", type=Path, help="what pytest --requirements wrote")
    parser.add_argument("--open", nargs="*", choices=LEVELS, help="print the open rows")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Do what the module's text says; the exit code."""
    options = _arguments(arguments)
    matrix = Matrix(root)
    if options.open is not None:
        sys.stdout.write(matrix.open_rows(options.open))
        return 0
    faults = list(matrix.faults())
    if options.passed:
        faults += matrix.not_passed(json.loads(options.passed.read_text(encoding="utf-8")))
    pages = {root / PAGE: matrix.page(), root / SUPPORT: support_page(matrix)}
    for file, text in pages.items():
        if options.check and not (file.exists() and file.read_text(encoding="utf-8") == text):
            faults.append(f"{file.relative_to(root)} is not up to date: run nox -s requirements")
        if not (faults or options.check):
            file.write_text(text, encoding="utf-8")
    sys.stderr.writelines(f"{fault}\n" for fault in faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
