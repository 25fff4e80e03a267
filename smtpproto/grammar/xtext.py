"""xtext (RFC 3461 4) and strict base64 (RFC 4954 4): text inside parameters and AUTH lines."""

from __future__ import annotations

import binascii

from .pattern import pattern
from .reply import GrammarError, Reply

_XTEXT = pattern(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_ESCAPE = pattern(r"\+([0-9A-F]{2})")
_NEEDS_ESCAPE = pattern(rb"[^!-*,-<>-~]")
_BAD_XTEXT = Reply(501, "5.5.4", "Not xtext")
_BAD_BASE64 = Reply(501, "5.5.2", "Cannot decode base64")


def encode_xtext(text: str) -> str:
    """Encode *text*: its octets in UTF-8, with "+", "=" and all but printable ASCII as ``+HH``."""
    return _NEEDS_ESCAPE.sub(lambda found: b"+%02X" % ord(found[0]), text.encode()).decode()


def decode_xtext(text: str) -> str:
    """Decode xtext. Raises GrammarError if it is not xtext, or does not decode to UTF-8."""
    match = _XTEXT.match(text)
    end = match.end() if match else 0
    if end != len(text):
        raise GrammarError("not xtext", offset=end, reply=_BAD_XTEXT)
    try:
        return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text).encode("latin-1").decode()
    except UnicodeDecodeError:
        raise GrammarError("xtext does not decode to UTF-8", reply=_BAD_XTEXT) from None


def encode_base64(octets: bytes) -> bytes:
    """Encode *octets* as base64 on one line."""
    return binascii.b2a_base64(octets, newline=False)


def decode_base64(text: bytes) -> bytes:
    """Decode base64. Raises GrammarError for other characters, and for wrong or missing padding."""
    try:
        octets = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        octets = None
    if octets is None or len(text) != (len(octets) + 2) // 3 * 4:  # Python 3.11 accepts "AAAA="
        raise GrammarError("not base64", reply=_BAD_BASE64)
    return octets
