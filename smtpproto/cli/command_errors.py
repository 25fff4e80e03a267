"""Errors of the command line, and the exit status of each.

The statuses are those of sysexits.h. A command also ends with 1 if it did its work and the answer
is no, as grep, diff and test do: sysexits.h begins at 64 to leave the low numbers to such answers.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from attrs import evolve

from ..delivery import ExitStatus, status_of_reply
from ..diagnosis import Diagnosis
from ..errors import (
    ConnectFailed,
    GrammarError,
    LocalProtocolError,
    NoRoute,
    NotOffered,
    QueueFailed,
    QueueFull,
    Refusal,
    RemoteProtocolError,
    SMTPError,
    StatesFailed,
    TLSFailed,
    TransportError,
)
from ..grammar.printable import printable
from ..outcome import OutcomeUnknown

ANSWER_IS_NO = 1
_PASSWORD = re.compile(r"(?<=[^\s:'\"/@]):(?!//)[^\s'\"]+@")  # of user:password@host
INTERRUPTED = 130
"""The status that a shell reports for SIGINT."""

MEANINGS: dict[int, str] = {
    0: "success",
    ANSWER_IS_NO: "the command did its work, and the answer is no",
    ExitStatus.USAGE: "an option or argument is wrong",
    ExitStatus.DATAERR: "a message or another input is malformed",
    ExitStatus.NOINPUT: "a file is missing or cannot be read",
    ExitStatus.NOUSER: "there is no such mailbox",
    ExitStatus.NOHOST: "there is no such host",
    ExitStatus.UNAVAILABLE: "a server or an extra is not there, or refused for good",
    ExitStatus.SOFTWARE: "an error in smtpproto itself",
    ExitStatus.CANTCREAT: "a file cannot be written",
    ExitStatus.IOERR: "reading or writing failed",
    ExitStatus.TEMPFAIL: "it may work later: try again",
    ExitStatus.PROTOCOL: "the peer broke the protocol, or TLS failed",
    ExitStatus.NOPERM: "the server or the system does not allow it",
    ExitStatus.CONFIG: "a configuration file is wrong",
    INTERRUPTED: "Ctrl-C",
}
"""What each exit status means. No command ends with any other."""


# The first row counts. TransportError is here for connections that are lost or time out.
_BY_CLASS: tuple[tuple[type[BaseException], int], ...] = (
    (KeyboardInterrupt, INTERRUPTED),
    (TLSFailed, ExitStatus.PROTOCOL),
    (RemoteProtocolError, ExitStatus.PROTOCOL),
    (TransportError, ExitStatus.TEMPFAIL),
    (OutcomeUnknown, ExitStatus.TEMPFAIL),
    (QueueFull, ExitStatus.TEMPFAIL),
    (NoRoute, ExitStatus.TEMPFAIL),
    (NotOffered, ExitStatus.UNAVAILABLE),
    (QueueFailed, ExitStatus.IOERR),
    (StatesFailed, ExitStatus.IOERR),
    (GrammarError, ExitStatus.USAGE),
    (BaseException, ExitStatus.SOFTWARE),
)


class CommandError(Exception):
    """What ends a command: its text is printed on standard error, and *status* is returned.
    Without another status, something is unavailable, for example an extra."""

    status: ExitStatus = ExitStatus.UNAVAILABLE

    def __init__(self, message: str, status: ExitStatus | None = None) -> None:
        super().__init__(message)
        self.status = self.status if status is None else status


class UsageError(CommandError):
    """Options or arguments that are wrong, that exclude each other, or that lack another."""

    status: ExitStatus = ExitStatus.USAGE


class ConfigError(CommandError):
    """A configuration file that is wrong."""

    status: ExitStatus = ExitStatus.CONFIG


@contextmanager
def reading(path: object, option: str) -> Iterator[None]:
    """Raise CommandError, which names *option*, if the block cannot read the file at *path*."""
    try:
        yield
    except OSError as error:
        text = f"cannot read {path}: {reason(error)}; check: {option}"
        raise CommandError(text, ExitStatus.NOINPUT) from None


@contextmanager
def writing(path: object, option: str) -> Iterator[None]:
    """Raise CommandError, which names *option*, if the block cannot write the file at *path*."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        text = f"cannot write {path}: {reason(error)}; check: {option}"
        raise CommandError(text, ExitStatus.CANTCREAT) from None


@contextmanager
def listening(where: str, option: str) -> Iterator[None]:
    """Raise CommandError, which names *option*, if the block cannot listen *where*."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        text = f"cannot listen on {where}: {reason(error)}; check: {option}"
        raise CommandError(text, _status_of_system(error)) from None


def reason(error: OSError) -> str:
    """Return what the system says, without the number of the error."""
    return os.strerror(error.errno) if error.errno else str(error)


def text_of(error: BaseException) -> str:
    """Return *error* as one line that can be shown."""
    if isinstance(error, OSError) and not isinstance(error, SMTPError):
        where = "" if error.filename is None else f"{error.filename}: "
        return _shown(f"{where}{error.strerror or error}")
    if isinstance(error, CommandError | SMTPError):
        return _shown(str(error))
    return _shown(f"internal error, please report it: {type(error).__name__}: {error}")


def _shown(text: str) -> str:
    """Return *text* on one line, without what may be a password of a URL: an error quotes the
    option or argument that was wrong, and logs keep it."""
    return printable(_PASSWORD.sub(":***@", text))


def status_of(error: BaseException) -> int:
    """Return the exit status for *error*."""
    match error:
        case CommandError():
            return error.status
        case Refusal():
            return status_of_reply(error.reply)
        case ConnectFailed():
            return _status_of_lookup(error.__context__)
        case NoRoute() if error.reply is not None:
            transient = error.reply.transient
            return ExitStatus.TEMPFAIL if transient else ExitStatus.NOHOST
        case LocalProtocolError(phase="login"):  # it wants TLS
            return ExitStatus.NOPERM
        case OSError() if not isinstance(error, SMTPError):
            return _status_of_system(error)
    return next(status for kind, status in _BY_CLASS if isinstance(error, kind))


def _status_of_lookup(cause: BaseException | None) -> ExitStatus:
    if not isinstance(cause, socket.gaierror):
        return ExitStatus.UNAVAILABLE
    return ExitStatus.TEMPFAIL if cause.errno == socket.EAI_AGAIN else ExitStatus.NOHOST


def _status_of_system(error: OSError) -> ExitStatus:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR | errno.EISDIR:
            return ExitStatus.NOINPUT
        case errno.EACCES | errno.EPERM:
            return ExitStatus.NOPERM
        case errno.EADDRINUSE | errno.EADDRNOTAVAIL:
            return ExitStatus.UNAVAILABLE
    return ExitStatus.IOERR


def values_of(error: BaseException, command: str) -> dict[str, object]:
    """Return what ``--json`` prints of *error*, which ended *command*."""
    status = status_of(error)
    values: dict[str, object] = {
        "command": command,
        "status": status,
        "meaning": MEANINGS[status],
        "message": text_of(error),
        "phase": None,
        "reply": None,
        "check": None,
        "diagnosis": None,
    }
    if isinstance(error, SMTPError):
        values["message"] = _shown(error.message)
        values["phase"] = error.phase or None
        values["reply"] = None if error.reply is None else str(error.reply)
        values["check"] = _shown(error.check) or None
        values["diagnosis"] = _diagnosis(error).as_dict()
    return {"error": values}


def causes_of(error: BaseException) -> Sequence[str]:
    """Return the likely causes of *error*, and what to try, as lines below its text. A malformed
    value has none: the text of the error says all."""
    if not isinstance(error, SMTPError) or isinstance(error, GrammarError):
        return ()
    return causes_in(_diagnosis(error))


def causes_in(diagnosis: Diagnosis) -> Sequence[str]:
    """Return the lines of *diagnosis* without what failed, for below a line that tells it."""
    return evolve(diagnosis, what="", phase="", command="", reply="").lines()


def _diagnosis(error: SMTPError) -> Diagnosis:
    return evolve(error.diagnosis, what=_shown(error.diagnosis.what))


def traceback_of(error: BaseException) -> str:
    """Return the traceback of *error* if it is an error in this program, else ""."""
    is_ours = status_of(error) == ExitStatus.SOFTWARE
    return "".join(traceback.format_exception(error)) if is_ours else ""
