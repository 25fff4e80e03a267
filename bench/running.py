"""Run loads: start contenders as they are needed, and leave out those that cannot take part."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from attrs import define, field, frozen

from .contenders import Client, Contender, sending, serving
from .generator import lanes
from .loads import ClientLoad, Load, ServerLoad
from .measuring import Figures, Measure, count_for, in_rounds
from .processes import OTHERS, BenchError, NotHere, Process

Server = tuple[Process, int]
"""A running server and its port."""


@frozen
class Plan:
    """How much to measure, and with what."""

    rounds: int
    seconds: float
    """How long one measurement takes, about; 0: the least that makes sense."""
    certificate: Path
    """The certificates and the key of all servers, in one file."""
    trust: Mapping[str, str]
    """The environment variables that make clients trust the certificate."""


class Absent(dict[str, str]):
    """The contenders that are left out, and why."""

    def __init__(self) -> None:
        super().__init__()
        self.failed: set[str] = set()
        """Those that should have taken part."""

    @contextlib.contextmanager
    def noting(self, name: str) -> Iterator[None]:
        """Note the contender as absent if the block fails."""
        try:
            yield
        except (BenchError, OSError) as error:
            self[name] = str(error) or type(error).__name__
            if not isinstance(error, NotHere):
                self.failed.add(name)


@define(eq=False)
class Runner:
    """Runs loads. A contender keeps its process from load to load, until it fails."""

    plan: Plan
    _stack: contextlib.ExitStack = field(factory=contextlib.ExitStack, init=False)
    _servers: dict[tuple[str, str], Server] = field(factory=dict, init=False)
    _clients: dict[tuple[str, str], Client] = field(factory=dict, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._stack.close()

    def run(self, load: Load, contenders: Sequence[Contender]) -> Figures:
        """Measure what *load* costs each contender."""
        absent = Absent()
        measures: dict[str, Measure] = {}
        counts: dict[str, int] = {}
        for contender in [one for one in contenders if load.concerns(one.can)]:
            with absent.noting(contender.title):
                measure = self._measure(load, contender)
                counts[contender.title] = count_for(measure, load, self.plan.seconds)
                measures[contender.title] = measure
        costs = in_rounds(measures, counts, self.plan.rounds, absent.noting)
        for title in absent.failed:
            self._forget(title)
        unit = f"us of CPU per {load.unit}"
        return Figures(load.name, load.title, unit, 1e6, costs, absent, absent.failed)

    def _measure(self, load: Load, contender: Contender) -> Measure:
        if reason := contender.missing() or load.unfit(contender.can):
            raise NotHere(reason)
        if isinstance(load, ServerLoad):
            return partial(_measure_server, load, *self._server(contender, load.mode))
        assert isinstance(load, ClientLoad)
        port = self._sink(load.sink)[1] if load.sink else 0
        return partial(_measure_client, load, self._client(contender), port)

    def _server(self, contender: Contender, mode: str) -> Server:
        key = contender.title, mode
        if key not in self._servers:
            server = serving(contender, mode, self.plan.certificate)
            self._servers[key] = self._stack.enter_context(server)
        return self._servers[key]

    def _client(self, contender: Contender) -> Client:
        key = contender.title, contender.program
        if key not in self._clients:
            client = sending(contender, self.plan.trust)
            self._clients[key] = self._stack.enter_context(client)
        return self._clients[key]

    def _sink(self, name: str) -> Server:
        """Return the sink called *name*, or one that works like it."""
        sink = next(sink for sink in SINKS[name] if not sink.missing())
        key = sink.title, "sink of clients"
        if key not in self._servers:
            server = serving(sink, "sink", self.plan.certificate, OTHERS)
            self._servers[key] = self._stack.enter_context(server)
        return self._servers[key]

    def _forget(self, title: str) -> None:
        """Let the contender start anew for the next load."""
        self._clients = {key: one for key, one in self._clients.items() if key[0] != title}
        self._servers = {key: one for key, one in self._servers.items() if key[0] != title}


SINKS = {
    "smtp-sink": [Contender("smtp-sink", "smtp-sink"), Contender("floor-shared", "floor_server")],
    "floor-tls": [Contender("floor-tls", "floor_server")],
}


def _measure_server(
    load: ServerLoad, process: Process, port: int, count: int
) -> tuple[float, float]:
    with lanes(port, load.lanes) as opened:
        before = process.cpu()
        units = load.run(opened, port, count)
        return process.cpu() - before, units


def _measure_client(load: ClientLoad, client: Client, port: int, count: int) -> tuple[float, float]:
    return client.cpu_of(load.name, port, count), count
