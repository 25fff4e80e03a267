"""Encoded words for the text of header fields (RFC 2047), and folding (RFC 5322 2.2.3).

The email package loses parentheses, quotes and commas when it encodes and folds address fields, and
then other recipients can be read in them. Here all tokens but those that are not ASCII stay as they
are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.charset import Charset
from itertools import repeat

from ..grammar.pattern import pattern

_LINE = 78  # characters (RFC 5322 2.1.1)
_ENCODED_WORD = 75  # characters (RFC 2047 2)
_ESCAPE = pattern(r"\\(.)", re.DOTALL)
_QUOTED = pattern(r'"((?:[^"\\]|\\.)*)(?:"|\\?\Z)', re.DOTALL)
_UTF8 = Charset("utf-8")

# Words of a phrase, words of a comment, and words of unstructured text; all else is one character.
# A quote that is not closed reaches to the end, or the text after it would be searched for each.
_PHRASE = pattern(r'[ \t]+|(?:"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[^ \t()<>@,:;"\[\]\\])+|.', re.DOTALL)
_COMMENT = pattern(r"[ \t]+|(?:\\.|[^ \t()\\])+|.", re.DOTALL)
_TEXT = pattern(r"[ \t]+|[^ \t]+")


def encoded_words(text: str) -> str:
    """Return *text* as encoded words."""
    text = text.encode(errors="surrogateescape").decode(errors="replace")
    return " ".join(map(str, _UTF8.header_encode_lines(text, repeat(_ENCODED_WORD))))


def encode_text(text: str) -> str:
    """Return unstructured *text* with encoded words for its words that are not ASCII."""
    return _encoded([(token, token) for token in _TEXT.findall(text)])


def encode_addresses(text: str) -> str:
    """Return *text*, the body of an address field, with encoded words in phrases and comments.

    Addresses in it must be ASCII.
    """
    return _encoded(_address_tokens(text))


def fold(field: str) -> str:
    """Return *field* with CRLF before blanks, so that most lines have at most 78 characters. The
    first word stays in the line of the name: some programs do not find it elsewhere."""
    name, _, text = field.partition(":")
    words = re.findall(r"[ \t]*[^ \t]+|[ \t]+", text)
    lines = [f"{name}:" + "".join(words[:1])]
    for word in words[1:]:
        if len(lines[-1]) + len(word) > _LINE and word.strip():
            lines.append("")
        lines[-1] += word
    return "\r\n".join(lines)


def _address_tokens(text: str) -> list[tuple[str, str]]:
    """Return the tokens of *text*, each with what it means if it is a word."""
    tokens: list[tuple[str, str]] = []
    at, depth = 0, 0
    while match := (_COMMENT if depth else _PHRASE).match(text, at):
        token, at = match[0], match.end()
        meaning = _ESCAPE.sub(r"\1", token) if depth else _QUOTED.sub(_unquoted, token)
        tokens.append((token, meaning))
        depth = max(0, depth + {"(": 1, ")": -1}.get(token, 0))
    return tokens


def _unquoted(quoted: re.Match[str]) -> str:
    return _ESCAPE.sub(r"\1", quoted[1])


def _encoded(tokens: list[tuple[str, str]]) -> str:
    """Return the joined *tokens*. Words that are not ASCII are encoded, those with only blanks
    between them together, because readers drop the blanks between encoded words."""
    parts: list[str] = []
    after_word = False
    for token, is_encoded in _runs(tokens):
        separate = is_encoded or after_word
        if separate and parts and parts[-1][-1] not in " \t(" and token[0] not in " \t)":
            parts.append(" ")
        parts.append(token)
        after_word = is_encoded
    return "".join(parts)


def _runs(tokens: list[tuple[str, str]]) -> Iterator[tuple[str, bool]]:
    """Yield the texts to write, each with whether it is encoded words."""
    at = 0
    while at < len(tokens):
        end = at + 1
        if tokens[at][0].isascii():
            yield tokens[at][0], False
        else:
            while [_kind(token) for token, _ in tokens[end : end + 2]] == ["blank", "encoded"]:
                end += 2
            text = "".join(meaning for _, meaning in tokens[at:end])
            yield encoded_words(text), True
        at = end


def _kind(token: str) -> str:
    return "blank" if not token.strip(" \t") else "plain" if token.isascii() else "encoded"
