"""Reads ABNF (RFC 5234 4, RFC 7405 2.2) into trees."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen

from .nodes import Choice, Literal, Name, Node, Range, Repeat, Sequence

_TOKEN = re.compile(
    r"""(?P<repeat>\d+\*\d*|\*\d*|\d+)|(?P<name>[A-Za-z][A-Za-z0-9-]*)|(?P<mark>[()\[\]/])
    |(?P<text>(?:%[sSiI])?"[ !#-~]*")|(?P<number>%[bB][01]+(?:-[01]+|(?:\.[01]+)*)
    |%[dD]\d+(?:-\d+|(?:\.\d+)*)|%[xX][0-9A-Fa-f]+(?:-[0-9A-Fa-f]+|(?:\.[0-9A-Fa-f]+)*))""",
    re.VERBOSE,
)
_RULE = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[ \t]*(=/?)(.*)", re.DOTALL)
_REFERENCE = re.compile(r";[ \t]*(RFC \d+ [0-9A-Z][0-9A-Z.]*)[ \t]*")
_COMMENT = re.compile(r'("[^"\n]*")|;.*')
_BASES = {"b": 2, "d": 10, "x": 16}


@frozen
class Rule:
    """A rule of a grammar."""

    name: str
    node: Node
    """The tree of what the rule is defined as."""
    reference: str = ""
    """Where it comes from, for example ``RFC 5321 4.1.2``, or ""."""

    def __str__(self) -> str:
        return f"{self.name} = {self.node}"


def read_rules(text: str) -> Iterator[tuple[Rule, bool]]:
    """Yield the rules of *text*, and whether each adds alternatives to an earlier one (``=/``).
    Raises ValueError, which names the line."""
    reference = ""
    for number, lines in _blocks(text):
        if found := _REFERENCE.fullmatch(lines.rstrip()):
            reference = found[1]
        body = _COMMENT.sub(lambda it: it[1] or "", lines).strip()
        if not body:
            continue
        rule = _RULE.fullmatch(body)
        try:
            if rule is None:
                raise ValueError("not a rule")
            yield Rule(rule[1], _Reader(rule[3]).read(), reference), rule[2] == "=/"
        except ValueError as error:
            raise ValueError(f"line {number} of the grammar: {error}: {body[:60]!r}") from None


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line with the indented lines after it, and its number."""
    lines = text.splitlines()
    starts = [n for n, line in enumerate(lines) if n == 0 or line[:1] not in (" ", "\t", "")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield start + 1, "\n".join(lines[start:end])


class _Reader:
    """Reads the elements of one rule."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        at = 0
        text = text.rstrip()
        while at < len(text):
            if text[at] in " \t\r\n":
                at += 1
            elif found := _TOKEN.match(text, at):
                self.tokens.append((found.lastgroup or "", found[0]))
                at = found.end()
            else:
                raise ValueError(f"not ABNF at {text[at : at + 20]!r}")
        self.tokens.reverse()

    def read(self) -> Node:
        node = self._choice()
        if self.tokens:
            raise ValueError(f"{self.tokens[-1][1]!r} is not expected")
        return node

    def _next_is(self, *marks: str) -> bool:
        return bool(self.tokens) and self.tokens[-1][1] in marks

    def _take(self) -> tuple[str, str]:
        if not self.tokens:
            raise ValueError("the rule ends too early")
        return self.tokens.pop()

    def _choice(self) -> Node:
        items = [self._sequence()]
        while self._next_is("/"):
            self._take()
            items.append(self._sequence())
        return items[0] if len(items) == 1 else Choice(tuple(items))

    def _sequence(self) -> Node:
        items = [self._repetition()]
        while self.tokens and not self._next_is("/", ")", "]"):
            items.append(self._repetition())
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def _repetition(self) -> Node:
        if not self.tokens or self.tokens[-1][0] != "repeat":
            return self._element()
        least, star, most = self._take()[1].partition("*")
        if not star:
            most = least
        repeat = Repeat(self._element(), int(least or 0), int(most) if most else None)
        if repeat.most is not None and repeat.most < repeat.least:
            raise ValueError("a repetition must not end below its start")
        return repeat

    def _element(self) -> Node:
        kind, token = self._take()
        match kind:
            case "name":
                return Name(token)
            case "text":
                exact = token[:2] in ("%s", "%S")
                return Literal(token[token.index('"') + 1 : -1].encode(), exact)
            case "number":
                return _number(token)
        if token not in "([":
            raise ValueError(f"{token!r} is not expected")
        node = self._choice()
        if self._take()[1] != {"(": ")", "[": "]"}[token]:
            raise ValueError(f"{token!r} is not closed")
        return node if token == "(" else Repeat(node, 0, 1)


def _number(token: str) -> Node:
    base = _BASES[token[1].lower()]
    first, dash, last = token[2:].partition("-")
    values = [int(part, base) for part in first.split(".")]
    if dash:
        values.append(int(last, base))
    if max(values) > 0xFF:
        raise ValueError(f"{token} is not an octet; write UTF-8 as its octets (RFC 3629 4)")
    return Range(*values) if dash else Literal(bytes(values), exact=True)
