"""What to write instead of text that is not an address."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from ipaddress import ip_address

from .pattern import pattern
from .printable import printable

# The group of each form that matches is what may be the address.
_FORMS = tuple(
    (pattern(form, re.DOTALL | re.IGNORECASE), advice)
    for form, advice in (
        (r"[\s,;]*(.*?)[\s,;]*", "leave out the blanks and separators around it"),
        (r"(?:mailto|smtp):([^?]*)(?:\?.*)?", "leave out what is before the address"),
        (r"<([^<>]*)>", "leave out the brackets"),
        (r"[^<>]*<([^<>]*)>", "a display name?"),
        (r"([^()]*)\([^()]*\)", "a comment?"),
        (r"\([^()]*\)([^()]*)", "a comment?"),
        (r"""["'](.*)["']""", "leave out the quotes"),
        (r"(.*[^.])\.", "leave out the dot at its end"),
        (r"<([^<>]*)|([^<>]*)>", "leave out the bracket"),
        (r"[()]+([^()]*)[()]*|([^()]*)[()]+", "leave out the parentheses"),
        (r'"[^"]*"\s+(\S+)|([^\s"@]+@[^\s@]+)\s[^@]*', "a display name?"),
    )
)
_SEPARATORS = pattern(r'("(?:[^"\\]|\\.)*")|[,;\r\n]')
_BLANKS = pattern(r'("(?:[^"\\]|\\.)*")|\s')
_BRACKETS = pattern(r"[\[\]]")
_AT = pattern(r"\s*@\s*")
_DOTS = str.maketrans(dict.fromkeys("\u3002\uff61", "."))
_SEVERAL = "several addresses? pass a list, with one address each"


def advise(address: str, reason: str, usable: Callable[[str], bool]) -> str:
    """Return what to do about *address*, which the parser refused for *reason*.

    *usable* says whether a text is an address. The result may contain text of *address*, escaped.
    """
    if _has_several(address, _SEPARATORS):
        return _SEVERAL
    for candidate, advice in _candidates(address):
        if usable(candidate):
            mark = "" if advice.endswith("?") else ";"
            return f"{advice}{mark} use {printable(candidate)}"
    if _has_several(address, _BLANKS) or len(_parts(address, _SEPARATORS)) > 1:
        return _SEVERAL
    local_part, _, domain = address.strip().rpartition("@")
    if local_part and '"' not in local_part and usable(quoted := f'"{local_part}"@{domain}'):
        return f"if all before the last '@' is the local-part, quote it; use {printable(quoted)}"
    return _missing_part(address) or reason


def brackets_for(address: str) -> str | None:
    """Return *address* with an IP address that is its domain in brackets; None if it has none."""
    local_part, _, host = address.rpartition("@")
    try:
        version = ip_address(host).version
    except ValueError:
        return None
    return f"{local_part}@[{'IPv6:' if version == 6 else ''}{host}]"


def _has_several(address: str, separator: re.Pattern[str]) -> bool:
    """Return whether *separator* separates several texts with an '@'."""
    return sum("@" in part for part in _parts(address, separator)) > 1


def _parts(address: str, separator: re.Pattern[str]) -> list[str]:
    """Return the texts, not only of blanks, that *separator* separates outside quotes."""
    parts = separator.sub(lambda found: found[0] if found[0][0] == '"' else "\0", address)
    return [part for part in parts.split("\0") if part.strip()]


def _candidates(address: str) -> Iterator[tuple[str, str]]:
    """Yield texts that may be the address that was meant, each with advice."""
    yield from _without_decoration(address)
    yield _AT.sub("@", address.strip()), "leave out the blanks"
    yield re.sub("@{2,}", "@", address.strip()), "write one '@'"
    plain = unicodedata.normalize("NFKC", address.translate(_DOTS))
    plain = "".join(c for c in plain if unicodedata.category(c) != "Cf").strip()
    yield plain, "it has characters that only look alike, or are invisible"
    yield brackets_for(address.strip()) or "", "an IP address must be in brackets"
    yield brackets_for(_BRACKETS.sub("", address.strip())) or "", "an IPv6 address needs its tag"


def _without_decoration(address: str) -> Iterator[tuple[str, str]]:
    """Undo the forms of ``_FORMS``, one after the other."""
    for _ in _FORMS:
        before = address
        for form, advice in _FORMS:
            match = form.fullmatch(address)
            if match and (inner := match[match.lastindex or 0].strip()) != address:
                address = inner
                yield address, advice
                break
        if address == before:
            return


def _missing_part(address: str) -> str:
    if not address.strip():
        return "it is empty"
    if "@" not in address:
        return "it has no '@' and domain; add them"
    if address.strip().startswith("@"):
        return "the local-part before the '@' is missing"
    return "the domain after the '@' is missing" if address.strip().endswith("@") else ""
