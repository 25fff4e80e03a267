"""Makes octets that match a rule, and near misses."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from .compiled import Again, All, Any, Compiler, Many, One, Part

DEPTH = 2
"""How often rules that contain themselves may be nested, unless they need more."""
LENGTH = 500
"""Octets of a sentence after which nothing is repeated that need not be."""
_ODD = b'\0\t\n\r "()*+,-./0:;<=>@A[\\]_a{}~\x7f\x80\xbf\xc3\xff'

Below = Callable[[int], int]
"""Makes the choices: returns an integer from 0 to its argument - 1. 0 is the simplest choice."""


class Generator:
    """Makes sentences of the rules of one grammar."""

    def __init__(self, compiler: Compiler) -> None:
        self.compiler = compiler
        self._heights = dict.fromkeys(compiler.recursive, inf)
        self._known: dict[Part, float] = {}
        for _ in compiler.recursive:
            for name in compiler.recursive:
                self._heights[name] = 1 + self._height(compiler.rule(name))

    def sentence(self, name: str, below: Below) -> bytes:
        """Return octets that match the rule *name*."""
        part = self.compiler.rule(name)
        height = self._known_height(part)
        if height == inf:
            raise ValueError(f"the rule {name} contains itself without an end")
        octets = bytearray()
        self._write(part, below, max(height, DEPTH), octets)
        return bytes(octets)

    def _height(self, part: Part) -> float:
        """Return how often rules that contain themselves are nested in *part* at least."""
        match part:
            case All(parts):
                return max(map(self._height, parts), default=0)
            case Any(parts):
                return min(map(self._height, parts))
            case Many(item, least):
                return self._height(item) if least else 0
            case Again(name):
                return self._heights[name]
        return 0

    def _known_height(self, part: Part) -> float:
        if part not in self._known:
            self._known[part] = self._height(part)
        return self._known[part]

    def _write(self, part: Part, below: Below, depth: float, octets: bytearray) -> None:
        match part:
            case One(choices):
                octets.append(choices[below(len(choices))])
            case All(parts):
                for each in parts:
                    self._write(each, below, depth, octets)
            case Any(parts):
                if self._heights:
                    parts = tuple(each for each in parts if self._known_height(each) <= depth)
                self._write(parts[below(len(parts))], below, depth, octets)
            case Many(item, least, most):
                many = len(octets) < LENGTH and self._known_height(item) <= depth
                for _ in range(_count(below, least, most) if many else least):
                    self._write(item, below, depth, octets)
            case Again(name):
                self._write(self.compiler.rule(name), below, depth - 1, octets)


def _count(below: Below, least: int, most: int | None) -> int:
    """Return a number of repetitions, which is mostly small, and sometimes the largest."""
    if most is not None and most - least < 8:
        return least + below(most - least + 1)
    more = below(8)
    if more == 7:
        more = below(24) if most is None else most - least
    return least + more


def damage(octets: bytes, below: Below) -> bytes:
    """Return *octets* with one or two small changes."""
    damaged = bytearray(octets)
    for _ in range(1 + below(2)):
        at = below(len(damaged) + 1)
        match below(6):
            case 0:
                del damaged[at : at + 1]
            case 1:
                damaged[at : at + 1] = [_ODD[below(len(_ODD))]]
            case 2:
                damaged[at:at] = [_ODD[below(len(_ODD))]]
            case 3:
                damaged[at:at] = damaged[at : at + 1 + below(6)]
            case 4:
                damaged[at:] = damaged[at:].swapcase()
            case _:
                damaged[at : at + 2] = damaged[at : at + 2][::-1]
    return bytes(damaged)
