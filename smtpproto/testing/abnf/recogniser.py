"""Decides whether octets match a rule.

Sets of positions are integers, with a bit for each position. A part maps the positions at which it
may start to those at which it may end, so that every ambiguity is followed at once. Only rules that
contain themselves are looked at position by position, each once.
"""

from __future__ import annotations

from collections import defaultdict

from .compiled import Again, All, Any, Compiler, Many, One, Part

MAX_NESTING = 50


def recognise(octets: bytes, name: str, compiler: Compiler) -> bool:
    """Return whether *octets* match the rule *name*."""
    return bool(_Recogniser(octets, compiler).ends(compiler.rule(name), 1) >> len(octets))


class _Recogniser:
    def __init__(self, octets: bytes, compiler: Compiler) -> None:
        self.compiler = compiler
        self.places: dict[int, int] = defaultdict(int)
        for position, octet in enumerate(octets):
            self.places[octet] |= 1 << position
        self.found: dict[One, int] = {}
        self.again: dict[tuple[str, int], int | None] = {}
        self.nesting = 0

    def ends(self, part: Part, starts: int) -> int:
        """Return the ends of *part* for its *starts*."""
        match part:
            case One():
                return (starts & self._places(part)) << 1
            case All(parts):
                for each in parts:
                    if not starts:
                        break
                    starts = self.ends(each, starts)
                return starts
            case Any(parts):
                ends = 0
                for each in parts:
                    ends |= self.ends(each, starts)
                return ends
            case Many():
                return self._repeated(part, starts)
            case Again(name):
                return self._recursive(name, starts)

    def _places(self, part: One) -> int:
        if part not in self.found:
            places = 0
            for octet in self.places.keys() & set(part.octets):
                places |= self.places[octet]
            self.found[part] = places
        return self.found[part]

    def _repeated(self, part: Many, starts: int) -> int:
        reached, count = 0 if part.least else starts, 0
        while starts and count != part.most:
            starts, count = self.ends(part.part, starts), count + 1
            if count >= part.least:
                starts &= ~reached  # what was reached before needs fewer repetitions
                reached |= starts
        return reached

    def _recursive(self, name: str, starts: int) -> int:
        ends = 0
        while starts:
            start = starts & -starts
            starts ^= start
            if (name, start) not in self.again:
                self.again[name, start] = None
                self.again[name, start] = self._nested(name, start)
            found = self.again[name, start]
            if found is None:
                raise ValueError(f"the rule {name} starts with itself; write it as a repetition")
            ends |= found
        return ends

    def _nested(self, name: str, start: int) -> int:
        if self.nesting == MAX_NESTING:
            raise ValueError(f"{name} is nested more than {MAX_NESTING} times")
        self.nesting += 1
        ends = self.ends(self.compiler.rule(name), start)
        self.nesting -= 1
        return ends
