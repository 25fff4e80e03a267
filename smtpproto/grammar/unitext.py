r"""The encodings of ORCPT addresses of type utf-8 (RFC 6533 3).

utf-8-addr-xtext is ASCII and writes all other characters as ``\x{HEXPOINT}``; utf-8-addr-unitext
keeps UTF-8 and escapes only what no parameter may contain.
"""

from __future__ import annotations

import re

from .ascii_case import upper
from .parameter_codec import BAD_PARAMETER
from .pattern import pattern
from .reply import GrammarError

_UTF8 = r"\x80-\ud7ff\ue000-\U0010ffff"
_ESCAPED_ASCII = r"\x01-\x09\x10-\x19 +=\\\x7f"  # the only ASCII characters in HEXPOINT's rule
_TEXT = pattern(rf"[{_ESCAPED_ASCII}!-~{_UTF8}]+")
_ENCODED = pattern(rf"(?:[!-*,-<>-\[\]-~{_UTF8}]|\\x\{{[0-9A-Fa-f]{{2,6}}\}})+")
_ESCAPE = pattern(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_NOT_UNITEXT = pattern(rf"[{_ESCAPED_ASCII}]")
_NOT_XTEXT = pattern(rf"[{_ESCAPED_ASCII}{_UTF8}]")


def is_unitext(text: str) -> bool:
    """Return whether *text* can be encoded: it must not be empty, nor contain NUL, CR, LF or other
    characters that HEXPOINT excludes."""
    return _TEXT.fullmatch(text) is not None


def encode_unitext(text: str, *, seven_bit: bool = True) -> str:
    """Encode *text* as utf-8-addr-xtext, or as utf-8-addr-unitext if not *seven_bit*."""
    special = _NOT_XTEXT if seven_bit else _NOT_UNITEXT
    return special.sub(lambda found: rf"\x{{{ord(found[0]):02X}}}", text)


def decode_unitext(text: str) -> str:
    """Decode utf-8-enc-addr, in any of its three forms. Raises GrammarError."""
    match = _ENCODED.match(text)
    end = match.end() if match else 0
    if end != len(text) or not text:
        raise _error("not an address of type utf-8", text, end)
    return _ESCAPE.sub(_decode_escape, text)


def _decode_escape(found: re.Match[str]) -> str:
    r"""Return the character of ``\x{HEXPOINT}``. The number must have no leading zeros, and the
    character must be one that needs the escape."""
    character = chr(min(int(found[1], 16), 0x10FFFF))
    if f"{ord(character):02X}" != upper(found[1]) or not _NOT_XTEXT.fullmatch(character):
        raise _error("not a HEXPOINT", found.string, found.start())
    return character


def _error(message: str, text: str, at: int) -> GrammarError:
    offset = len(text[:at].encode("utf-8", "replace"))
    return GrammarError(message, offset=offset, reply=BAD_PARAMETER)
