"""A stream whose other side is written down."""

from __future__ import annotations

from collections import deque

from ..errors import ConnectionLost, TimedOut


class ScriptedStream:
    """Plays one side of a dialogue of ``C:`` and ``S:`` lines; checks the other as it comes.

    ::

        stream = ScriptedStream('''
            S: 220 mx.example.org
            C: EHLO [127.0.0.1]
            S: 250 mx.example.org
        ''')

    *plays* is "S" to test a client, "C" to test a server. Each line stands for its octets and
    CRLF. ``S: <silence>`` times out, ``S: <reset>`` breaks the link; after the last line the stream
    ends. What differs from the script raises AssertionError at once.
    """

    peername = ("192.0.2.1", 25)
    sockname = ("127.0.0.1", 49152)

    def __init__(self, script: str, *, plays: str = "S") -> None:
        lines = (line.lstrip() for line in script.split("\n"))
        self._script = deque((line[0], line[3:]) for line in lines if line)
        self._plays = plays
        self._pending = b""
        self.closed = False

    async def read(self, timeout: float | None) -> bytes:
        """All lines up to the other side's next."""
        octets = b""
        while self._script and self._script[0][0] == self._plays:
            match self._script[0][1]:
                case "<silence>" | "<reset>" as event:
                    return octets or self._happen(event)
                case line:
                    octets += f"{line}\r\n".encode()
                    self._script.popleft()
        if self._script and not octets:
            raise AssertionError(f"both wait; the script has {self._script[0][1]!r} next")
        return octets

    async def write(self, data: bytes, timeout: float | None) -> None:
        self._pending += data
        while b"\r\n" in self._pending:
            line, _, self._pending = self._pending.partition(b"\r\n")
            expected = self._script.popleft() if self._script else ("", "<the end>")
            said = line.decode()
            if expected[0] == self._plays or expected[1] != said:
                raise AssertionError(f"said {said!r}; the script has {expected[1]!r}")

    async def close(self) -> None:
        self.closed = True

    def interrupt(self) -> None:
        self._script.clear()

    def finish(self) -> None:
        """Raise AssertionError unless all of the script was played."""
        if self._script or self._pending:
            raise AssertionError(f"never said: {[line for _, line in self._script]}")

    def _happen(self, event: str) -> bytes:
        self._script.popleft()
        if event == "<silence>":
            raise TimedOut("the script is silent")
        raise ConnectionLost("the script resets the connection")
