"""A grammar: rules by name, and what can be done with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib.resources import files
from random import Random

from attrs import evolve

from ...option_types import near_name, require_type
from .compiled import Compiler, names_in
from .generator import Generator, damage
from .nodes import Choice, Node
from .reader import Rule, read_rules
from .recogniser import recognise


class Grammar(Mapping[str, Rule]):
    """Rules by name, in any case: ``SMTP["Mailbox"].reference``.

    Any use of a name that has no rule raises KeyError.
    """

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules = rules

    def __getitem__(self, name: str) -> Rule:
        return self._rules[self._key(name)]

    def __iter__(self) -> Iterator[str]:
        return (rule.name for rule in self._rules.values())

    def __len__(self) -> int:
        return len(self._rules)

    def matches(self, name: str, octets: bytes) -> bool:
        """Return whether *octets*, all of them, match the rule *name*.

        Raises ValueError for a rule that starts with itself, and for octets in which rules are
        nested more than 50 times.
        """
        require_type("octets", octets, bytes | bytearray | memoryview, "bytes")
        return recognise(octets, self._key(name), self._compiler)

    def sentences(self, name: str, seed: int = 0) -> Iterator[bytes]:
        """Yield octets that match the rule *name*, without end; the same ones for one *seed*."""
        below = Random(seed).randrange
        while True:
            yield self.sentence(name, below)

    def near_misses(self, name: str, seed: int = 0) -> Iterator[bytes]:
        """Yield what :meth:`sentences` yields with one or two small changes: most of these octets
        no longer match the rule *name*."""
        below = Random(seed).randrange
        while True:
            yield damage(self.sentence(name, below), below)

    def sentence(self, name: str, below: Callable[[int], int]) -> bytes:
        """Return octets that match the rule *name*.

        Each choice is a call of *below*, which returns an integer from 0 to its argument - 1; 0 is
        the simplest choice.
        """
        return self._generator.sentence(self._key(name), below)

    def _key(self, name: str) -> str:
        key = name.lower()
        if key in self._rules:
            return key
        raise KeyError(f"the grammar has no rule {name!r}{near_name(name, self)}")

    @cached_property
    def _compiler(self) -> Compiler:
        return Compiler({key: rule.node for key, rule in self._rules.items()})

    @cached_property
    def _generator(self) -> Generator:
        return Generator(self._compiler)


def parse_abnf(text: str, base: Grammar | None = None) -> Grammar:
    """Read the rules of *text*, which is ABNF (RFC 5234, RFC 7405).

    *base* has rules that *text* may use, replace (``=``) and extend (``=/``). Rules are about
    octets, so numbers are at most 255. A comment ``; RFC 5321 4.1.2`` on a line of its own is the
    reference of the rules after it. Raises ValueError, which names the line, also for prose
    (``<...>``) and for names without a rule.
    """
    rules = {} if base is None else {name.lower(): base[name] for name in base}
    seen: set[str] = set()
    for rule, adds in read_rules(text):
        key = rule.name.lower()
        if adds and key in rules:
            node = Choice((*_alternatives(rules[key]), *_alternatives(rule)))
            rules[key] = evolve(rules[key], node=node)
        elif adds or key in seen:
            problem = "is defined twice; write =/" if key in seen else "has nothing to add to"
            raise ValueError(f"the rule {rule.name} {problem}")
        else:
            rules[key] = rule
        seen.add(key)
    for rule in rules.values():
        if unknown := names_in(rule.node) - rules.keys():
            raise ValueError(f"the rule {rule.name} uses {min(unknown)}, which has no rule")
    return Grammar(rules)


def _alternatives(rule: Rule) -> tuple[Node, ...]:
    return rule.node.items if isinstance(rule.node, Choice) else (rule.node,)


def _read(name: str, base: Grammar | None = None) -> Grammar:
    return parse_abnf(
        files("smtpproto.testing.abnf").joinpath(name).read_text(encoding="ascii"), base
    )


SMTP = _read("smtp.abnf")
"""Commands with CRLF, replies, and all their parts, in ASCII."""
SMTPUTF8 = _read("smtputf8.abnf", SMTP)
"""The same with what RFC 6531 allows, if SMTPUTF8 is in force."""
