"""Ring 6: tools for tests, of this library and of programs that use it.

``smtpd`` is a mail server for tests of programs that send mail, ``trouble`` what can go wrong with
it, and ``inbox`` the handler that keeps what arrives: see docs/testing.md.
``transcript`` is the text form of a dialogue, and ``recording`` records one.
``script`` plays one side of a written dialogue. ``simulation`` runs clients and servers against
each other over a network with faults; one integer reproduces a run. ``zone`` answers questions to
the DNS from a table. ``internet`` has domains, hosts and mail agents: see docs/simulation.md.
``abnf`` has the ABNF of SMTP as data, as an oracle for parsers: see docs/grammar.md.
``strategies`` has Hypothesis strategies for all values of the grammar, for messages and for whole
sessions, and needs ``hypothesis``; ``laws`` has laws to check with them, and ``handler_machine`` a
state machine that tests a handler: see docs/property-tests.md.
"""

from typing import TYPE_CHECKING

from ..late_names import late_names

if TYPE_CHECKING:
    from .inbox import Inbox, ReceivedMessage
    from .recording import Recorder
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
    from .smtpd import SMTPD, AsyncSMTPD, SMTPDOptions
    from .transcript import Transcript
    from .trouble import Delay, Drop, Greylist, Refuse, Trouble
    from .zone import Mood, Zone
else:  # importing this package needs neither hypothesis nor pytest, and costs nothing
    __getattr__, __dir__ = late_names(
        __name__,
        {
            ".inbox": "Inbox ReceivedMessage",
            ".recording": "Recorder",
            ".scheduler": "Source Task Wait",
            ".script": "ScriptedStream",
            ".simulation": (
                "Deadlock Faults SimulatedHost SimulatedSemaphore SimulatedStream Simulation"
            ),
            ".smtpd": "SMTPD AsyncSMTPD SMTPDOptions",
            ".transcript": "Transcript",
            ".trouble": "Delay Drop Greylist Refuse Trouble",
            ".zone": "Mood Zone",
        },
    )

__all__ = [
    "SMTPD", "AsyncSMTPD", "Deadlock", "Delay", "Drop", "Faults", "Greylist", "Inbox", "Mood",
    "ReceivedMessage", "Recorder", "Refuse", "SMTPDOptions", "ScriptedStream", "SimulatedHost",
    "SimulatedSemaphore", "SimulatedStream", "Simulation", "Source", "Task", "Transcript",
    "Trouble", "Wait", "Zone",
]  # fmt: skip
