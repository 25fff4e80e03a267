"""What the exit status of a program says of a delivery (sysexits.h, as sendmail and Postfix read
it)."""

from __future__ import annotations

from ..grammar.printable import printable
from ..grammar.reply import Reply

__all__ = ["exit_reply"]

_LONGEST = 200  # characters of a program's words in a reply

# By the names in sysexits.h. 4yz is tried again.
_STATUSES = {
    64: (554, "5.3.0", "The program was called wrongly"),  # EX_USAGE
    65: (554, "5.6.0", "The program cannot use this message"),  # EX_DATAERR
    66: (554, "5.3.0", "The program lacks its input"),  # EX_NOINPUT
    67: (550, "5.1.1", "No such mailbox"),  # EX_NOUSER
    68: (550, "5.1.2", "No such host"),  # EX_NOHOST
    69: (554, "5.3.0", "A service is unavailable"),  # EX_UNAVAILABLE
    70: (554, "5.3.0", "The program failed"),  # EX_SOFTWARE
    71: (451, "4.3.0", "The system failed"),  # EX_OSERR
    72: (554, "5.3.0", "A file of the system is missing"),  # EX_OSFILE
    73: (550, "5.2.0", "The program cannot write its file"),  # EX_CANTCREAT
    74: (451, "4.3.0", "Reading or writing failed"),  # EX_IOERR
    75: (451, "4.3.0", "The program asks to try again later"),  # EX_TEMPFAIL
    76: (554, "5.5.0", "The program met a wrong protocol"),  # EX_PROTOCOL
    77: (550, "5.7.0", "The program refuses this message"),  # EX_NOPERM
    78: (554, "5.3.5", "The program is configured wrongly"),  # EX_CONFIG
}


def exit_reply(status: int, output: bytes = b"") -> Reply:
    """Return the reply for a program that has ended with *status*: 0 is success, a negative number
    the signal that killed it. The first line of its *output* explains a failure.

    A status that sysexits.h does not define, such as 1 of a script that crashed, and 127 if a shell
    did not find its command, is temporary: the message is tried again when the program is mended.
    """
    if status == 0:
        return Reply(250, "2.0.0", "Delivered to a program")
    ended = f"signal {-status} ended it" if status < 0 else f"exit status {status}"
    code, enhanced, text = _STATUSES.get(status, (451, "4.3.0", "The program failed"))
    said = output.strip().partition(b"\n")[0].decode("utf-8", "replace")
    words = f": {printable(said)}"[:_LONGEST].rstrip() if said else ""
    return Reply(code, enhanced, f"{text} ({ended}){words}")
