"""The exit statuses of mail programs (sysexits.h), and the replies that say the same."""

from __future__ import annotations

import re
from enum import IntEnum

from ..grammar.printable import printable
from ..grammar.reply import Reply

__all__ = ["ExitStatus", "exit_reply", "status_of_reply"]

_LONGEST = 200  # characters of a program's words in a reply


class ExitStatus(IntEnum):
    """The exit statuses of sysexits.h, by the names there. sendmail and Postfix read them, and
    the commands of smtpproto end with them."""

    OK = 0
    USAGE = 64
    DATAERR = 65
    NOINPUT = 66
    NOUSER = 67
    NOHOST = 68
    UNAVAILABLE = 69
    SOFTWARE = 70
    OSERR = 71
    OSFILE = 72
    CANTCREAT = 73
    IOERR = 74
    TEMPFAIL = 75
    PROTOCOL = 76
    NOPERM = 77
    CONFIG = 78


# 4yz is tried again, as sendmail and Postfix do.
_STATUSES: dict[int, tuple[int, str, str]] = {
    ExitStatus.USAGE: (554, "5.3.0", "The program was called wrongly"),
    ExitStatus.DATAERR: (554, "5.6.0", "The program cannot use this message"),
    ExitStatus.NOINPUT: (554, "5.3.0", "The program lacks its input"),
    ExitStatus.NOUSER: (550, "5.1.1", "No such mailbox"),
    ExitStatus.NOHOST: (550, "5.1.2", "No such host"),
    ExitStatus.UNAVAILABLE: (554, "5.3.0", "A service is unavailable"),
    ExitStatus.SOFTWARE: (554, "5.3.0", "The program failed"),
    ExitStatus.OSERR: (451, "4.3.0", "The system failed"),
    ExitStatus.OSFILE: (554, "5.3.0", "A file of the system is missing"),
    ExitStatus.CANTCREAT: (550, "5.2.0", "The program cannot write its file"),
    ExitStatus.IOERR: (451, "4.3.0", "Reading or writing failed"),
    ExitStatus.TEMPFAIL: (451, "4.3.0", "The program asks to try again later"),
    ExitStatus.PROTOCOL: (554, "5.5.0", "The program met a wrong protocol"),
    ExitStatus.NOPERM: (550, "5.7.0", "The program refuses this message"),
    ExitStatus.CONFIG: (554, "5.3.5", "The program is configured wrongly"),
}

# An enhanced code, or how a code or an enhanced code begins, and the status that says it; the first
# row counts.
_REPLIES = (
    ("4", ExitStatus.TEMPFAIL),
    ("5.1.1", ExitStatus.NOUSER),
    ("5.1.6", ExitStatus.NOUSER),
    ("5.1.2", ExitStatus.NOHOST),
    ("5.1.10", ExitStatus.NOHOST),  # the domain takes no mail (RFC 7505)
    ("5.1.", ExitStatus.DATAERR),
    ("5.3.4", ExitStatus.DATAERR),
    ("5.5.", ExitStatus.PROTOCOL),
    ("5.6.", ExitStatus.DATAERR),
    ("5.7.", ExitStatus.NOPERM),
    ("53", ExitStatus.NOPERM),  # 530 to 538 want a login or TLS
)


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
    said = output.strip().partition(b"\n")[0].rstrip().decode("utf-8", "replace")
    words = f": {printable(said)}"[:_LONGEST].rstrip() if said else ""
    return Reply(code, enhanced, f"{text} ({ended}){words}")


def status_of_reply(reply: Reply) -> ExitStatus:
    """Return the status with which a program says what *reply* says: for example NOUSER for
    ``550 5.1.1`` and TEMPFAIL for 4yz. UNAVAILABLE is any other refusal."""
    if reply.positive:
        return ExitStatus.OK
    codes = str(reply.enhanced), str(reply.code)
    found = (status for row, status in _REPLIES if any(_fits(it, row) for it in codes))
    return next(found, ExitStatus.UNAVAILABLE)


def _fits(code: str, row: str) -> bool:
    """Return whether *code* is that of *row*, or begins like it: 5.1.10 is not 5.1.1."""
    return code == row if re.fullmatch(r"\d\.\d+\.\d+", row) else code.startswith(row)
