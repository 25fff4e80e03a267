"""Service extensions (RFC 5321 2.2): the table of them, and the keywords of an EHLO reply."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, TypeVar

from attrs import field, frozen

from ..limits import COMMAND_LINE
from ..option_types import checked
from . import ehlo_parameters as ehlo
from .ascii_case import upper
from .ehlo_parameters import FutureRelease, SessionLimits
from .pattern import pattern
from .reply import GrammarError, Reply, Tolerate, keeping

T = TypeVar("T")
_KEYWORD = pattern(r"[A-Za-z0-9][A-Za-z0-9-]*")
_PARAMETERS = pattern(r"[!-~]+( [!-~]+)*")


class Extension(NamedTuple):
    """A service extension: a row of :data:`EXTENSIONS`."""

    keyword: str
    rfc: str
    parse_parameters: Callable[[str], object]
    """Reads the text after the keyword, and raises GrammarError if it is malformed."""
    extra_octets: Mapping[str, int]
    """What the extension adds to the line limit of a command, by verb (RFC 5321 4.5.3.1.4)."""
    verbs: frozenset[str] = frozenset()
    """The commands that the extension adds."""
    mail_parameters: frozenset[str] = frozenset()
    rcpt_parameters: frozenset[str] = frozenset()
    requires: frozenset[str] = frozenset()
    """The keywords that must be offered too."""

    def fault_in(self, parameters: str) -> GrammarError | None:
        """Return why *parameters*, the text after the keyword, are malformed, or None."""
        try:
            self.parse_parameters(parameters)
        except GrammarError as error:
            return error
        return None


def _row(
    keyword: str,
    rfc: str,
    parse_parameters: Callable[[str], object] = ehlo.read_no_parameters,
    extra_octets: Mapping[str, int] | None = None,
    **names: str,
) -> Extension:
    fields = {"mail": "mail_parameters", "rcpt": "rcpt_parameters"}
    sets = {fields.get(name, name): frozenset(text.split()) for name, text in names.items()}
    return Extension(keyword, rfc, parse_parameters, extra_octets or {}, **sets)


_ROWS = (
    _row("PIPELINING", "2920"),
    _row("SIZE", "1870", ehlo.read_size_limit, mail="SIZE", extra_octets={"MAIL": 26}),
    _row("8BITMIME", "6152", mail="BODY", extra_octets={"MAIL": 14}),
    _row("CHUNKING", "3030", verbs="BDAT"),
    _row("BINARYMIME", "3030", mail="BODY", requires="CHUNKING", extra_octets={"MAIL": 16}),
    _row(
        "SMTPUTF8", "6531", mail="SMTPUTF8", requires="8BITMIME",
        extra_octets={"MAIL": 10, "VRFY": 9, "EXPN": 9},
    ),
    _row("ENHANCEDSTATUSCODES", "2034"),
    _row("STARTTLS", "3207", verbs="STARTTLS"),
    _row("AUTH", "4954", ehlo.read_mechanisms, {"MAIL": 500}, verbs="AUTH", mail="AUTH"),
    _row(
        "DSN", "3461", mail="RET ENVID", rcpt="NOTIFY ORCPT",
        extra_octets={"MAIL": 524, "RCPT": 524},  # 1036 in total (RFC 3461 5.4)
    ),
    _row("REQUIRETLS", "8689", mail="REQUIRETLS", extra_octets={"MAIL": 11}),
    _row("DELIVERBY", "2852", ehlo.read_deliver_by, mail="BY", extra_octets={"MAIL": 17}),
    _row("FUTURERELEASE", "4865", FutureRelease.parse, {"MAIL": 34}, mail="HOLDFOR HOLDUNTIL"),
    _row("MT-PRIORITY", "6710", ehlo.read_priority_policy, {"MAIL": 15}, mail="MT-PRIORITY"),
    _row("RRVS", "7293", rcpt="RRVS", extra_octets={"RCPT": 33}),
    _row("NO-SOLICITING", "3865", ehlo.read_unsolicited, {"MAIL": 1007}, mail="SOLICIT"),
    _row("LIMITS", "9422", SessionLimits.parse),
    _row("ETRN", "1985", verbs="ETRN"),
    # RFC 5321 defines these commands, so their keywords add no verb.
    _row("EXPN", "5321"),
    _row("HELP", "5321"),
    _row("VRFY", "5321"),
    _row("XCLIENT", "Postfix", ehlo.read_attribute_names, verbs="XCLIENT"),
    _row("XFORWARD", "Postfix", ehlo.read_attribute_names, verbs="XFORWARD"),
)  # fmt: skip
EXTENSIONS: Mapping[str, Extension] = {row.keyword: row for row in _ROWS}
"""The extensions that the library knows, by their keywords."""

LONGEST_LINE = COMMAND_LINE + max(
    sum(row.extra_octets.get(verb, 0) for row in EXTENSIONS.values()) for verb in ("MAIL", "RCPT")
)
"""The octets of the longest possible command line, except AUTH."""


@checked
@frozen
class Extensions:
    """The keywords of one EHLO reply, in upper case, each with its parameters as one string.

    Lookup ignores case: ``"size" in extensions``.
    """

    keywords: Mapping[str, str] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        for keyword, parameters in self.keywords.items():
            if not _KEYWORD.fullmatch(keyword) or keyword != upper(keyword):
                raise GrammarError(f"not an EHLO keyword in upper case: {keyword!r}")
            if parameters and not _PARAMETERS.fullmatch(parameters):
                raise GrammarError(f"not EHLO parameters: {parameters!r}")

    @classmethod
    def from_reply(cls, reply: Reply, tolerate: Tolerate | None = None) -> Extensions:
        """Read the lines after the first of a reply to EHLO (RFC 5321 4.1.1.1).

        Lines that are not keyword lines are ignored, repeated blanks are collapsed, and the last of
        equal keywords counts. But several lines of AUTH add up, with the old form ``AUTH=``, unless
        *tolerate* raises its error (:meth:`.ParseContext.tolerate`); it then is ignored too.
        """
        return _read_offer(reply.lines[1:], tolerate or (lambda leniency, error: None))

    def without(self, *keywords: str) -> Extensions:
        """Return the offer without *keywords*, which are in upper case."""
        if self.keywords.keys().isdisjoint(keywords):
            return self
        return Extensions({key: text for key, text in self.keywords.items() if key not in keywords})

    def lines(self) -> list[str]:
        """Return the keyword lines of an EHLO reply."""
        return [f"{keyword} {text}".rstrip() for keyword, text in self.keywords.items()]

    def __contains__(self, keyword: object) -> bool:
        if keyword in self.keywords:
            return True
        return isinstance(keyword, str) and upper(keyword) in self.keywords

    def __iter__(self) -> Iterator[str]:
        return iter(self.keywords)

    @cached_property
    def size(self) -> int | None:
        """The largest message in octets, or None if SIZE announces no limit (RFC 1870 3)."""
        return self._parsed("SIZE", ehlo.read_size_limit)

    @cached_property
    def mechanisms(self) -> tuple[str, ...]:
        """The SASL mechanisms of AUTH, in upper case."""
        return tuple(upper(self.keywords.get("AUTH", "")).split())

    @cached_property
    def limits(self) -> SessionLimits:
        """The limits of LIMITS, without those that are malformed (RFC 9422 3)."""
        return self._parsed("LIMITS", ehlo.read_valid_limits) or SessionLimits()

    @cached_property
    def deliver_by_min(self) -> int | None:
        """The minimum seconds of ``BY=...;R``, None if DELIVERBY has none (RFC 2852 2)."""
        return self._parsed("DELIVERBY", ehlo.read_deliver_by)

    @cached_property
    def future_release(self) -> FutureRelease | None:
        """How long FUTURERELEASE allows a message to be held, or None."""
        return self._parsed("FUTURERELEASE", FutureRelease.parse)

    @cached_property
    def priority_policy(self) -> str | None:
        """The Priority Assignment Policy of MT-PRIORITY, or None (RFC 6710 3)."""
        return self._parsed("MT-PRIORITY", ehlo.read_priority_policy)

    @cached_property
    def solicitations(self) -> tuple[str, ...]:
        """The classes of messages that NO-SOLICITING refuses (RFC 3865 2.1)."""
        return self._parsed("NO-SOLICITING", ehlo.read_unsolicited) or ()

    @cached_property
    def malformed(self) -> tuple[str, ...]:
        """The keywords whose parameters are malformed, and so count as absent."""
        faults = ((row.keyword, row.fault_in(self.keywords[row.keyword])) for row in self.rows)
        return tuple(keyword for keyword, fault in faults if fault is not None)

    def _parsed(self, keyword: str, parse: Callable[[str], T]) -> T | None:
        """Return the parameters of *keyword*, None if they are absent or malformed."""
        try:
            return parse(self.keywords[keyword])
        except (KeyError, GrammarError):
            return None

    def line_limit(self, verb: str) -> int:
        """Return the octets of the longest line for *verb*, with CRLF (RFC 5321 4.5.3.1.4)."""
        return self._line_limits.get(verb, COMMAND_LINE)

    @cached_property
    def _line_limits(self) -> Mapping[str, int]:
        limits: dict[str, int] = {}
        for row in self.rows:
            for verb, octets in row.extra_octets.items():
                limits[verb] = limits.get(verb, COMMAND_LINE) + octets
        return limits

    @cached_property
    def rows(self) -> tuple[Extension, ...]:
        """The rows of :data:`EXTENSIONS` whose keywords are offered."""
        return tuple(EXTENSIONS[keyword] for keyword in self.keywords if keyword in EXTENSIONS)

    @cached_property
    def verbs(self) -> frozenset[str]:
        """The commands that the extensions add to those of RFC 5321."""
        return frozenset[str]().union(*(row.verbs for row in self.rows))

    @cached_property
    def parameters(self) -> Mapping[str, frozenset[str]]:
        """The keywords of the parameters that MAIL and RCPT may have, by verb."""
        return {
            "MAIL": frozenset[str]().union(*(row.mail_parameters for row in self.rows)),
            "RCPT": frozenset[str]().union(*(row.rcpt_parameters for row in self.rows)),
        }


# -- offers that are read ------------------------------------------------------------------------


@keeping(64)
def _read_offer(lines: Sequence[str], tolerate: Tolerate) -> Extensions:
    """Read an offer as :meth:`Extensions.from_reply` does."""
    keywords: dict[str, str | None] = {}
    for line in lines:
        keyword, *parameters = line.split() or [""]
        keyword, equals, first = upper(keyword).partition("=")
        text = " ".join([first, *parameters] if equals else parameters)
        if not _KEYWORD.fullmatch(keyword) or (text and not _PARAMETERS.fullmatch(text)):
            continue
        if keyword == "AUTH":
            known = keywords.get(keyword)
            keywords[keyword] = _add_mechanisms(known, text, bool(equals), tolerate)
        elif not equals:
            keywords[keyword] = text
    return Extensions({keyword: text for keyword, text in keywords.items() if text is not None})


def _add_mechanisms(known: str | None, more: str, old_form: bool, tolerate: Tolerate) -> str | None:
    """Return the mechanisms of AUTH after a line with *more*; None if no line counts so far."""
    if known is None and not old_form:
        return more
    try:
        tolerate("auth_lines", GrammarError("AUTH=, or more than one line of AUTH"))
    except GrammarError:
        return known if old_form else more
    names = {upper(name): name for name in reversed(f"{known or ''} {more}".split())}
    return " ".join(reversed(names.values()))
