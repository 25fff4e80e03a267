"""One reading of a peer's octets: what may be there, and which leniencies it took."""

from __future__ import annotations

from collections.abc import Container

from attrs import define, field

from ..limits import Leniencies, Tolerance
from .reply import GrammarError

_STRICT = Leniencies.strict()


@define(kw_only=True)
class ParseContext:
    """*parameters* are those that MAIL and RCPT may have, by keyword (None: all that are known).
    *utf8* is whether SMTPUTF8 was negotiated. *used* collects the leniencies to be reported."""

    parameters: Container[str] | None = None
    utf8: bool = True
    leniencies: Leniencies = _STRICT
    used: list[str] = field(factory=list, init=False)

    def tolerate(self, leniency: str, error: GrammarError) -> None:
        """Go on in spite of *error* if *leniency* allows it; else raise it."""
        tolerance: Tolerance = getattr(self.leniencies, leniency)
        if tolerance is Tolerance.REJECT:
            raise error
        if tolerance is Tolerance.REPORT and leniency not in self.used:
            self.used.append(leniency)
