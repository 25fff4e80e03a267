"""The target of the grammar: every parser, which raises only GrammarError, and its round trip."""

from __future__ import annotations

from tests.grammar.productions import PRODUCTIONS, check_parse

KINDS = list(PRODUCTIONS)


def fuzz(data: bytes) -> None:
    """The first octet chooses the production; the parser reads the rest."""
    if data:
        check_parse(PRODUCTIONS[KINDS[data[0] % len(KINDS)]], data[1:])
