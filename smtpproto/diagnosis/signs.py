"""Signs in a reply that tell more than its codes: the text, or a code that one receiver uses."""

from __future__ import annotations

import re
from functools import cached_property

from attrs import frozen

from .cause import Cause, Who

__all__ = ["ReplyFacts", "Sign"]

_READ = 4096  # characters of a text: some patterns take time that grows with its square


@frozen
class ReplyFacts:
    """What a reply consists of."""

    code: int = 0
    """The reply code; 0 if it is not known."""
    enhanced: str = ""
    """The enhanced status code, or ""."""
    text: str = ""
    """The text, printable, on one line; "" if only codes are known."""
    command: str = ""
    """The command that the reply answers, or ""."""

    @property
    def detail(self) -> tuple[int, int] | None:
        """Subject and detail of the enhanced code."""
        if not self.enhanced:
            return None
        _, subject, detail = map(int, self.enhanced.split("."))
        return subject, detail

    def has(self, written: str) -> bool:
        """Return whether the reply has the codes *written*: ``550``, ``5.7.606-649``, ``535
        5.7.139``, or ``x.7.28`` for any class."""
        return all(map(self._has, written.split()))

    def _has(self, written: str) -> bool:
        if "." not in written:
            return written == str(self.code)
        if self.detail is None:
            return False
        class_, subject, details = written.split(".")
        first, _, last = details.partition("-")
        return (
            class_ in ("x", self.enhanced[0])
            and self.detail[0] == int(subject)
            and int(first) <= self.detail[1] <= int(last or first)
        )


@frozen(kw_only=True, slots=False)
class Sign:
    """What identifies a kind of refusal, and what causes it."""

    fault: str
    """The short name of the kind."""
    causes: tuple[Cause, ...]
    codes: tuple[str, ...] = ()
    """Codes as :meth:`ReplyFacts.has` reads them; one of them must fit. (): any."""
    text: str = ""
    """A pattern that the text must contain, in any case; "": any text."""
    receiver: str = ""
    """Who sends this reply, or "" for many."""
    alone: bool = False
    """Whether the codes alone identify the receiver, whatever the text is."""

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self.text, re.IGNORECASE)

    def fits(self, facts: ReplyFacts) -> bool:
        """Return whether a reply has this sign."""
        if self.codes and not any(map(facts.has, self.codes)):
            return False
        return bool(self.alone or self._pattern.search(facts.text[:_READ]))

    def may_fit(self, facts: ReplyFacts) -> bool:
        """Return whether a reply of which only the codes are known may have this sign."""
        telling = (it for it in self.codes if "." in it)
        return not facts.text and bool(self.receiver) and any(map(facts.has, telling))


def you(what: str, mend: str, source: str = "") -> Cause:
    """Return a cause that the sending side can remove."""
    return Cause(what, Who.YOU, mend, source)


def provider(what: str, mend: str, source: str = "") -> Cause:
    """Return a cause that the provider or the network of the sending side must remove."""
    return Cause(what, Who.PROVIDER, mend, source)


def other_side(what: str, mend: str, source: str = "") -> Cause:
    """Return a cause that the other side must remove."""
    return Cause(what, Who.OTHER_SIDE, mend, source)
