"""The commands of SMTP and LMTP, one class for each.

``bytes(command)`` is the command line without CRLF, and :func:`parse_command` reads one. A client
machine sends commands with ``send``; a server machine reports the commands that it receives as
events. For a verb of your own derive from :class:`Command`, or from :class:`TextCommand` if its
argument is text.
"""

from typing import TYPE_CHECKING

from .grammar.command import (
    Command,
    Data,
    Ehlo,
    Expn,
    Helo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    TextCommand,
    Vrfy,
)
from .grammar.command_line import parse_command
from .grammar.extension_command import Auth, Bdat, Etrn, Lhlo, StartTLS, XClient, XForward
from .grammar.parameters import Parameter
from .grammar.parse_context import ParseContext
from .late_names import late_names

if TYPE_CHECKING:
    from .grammar.xclient import Unavailable, XClientAttributes, XForwardAttributes
else:
    __getattr__, __dir__ = late_names(
        __name__, {".grammar.xclient": "Unavailable XClientAttributes XForwardAttributes"}
    )

__all__ = [
    "Auth", "Bdat", "Command", "Data", "Ehlo", "Etrn", "Expn", "Helo", "Help", "Lhlo", "Mail",
    "Noop", "Parameter", "ParseContext", "Quit", "Rcpt", "Rset", "StartTLS", "TextCommand",
    "Unavailable", "Vrfy", "XClient", "XClientAttributes", "XForward", "XForwardAttributes",
    "parse_command",
]  # fmt: skip
