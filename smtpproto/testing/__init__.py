"""Ring 6: tools for tests, of this library and of programs that use it.

``script`` plays one side of a written dialogue. ``simulation`` runs clients and servers against
each other over a network with faults; one integer reproduces a run. ``zone`` answers questions to
the DNS from a table. ``internet`` has domains, hosts and mail agents: see docs/simulation.md.
``strategies`` has Hypothesis strategies for all values of the grammar, and
needs ``hypothesis``.
"""

from .scheduler import Source, Task, Wait
from .script import ScriptedStream
from .simulation import (
    Deadlock,
    Faults,
    SimulatedHost,
    SimulatedSemaphore,
    SimulatedStream,
    Simulation,
)
from .zone import Mood, Zone

__all__ = [
    "Deadlock", "Faults", "Mood", "ScriptedStream", "SimulatedHost", "SimulatedSemaphore",
    "SimulatedStream", "Simulation", "Source", "Task", "Wait", "Zone",
]  # fmt: skip
