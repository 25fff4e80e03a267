"""Hypothesis strategies of grammars."""

from __future__ import annotations

from functools import partial

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from .generator import Below, damage
from .grammar import SMTP, Grammar

# A draw for each choice would take milliseconds an example. Octets shrink as well: towards zeros,
# which are the simplest choices, as are those after the end.
_CHOICES = st.binary(min_size=128, max_size=128)
_CHANGES = st.binary(min_size=16, max_size=16)


def matching(name: str, grammar: Grammar = SMTP) -> SearchStrategy[bytes]:
    """Return a strategy of octets that match the rule *name* of *grammar*."""
    return _CHOICES.map(partial(_sentence, grammar, grammar[name].name))


def near_misses(name: str, grammar: Grammar = SMTP) -> SearchStrategy[bytes]:
    """Return a strategy of octets that match the rule *name* but for one or two small changes: most
    of them no longer match it."""
    return st.builds(_damaged, matching(name, grammar), _CHANGES)


def _below(octets: bytes) -> Below:
    left = iter(octets)
    return lambda bound: next(left, 0) % bound


def _sentence(grammar: Grammar, name: str, choices: bytes) -> bytes:
    return grammar.sentence(name, _below(choices))


def _damaged(octets: bytes, changes: bytes) -> bytes:
    return damage(octets, _below(changes))
