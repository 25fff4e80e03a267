"""Strategies for texts, and what the other modules share.

An example costs what its choices cost, about 0.1 ms each. So most strategies draw one text and
make a value from it: they split it at characters, leave out what the grammar forbids, or repeat it.
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections.abc import Callable, Sequence
from string import ascii_letters, digits
from typing import ParamSpec, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

P = ParamSpec("P")
T = TypeVar("T")

LET_DIG = ascii_letters + digits
ATEXT = LET_DIG + "!#$%&'*+-/=?^_`{|}~"
ASCII = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
UNICODE = st.characters(min_codepoint=0x20, exclude_characters="\x7f", exclude_categories=["Cs"])


def kept(function: Callable[P, SearchStrategy[T]]) -> Callable[P, SearchStrategy[T]]:
    """Let *function* return the same strategy for the same arguments: to make one takes longer than
    to draw from it."""
    return cast("Callable[P, SearchStrategy[T]]", functools.lru_cache(1000)(function))


def texts(
    make: Callable[[str], T], alphabet: str | SearchStrategy[str], size: int, *, least: int = 0
) -> SearchStrategy[T]:
    """Draw what *make* returns for texts of *least* to *size* characters of *alphabet*, half of
    which are repeated until they have *size* characters."""
    drawn = st.text(alphabet, min_size=least, max_size=size)
    return drawn.map(make) | drawn.map(lambda text: make((text * size)[:size]))


def subsets(members: Sequence[T]) -> SearchStrategy[list[T]]:
    """Draw any of *members*, in their order, by one number."""
    return st.integers(0, 2 ** len(members) - 1).map(
        lambda bits: [member for at, member in enumerate(members) if bits >> at & 1]
    )


def octets(text: str) -> int:
    """Return how many octets *text* has in UTF-8."""
    return len(text.encode())


def cut(text: str, size: int) -> str:
    """Return the start of *text* that has at most *size* octets in UTF-8."""
    return text.encode()[:size].decode(errors="ignore")


def fit(text: str, size: int, written: Callable[[str], int]) -> str:
    """Return a start of *text* for which *written* returns at most *size*: mostly the longest."""
    return text[: bisect_left(range(1, len(text) + 1), size + 1, key=lambda n: written(text[:n]))]
