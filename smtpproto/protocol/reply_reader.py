"""Reads replies from the octets of a server, within the limits."""

from __future__ import annotations

from ..errors import GrammarError, RemoteProtocolError
from ..grammar.parse_context import ParseContext
from ..grammar.printable import printable
from ..grammar.reply import Reply, parse_reply_line
from ..limits import Limits
from ..wire.buffer import Buffer
from ..wire.lines import OVERLONG, LineReader

_SHOWN = 100  # octets of an unfinished reply to show


class ReplyReader:
    """Reads replies from octets that arrive in pieces."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = Buffer()
        self._line_reader = LineReader(self._buffer)
        self._lines: list[bytes] = []  # of the reply that is not complete
        self._size = 0
        self.received: int = 0
        """How many octets have arrived."""
        self.begin: int = 0
        """How many octets had arrived before the first one of the last reply."""

    def feed(self, data: bytes) -> None:
        """Take octets from the server."""
        self._buffer.feed(data)
        self.received += len(data)

    def clear(self) -> None:
        """Discard what was not read."""
        self._buffer.clear()

    @property
    def has_unread(self) -> bool:
        """Whether octets have arrived after the last reply."""
        return bool(self._buffer)

    @property
    def unfinished(self) -> str:
        """The start of a reply whose end has not arrived, escaped; "" if there is none. A challenge
        of a login is masked."""
        octets = b"\r\n".join([*self._lines[:1], self._buffer.peek(_SHOWN)])[:_SHOWN]
        return "334 ***" if octets.startswith(b"334") else printable(octets)

    def read(self, context: ParseContext) -> Reply | None:
        """Return the next reply, or None if it is not complete.

        Raises RemoteProtocolError for what is not a reply, and for a reply or a line of one that
        exceeds its limit, as soon as it does.
        """
        if not self._lines:
            self.begin = self.received - len(self._buffer)
        while (line := self._read_line()) is not None:
            self._lines.append(line)
            self._size += len(line)
            try:
                if not parse_reply_line(line)[1]:
                    lines, self._lines, self._size = self._lines, [], 0
                    return Reply.from_lines(lines, context.tolerate)
            except GrammarError as error:
                raise RemoteProtocolError(error.message) from None
        return None

    def _read_line(self) -> bytes | None:
        left = self._limits.reply - self._size + len(b"\r\n")
        line = self._line_reader.read(min(self._limits.reply_line, left))
        if line is OVERLONG or self._line_reader.overlong:
            raise RemoteProtocolError("a reply that is too long")
        return line
