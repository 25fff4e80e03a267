"""The address lists of header fields (RFC 5322 3.4 and 4.4, RFC 6854), read in full or not at all.

A message must not be lost, or reach a stranger, because an address field is malformed. So the
reader either returns every address of a field, or raises an error that points to the fault; it
never guesses. Obsolete syntax is read, because its meaning is certain. Encoded words are not
decoded: in a display name they do not matter, and in an address they are not allowed (RFC 2047
5(3)).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import define

from ..grammar.address import Mailbox, ReversePath
from ..grammar.domain import Domain
from ..grammar.local_part import quote
from ..grammar.pattern import pattern
from ..grammar.reply import GrammarError
from ..limits import LOCAL_PART

_ATOM = pattern(r"[^\x00-\x20\x7f()<>@,;:\\\".\[\]]+")  # RFC 5322 3.2.3, RFC 6532 3.2
_QUOTED_STRING = pattern(r'"((?:[^"\\\r\n]|\\[^\r\n])*)"')
_LITERAL = pattern(r"\[[^\[\]\\\r\n]*\]")
_SPACE = pattern(r"[ \t\r\n]*")
_COMMENT_PART = pattern(r"[^()\\]+|\\.|[()]", re.DOTALL)
_ESCAPE = pattern(r"\\(.)")


def parse_address_list(text: str) -> list[Mailbox]:
    """Return all mailboxes of *text*, the body of an address field, in their order.

    Members of groups are included, and empty elements are skipped (RFC 5322 4.4). Raises
    GrammarError, with the offset in octets, if any part of *text* is not a mailbox or a group.
    """
    return list(_Reader(text).addresses())


@define(eq=False)
class _Reader:
    """Reads *_text* from left to right, once. *_at* is where the next token begins."""

    _text: str
    _at: int = 0

    def addresses(self) -> Iterator[Mailbox]:
        """``address *("," address)``"""
        in_group = False
        while True:
            words = self._words()
            if words and not in_group and self._took(":"):
                in_group = True
                continue
            yield from self._element(words, in_group)
            in_group = in_group and not self._took(";")
            if not self._took(","):
                break
        if self._next():
            raise self._error("a comma must separate addresses", self._at)
        if in_group:
            raise self._error("a group must end with ';'", self._at)

    def _element(self, words: list[tuple[str, int]], in_group: bool) -> Iterator[Mailbox]:
        """``[name-addr / addr-spec]``, of which *words* were read."""
        mark = self._next()
        if mark == "<":
            yield self._angle_address()
        elif mark == "@":
            yield self._mailbox(words)
        elif words:
            raise self._error("not an address: it has no '@'", words[0][1])
        elif mark not in ("", ",") and not (mark == ";" and in_group):
            raise self._error(f"not an address: it begins with {mark!r}", self._at)

    # -- addresses -----------------------------------------------------------------------------

    def _angle_address(self) -> Mailbox:
        """``"<" [obs-route] addr-spec ">"``"""
        self._at += 1
        self._skip_route()
        mailbox = self._mailbox(self._words())
        self._expect(">", "'>' must follow the address")
        return mailbox

    def _skip_route(self) -> None:
        """``*("," / CFWS) "@" domain *("," ["@" domain]) ":"``, which RFC 5321 C ignores."""
        if self._next() not in ("@", ","):
            return
        while True:
            if self._took("@"):
                self._domain()
            if not self._took(","):
                break
        self._expect(":", "':' must follow a source route")

    def _mailbox(self, words: list[tuple[str, int]]) -> Mailbox:
        """``local-part "@" domain``, of which *words* were read."""
        end = self._at
        self._expect("@", "'@' must follow the local-part")
        local_part = self._local_part(words, end)
        domain = self._domain()
        try:
            return _mailbox(local_part, domain)
        except GrammarError as error:
            raise self._error(error.message, words[0][1]) from None

    def _local_part(self, words: list[tuple[str, int]], end: int) -> str:
        """``word *("." word)``: words and dots must alternate."""
        for number, (word, at) in enumerate(words):
            if (word == ".") is not bool(number % 2):
                raise self._error("a local-part must be words joined by single dots", at)
        if len(words) % 2 == 0:
            raise self._error("a local-part must stand before '@'", end)
        return "".join(
            _ESCAPE.sub(r"\1", word[1:-1]) if word.startswith('"') else word for word, _ in words
        )

    def _domain(self) -> str:
        """``dot-atom / domain-literal / obs-domain``"""
        self._skip_comments()
        if literal := _LITERAL.match(self._text, self._at):
            self._at = literal.end()
            return re.sub(r"[ \t]", "", literal[0])
        labels = [self._atom()]
        while self._took("."):
            self._skip_comments()
            labels.append(self._atom())
        return ".".join(labels)

    # -- tokens --------------------------------------------------------------------------------

    def _words(self) -> list[tuple[str, int]]:
        """Return the atoms, quoted strings (with their quotes) and dots up to the next other mark,
        each with its position."""
        words: list[tuple[str, int]] = []
        while True:
            self._skip_comments()
            text, at = self._text, self._at
            found = _ATOM.match(text, at) or _QUOTED_STRING.match(text, at)
            if found is None and not text.startswith(".", at):
                return words
            words.append((found[0] if found else ".", at))
            self._at = found.end() if found else at + 1

    def _atom(self) -> str:
        found = _ATOM.match(self._text, self._at)
        if found is None:
            raise self._error("a domain must be letters, digits and '-', joined by dots", self._at)
        self._at = found.end()
        return found[0]

    def _next(self) -> str:
        """Return the next character after comments and blanks; "" at the end."""
        self._skip_comments()
        return self._text[self._at : self._at + 1]

    def _took(self, mark: str) -> bool:
        """Return whether *mark* comes next, and if so read it."""
        found = self._next() == mark
        self._at += found
        return found

    def _expect(self, mark: str, message: str) -> None:
        if not self._took(mark):
            raise self._error(message, self._at)

    def _skip_comments(self) -> None:
        """``CFWS``; comments may be nested."""
        at, depth = self._at, 0
        while True:
            space = _SPACE.match(self._text, at)
            at = space.end() if space else at
            if not self._text.startswith("(", at):
                self._at = at
                return
            start = at
            while part := _COMMENT_PART.match(self._text, at):
                at = part.end()
                depth += {"(": 1, ")": -1}.get(part[0], 0)
                if not depth:
                    break
            if depth:
                raise self._error("a comment is not closed", start)

    def _error(self, message: str, at: int) -> GrammarError:
        return GrammarError(message, offset=len(self._text[:at].encode(errors="replace")))


def _mailbox(local_part: str, domain: str) -> Mailbox:
    """Return a mailbox, also one that a client sends only by a leniency: what it means is certain.

    Raises GrammarError, also if it is too long for a path.
    """
    long = len(quote(local_part).encode(errors="replace")) > LOCAL_PART
    loose = Domain(domain, loose=True) if "_" in domain and domain[0] != "[" else domain
    mailbox = Mailbox(local_part, loose, long=long)
    ReversePath(mailbox)  # checks the length
    return mailbox
