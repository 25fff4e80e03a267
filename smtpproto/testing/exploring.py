"""``explore``: run a scene with many seeds, and show what happened with the one that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .fault_points import FAULTS, FaultName, FaultPoints, choose_point
from .run_trace import RunTrace, raised_in
from .simulation import Simulation

__all__ = ["Scene", "SeedFailed", "explore"]

Scene = Callable[[Simulation], object]
"""A function that sets up a simulation, runs it, and raises if something is wrong."""

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


def explore(
    scene: Scene,
    seeds: int | Iterable[int] = 1000,
    *,
    faults: Iterable[FaultName] = (),
    max_steps: int = _MAX_STEPS,
) -> None:
    """Run *scene* with each of *seeds* (a number: from 0 on), and raise SeedFailed at the first
    one with which it raises.

    Each seed chooses an order of the steps, and one of *faults* or none at a random point: see
    :class:`.FaultPoints`. No run takes more than *max_steps* steps. What *scene* uses must be new
    in each run, and must not depend on anything but the simulation.
    """
    __tracebackhide__ = True
    wanted = tuple(faults)
    if unknown := [name for name in wanted if name not in FAULTS]:
        raise ValueError(f"no fault: {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    counts = _count(scene, max_steps) if wanted else (0, 0, 0)
    for seed in range(seeds) if isinstance(seeds, int) else seeds:
        points = choose_point(seed, wanted, counts) if wanted else FaultPoints()
        error = _play(scene, Simulation(seed, max_steps=max_steps, **points))
        if error is not None:
            raise _repeat(scene, seed, points, max_steps) from error


def _count(scene: Scene, max_steps: int) -> tuple[int, int, int]:
    """Return how many points for faults a run has."""
    simulation = Simulation(0, max_steps=max_steps, cancel_at=-1)  # which adds steps
    if (error := _play(scene, simulation)) is not None:
        raise _repeat(scene, 0, {"cancel_at": -1}, max_steps) from error
    return simulation.operations, simulation.steps, simulation.hook_awaits


def _play(scene: Scene, simulation: Simulation) -> BaseException | None:
    """Return what *scene* raises."""
    try:
        scene(simulation)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # pytest.raises and pytest.fail raise no Exception
        return error
    finally:
        simulation.end()
    return None


def _repeat(scene: Scene, seed: int, points: FaultPoints, max_steps: int) -> AssertionError:
    """Return the error for a seed that has failed, with the trace of a second run."""
    simulation = Simulation(seed, traced=True, max_steps=max_steps, **points)
    error = _play(scene, simulation)
    if error is None:
        return AssertionError(
            f"the scene fails with seed {seed}, but not when it is repeated: it uses something "
            "that is not new in each run, or a clock or randomness not of the simulation"
        )
    assert simulation.trace is not None
    return SeedFailed(seed, points, error, simulation.trace)
