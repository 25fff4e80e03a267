"""Ring 2: readers and writers for octets that arrive over time; they know nothing of commands.

Internal: import ``ProxyHeader`` from ``smtpproto`` instead. The readers are incremental and
bounded.

Framing comes first and is never lenient: only CRLF ends a line, and only CRLF.CRLF ends a message.
"""

from typing import TYPE_CHECKING

from ..late_names import late_names

if TYPE_CHECKING:
    from .proxy import ProxyHeader
else:
    __getattr__, __dir__ = late_names(__name__, {".proxy": "ProxyHeader"})

__all__ = ["ProxyHeader"]
