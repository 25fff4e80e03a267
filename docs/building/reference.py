"""Writes the pages of the public modules, from which Sphinx takes the docstrings.

Each name is documented once, on the page of its home; the other modules that export it only list
it. The pages are built anew each time and are not part of the repository.
"""

from __future__ import annotations

import enum
import inspect
import re
import typing
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs

from .attributes import texts_of
from .names import PublicName, assignment_of, names_of, public_modules, public_names

FOLDER = "reference/api"

# The classes that describe the keys of a TypedDict, beside its own docstrings.
DESCRIBED_BY = {
    "ClientOptions": ("ClientConfig",),
    "ConnectOptions": ("ClientConfig",),
    "PoolOptions": ("PoolConfig", "ClientConfig"),
    "ServerOptions": ("ServerConfig",),
    "MachineOptions": ("ServerConfig",),
    "SMTPDOptions": ("ServerConfig",),
    "MTAOptions": ("MTAConfig",),
    "DiscoveredOptions": ("ClientConfig",),
}


def write_pages(docs: Path) -> None:
    """Write a page for each public module below *docs*, and remove those of modules that are gone.

    A page that does not change is left alone, so that Sphinx need not read it again.
    """
    folder = docs / FOLDER
    folder.mkdir(exist_ok=True)
    pages = {folder / f"{module}.rst": page(module) for module in public_modules()}
    pages[folder / "index.rst"] = overview()
    for path in set(folder.glob("*.rst")) - set(pages):
        path.unlink()
    for path, text in pages.items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def overview() -> str:
    """Return the page that lists the public modules."""
    rows = [(f":doc:`{module} <{module}>`", about(module)) for module in public_modules()]
    lines = [
        *heading("API, by module"),
        "These modules and their names are public. Every other module may change at any time.",
        "",
        *table(("module", "what it is"), rows),
        "",
        ".. toctree::",
        "   :hidden:",
        "",
        *(f"   {short(module)} <{module}>" for module in public_modules()),
    ]
    return "\n".join(lines) + "\n"


def short(module: str) -> str:
    """Return the name of *module* within the package."""
    return module.removeprefix("smtpproto.")


def about(module: str) -> str:
    """Return the first sentence about *module*, without the number of its ring."""
    sentence = first_sentence(import_module(module).__doc__ or "")
    ring, colon, rest = sentence.partition(": ")
    return rest[:1].upper() + rest[1:] if colon and ring.startswith("Ring ") else sentence


def page(module: str) -> str:
    """Return the page of *module*."""
    names = names_of(module)
    own = [name for name in names if name.home == module]
    rows = [(f":py:obj:`{name.name} <{name.path}>`", summary(name)) for name in names]
    lines = [*heading(module), ".. highlight:: default", "", f".. automodule:: {module}", ""]
    if len(names) > 1 or not own:
        lines += [".. rubric:: Names", "", *table(("name", "what it is"), rows), ""]
    for name in own:
        lines += [*entry(name), ""]
    return "\n".join(lines)


def heading(text: str) -> list[str]:
    return [text, "=" * len(text), ""]


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield the lines of a table."""
    yield ".. list-table::"
    yield "   :header-rows: 1"
    yield "   :class: names"
    yield ""
    for row in (head, *rows):
        for number, cell in enumerate(row):
            lead = "     -" if number else "   * -"
            yield f"{lead} {cell}".rstrip()


def first_sentence(text: str) -> str:
    """Return the first sentence of a docstring, on one line."""
    paragraph = " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())
    end = paragraph.find(". ")
    return (paragraph if end < 0 else paragraph[: end + 1]).removesuffix("::")


def summary(name: PublicName) -> str:
    """Return the first sentence of the docstring of *name*, with its references as code: what they
    refer to depends on where they stand."""
    documented = is_documented(name.value)
    sentence = first_sentence(name.value.__doc__ or "" if documented else assignment_of(name).text)
    return re.sub(r":[a-z]+:`(?:[^`<]*<)?[~.]*([^`>]+)>?`", r"``\1``", sentence)


def is_documented(value: object) -> bool:
    """Return whether *value* has a docstring of its own, as classes and functions have."""
    return (
        isinstance(value, type)
        or typing.is_typeddict(value)
        or inspect.isroutine(inspect.unwrap(value) if callable(value) else value)
    )


def entry(name: PublicName) -> list[str]:
    """Return the directive that documents *name*."""
    if typing.is_typeddict(name.value):
        return options(name)
    if isinstance(name.value, type):
        return [
            f".. autoclass:: {name.path}",
            "   :members:",
            "   :undoc-members:",
            "   :member-order: bysource",
            *inherited(name.value),
        ]
    if is_documented(name.value):
        return [f".. autofunction:: {name.path}"]
    return data(name)


def inherited(kind: type) -> list[str]:
    """Return the option that adds the members of base classes that have no page."""
    documented = {id(name.value) for name in public_names()}
    bases = kind.__mro__[1:]
    outer = [
        base.__name__
        for base in bases
        if id(base) in documented or not base.__module__.startswith("smtpproto.")
    ]
    return [f"   :inherited-members: {', '.join(dict.fromkeys(outer))}"] * (len(bases) > 1)


def data(name: PublicName) -> list[str]:
    """Return the entry of a constant or of a union of types."""
    assignment = assignment_of(name)
    lines = [f".. py:data:: {name.name}"]
    if len(assignment.source) < 200:
        lines += ["", f"   ``{assignment.source}``"]
    return [*lines, "", *indented(assignment.text)]


def indented(text: str) -> list[str]:
    return [f"   {line}".rstrip() for line in inspect.cleandoc(text).splitlines()]


def options(name: PublicName) -> list[str]:
    """Return the entry of a class of options: a table of its keys."""
    annotations: dict[str, Any] = name.value.__annotations__
    texts = texts_of_options(name)
    defaults: dict[str, str] = {}
    for kind in described_by(name):
        for field in attrs.fields(kind):
            defaults.setdefault(field.name, shown_default(field.default))
    rows = [
        (f"``{key}``", f"``{written(annotation)}``", defaults.get(key, ""), texts[key])
        for key, annotation in annotations.items()
    ]
    return [
        f".. py:class:: {name.name}",
        "",
        *indented(name.value.__doc__ or ""),
        "",
        *(f"   {line}" for line in table(("key", "type", "default", "what"), rows)),
    ]


def texts_of_options(name: PublicName) -> dict[str, str]:
    """Return the text of each key of a class of options: its own, that of the class that it
    extends, or that of the attribute that the key sets."""
    keys: dict[str, Any] = name.value.__annotations__
    others = [other.value for other in public_names() if typing.is_typeddict(other.value)]
    extended = [other for other in others if other.__annotations__.keys() < keys.keys()]
    texts: dict[str, str] = {}
    for kind in (name.value, *extended, *described_by(name)):
        texts = texts_of(kind) | texts
    return {key: texts.get(key, "") for key in keys}


def described_by(name: PublicName) -> list[type]:
    values = {other.name: other.value for other in public_names()}
    return [values[described] for described in DESCRIBED_BY.get(name.name, ())]


def written(annotation: Any) -> str:
    """Return an annotation as its author wrote it."""
    text = getattr(annotation, "__forward_arg__", None) or str(annotation)
    return str(text)


def shown_default(value: Any) -> str:
    """Return a default as a reader would write it, or nothing if it is made anew each time."""
    if value is attrs.NOTHING or isinstance(value, attrs.Factory):  # type: ignore[arg-type]
        return ""
    if isinstance(value, enum.Enum):
        return f"``{type(value).__name__}.{value.name}``"
    text = repr(value)
    return f"``{text}``" if len(text) < 40 else ""


def show_defaults(
    app: object,
    what: str,
    path: str,
    value: Any,
    options: object,
    signature: str | None,
    result: str | None,
) -> tuple[str, str | None] | None:
    """Show the defaults of the attributes of attrs classes, in whose signatures Python sees only
    ``attr_dict['name'].default``."""
    if signature is None or "attr_dict[" not in signature:
        return None
    defaults = {field.name: shown_default(field.default) for field in attrs.fields(value)}

    def default(match: re.Match[str]) -> str:
        return defaults[match[1]].strip("`") or "..."

    return re.sub(r"attr_dict\['(\w+)'\]\.default", default, signature), result
