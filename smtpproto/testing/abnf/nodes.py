"""The tree of an ABNF rule (RFC 5234 3, RFC 7405). ``str(node)`` is its ABNF."""

from __future__ import annotations

from attrs import field, frozen


@frozen
class Literal:
    """Octets as they are written: ``"EHLO"`` in any case, ``%s"EHLO"`` and ``%x0D.0A`` exactly."""

    octets: bytes
    exact: bool = False

    def __str__(self) -> str:
        if not self.exact:
            return f'"{self.octets.decode()}"'
        return f"%x{'.'.join(f'{octet:02X}' for octet in self.octets)}"


@frozen
class Range:
    """One octet, from *first* to *last*: ``%x30-39``."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"%x{self.first:02X}-{self.last:02X}"


@frozen
class Name:
    """The rule *name*."""

    name: str = field(eq=str.lower)

    def __str__(self) -> str:
        return self.name


@frozen
class Sequence:
    """One item after the other."""

    items: tuple[Node, ...]

    def __str__(self) -> str:
        return " ".join(f"( {it} )" if isinstance(it, Choice) else str(it) for it in self.items)


@frozen
class Choice:
    """One of the items, whichever comes first: ``a / b``."""

    items: tuple[Node, ...]

    def __str__(self) -> str:
        return " / ".join(map(str, self.items))


@frozen
class Repeat:
    """The item, *least* to *most* times; None is any number: ``1*DIGIT``, ``[ SP ]``."""

    item: Node
    least: int = 0
    most: int | None = None

    def __str__(self) -> str:
        if (self.least, self.most) == (0, 1):
            return f"[ {self.item} ]"
        alone = not isinstance(self.item, Choice | Sequence | Repeat)
        item = str(self.item) if alone else f"( {self.item} )"
        if self.least == self.most:
            return f"{self.least}{item}"
        return f"{self.least or ''}*{'' if self.most is None else self.most}{item}"


Node = Literal | Range | Name | Sequence | Choice | Repeat
