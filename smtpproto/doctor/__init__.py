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
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            ".examination": "examine_domain",
            ".facts": "DoctorOptions",
            ".finding": "Examination Finding Severity Subject",
            ".message_examination": "examine_message",
            "..diagnosis.receivers": "DEMANDS Demand Need",
        },
    )

__all__ = [
    "DEMANDS",
    "Demand",
    "DoctorOptions",
    "Examination",
    "Finding",
    "Need",
    "Severity",
    "Subject",
    "examine_domain",
    "examine_message",
]  # fmt: skip
