r"""How addresses of type utf-8 are encoded (RFC 6533 3): some characters as ``\x{HEXPOINT}``."""

from __future__ import annotations

import re

from .ascii_case import upper
from .parameter_codec import SYNTAX
from .reply import GrammarError

_UTF8 = r"\x80-\ud7ff\ue000-\U0010ffff"
_SPECIAL = r"\x01-\x09\x10-\x19 +=\\\x7f"  # the only ASCII characters that HEXPOINT has
_TEXT = re.compile(rf"[{_SPECIAL}!-~{_UTF8}]+")
_ENCODED = re.compile(rf"(?:[!-*,-<>-\[\]-~{_UTF8}]|\\x\{{[0-9A-Fa-f]{{2,6}}\}})+")
_EMBEDDED = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_NOT_UNITEXT = re.compile(rf"[{_SPECIAL}]")
_NOT_XTEXT = re.compile(rf"[{_SPECIAL}{_UTF8}]")


def is_unitext(text: str) -> bool:
    """Whether *text* can be encoded: not empty, no NUL, CR, LF or others that HEXPOINT lacks."""
    return _TEXT.fullmatch(text) is not None


def encode_unitext(text: str, *, seven_bit: bool = True) -> str:
    """Write *text* as utf-8-addr-xtext, or as utf-8-addr-unitext if it need not be *seven_bit*."""
    special = _NOT_XTEXT if seven_bit else _NOT_UNITEXT
    return special.sub(lambda found: rf"\x{{{ord(found[0]):02X}}}", text)


def decode_unitext(text: str) -> str:
    """Read utf-8-enc-addr, any of its three forms. Raises GrammarError."""
    match = _ENCODED.match(text)
    end = match.end() if match else 0
    if end != len(text) or not text:
        raise _error("not an address of type utf-8", text, end)
    return _EMBEDDED.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    """The character of an EmbeddedUnicodeChar: minimal, and one that needs to be embedded."""
    character = chr(min(int(found[1], 16), 0x10FFFF))
    if f"{ord(character):02X}" != upper(found[1]) or not _NOT_XTEXT.fullmatch(character):
        raise _error("not a HEXPOINT", found.string, found.start())
    return character


def _error(message: str, text: str, at: int) -> GrammarError:
    offset = len(text[:at].encode("utf-8", "replace"))
    return GrammarError(message, offset=offset, reply=SYNTAX)
