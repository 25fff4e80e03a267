"""The settings of a parser, and the leniencies that it needed."""

from __future__ import annotations

from collections.abc import Container

from attrs import define, field

from ..limits import Leniencies, Tolerance
from .reply import GrammarError

_STRICT = Leniencies.strict()


@define(kw_only=True, eq=False, repr=False)
class ParseContext:
    """The settings for parsing one command line or reply. The default is strict."""

    parameters: Container[str] | None = None
    """The keywords of the parameters that MAIL or RCPT may have. None: all that this library
    knows."""
    utf8: bool = True
    """Whether SMTPUTF8 was negotiated."""
    leniencies: Leniencies = _STRICT
    used: list[str] = field(factory=list, init=False)
    """The leniencies that the parser needed and that are to be reported, by name."""

    def tolerate(self, leniency: str, error: GrammarError) -> None:
        """Raise *error* unless the setting named *leniency* allows the parser to go on."""
        tolerance: Tolerance = getattr(self.leniencies, leniency)
        if tolerance is Tolerance.REJECT:
            raise error
        if tolerance is Tolerance.REPORT and leniency not in self.used:
            self.used.append(leniency)
