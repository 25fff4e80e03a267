"""Ring 5: tools to test with, this library and yours.

``script`` plays a written dialogue as one side of a stream; ``simulation`` runs clients and servers
against each other over a network with faults, from one integer; ``strategies`` are Hypothesis
strategies for everything the grammar has (needs ``hypothesis``).
"""

from .script import ScriptedStream
from .simulation import Deadlock, Simulation

__all__ = ["Deadlock", "ScriptedStream", "Simulation"]
