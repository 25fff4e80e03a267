"""Encoded words for the text of header fields (RFC 2047), and folding (RFC 5322 2.2.3).

The email package loses parentheses, quotes and commas when it encodes and folds address fields, and
then other recipients can be read in them. Here all tokens but those that are not ASCII stay as they
are.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, a2b_qp
from collections.abc import Iterator
from email.charset import Charset
from itertools import groupby, repeat
from operator import itemgetter

from ..grammar.ascii_case import lower
from ..grammar.pattern import pattern
from .charsets import text_in

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

# An encoded word; what may follow its charset is a language (RFC 2231 5).
_WORD = pattern(r"=\?([\w.:-]+)(?:\*[\w-]*)?\?([bBqQ])\?([^ \t?]*)\?=", re.ASCII)


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


def decode_words(text: str) -> str:
    """Return *text* with its encoded words decoded (RFC 2047 6.2), in any order and length: readers
    of mail are lenient there. Words side by side may share a character."""
    pieces: list[tuple[str, bytes]] = []  # with their charsets
    at = 0
    for word in _WORD.finditer(text):
        between, at = text[at : word.start()], word.end()
        if not pieces or between.strip(" \t"):
            pieces.append(("", between.encode("utf-8", "replace")))
        pieces.append((lower(word[1]), _octets_of(word[2], word[3])))
    pieces.append(("", text[at:].encode("utf-8", "replace")))
    groups = groupby(pieces, key=itemgetter(0))
    return "".join(text_in(name or "utf-8", b"".join(it for _, it in its)) for name, its in groups)


def _octets_of(encoding: str, text: str) -> bytes:
    """Return what is encoded by *encoding*: B is base64, Q nearly quoted-printable."""
    octets = text.encode("utf-8", "replace")
    if encoding in "qQ":
        return a2b_qp(octets, header=True)
    try:
        return a2b_base64(octets + b"==")
    except Base64Error:
        return octets


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
