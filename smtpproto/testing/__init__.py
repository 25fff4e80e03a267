"""Ring 6: tools for tests, of this library and of programs that use it.

``smtpd`` is a mail server for tests of programs that send mail, ``trouble`` what can go wrong with
it, and ``inbox`` the handler that keeps what arrives: see docs/tutorials/testing.md.
``catch_all`` is a server that takes all mail and shows it on a page: see docs/howto/catch-all.md.
``transcript`` is the text form of a dialogue, ``recording`` and ``recording_proxy`` record
one, ``replay`` and ``machine_replay`` play one side of it, and ``shrinking`` shortens it: see
docs/howto/transcripts.md.
``script`` plays one side of a written dialogue. ``simulation`` runs clients and servers against
each other over a network with faults; one integer reproduces a run. ``explore`` finds the integer
with which your handler fails: see docs/howto/find-the-bug.md. ``zone`` answers questions to
the DNS from a table. ``internet`` has domains, hosts and mail agents: see docs/howto/simulation.md.
``abnf`` has the ABNF of SMTP as data, as an oracle for parsers: see docs/reference/grammar.md.
``strategies`` has Hypothesis strategies for all values of the grammar, for messages and for whole
sessions, and needs ``hypothesis``; ``laws`` has laws to check with them, and ``handler_machine`` a
state machine that tests a handler: see docs/howto/property-tests.md.
"""

from typing import TYPE_CHECKING

from ..late_names import late_names

if TYPE_CHECKING:
    from .catch_all import CatchAll
    from .exploring import SeedFailed, explore
    from .fault_points import FaultPoints, SimulationOptions
    from .inbox import Inbox, ReceivedMessage
    from .machine_replay import replay_on_machine
    from .recording import Recorder
    from .recording_proxy import RecordingProxy
    from .replay import (
        assert_matches,
        replay_over_socket,
        replay_to_client,
        replay_to_server,
        rerun,
    )
    from .run_trace import RunTrace
    from .scheduler import Source, Task, Wait
    from .script import ScriptedStream
    from .shrinking import shrink
    from .simulation import (
        Cancelled,
        Deadlock,
        Faults,
        Livelock,
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
            ".catch_all": "CatchAll",
            ".exploring": "SeedFailed explore",
            ".fault_points": "FaultPoints SimulationOptions",
            ".inbox": "Inbox ReceivedMessage",
            ".machine_replay": "replay_on_machine",
            ".recording": "Recorder",
            ".recording_proxy": "RecordingProxy",
            ".replay": (
                "assert_matches replay_over_socket replay_to_client replay_to_server rerun"
            ),
            ".run_trace": "RunTrace",
            ".scheduler": "Source Task Wait",
            ".script": "ScriptedStream",
            ".shrinking": "shrink",
            ".simulation": (
                "Cancelled Deadlock Faults Livelock "
                "SimulatedHost SimulatedSemaphore SimulatedStream Simulation"
            ),
            ".smtpd": "SMTPD AsyncSMTPD SMTPDOptions",
            ".transcript": "Transcript",
            ".trouble": "Delay Drop Greylist Refuse Trouble",
            ".zone": "Mood Zone",
        },
    )

__all__ = [
    "SMTPD", "AsyncSMTPD", "Cancelled", "CatchAll", "Deadlock", "Delay", "Drop", "FaultPoints",
    "Faults", "Greylist", "Inbox", "Livelock", "Mood", "ReceivedMessage", "Recorder",
    "RecordingProxy", "Refuse", "RunTrace", "SMTPDOptions", "ScriptedStream", "SeedFailed",
    "SimulatedHost", "SimulatedSemaphore", "SimulatedStream", "Simulation", "SimulationOptions",
    "Source", "Task", "Transcript", "Trouble", "Wait", "Zone", "assert_matches", "explore",
    "replay_on_machine", "replay_over_socket", "replay_to_client", "replay_to_server", "rerun",
    "shrink",
]  # fmt: skip
