"""Plays one side of a transcript, in pieces, and compares what the other side sends."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Literal, get_args

from attrs import frozen

from .recording import Recorder
from .roles import CRLF
from .transcript import SECRET, Content, Entry, Line, Note, Side, Transcript, mask, roles

Splits = Literal["every", "octets", "whole"]
"""How octets arrive: "whole", as the turns of the transcript; "octets", also octet by octet; or
"every", also cut in two at every octet of a turn."""

_MOST_CUTS = 1000
_CONTEXT = 4  # entries shown before a difference
_VARIABLE = re.compile(r"\.\.\.|\*\*\*")
_SHOWN = 1000  # octets of what the other side says
_EMPTY = (Content(0), Line("C", b""), Line("S", b""))
_LONGEST = 1_000_000  # octets of the other side without the line end that is expected


Turns = list[tuple[Side | None, list[Entry]]]
"""What each side sends before the other does."""


@frozen
class Cut:
    """Where one turn is cut: before octet *at*, or before every octet if that is 0."""

    turn: int = -1  # no turn
    at: int = 0

    def pieces(self, turn: int, octets: bytes) -> list[bytes]:
        """Return *octets*, which are those of *turn*, in pieces."""
        if turn != self.turn:
            return [octets]
        if self.at:
            return [octets[: self.at], octets[self.at :]]
        return [octets[i : i + 1] for i in range(len(octets))]


def players(transcript: Transcript, side: Side, splits: Splits) -> Iterator[Player]:
    """Yield a player of *side* for each of *splits*: at most about 1000 of them. Raises ValueError
    if it cannot be played (a secret or content is missing), and for other words."""
    for name, value, known in (("plays", side, Side), ("splits", splits, Splits)):
        if value not in get_args(known):
            raise ValueError(f"{name} must be one of {get_args(known)}, not {value!r}")
    check_playable(transcript, side)
    turns = turns_of(transcript)
    own = [(number, _octets(it)) for number, (who, it) in enumerate(turns) if who == side]
    for cut in _cuts(own, splits):
        yield Player(transcript, side, turns, cut)


def _cuts(turns: list[tuple[int, bytes]], splits: Splits) -> Iterator[Cut]:
    """Yield the cuts of *turns*. Of very many, every second is left out, and so on."""
    yield Cut()
    if splits != "whole":
        yield from (Cut(number) for number, _ in turns)
    if splits == "every":
        found = [Cut(number, at) for number, octets in turns for at in range(1, len(octets))]
        yield from found[:: len(found) // _MOST_CUTS + 1]


def check_playable(transcript: Transcript, side: Side) -> None:
    """Raise ValueError if *transcript* does not have all that *side* sent."""
    for entry, role in roles(transcript.entries):
        where = f"line {_number(entry, transcript)} of the transcript"
        if isinstance(entry, Content) and side == "C":
            raise ValueError(f"{where} leaves content out; record it whole to send it again")
        secret = isinstance(entry, Line) and entry.side == side and role in SECRET
        if secret and "***" in str(entry):
            raise ValueError(f"{where} hides a secret; write one that works in its place")


def _number(entry: Entry, transcript: Transcript) -> int:
    return entry.number or [*map(id, transcript.entries)].index(id(entry)) + 1


def turns_of(transcript: Transcript) -> Turns:
    """Return what each side sends before the other does. TLS is a turn of None."""
    entries = (it for it in transcript.entries if not isinstance(it, Note))
    return [(side, list(group)) for side, group in groupby(entries, _side)]


def _side(entry: Entry) -> Side | None:
    return entry.side if isinstance(entry, Line) else "C" if isinstance(entry, Content) else None


def _octets(lines: Iterable[Entry]) -> bytes:
    return b"".join(it.octets for it in lines if isinstance(it, Line))


def _matches(entry: Line, actual: bytes) -> bool:
    return entry.octets == actual or line_matches(str(entry), str(Line(entry.side, actual)))


def line_matches(expected: str, actual: str) -> bool:
    """Return whether *actual* is *expected*, in which ``...`` and ``***`` stand for any text."""
    parts = map(re.escape, _VARIABLE.split(expected))
    return re.fullmatch(".*".join(parts), actual, re.DOTALL) is not None


class Player:
    """Plays *side* of *transcript*: see :func:`players`.

    A difference is kept in :attr:`difference`; after it, there is nothing more to send.
    """

    def __init__(self, transcript: Transcript, side: Side, turns: Turns, cut: Cut) -> None:
        self.difference: str = ""
        self._transcript, self._side, self._cut = transcript, side, cut
        self._turns = deque(enumerate(turns))
        self._pieces: deque[bytes] = deque()
        self._expected: deque[Entry] = deque()
        self._pending = b""
        self._advance()

    def next_piece(self) -> bytes:
        """Return what to send next, or ``b""`` if it is the turn of the other side."""
        if not self.has_piece:
            return b""
        piece = self._pieces.popleft()
        self._advance()
        return piece

    @property
    def has_piece(self) -> bool:
        """Whether there is something to send."""
        return bool(self._pieces) and not self.difference

    @property
    def awaits_tls(self) -> bool:
        """Whether TLS must start now."""
        return not self._busy and bool(self._turns) and self._turns[0][1][0] is None

    @property
    def is_over(self) -> bool:
        """Whether all has been played, or there was a difference."""
        return bool(self.difference) or not (self._busy or self._turns)

    def tls_started(self) -> None:
        """Go on after the start of TLS."""
        self._turns.popleft()
        self._advance()

    def take(self, octets: bytes) -> None:
        """Compare *octets*, which the other side has sent."""
        self._pending += octets
        while self._pending and not self.difference:
            if not self._expected:
                self._differ(None, f"{self._other} says more than the transcript")
            elif not self._take(self._expected[0]):
                return

    def end(self, reason: str = "ended the session") -> None:
        """The other side sends no more, for this *reason*."""
        if not self.is_over:
            entry = self._expected[0] if self._expected else None
            self._differ(entry, f"{self._other} {reason}")

    def finish(self) -> None:
        """Raise AssertionError if there was a difference, or if not all was played."""
        self.end()
        if self.difference:
            raise AssertionError(self.difference)

    # -- the turns ---------------------------------------------------------------------------

    @property
    def _busy(self) -> bool:
        return bool(self._pieces or self._expected)

    @property
    def _other(self) -> str:
        return "the server" if self._side == "C" else "the client"

    def _advance(self) -> None:
        """Begin what may begin. The other side may answer a part of a pipelined group, so its turn
        begins after the first piece of ours."""
        while self._turns and (side := self._turns[0][1][0]) is not None:
            if side == self._side and self._busy:
                return
            number, (_, entries) = self._turns.popleft()
            if side == self._side:
                self._pieces.extend(filter(None, self._cut.pieces(number, _octets(entries))))
                if self._pieces:
                    return
            else:
                self._expected.extend(it for it in entries if it not in _EMPTY)

    def _take(self, entry: Entry) -> bool:
        """Compare the octets that *entry* stands for, if they have arrived."""
        line_end = self._pending.find(CRLF) + len(CRLF)
        if isinstance(entry, Content):
            size = entry.size
        elif isinstance(entry, Line) and not entry.octets.endswith(CRLF):
            size = len(entry.octets)
        else:
            size = line_end if line_end >= len(CRLF) else _LONGEST
        if len(self._pending) < size:
            return False
        actual, rest = self._pending[:size], self._pending[size:]
        if isinstance(entry, Line) and not _matches(entry, actual):
            self._differ(entry, f"{self._other} says something else")
            return True
        self._pending = rest
        self._expected.popleft()
        if not self._busy:
            self._advance()
        return True

    # -- differences -------------------------------------------------------------------------

    def _differ(self, entry: Entry | None, what: str) -> None:
        """Describe a difference, secrets masked: ``-`` is what *entry* expects, ``+`` what came."""
        known = [it for it in roles(self._transcript.entries) if not isinstance(it[0], Note)]
        at = len(known) if entry is None else [id(it) for it, _ in known].index(id(entry))
        role = None
        if entry is not None:
            what += f" at line {_number(entry, self._transcript)} of the transcript"
            role = known[at][1]
        said = Recorder()
        said.feed("S" if self._side == "C" else "C", self._pending[:_SHOWN])
        lines = [f"      {mask(*it)}" for it in known[max(0, at - _CONTEXT) : at]]
        lines += [f"    - {mask(*it)}" for it in known[at : at + 1]]
        lines += [f"    + {mask(it, role)}" for it in said.transcript.entries[:1]]
        self.difference = "\n".join([f"{what}:", *lines])
