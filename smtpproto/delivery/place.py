"""Where the mailbox of a recipient is: a template, whose names in braces the address fills."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from string import Formatter

from attrs import field, frozen

from ..grammar.address import ForwardPath
from ..option_types import checked

__all__ = ["Place", "Template"]

_NAMES = ("user", "domain", "detail")
_UNSAFE = frozenset('/\\:*?"<>| ')
_LONGEST = 255  # octets of a name in a file system


@checked
@frozen
class Template:
    """Text with names in braces, such as ``{user}``; ``{{`` is a brace.

    Raises ValueError for a name that is not among *allowed*.
    """

    text: str
    allowed: tuple[str, ...] = _NAMES
    names: frozenset[str] = field(init=False)
    """The names that it has."""

    def __attrs_post_init__(self) -> None:
        allowed = ", ".join(f"{{{name}}}" for name in self.allowed)
        try:
            parsed = [*Formatter().parse(self.text)]
        except ValueError as error:
            raise ValueError(f"{self.text!r}: {error}; allowed are {allowed}") from None
        names = frozenset(name for _, name, _, _ in parsed if name is not None)
        plain = not any(form or conversion for _, _, form, conversion in parsed)
        if not (plain and names <= {*self.allowed}):
            raise ValueError(f"{self.text!r} may have {allowed}, and no other braces")
        object.__setattr__(self, "names", names)

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the text with *values* for its names."""
        return self.text.format_map(values)


def _to_template(value: str | Template) -> Template:
    return Template(value) if isinstance(value, str) else value


@checked
@frozen
class Place:
    """Where mailboxes are: ``Place("/var/mail/{domain}/{user}")``.

    ``{user}`` is the local-part without its detail, and ``{domain}`` the domain in A-labels, both
    in lower case; ``{detail}`` is what follows the separator in the local-part, as it is written.
    Local-parts are compared in Unicode's form NFC.
    """

    template: Template = field(converter=_to_template)
    separator: str = "+"
    """What begins the detail: with "+", ann+lists@example.org is Ann's. "": there is no detail."""

    @property
    def is_shared(self) -> bool:
        """Whether all users of a domain have the same place."""
        return "user" not in self.template.names

    def values(self, recipient: ForwardPath) -> Mapping[str, str]:
        """Return the values of the names for *recipient*."""
        local_part = unicodedata.normalize("NFC", recipient.local_part)
        mark = self.separator or "\0"  # which no local-part has
        user, _, detail = local_part.partition(mark)
        domain = "" if recipient.domain is None else recipient.domain.canonical
        return {"user": user.lower(), "domain": domain, "detail": detail}

    def path(self, recipient: ForwardPath) -> str | None:
        """Return the path for *recipient*; None if the address could lead out of the place."""
        values = self.values(recipient)
        return self.template.fill(values) if are_safe(values, self.template.names) else None


def are_safe(values: Mapping[str, str], names: Iterable[str]) -> bool:
    """Return whether the *values* of *names* are safe as names of files, and in the arguments of
    programs. There may be no detail."""
    return all(is_safe(values[name]) or (name == "detail" and not values[name]) for name in names)


def is_safe(name: str) -> bool:
    """Return whether *name* is a name and nothing else: it begins with a letter, a digit or "_",
    and no path, option or hidden file can be made of it."""
    return (
        (name[:1].isalnum() or name[:1] == "_")
        and name.isprintable()
        and _UNSAFE.isdisjoint(name)
        and len(name.encode()) <= _LONGEST
    )
