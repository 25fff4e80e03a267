"""An oracle for parsers: the ABNF of SMTP as data, what matches it, and octets made from it.

The rules are in ``smtp.abnf`` and ``smtputf8.abnf``, each with its RFC and section. Nothing here
uses this library's parsers, or shares an assumption with them. :func:`matching` and
:func:`near_misses` need ``hypothesis``. See docs/reference/grammar.md.
"""

from typing import TYPE_CHECKING

from ...late_names import late_names
from .grammar import SMTP, SMTPUTF8, Grammar, parse_abnf
from .nodes import Choice, Literal, Name, Range, Repeat, Sequence
from .reader import Rule

if TYPE_CHECKING:
    from .matching import matching, near_misses
else:
    __getattr__, __dir__ = late_names(__name__, {".matching": "matching near_misses"})

__all__ = [
    "SMTP", "SMTPUTF8", "Choice", "Grammar", "Literal", "Name", "Range", "Repeat", "Rule",
    "Sequence", "matching", "near_misses", "parse_abnf",
]  # fmt: skip
