"""Octets of a message as text, whatever charset it names and whether or not that is true."""

from __future__ import annotations

from ..grammar.ascii_case import lower

# They decode in quadratic time, or stand for no charset of mail.
_UNUSABLE = {"idna", "punycode", "raw_unicode_escape", "unicode_escape"}


def text_in(charset: str, octets: bytes) -> str:
    """Return *octets* as text in *charset*; in UTF-8, with U+FFFD for what is wrong, if they are
    no text there, or if Python does not know the charset. The result can be written as UTF-8."""
    if lower(charset).replace("-", "_") in _UNUSABLE:
        charset = "utf-8"
    try:
        text = octets.decode(charset)
    except (LookupError, ValueError):
        text = octets.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode()
