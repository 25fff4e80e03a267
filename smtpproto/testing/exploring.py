"""``explore``: run a scene with many seeds, and show what happened with the one that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import iscoroutine
from typing import Any, TypeVar, overload

from attrs import frozen

from .fault_points import FAULTS, FaultName, FaultPoints, choose_point
from .run_trace import RunTrace, raised_in
from .simulation import Simulation

__all__ = ["SeedFailed", "explore"]

S = TypeVar("S", bound=Simulation)

_MAX_STEPS = 100_000


class SeedFailed(AssertionError):
    """A scene fails with a seed. The text says how to repeat it, and has the trace of the run."""

    def __init__(self, seed: int, points: FaultPoints, error: BaseException, trace: RunTrace):
        self.seed: int = seed
        self.points: FaultPoints = points
        """The fault that the seed chose: ``Simulation(seed, **points)``."""
        self.error: BaseException = error
        """What the scene raised."""
        self.trace: RunTrace = trace
        """What happened, up to the error."""
        options = "".join(f", {name}={at}" for name, at in points.items())
        super().__init__(
            f"the scene fails with seed {seed}: {type(error).__name__}: {error}\n"
            f"in {raised_in(error)}\n"
            f"Repeat it with seeds=[{seed}], or scene(Simulation({seed}{options})).\n\n{trace}"
        )


@overload
def explore(
    scene: Callable[[Simulation], object],
    seeds: int | Iterable[int] = 1000,
    *,
    faults: Iterable[FaultName] = (),
    max_steps: int = _MAX_STEPS,
) -> None: ...
@overload
def explore(
    scene: Callable[[S], object],
    seeds: int | Iterable[int] = 1000,
    *,
    faults: Iterable[FaultName] = (),
    max_steps: int = _MAX_STEPS,
    simulation: type[S],
) -> None: ...
def explore(
    scene: Callable[[Any], object],
    seeds: int | Iterable[int] = 1000,
    *,
    faults: Iterable[FaultName] = (),
    max_steps: int = _MAX_STEPS,
    simulation: type[Simulation] = Simulation,
) -> None:
    """Run *scene* with each of *seeds* (a number: from 0 on), and raise SeedFailed at the first
    one with which it raises.

    *scene* sets up the simulation that it gets, runs it, and raises if something is wrong. Each
    seed chooses an order of the steps, and one of *faults* or none at a random point: see
    :class:`.FaultPoints`. No run takes more than *max_steps* steps. What *scene* uses must be new
    in each run, and must not depend on anything but the simulation, which is of the class
    *simulation*: for example an :class:`.Internet`.
    """
    __tracebackhide__ = True
    if isinstance(faults, str):
        raise TypeError(f"faults is a list; pass [{faults!r}]")
    wanted, seed = tuple(faults), None
    if unknown := [name for name in wanted if name not in FAULTS]:
        raise ValueError(f"no fault: {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    runs = _Runs(scene, simulation, max_steps)
    counts = runs.count() if wanted else (0, 0, 0)
    for seed in range(seeds) if isinstance(seeds, int) else seeds:
        runs.check(seed, choose_point(seed, wanted, counts) if wanted else {})
    if seed is None:
        raise ValueError("there are no seeds; pass how many to try, for example seeds=1000")


@frozen
class _Runs:
    scene: Callable[[Any], object]
    make: type[Simulation]
    max_steps: int

    def count(self) -> tuple[int, int, int]:
        """Return how many points for faults a run has."""
        it = self.check(0, {"cancel_at": -1})  # which adds steps, and cancels nothing
        return it.operations, it.steps, it.hook_awaits

    def check(self, seed: int, points: FaultPoints) -> Simulation:
        """Return a simulation with which the scene has run. If it fails, run it again with a trace,
        and raise the error that shows it."""
        __tracebackhide__ = True
        simulation, error = self._play(seed, points)
        if error is None:
            return simulation
        simulation, again = self._play(seed, points, traced=True)
        if again is not None and simulation.trace is not None:
            raise SeedFailed(seed, points, again, simulation.trace) from again
        raise AssertionError(
            f"the scene fails with seed {seed}, but not when it is repeated: it uses something "
            "that is not new in each run, or a clock or randomness not of the simulation"
        ) from error

    def _play(
        self, seed: int, points: FaultPoints, *, traced: bool = False
    ) -> tuple[Simulation, BaseException | None]:
        """Return the simulation after the scene has run, and what that raised."""
        simulation = self.make(seed, traced=traced, max_steps=self.max_steps, **points)
        try:
            returned = self.scene(simulation)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # pytest.raises and pytest.fail raise no Exception
            return simulation, error
        finally:
            simulation.end()
        if iscoroutine(returned):
            returned.close()
            raise TypeError("a scene is a plain function; run coroutines by simulation.run(...)")
        return simulation, None
