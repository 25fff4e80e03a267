"""SASLprep (RFC 4013): one form for user names and passwords that look the same."""

from __future__ import annotations

import stringprep
from unicodedata import ucd_3_2_0 as unicode  # the version that stringprep is made of

from ..errors import GrammarError

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def saslprep(text: str) -> str:
    """*text* prepared as a query: characters that RFC 3454 does not know yet stay as they are.

    Raises GrammarError for characters that are prohibited (controls among them), and for text that
    runs in both directions.
    """
    if text.isascii() and text.isprintable():
        return text
    kept = (c for c in text if not stringprep.in_table_b1(c))
    mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in kept)
    prepared = unicode.normalize("NFKC", mapped)
    if any(prohibits(c) for c in prepared for prohibits in _PROHIBITED):
        raise GrammarError("a character that no user name or password has (RFC 4013 2.3)")
    _check_direction(prepared)
    return prepared


def _check_direction(text: str) -> None:
    """RFC 3454 6: what is written from right to left begins and ends so, and has nothing else."""
    right_to_left = [stringprep.in_table_d1(c) for c in text]
    if not any(right_to_left):
        return
    mixed = any(map(stringprep.in_table_d2, text))
    if mixed or not (right_to_left[0] and right_to_left[-1]):
        raise GrammarError("text in both directions (RFC 4013 2.4)")
