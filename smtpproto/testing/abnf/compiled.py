"""Rules in the few forms that recogniser and generator work on: names are resolved, and whatever is
always one octet is a set of octets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import chain

from attrs import frozen

from .nodes import Choice, Literal, Name, Node, Range, Repeat, Sequence


@frozen(eq=False)
class One:
    """One octet of *octets*, which are in the order of their simplicity."""

    octets: bytes


@frozen(eq=False)
class All:
    """One part after the other."""

    parts: tuple[Part, ...]


@frozen(eq=False)
class Any:
    """One of the parts."""

    parts: tuple[Part, ...]


@frozen(eq=False)
class Many:
    """The part, *least* to *most* times."""

    part: Part
    least: int
    most: int | None


@frozen(eq=False)
class Again:
    """The rule *name*, which contains itself."""

    name: str


Part = One | All | Any | Many | Again


def _one_of(octets: Iterable[int]) -> One:
    return One(bytes(sorted(octets, key=lambda octet: (not chr(octet).isalnum(), octet))))


class Compiler:
    """Compiles rules on demand, each once."""

    def __init__(self, rules: Mapping[str, Node]) -> None:
        self.rules = rules
        self.recursive: frozenset[str] = _recursive(rules)
        self._compiled: dict[str, Part] = {}

    def rule(self, name: str) -> Part:
        """Return the rule *name*, which is in lower case."""
        if name not in self._compiled:
            self._compiled[name] = self._part(self.rules[name])
        return self._compiled[name]

    def _part(self, node: Node) -> Part:
        match node:
            case Literal(octets, exact):
                return _literal(octets, exact)
            case Range(first, last):
                return _one_of(range(first, last + 1))
            case Name(name):
                key = name.lower()
                return Again(key) if key in self.recursive else self.rule(key)
            case Sequence(items):
                return All(tuple(map(self._part, items)))
            case Choice(items):
                return _choice(tuple(map(self._part, items)))
            case Repeat(item, least, most):
                return Many(self._part(item), least, most)


def _literal(octets: bytes, exact: bool) -> Part:
    ones = [
        _one_of({octet} if exact else {*bytes([octet]).upper(), *bytes([octet]).lower()})
        for octet in octets
    ]
    return ones[0] if len(ones) == 1 else All(tuple(ones))


def _choice(parts: tuple[Part, ...]) -> Part:
    """Join all alternatives of one octet."""
    single = [part for part in parts if isinstance(part, One)]
    if len(single) < 2:
        return Any(parts)
    joined = _one_of(set(chain.from_iterable(part.octets for part in single)))
    others = tuple(part for part in parts if not isinstance(part, One))
    return Any((joined, *others)) if others else joined


def names_in(node: Node) -> set[str]:
    """Return the names that *node* refers to, in lower case."""
    match node:
        case Name(name):
            return {name.lower()}
        case Sequence(items) | Choice(items):
            return set().union(*map(names_in, items))
        case Repeat(item):
            return names_in(item)
    return set()


def _recursive(rules: Mapping[str, Node]) -> frozenset[str]:
    """Return the rules to which a cycle returns: enough of them that the others have no cycle."""
    found: set[str] = set()
    graph = {name: names_in(node) for name, node in rules.items()}
    while True:
        try:
            tuple(TopologicalSorter({n: to - found for n, to in graph.items()}).static_order())
        except CycleError as error:
            found.add(error.args[1][0])
        else:
            return frozenset(found)
