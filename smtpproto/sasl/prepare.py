"""SASLprep (RFC 4013), which brings user names and passwords that look the same to one form, and
the characters allowed in the trace of ANONYMOUS (RFC 4505 3)."""

from __future__ import annotations

import stringprep
from unicodedata import ucd_3_2_0 as unicode  # the version of Unicode that stringprep is based on

from ..errors import GrammarError
from ..grammar.secret import Secret, keeps_secret

_PROHIBITED_IN_TRACES = (
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)
_PROHIBITED = (*_PROHIBITED_IN_TRACES, stringprep.in_table_c12, stringprep.in_table_c7)


def saslprep(text: str) -> str:
    """Return *text* prepared as a query: characters that RFC 3454 does not assign are kept.

    Raises GrammarError for prohibited characters, control characters among them, and for text that
    mixes right-to-left with left-to-right characters.
    """
    if text.isascii() and text.isprintable():
        return text
    kept = (c for c in text if not stringprep.in_table_b1(c))
    mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in kept)
    normalized = unicode.normalize("NFKC", mapped)
    if any(prohibits(c) for c in normalized for prohibits in _PROHIBITED):
        raise GrammarError(
            "a character that is not allowed in user names and passwords (RFC 4013 2.3)"
        )
    _check_direction(normalized)
    return normalized


def prepared(text: str | bytes) -> str:
    """Return *text*, decoded from UTF-8 if it is octets, and prepared.

    Raises GrammarError like :func:`saslprep`, for octets that are not UTF-8, and if nothing is left
    (RFC 4954 4).
    """
    try:
        decoded = text if isinstance(text, str) else text.decode()
    except UnicodeDecodeError:
        raise GrammarError("not UTF-8") from None
    if not (result := saslprep(decoded)):
        raise GrammarError("empty user name, identity or password")
    return result


@keeps_secret
def prepared_secret(password: Secret | str) -> Secret:
    """Return *password* prepared. Raises GrammarError like :func:`prepared`."""
    return Secret(prepared(password.reveal() if isinstance(password, Secret) else password))


def check_trace(text: str) -> None:
    """Raise GrammarError if *text* is not allowed in a trace (RFC 4505 3). It is not mapped."""
    if any(prohibits(c) for c in text for prohibits in _PROHIBITED_IN_TRACES):
        raise GrammarError("a character that is not allowed in a trace (RFC 4505 3)")
    _check_direction(text)


def _check_direction(text: str) -> None:
    """Raise GrammarError if text with right-to-left characters has left-to-right ones too, or does
    not begin and end with a right-to-left one (RFC 3454 6)."""
    right_to_left = [stringprep.in_table_d1(c) for c in text]
    if not any(right_to_left):
        return
    mixed = any(map(stringprep.in_table_d2, text))
    if mixed or not (right_to_left[0] and right_to_left[-1]):
        raise GrammarError("text that mixes writing directions (RFC 3454 6)")
