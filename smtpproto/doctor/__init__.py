"""Ring 5: the doctor: what is wrong with the mail of a domain, why it matters, how to mend it.

::

    diagnosis = await examine_domain("example.org", resolver, runtime)
    print(diagnosis)

It asks the DNS and talks with the hosts that take the mail of the domain, within bounds, and sends
no mail.
"""

from typing import TYPE_CHECKING

from ..late_names import late_names

if TYPE_CHECKING:
    from .examination import examine_domain
    from .facts import DoctorOptions
    from .finding import Diagnosis, Finding, Severity, Subject
    from .message_examination import examine_message
    from .receivers import DEMANDS, Demand, Need
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            ".examination": "examine_domain",
            ".facts": "DoctorOptions",
            ".finding": "Diagnosis Finding Severity Subject",
            ".message_examination": "examine_message",
            ".receivers": "DEMANDS Demand Need",
        },
    )

__all__ = [
    "DEMANDS", "Demand", "Diagnosis", "DoctorOptions", "Finding", "Need", "Severity", "Subject",
    "examine_domain", "examine_message",
]  # fmt: skip
