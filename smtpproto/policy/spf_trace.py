"""How the result of an SPF check came about: a tree of records, terms and look-ups."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, field, frozen

from ..dns import Answer, Kind, Status
from ..grammar.printable import printable
from ..limits import SPF_TERMS

_SHOWN_RECORDS = 10  # of an answer
_SHOWN = 200  # characters of a record or a term


@frozen
class Lookup:
    """A question to the DNS, and its answer."""

    name: str
    kind: Kind
    answer: Answer

    @property
    def void(self) -> bool:
        """Whether the DNS has nothing of this kind for the name (RFC 7208 4.6.4)."""
        return self.answer.status in (Status.NO_DATA, Status.NO_NAME)

    def __str__(self) -> str:
        answer = self.answer
        records = [_shown(record) for record in answer.records[:_SHOWN_RECORDS]]
        if len(answer.records) > _SHOWN_RECORDS:
            records.append(f"and {len(answer.records) - _SHOWN_RECORDS} more")
        found = ", ".join(records) if records else answer.status.value
        return f"{self.kind.value} {printable(self.name)}: {found}"


def _shown(record: object) -> str:
    text = record.decode("latin-1") if isinstance(record, bytes) else str(record)
    exchange = getattr(record, "exchange", None)
    return printable(text if exchange is None else exchange or ".")[:_SHOWN]


@define
class SPFTermTrace:
    """A term that was considered."""

    text: str
    """As it is in the record."""
    asks: bool = False
    """Whether it counts as one that asks the DNS (RFC 7208 4.6.4)."""
    void: bool = False
    """Whether the DNS has nothing for it."""
    target: str = ""
    """The name that its domain-spec became; "" if it has none."""
    matched: bool | None = None
    """Whether it matched; None for a modifier, and if this was not found out."""
    why: str = ""
    """Why, in words."""
    lookups: list[Lookup] = field(factory=list)
    """What was asked for it, except the record of :attr:`inner`."""
    inner: SPFTrace | None = None
    """The check of the record that it includes, or leads to."""

    def __str__(self) -> str:
        outcome = {True: "match", False: "no match", None: ""}[self.matched]
        said = ", ".join(filter(None, [outcome, printable(self.why)]))
        return printable(self.text)[:_SHOWN] + (f"  ({said})" if said else "")


@define
class SPFTrace:
    """A record that was looked for, and its terms that were considered.

    ``str()`` draws it as a tree.
    """

    domain: str
    text: str = ""
    """The record; "" if none was found."""
    result: str = ""
    """What it came to; "" if an error ended the check, or a later record decides."""
    lookups: list[Lookup] = field(factory=list)
    """The look-up of the record."""
    terms: list[SPFTermTrace] = field(factory=list)

    def walk(self) -> Iterator[SPFTrace]:
        """Yield this record, and those that it includes or leads to."""
        yield self
        for term in self.terms:
            if term.inner is not None:
                yield from term.inner.walk()

    def all_terms(self) -> Iterator[SPFTermTrace]:
        """Yield the terms of all records."""
        for record in self.walk():
            yield from record.terms

    @property
    def asking(self) -> int:
        """How many terms of all records ask the DNS; a check may have 10 (RFC 7208 4.6.4)."""
        return sum(term.asks for term in self.all_terms())

    @property
    def void(self) -> int:
        """For how many of these the DNS has nothing; a check may have two."""
        return sum(term.void for term in self.all_terms())

    @property
    def counts(self) -> str:
        """What it costs, in words."""
        return f"{self.asking} of {SPF_TERMS} terms ask the DNS, {self.void} of them in vain"

    @property
    def asked(self) -> Iterator[Lookup]:
        """All questions to the DNS."""
        for record in self.walk():
            yield from record.lookups
            for term in record.terms:
                yield from term.lookups

    def __str__(self) -> str:
        return "\n".join(_record_lines(self))


def _record_lines(trace: SPFTrace) -> Iterator[str]:
    said = f" = {trace.result}" if trace.result else ""
    yield f"{printable(trace.domain)}{said}"
    children = [[str(one)] for one in trace.lookups if not trace.text]
    children += [[*_term_lines(one)] for one in trace.terms]
    yield from _branches(children)


def _term_lines(term: SPFTermTrace) -> Iterator[str]:
    yield str(term)
    children = [[str(one)] for one in term.lookups]
    if term.inner is not None:
        children.append([*_record_lines(term.inner)])
    yield from _branches(children)


def _branches(children: list[list[str]]) -> Iterator[str]:
    for child in children:
        last = child is children[-1]
        first, *others = child
        yield ("└── " if last else "├── ") + first
        yield from (("    " if last else "│   ") + line for line in others)
