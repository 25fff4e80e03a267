"""XML that strangers have written: elements with their text, and nothing else. Document types and
entities are refused, since they serve attacks only."""

from __future__ import annotations

from xml.parsers.expat import ExpatError, ParserCreate

from attrs import define, field

from ..grammar.reply import GrammarError

_DEPTH = 16  # elements inside each other
_ELEMENTS = 1_000_000
_TEXT = 65536  # characters of an element that are kept


@define(eq=False)
class Element:
    """An element. Names are those without a prefix."""

    name: str
    text: str = ""
    children: list[Element] = field(factory=list)

    def all(self, name: str) -> list[Element]:
        """Return the children with *name*."""
        return [it for it in self.children if it.name == name]

    def get(self, name: str) -> Element:
        """Return the first child with *name*; an empty one if there is none."""
        return next((it for it in self.children if it.name == name), Element(name))

    def value(self, name: str) -> str:
        """Return the text of the first child with *name*, without blanks around it."""
        return self.get(name).text.strip()


def parse_xml(octets: bytes) -> Element:
    """Return the root element of *octets*. Raises GrammarError."""
    reader = _Reader()
    parser = ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(octets, True)
    except GrammarError:
        raise
    except (ExpatError, ValueError, LookupError) as error:
        raise GrammarError(f"not well-formed XML: {error}") from None
    return reader.root.children[0]


def _refuse(*_: object) -> None:
    raise GrammarError("a document type or an entity in XML, which reports do not have")


class _Reader:
    def __init__(self) -> None:
        self.root = Element("")
        self._open = [self.root]
        self._count = 0

    def start(self, name: str, _: object) -> None:
        self._count += 1
        if len(self._open) > _DEPTH or self._count > _ELEMENTS:
            raise GrammarError("XML with too many elements, or with too many inside each other")
        element = Element(name.rpartition(":")[2])
        self._open[-1].children.append(element)
        self._open.append(element)

    def end(self, _: str) -> None:
        self._open.pop()

    def text(self, data: str) -> None:
        element = self._open[-1]
        if len(element.text) < _TEXT:  # text beyond it would cost more and more
            element.text += data[:_TEXT]
