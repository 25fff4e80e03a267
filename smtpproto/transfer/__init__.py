"""Ring 5: the conversations of a mail agent, written once over the ports.

:class:`Receiver` takes mail into the queue. :class:`~.agent.Agent` claims what is due, lets
:class:`~.relay.Relay` send it to next hosts or a function of the application put it into mailboxes
here, and writes what came of it. :class:`MTAConfig` has the options of all together.
"""

from typing import TYPE_CHECKING

from ..late_names import late_names

if TYPE_CHECKING:
    from .assembly import MTAConfig, MTAOptions
    from .expansion import Recipients
    from .guards import Guards, ReceiveLimits, SendLimits
    from .intake import Intake
    from .json_log import JSONFormatter
    from .local import Delivered, Deliverer
    from .observed_store import Listener
    from .receive import Check, QueueSink, Receiver
    from .relaying import Relaying
    from .reporting import DailyReports
    from .tls_demands import TLSDemands
    from .tls_policies import TLSPolicies
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            ".assembly": "MTAConfig MTAOptions",
            ".expansion": "Recipients",
            ".guards": "Guards ReceiveLimits SendLimits",
            ".intake": "Intake",
            ".json_log": "JSONFormatter",
            ".local": "Delivered Deliverer",
            ".observed_store": "Listener",
            ".receive": "Check QueueSink Receiver",
            ".relaying": "Relaying",
            ".reporting": "DailyReports",
            ".tls_demands": "TLSDemands",
            ".tls_policies": "TLSPolicies",
        },
    )

__all__ = [
    "Check", "DailyReports", "Delivered", "Deliverer", "Guards", "Intake", "JSONFormatter",
    "Listener", "MTAConfig", "MTAOptions", "QueueSink", "ReceiveLimits", "Receiver", "Recipients",
    "Relaying", "SendLimits", "TLSDemands", "TLSPolicies",
]  # fmt: skip
