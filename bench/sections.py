"""The sections of the report: what is measured, and how it is compared."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

from attrs import frozen

from . import growth, imports, memory, mta_speed, policy
from .agents import OURS as AGENT
from .contenders import CLIENTS, CORES, SERVERS, Contender
from .loads import CORE_LOADS, Load, client_loads, server_loads
from .measuring import Figures
from .plot import chart
from .report import Goals, Table, cost, cost_against, times, units
from .report import growth as growth_table
from .running import Runner

P = ParamSpec("P")
T = TypeVar("T")
BEGAN = time.monotonic()

OURS = ["asyncio", "uvloop", "trio", "blocking"]
DRAWN = {
    "servers": ("aiosmtpd", [*OURS, "aiosmtpd-uvloop", "smtp-server", "smtp-sink"]),
    "clients": ("smtplib", [*OURS, "aiosmtplib", "nodemailer", "smtp-source"]),
}
GROWING = ["floor-shared", "asyncio", "aiosmtpd", "smtp-server"]


@frozen
class Section:
    """A part of the report."""

    title: str
    figures: Sequence[Figures]
    tables: Sequence[Table | Goals]
    drawing: str = ""
    """A chart in SVG."""

    def __str__(self) -> str:
        parts = [f"## {self.title}", units(self.figures), *map(str, self.tables)]
        return "\n\n".join(parts) + "\n"


@frozen
class Suite:
    """Measures what was asked for, section by section. None as names means all."""

    runner: Runner
    loads: Sequence[str] | None
    contenders: Sequence[str] | None
    trees: Sequence[tuple[str, Path]]
    smoke: bool

    def sections(self) -> Iterator[Section]:
        """Measure; yield the sections that are not empty."""
        sections = (
            self.servers, self.clients, self.memory, self.growth, self.core, self.policy,
            self.imports, self.agents,
        )  # fmt: skip
        for measure in sections:
            section = measure()
            if section.figures:
                yield section

    def servers(self) -> Section:
        figures = self._run(server_loads(self._big), SERVERS)
        tables = [
            Table("CPU", figures, cost),
            Table("against the floor", figures, cost_against("floor-shared", "floor-asyncio")),
            Table("times aiosmtpd", figures, times("aiosmtpd")),
        ]
        return Section("Servers", figures, tables, chart(figures, *DRAWN["servers"]))

    def clients(self) -> Section:
        figures = self._run(client_loads(self._big), CLIENTS)
        tables = [
            Table("CPU", figures, cost),
            Table("against the floor", figures, cost_against("floor-sync", "floor-asyncio")),
            Table("times smtplib", figures, times("smtplib")),
            Table("times aiosmtplib", figures, times("aiosmtplib")),
        ]
        return Section("Clients", figures, tables, chart(figures, *DRAWN["clients"]))

    def memory(self) -> Section:
        figures = [
            _noted(load.title, memory.run, load, self._chosen(SERVERS), self.runner.plan)
            for load in (memory.smoke() if self.smoke else memory.loads())
            if self._wants(load.name.split()[0])
        ]
        return Section("Memory", figures, [Table("RSS", figures, cost)])

    def growth(self) -> Section:
        if not self._wants("growth"):
            return Section("Growth", [], [])
        contenders = [one for one in self._chosen(SERVERS) if one.name in GROWING]
        growths = growth.smoke() if self.smoke else growth.GROWTHS
        pairs = [_noted(one.title, growth.run, one, contenders, self.runner) for one in growths]
        large = [pair[1] for pair in pairs]
        return Section("Growth", large, [growth_table([pair[0] for pair in pairs], large)])

    def core(self) -> Section:
        figures = self._run(CORE_LOADS, CORES)
        tables = [
            Table("CPU", figures, cost),
            Table("against the floor", figures, cost_against("floor")),
        ]
        return Section("Without sockets", figures, tables)

    def policy(self) -> Section:
        plan = self.runner.plan
        figures = [
            _noted(one.title, policy.run, one, plan.rounds, plan.seconds)
            for one in policy.loads(smoke=self.smoke)
            if self._wants(one.name)
        ]
        tables = [
            Table("CPU", figures, cost),
            Table("against the floor", figures, cost_against("floor")),
        ]
        return Section("Policies", figures, tables)

    def imports(self) -> Section:
        if not self._wants("import"):
            return Section("Imports", [], [])
        modules = self._with_trees(imports.MODULES[:2] if self.smoke else imports.MODULES)
        figures = [_noted("import", imports.run, modules, self.runner.plan.rounds)]
        return Section("Imports", figures, [Table("CPU", figures, cost)])

    def agents(self) -> Section:
        loads = [load for load in mta_speed.LOADS if self._wants(load)]
        amounts = mta_speed.amounts(self.runner.plan.rounds, smoke=self.smoke)
        contenders = self._with_trees([AGENT])
        tables = [_noted(load, mta_speed.run, load, contenders, amounts) for load in loads]
        return Section("Mail agents", [row.figures for it in tables for row in it.rows], tables)

    @property
    def _big(self) -> int:
        return 1 if self.smoke else 20  # MiB

    def _wants(self, name: str) -> bool:
        return self.loads is None or name in self.loads

    def _run(self, loads: Sequence[Load], contenders: Sequence[Contender]) -> list[Figures]:
        wanted = [load for load in loads if self._wants(load.name)]
        chosen = self._chosen(contenders)
        return [_noted(f"{one.name}: {one.title}", self.runner.run, one, chosen) for one in wanted]

    def _chosen(self, contenders: Sequence[Contender]) -> list[Contender]:
        names = self.contenders
        return self._with_trees([one for one in contenders if names is None or one.name in names])

    def _with_trees(self, contenders: Sequence[Contender]) -> list[Contender]:
        """Return *contenders*, and ours with the library of the other trees."""
        ours = [one for one in contenders if one.program.startswith("our_")]
        others = [one.of_tree(label, path) for label, path in self.trees for one in ours]
        return [*contenders, *others]


def _noted(text: str, measure: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Say what is measured, because it takes a while."""
    print(f"{time.monotonic() - BEGAN:4.0f} s: {text}", file=sys.stderr)
    return measure(*args, **kwargs)
