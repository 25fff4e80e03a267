"""A stream whose peer follows a script."""

from __future__ import annotations

from collections import deque

from ..errors import ConnectionLost, TimedOut


class ScriptedStream:
    """A stream that plays one side of a dialogue of ``C:`` and ``S:`` lines and checks the other.

    ::

        stream = ScriptedStream('''
            S: 220 mx.example.org
            C: EHLO [127.0.0.1]
            S: 250 mx.example.org
        ''')

    *plays* is "S" to test a client, "C" to test a server. CRLF is added to each line. A read at
    ``S: <silence>`` raises TimedOut, at ``S: <reset>`` ConnectionLost; the stream ends after the
    last line. A line that differs from the script raises AssertionError at once, and again in
    :meth:`finish`: a conversation logs what its stream raises, and goes on to its end.
    """

    peername: tuple[str, int] = ("192.0.2.1", 25)
    sockname: tuple[str, int] = ("127.0.0.1", 49152)

    def __init__(self, script: str, *, plays: str = "S") -> None:
        lines = (line.lstrip() for line in script.split("\n"))
        self._script = deque((line[0], line[3:]) for line in lines if line)
        self._plays = plays
        self._pending = b""
        self._difference = ""
        self.closed: bool = False

    async def read(self, timeout: float | None) -> bytes:
        """Return the lines of this side up to the next line of the other side.

        With a *timeout* of 0, raises TimedOut if the other side is next or the script is silent.
        """
        if timeout == 0 and self._has_nothing_ready:
            raise TimedOut("nothing has arrived")
        octets = b""
        while self._script and self._script[0][0] == self._plays:
            line = self._script[0][1]
            if line in ("<silence>", "<reset>"):
                return octets or self._fail(line)
            octets += f"{line}\r\n".encode()
            self._script.popleft()
        if self._script and not octets:
            raise AssertionError(f"both sides wait; the script expects {self._script[0][1]!r}")
        return octets

    async def write(self, data: bytes, timeout: float | None) -> None:
        """Compare each line with the script. Raises AssertionError if it differs."""
        self._pending += data
        while b"\r\n" in self._pending:
            line, _, self._pending = self._pending.partition(b"\r\n")
            expected = self._script.popleft() if self._script else ("", "<the end>")
            actual = line.decode()
            if expected[0] == self._plays or expected[1] != actual:
                self._difference = f"got {actual!r}; the script expects {expected[1]!r}"
                raise AssertionError(self._difference)

    async def end(self) -> None:
        """Do nothing: the script decides when the other side ends."""

    async def close(self) -> None:
        """Set *closed*."""
        self.closed = True

    def interrupt(self) -> None:
        """Drop the rest of the script, so that the next read returns ``b""``."""
        self._script.clear()

    def finish(self) -> None:
        """Raise AssertionError unless the whole script was played without a difference."""
        if self._difference:
            raise AssertionError(self._difference)
        if self._script or self._pending:
            raise AssertionError(f"lines not played: {[line for _, line in self._script]}")

    @property
    def _has_nothing_ready(self) -> bool:
        return bool(self._script) and (
            self._script[0][0] != self._plays or self._script[0][1] == "<silence>"
        )

    def _fail(self, event: str) -> bytes:
        self._script.popleft()
        if event == "<silence>":
            raise TimedOut("the script is silent")
        raise ConnectionLost("the script resets the connection")
