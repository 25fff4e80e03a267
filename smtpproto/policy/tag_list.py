"""Lists of tags and values (RFC 6376 3.2): signatures, key records, and the records of DMARC,
MTA-STS and TLS-RPT.

::

    parse_tag_list(b"v=DKIM1; k=rsa; p=MIGf")  # {"v": "DKIM1", "k": "rsa", "p": "MIGf"}
"""

from __future__ import annotations

from collections.abc import Mapping
from re import Pattern

from ..grammar.pattern import pattern
from ..grammar.reply import GrammarError
from ..limits import TAG_LIST

_BLANKS = " \t"
_TAG = r"(?:^|;)[ \t]*([A-Za-z][A-Za-z0-9_]*)[ \t]*=([ -:<-~\t{}]*)(?![^;])"
_ASCII, _UTF8 = pattern(_TAG.format("")), pattern(_TAG.format(r"\x80-\U0010ffff"))


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
    text = text.rstrip(_BLANKS).removesuffix(";")  # the list may end with a semicolon
    tag = _UTF8 if utf8 else _ASCII
    tags = {name: value.strip(_BLANKS) for name, value in tag.findall(text)}
    if len(tags) <= text.count(";"):
        raise GrammarError(f"not a tag with a value, or a second one: {_wrong(text, tag)}")
    return tags


def _wrong(text: str, tag: Pattern[str]) -> str:
    """Return the first part of *text* that is not a *tag*, or that is a second one."""
    names, part = {""}, ""
    for part in text.split(";"):
        found = tag.match(part)
        name = found[1] if found else ""
        if name in names:
            break
        names.add(name)
    return repr(part.strip(_BLANKS)[:40])


def format_tag_list(tags: Mapping[str, str]) -> str:
    """Return *tags* on one line: what :func:`parse_tag_list` reads."""
    return "; ".join(f"{name}={value}" for name, value in tags.items())


def without_blanks(value: str) -> str:
    """Return *value* without its blanks, as those in base64 mean nothing (RFC 6376 3.5)."""
    return value.replace(" ", "").replace("\t", "")
