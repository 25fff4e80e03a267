"""Changes of a header section that filters ask for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from attrs import field, frozen

from ..grammar.pattern import pattern
from ..grammar.reply import GrammarError
from ..mail.header import MAX_HEADER, is_field_name, split_fields

__all__ = ["AddField", "ChangeField", "FieldEdit", "edited"]

_NO_VALUE = pattern(rb"\0|\r(?!\n)|(?<!\r)\n|\r\n(?![ \t])")


def _to_name(name: str) -> str:
    if not is_field_name(name):
        raise GrammarError(f"not the name of a header field: {name[:100]!r}")
    return name


def _to_value(value: bytes | str) -> bytes:
    octets = value.encode() if isinstance(value, str) else value
    if _NO_VALUE.search(octets):
        raise GrammarError(
            f"not the value of one header field: {octets[:100]!r}; each CRLF needs a blank after it"
        )
    return octets if octets.startswith((b" ", b"\t")) else b" " + octets


def _to_value_or_none(value: bytes | str | None) -> bytes | None:
    return None if value is None else _to_value(value)


@frozen
class AddField:
    """A new field: ``AddField("X-Spam-Flag", "YES")``.

    *value* may be folded, with CRLF. Raises GrammarError for what is not one field.
    """

    name: str = field(converter=_to_name)
    value: bytes = field(converter=_to_value)
    at: int | None = 0
    """The number of fields above it; None: below all others."""


@frozen
class ChangeField:
    """Another value for a field, or its end. Raises GrammarError for what is not one field."""

    name: str = field(converter=_to_name)
    value: bytes | None = field(converter=_to_value_or_none)
    """None deletes the field."""
    number: int = 1
    """Which of the fields with this name, from the top, as the filter got them. If there are not so
    many, the value is added below all others."""


FieldEdit = AddField | ChangeField
"""A change of a header section."""


def edited(header: bytes, edits: Iterable[FieldEdit]) -> bytes:
    """Return the header section *header* after *edits*. Raises GrammarError if it is then longer
    than 1 MiB.

    Readers take the first line that is not a field for the end of the section, so all that is added
    stands above it.
    """
    fields = split_fields(header)
    lines = [[line] for _, line in fields]
    named: dict[str, list[list[bytes]]] = defaultdict(list)
    for (name, _), line in zip(fields, lines, strict=True):
        named[name.lower()].append(line)
    end = next((index for index, (name, _) in enumerate(fields) if not name), len(fields))
    for edit in edits:
        new = b"" if edit.value is None else edit.name.encode() + b":" + edit.value
        at = end
        if isinstance(edit, ChangeField):
            same = named[edit.name.lower()]
            if 0 < edit.number <= len(same):
                same[edit.number - 1][0] = new
                continue
        elif edit.at is not None:
            at = min(edit.at, end)
        lines.insert(at, [new])
        end += 1
    octets = b"".join(line + b"\r\n" for [line] in lines if line)
    if len(octets) > MAX_HEADER:
        raise GrammarError(f"filters made a header section of more than {MAX_HEADER} octets")
    return octets
