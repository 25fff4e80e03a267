"""Service extensions (RFC 5321 2.2): the table of them, and the keywords of an EHLO reply."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from attrs import Attribute, field, frozen

from ..limits import COMMAND_LINE
from ..option_types import checked
from . import ehlo_parameters
from .ascii_case import upper
from .ehlo_parameters import FutureRelease, SessionLimits
from .pattern import pattern
from .reply import GrammarError, Reply

_KEYWORD = pattern(r"[A-Za-z0-9][A-Za-z0-9-]*")
_PARAMETERS = pattern(r"[!-~]+( [!-~]+)*")


class Extension(NamedTuple):
    """A service extension: a row of :data:`EXTENSIONS`."""

    keyword: str
    rfc: str

    verbs: frozenset[str] = frozenset()
    """The commands that the extension adds."""

    mail_parameters: frozenset[str] = frozenset()
    rcpt_parameters: frozenset[str] = frozenset()

    extra_octets: Mapping[str, int] = MappingProxyType({})
    """What the extension adds to the line limit of a command, by verb (RFC 5321 4.5.3.1.4)."""

    requires: frozenset[str] = frozenset()
    """The keywords that must be offered too."""

    parse_parameters: Callable[[str], object] = ehlo_parameters.read_no_parameters
    """Reads the text after the keyword, and raises GrammarError if it is malformed."""


def _table(*rows: Extension) -> Mapping[str, Extension]:
    return {row.keyword: row for row in rows}


EXTENSIONS = _table(
    Extension(keyword="PIPELINING", rfc="2920"),
    Extension(
        keyword="SIZE",
        rfc="1870",
        mail_parameters=frozenset({"SIZE"}),
        extra_octets={"MAIL": 26},
        parse_parameters=ehlo_parameters.read_size_limit,
    ),
    Extension(
        keyword="8BITMIME",
        rfc="6152",
        mail_parameters=frozenset({"BODY"}),
        extra_octets={"MAIL": 14},
    ),
    Extension(keyword="CHUNKING", rfc="3030", verbs=frozenset({"BDAT"})),
    Extension(
        keyword="BINARYMIME",
        rfc="3030",
        mail_parameters=frozenset({"BODY"}),
        extra_octets={"MAIL": 16},
        requires=frozenset({"CHUNKING"}),
    ),
    Extension(
        keyword="SMTPUTF8",
        rfc="6531",
        mail_parameters=frozenset({"SMTPUTF8"}),
        extra_octets={"MAIL": 10, "VRFY": 9, "EXPN": 9},
        requires=frozenset({"8BITMIME"}),
    ),
    Extension(keyword="ENHANCEDSTATUSCODES", rfc="2034"),
    Extension(keyword="STARTTLS", rfc="3207", verbs=frozenset({"STARTTLS"})),
    Extension(
        keyword="AUTH",
        rfc="4954",
        verbs=frozenset({"AUTH"}),
        mail_parameters=frozenset({"AUTH"}),
        extra_octets={"MAIL": 500},
        parse_parameters=ehlo_parameters.read_mechanisms,
    ),
    Extension(
        keyword="DSN",
        rfc="3461",
        mail_parameters=frozenset({"RET", "ENVID"}),
        rcpt_parameters=frozenset({"NOTIFY", "ORCPT"}),
        extra_octets={"MAIL": 524, "RCPT": 524},  # 1036 in total (RFC 3461 5.4)
    ),
    Extension(
        keyword="REQUIRETLS",
        rfc="8689",
        mail_parameters=frozenset({"REQUIRETLS"}),
        extra_octets={"MAIL": 11},
    ),
    Extension(
        keyword="DELIVERBY",
        rfc="2852",
        mail_parameters=frozenset({"BY"}),
        extra_octets={"MAIL": 17},
        parse_parameters=ehlo_parameters.read_deliver_by,
    ),
    Extension(
        keyword="FUTURERELEASE",
        rfc="4865",
        mail_parameters=frozenset({"HOLDFOR", "HOLDUNTIL"}),
        extra_octets={"MAIL": 34},
        parse_parameters=ehlo_parameters.FutureRelease.parse,
    ),
    Extension(
        keyword="MT-PRIORITY",
        rfc="6710",
        mail_parameters=frozenset({"MT-PRIORITY"}),
        extra_octets={"MAIL": 15},
        parse_parameters=ehlo_parameters.read_priority_policy,
    ),
    Extension(
        keyword="RRVS", rfc="7293", rcpt_parameters=frozenset({"RRVS"}), extra_octets={"RCPT": 33}
    ),
    Extension(
        keyword="NO-SOLICITING",
        rfc="3865",
        mail_parameters=frozenset({"SOLICIT"}),
        extra_octets={"MAIL": 1007},
        parse_parameters=ehlo_parameters.read_unsolicited,
    ),
    Extension(keyword="LIMITS", rfc="9422", parse_parameters=ehlo_parameters.SessionLimits.parse),
    Extension(keyword="ETRN", rfc="1985", verbs=frozenset({"ETRN"})),
    # RFC 5321 defines these commands, so their keywords add no verb.
    Extension(keyword="EXPN", rfc="5321"),
    Extension(keyword="HELP", rfc="5321"),
    Extension(keyword="VRFY", rfc="5321"),
    Extension(
        keyword="XCLIENT",
        rfc="Postfix",
        verbs=frozenset({"XCLIENT"}),
        parse_parameters=ehlo_parameters.read_attribute_names,
    ),
    Extension(
        keyword="XFORWARD",
        rfc="Postfix",
        verbs=frozenset({"XFORWARD"}),
        parse_parameters=ehlo_parameters.read_attribute_names,
    ),
)

LONGEST_LINE = COMMAND_LINE + max(
    sum(row.extra_octets.get(verb, 0) for row in EXTENSIONS.values()) for verb in ("MAIL", "RCPT")
)
"""The octets of the longest possible command line, except AUTH."""


def _check_keywords(
    _instance: object, _attribute: Attribute[Mapping[str, str]], keywords: Mapping[str, str]
) -> None:
    for keyword, parameters in keywords.items():
        if not _KEYWORD.fullmatch(keyword) or keyword != upper(keyword):
            raise GrammarError(f"not an EHLO keyword in upper case: {keyword!r}")
        if parameters and not _PARAMETERS.fullmatch(parameters):
            raise GrammarError(f"not EHLO parameters: {parameters!r}")


@checked
@frozen
class Extensions:
    """The keywords of one EHLO reply, in upper case, each with its parameters as one string.

    Lookup ignores case: ``"size" in extensions``.
    """

    keywords: Mapping[str, str] = field(factory=dict, validator=_check_keywords)

    @classmethod
    def from_reply(
        cls, reply: Reply, tolerate: Callable[[str, GrammarError], None] | None = None
    ) -> Extensions:
        """Read the lines after the first of a reply to EHLO (RFC 5321 4.1.1.1).

        Lines that are not keyword lines are ignored, repeated blanks are collapsed, and the last of
        equal keywords counts. But several lines of AUTH add up, with the old form ``AUTH=``, unless
        *tolerate* raises its error (:meth:`.ParseContext.tolerate`); it then is ignored too.
        """
        lines = reply.lines[1:]
        if sum(map(len, lines)) <= _MOST_KEPT:
            try:
                return _read_strictly(lines)
            except _LeniencyNeeded:
                pass
        return _read_offer(lines, tolerate or _tolerate_anything)

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
        size: int | None = self._parsed("SIZE")
        return size

    @cached_property
    def mechanisms(self) -> tuple[str, ...]:
        """The SASL mechanisms of AUTH, in upper case."""
        return tuple(upper(self.keywords.get("AUTH", "")).split())

    @cached_property
    def limits(self) -> SessionLimits:
        """The limits of LIMITS, without those that are malformed (RFC 9422 3)."""
        return SessionLimits.parse_leniently(self.keywords.get("LIMITS", ""))

    @cached_property
    def deliver_by_min(self) -> int | None:
        """The minimum seconds of ``BY=...;R``, None if DELIVERBY has none (RFC 2852 2)."""
        seconds: int | None = self._parsed("DELIVERBY")
        return seconds

    @cached_property
    def future_release(self) -> FutureRelease | None:
        """How long FUTURERELEASE allows a message to be held, or None."""
        longest: FutureRelease | None = self._parsed("FUTURERELEASE")
        return longest

    @cached_property
    def priority_policy(self) -> str | None:
        """The Priority Assignment Policy of MT-PRIORITY, or None (RFC 6710 3)."""
        policy: str | None = self._parsed("MT-PRIORITY")
        return policy

    @cached_property
    def solicitations(self) -> tuple[str, ...]:
        """The classes of messages that NO-SOLICITING refuses (RFC 3865 2.1)."""
        return self._parsed("NO-SOLICITING") or ()

    @cached_property
    def malformed(self) -> tuple[str, ...]:
        """The keywords whose parameters are malformed, and so count as absent."""
        return tuple(row.keyword for row in self.rows if not self._is_well_formed(row))

    def _is_well_formed(self, row: Extension) -> bool:
        try:
            row.parse_parameters(self.keywords[row.keyword])
        except GrammarError:
            return False
        return True

    def _parsed(self, keyword: str) -> Any:
        """Return the value of the parameters of *keyword*, None if they are absent or malformed."""
        try:
            return EXTENSIONS[keyword].parse_parameters(self.keywords[keyword])
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

_MOST_KEPT = 2048  # characters of an offer that is kept, since servers repeat theirs


def _tolerate_anything(leniency: str, error: GrammarError) -> None:
    """Allow the parser to go on."""


class _LeniencyNeeded(Exception):
    """What *tolerate* says matters, so the offer cannot be kept."""


def _tolerate_nothing(_leniency: str, error: GrammarError) -> None:
    raise _LeniencyNeeded from error


@lru_cache(64)
def _read_strictly(lines: tuple[str, ...]) -> Extensions:
    return _read_offer(lines, _tolerate_nothing)


def _read_offer(lines: Iterable[str], tolerate: Callable[[str, GrammarError], None]) -> Extensions:
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


def _add_mechanisms(
    known: str | None,
    more: str,
    old_form: bool,
    tolerate: Callable[[str, GrammarError], None],
) -> str | None:
    """Return the mechanisms of AUTH after a line with *more*; None if no line counts so far."""
    if known is None and not old_form:
        return more
    try:
        tolerate("auth_lines", GrammarError("AUTH=, or more than one line of AUTH"))
    except GrammarError:
        return known if old_form else more
    names = {upper(name): name for name in reversed(f"{known or ''} {more}".split())}
    return " ".join(reversed(names.values()))
