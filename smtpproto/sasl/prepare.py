"""SASLprep (RFC 4013): one form for user names and passwords that look the same. And what may be in
the trace of ANONYMOUS (RFC 4505 3)."""

from __future__ import annotations

import stringprep
from unicodedata import ucd_3_2_0 as unicode  # the version that stringprep is made of

from ..errors import GrammarError

_NOT_IN_TRACES = (
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)
_PROHIBITED = (*_NOT_IN_TRACES, stringprep.in_table_c12, stringprep.in_table_c7)


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


def prepared_text(text: str) -> str:
    """*text* prepared, and not empty. Raises GrammarError as :func:`saslprep`, and if nothing is
    left (RFC 4954 4)."""
    if not (kept := saslprep(text)):
        raise GrammarError("empty user name, identity or password")
    return kept


def prepared(octets: bytes) -> str:
    """*octets* as text that is prepared, and not empty. Raises GrammarError as
    :func:`prepared_text`, and for what is not UTF-8."""
    try:
        return prepared_text(octets.decode())
    except UnicodeDecodeError:
        raise GrammarError("not UTF-8") from None


def check_trace(text: str) -> None:
    """Raise GrammarError for what no trace may have (RFC 4505 3); nothing is mapped there."""
    if any(prohibits(c) for c in text for prohibits in _NOT_IN_TRACES):
        raise GrammarError("a character that no trace has (RFC 4505 3)")
    _check_direction(text)


def _check_direction(text: str) -> None:
    """RFC 3454 6: what is written from right to left begins and ends so, and has nothing else."""
    right_to_left = [stringprep.in_table_d1(c) for c in text]
    if not any(right_to_left):
        return
    mixed = any(map(stringprep.in_table_d2, text))
    if mixed or not (right_to_left[0] and right_to_left[-1]):
        raise GrammarError("text in both directions (RFC 3454 6)")
