"""Ring 5: the doctor: what is wrong with the mail of a domain, why it matters, how to mend it.

::

    examination = await examine_domain("example.org", resolver, runtime)
    print(examination)

It asks the DNS and talks with the hosts that take the mail of the domain, within bounds, and sends
no mail.
"""

from typing import TYPE_CHECKING

from ..late_names import late_names

if TYPE_CHECKING:
    from ..diagnosis.receivers import DEMANDS, Demand, Need
    from .examination import examine_domain
    from .facts import DoctorOptions
    from .finding import Examination, Finding, Severity, Subject
    from .message_examination import examine_message
    from .server_examination import ProbeOptions, examine_server
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            ".examination": "examine_domain",
            ".facts": "DoctorOptions",
            ".finding": "Examination Finding Severity Subject",
            ".message_examination": "examine_message",
            ".server_examination": "ProbeOptions examine_server",
            "..diagnosis.receivers": "DEMANDS Demand Need",
        },
    )

__all__ = [
    "DEMANDS", "Demand", "DoctorOptions", "Examination", "Finding", "Need", "ProbeOptions",
    "Severity", "Subject", "examine_domain", "examine_message", "examine_server",
]  # fmt: skip
