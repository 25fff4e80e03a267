"""Record a session as a transcript, from its octets or from a trace."""

from __future__ import annotations

from copy import copy

from .roles import CRLF, Dialogue
from .transcript import TLS, Entry, Line, Note, Side, Transcript, from_trace, mask

__all__ = ["Recorder"]

_LONGEST = 65_536  # octets without a line end that are kept together
_LIMIT = 10_000_000


class Recorder:
    """Records one session. Secrets of AUTH are masked, unless *masks* is False.

    Pass :meth:`trace` as the option ``trace`` of a client or a server of this library; or pass
    :meth:`feed` what each side sends. After *limit* octets it stops recording, and notes that.
    """

    def __init__(self, *, masks: bool = True, limit: int = _LIMIT) -> None:
        self._masks, self._limit = masks, limit
        self._entries: list[Entry] = []
        self._pending: dict[Side, bytes] = {"C": b"", "S": b""}
        self._dialogue = Dialogue()
        self._recorded = 0

    @property
    def transcript(self) -> Transcript:
        """The session so far."""
        rest = [Line(side, octets) for side, octets in self._pending.items() if octets]
        return Transcript(
            [*self._entries, *(self._masked(it, copy(self._dialogue)) for it in rest)]
        )

    @property
    def in_tls(self) -> bool:
        """Whether the server has agreed to STARTTLS, so that what follows is encrypted."""
        return self._dialogue.in_tls

    def trace(self, speaker: str, text: str) -> None:
        """Record one line of a trace: see :data:`.ports.Trace`."""
        if speaker == "C":
            self._add(from_trace("." if text == "end of data" else text))
        elif speaker == "S":
            self._add(Line("S", text.encode() + CRLF))
        else:
            self._add(TLS(text[5:]) if text.startswith("TLS: ") else Note(text))

    def feed(self, side: Side, octets: bytes) -> None:
        """Record *octets* that *side* sent, in pieces of any size."""
        self._pending[side] += octets
        while line := self._take_line(side):
            self._add(self._masked(Line(side, line), self._dialogue))

    def tls(self, text: str = "") -> None:
        """Record that TLS has started; *text* may say more."""
        self._add(TLS(text))
        self._dialogue = Dialogue()

    def note(self, text: str) -> None:
        """Record a note."""
        self._add(Note(text))

    def _take_line(self, side: Side) -> bytes:
        """Remove the next line of *side* from what is pending, and return it, or ``b""``."""
        pending = self._pending[side]
        ending = CRLF if side == "C" and self._dialogue.in_content else b"\n"
        end = pending.find(ending) + len(ending) if ending in pending else 0
        chunk = self._dialogue.chunk if side == "C" else 0
        if 0 < chunk <= len(pending):  # its end is no line end, perhaps
            end = min(end or chunk, chunk)
        elif not end and len(pending) > _LONGEST:
            end = _LONGEST
        self._pending[side] = pending[end:]
        return pending[:end]

    def _masked(self, line: Line, dialogue: Dialogue) -> Entry:
        role = dialogue.role(line.side, line.octets)
        return mask(line, role) if self._masks else line

    def _add(self, entry: Entry) -> None:
        if self._recorded > self._limit:
            return
        self._recorded += len(str(entry))
        if self._recorded > self._limit:
            entry = Note(
                f"the rest is not recorded: the session is longer than {self._limit} octets"
            )
        self._entries.append(entry)
