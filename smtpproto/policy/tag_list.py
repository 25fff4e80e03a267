"""Lists of tags and values (RFC 6376 3.2): signatures, key records, and the records of DMARC,
MTA-STS and TLS-RPT.

::

    parse_tag_list(b"v=DKIM1; k=rsa; p=MIGf")  # {"v": "DKIM1", "k": "rsa", "p": "MIGf"}
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..grammar.pattern import pattern
from ..grammar.printable import printable
from ..grammar.reply import GrammarError
from ..limits import TAG_LIST

_FOLD = pattern(r"\r\n(?=[ \t])")
_NAME = pattern(r"[A-Za-z][A-Za-z0-9_]*")
_VALUE = pattern(r"[!-:<-~ \t]*")  # VALCHAR and blanks
_VALUE_UTF8 = pattern(r"[!-:<-~ \t\x80-\U0010ffff]*")


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
        text = _FOLD.sub("", octets.decode())
    except UnicodeDecodeError as error:
        raise GrammarError("a list of tags is not UTF-8", offset=error.start) from None
    parts = text.split(";")
    if not parts[-1].strip(" \t"):
        del parts[-1]  # the list may end with a semicolon
    tags: dict[str, str] = {}
    form = _VALUE_UTF8 if utf8 else _VALUE
    for part in parts:
        name, equals, value = part.partition("=")
        name, value = name.strip(" \t"), value.strip(" \t")
        if not equals or not _NAME.fullmatch(name):
            raise GrammarError(f"not a tag with a value: {_shown(part)}")
        if not form.fullmatch(value):
            raise GrammarError(f"a character that is not allowed in the tag {name}=")
        if name in tags:
            raise GrammarError(f"the tag {name[:40]}= stands twice")
        tags[name] = value
    if not tags:
        raise GrammarError("no tags")
    return tags


def format_tag_list(tags: Mapping[str, str]) -> str:
    """Return *tags* on one line: what :func:`parse_tag_list` reads."""
    return "; ".join(f"{name}={value}" for name, value in tags.items())


def without_blanks(value: str) -> str:
    """Return *value* without its blanks, as those in base64 mean nothing (RFC 6376 3.5)."""
    return re.sub(r"[ \t]", "", value)


def _shown(part: str) -> str:
    return repr(printable(part.strip(" \t")[:40]))
