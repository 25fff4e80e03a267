"""Ring 6: tools for tests, of this library and of programs that use it.

``script`` plays one side of a written dialogue. ``simulation`` runs clients and servers against
each other over a network with faults; one integer reproduces a run. ``zone`` answers questions to
the DNS from a table. ``internet`` has domains, hosts and mail agents: see docs/simulation.md.
``strategies`` has Hypothesis strategies for all values of the grammar, and
needs ``hypothesis``.
"""

from typing import TYPE_CHECKING

from ..late_names import late_names

if TYPE_CHECKING:
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
else:  # importing this package needs neither hypothesis nor pytest, and costs nothing
    __getattr__, __dir__ = late_names(
        __name__,
        {
            ".scheduler": "Source Task Wait",
            ".script": "ScriptedStream",
            ".simulation": (
                "Deadlock Faults SimulatedHost SimulatedSemaphore SimulatedStream Simulation"
            ),
            ".zone": "Mood Zone",
        },
    )

__all__ = [
    "Deadlock", "Faults", "Mood", "ScriptedStream", "SimulatedHost", "SimulatedSemaphore",
    "SimulatedStream", "Simulation", "Source", "Task", "Wait", "Zone",
]  # fmt: skip
