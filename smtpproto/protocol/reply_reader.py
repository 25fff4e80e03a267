"""Reads replies from the octets of a server, within the limits."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import GrammarError, RemoteProtocolError
from ..grammar.parse_context import ParseContext
from ..grammar.pattern import pattern
from ..grammar.printable import printable
from ..grammar.reply import Reply, read_reply
from ..limits import REPLY_LINE, Leniencies, Limits

_MORE_FOLLOW = pattern(rb"[2-5][0-9]{2}-")
_LITTLE = 65536 - REPLY_LINE
_OTHER_PROTOCOLS = {
    pattern(rb"HTTP/"): "http",
    pattern(rb"\* (OK|PREAUTH|BYE)"): "imap",
    pattern(rb"\+OK|-ERR"): "pop3",
    pattern(rb"SSH-"): "ssh",
}
_SHOWN = 100  # octets of an unfinished reply to show
_SHORT = REPLY_LINE - len(b"\r\n")


class ReplyReader:
    """Reads replies from octets that arrive in pieces."""

    def __init__(self, limits: Limits, leniencies: Leniencies) -> None:
        self._limits = limits
        context = ParseContext(leniencies=leniencies)
        self.tolerate: Callable[[str, GrammarError], None] = context.tolerate
        self.used: list[str] = context.used
        """The leniencies to report that reading needed since this was cleared."""
        self._tail = b""  # of the line that is not complete
        self._lines: list[bytes] = []  # of the reply that is not complete
        self._size = 0  # octets of these
        self._unread = 0  # lines that were returned but not read
        self.sent_before: int = 0
        """How many octets had been sent to the server when the first one of the next reply, or of
        the one that is not complete, arrived."""

    def lines(self, data: bytes, sent: int) -> list[bytes]:
        """Return the lines that end in *data*, without CRLF, and keep the rest. *sent* octets have
        been sent to the server."""
        if not (self._tail or self._lines):
            self.sent_before = sent
        lines = (self._tail + data).split(b"\r\n")
        self._tail = lines.pop()
        self._unread = len(lines)
        return lines

    def clear(self) -> None:
        """Discard what was not read."""
        self._tail, self._lines, self._unread = b"", [], 0

    @property
    def has_unread(self) -> bool:
        """Whether octets have arrived after the last reply."""
        return bool(self._unread or self._tail or self._lines)

    @property
    def unfinished(self) -> str:
        """The start of a reply whose end has not arrived, escaped; "" if there is none. A challenge
        of a login is masked."""
        octets = b"\r\n".join([*self._lines[:1], self._tail[:_SHOWN]])[:_SHOWN]
        return "334 ***" if octets.startswith(b"334") else printable(octets)

    def read(self, line: bytes) -> Reply | None:
        """Read the next line; return the reply that it ends, or None if more lines follow.

        Raises RemoteProtocolError for what is not a reply, and for a reply or a line of one that
        exceeds its limit.
        """
        size = len(line)
        if size > _SHORT or self._size > _LITTLE:  # no limits are lower
            self._check_size(size + len(b"\r\n"))
        self._size += size
        self._unread -= 1
        if line[3:4] == b"-" and _MORE_FOLLOW.match(line):
            self._lines.append(line)
            return None
        lines = (*self._lines, line)
        self._lines, self._size = [], 0
        try:
            return read_reply(lines, self.tolerate)
        except GrammarError as error:
            failed = RemoteProtocolError(error.message)
            failed.fault = self._fault_of(line)
            raise failed from None

    def _fault_of(self, line: bytes) -> str:
        """Return the name of the fault of a server that sends *line* instead of a reply."""
        if self.sent_before:
            return RemoteProtocolError.fault
        spoken = (name for start, name in _OTHER_PROTOCOLS.items() if start.match(line))
        return next(spoken, "not-smtp")

    def check_rest(self) -> None:
        """Raise RemoteProtocolError if the line that has not ended is already too long."""
        if self._tail:
            self._check_size(len(self._tail) + 1)

    def _check_size(self, size: int) -> None:
        """Raise RemoteProtocolError if a line of *size* octets, CRLF included, is too long."""
        limits = self._limits
        if size > limits.reply_line or self._size + size > limits.reply + len(b"\r\n"):
            error = RemoteProtocolError("a reply that is too long")
            error.fault = "reply-too-long"
            raise error
