"""Lists of tags and values (RFC 6376 3.2): signatures, key records, and the records of DMARC,
MTA-STS and TLS-RPT.

::

    parse_tag_list(b"v=DKIM1; k=rsa; p=MIGf")  # {"v": "DKIM1", "k": "rsa", "p": "MIGf"}
"""

from __future__ import annotations

from collections.abc import Mapping

from ..grammar.pattern import pattern
from ..grammar.reply import GrammarError
from ..limits import TAG_LIST

_BLANKS = " \t"
_NAME = r"[A-Za-z][A-Za-z0-9_]*"
_NAMES = pattern(rf"{_NAME}(?:;{_NAME})*")
_TEXT = pattern(r"[ -~\t]*")
_TEXT_UTF8 = pattern(r"[ -~\t\x80-\U0010ffff]*")


def parse_tag_list(octets: bytes, *, utf8: bool = False) -> dict[str, str]:
    """Return the tags of *octets* with their values, in the order in which they were written.

    Lines may be folded. Blanks around names and values do not belong to them; blanks inside a value
    are kept. *utf8* allows characters beyond ASCII in values (RFC 8616 5). Raises GrammarError if a
    part is not a tag with a value, if a tag stands twice, or if there are no tags or more than 64
    KiB.
    """
    if len(octets) > TAG_LIST:
        raise GrammarError(f"more than {TAG_LIST} octets in a list of tags")
    try:
        text = octets.decode().replace("\r\n ", " ").replace("\r\n\t", "\t")
    except UnicodeDecodeError as error:
        raise GrammarError("a list of tags is not UTF-8", offset=error.start) from None
    parts = text.split(";")
    if not parts[-1].strip(_BLANKS):
        del parts[-1]  # the list may end with a semicolon
    tags: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip(_BLANKS)
        if not equals or name in tags:
            raise GrammarError(f"not a tag with a value, or a second one: {_shown(part)}")
        tags[name] = value.strip(_BLANKS)
    # All names and all values are looked at together, because that is quick.
    if not _NAMES.fullmatch(";".join(tags)):
        raise GrammarError(f"not names of tags: {_shown('; '.join(tags))}")
    if not (_TEXT_UTF8 if utf8 else _TEXT).fullmatch(text):
        raise GrammarError("a list of tags has a character that is not allowed")
    return tags


def format_tag_list(tags: Mapping[str, str]) -> str:
    """Return *tags* on one line: what :func:`parse_tag_list` reads."""
    return "; ".join(f"{name}={value}" for name, value in tags.items())


def without_blanks(value: str) -> str:
    """Return *value* without its blanks, as those in base64 mean nothing (RFC 6376 3.5)."""
    return value.replace(" ", "").replace("\t", "")


def _shown(part: str) -> str:
    return repr(part.strip(_BLANKS)[:40])
