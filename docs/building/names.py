"""The public names: where each one is documented, and what else it may be called."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from attrs import frozen

import smtpproto

ROOT = Path(__file__).parents[2]
PACKAGE = Path(smtpproto.__file__).parent
LIST = ROOT / "tests/test_public_face.py"


@cache
def public_modules() -> tuple[str, ...]:
    """Return the names of the public modules, of which the test of the public face has the list."""
    for node in ast.parse(LIST.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PUBLIC":
            return tuple(ast.literal_eval(node.value))
    raise LookupError(f"no list of public modules in {LIST}")


@frozen
class PublicName:
    """A name that public modules export, with its value and these modules."""

    name: str
    value: Any
    modules: tuple[str, ...]

    @cached_property
    def home(self) -> str:
        """The module on whose page the name is documented: the one that defines it or its package,
        or else the first one; the root package only if no other module exports it."""
        others = [module for module in self.modules if module != "smtpproto"]
        origin = f"{getattr(self.value, '__module__', None)}."
        near = [module for module in others if origin.startswith(f"{module}.")]
        return max(near, key=len) if near else others[0] if others else "smtpproto"

    @property
    def path(self) -> str:
        """The name with the module on whose page it is."""
        return f"{self.home}.{self.name}"

    @property
    def origin(self) -> str | None:
        """The path of the definition, for a class or a function of this package."""
        module = getattr(self.value, "__module__", None) or ""
        name = getattr(self.value, "__qualname__", None)
        return f"{module}.{name}" if name and module.startswith("smtpproto") else None


@cache
def public_names() -> tuple[PublicName, ...]:
    """Return each public name once, in the order of the modules and of their ``__all__``."""
    found: dict[tuple[str, int], list[str]] = defaultdict(list)
    values: dict[tuple[str, int], Any] = {}
    for module in public_modules():
        for name in import_module(module).__all__:
            value = getattr(import_module(module), name)
            if not isinstance(value, ModuleType) and name != "__version__":
                found[name, id(value)].append(module)
                values[name, id(value)] = value
    return tuple(PublicName(key[0], values[key], tuple(modules)) for key, modules in found.items())


def names_of(module: str) -> list[PublicName]:
    """Return the names that *module* exports."""
    return [name for name in public_names() if module in name.modules]


@cache
def paths() -> Mapping[str, str]:
    """Return, for each way to write a public name in full, the path that documents it."""
    result: dict[str, str] = {}
    for name in public_names():
        for module in name.modules:
            result[f"{module}.{name.name}"] = name.path
    for name in public_names():
        if name.origin is not None:
            result.setdefault(name.origin, name.path)
    return result


@cache
def by_last_part() -> Mapping[str, tuple[str, ...]]:
    """Return the paths of the public names, by the names alone."""
    result: dict[str, list[str]] = defaultdict(list)
    for name in public_names():
        result[name.name].append(name.path)
    return {name: tuple(found) for name, found in result.items()}


@frozen
class Assignment:
    """A name that a module assigns at its top level: its value as written, and its docstring."""

    module: str
    source: str
    text: str


@cache
def _assignments() -> Mapping[str, tuple[Assignment, ...]]:
    result: dict[str, list[Assignment]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for name, assignment in _assigned_in(path):
            result[name].append(assignment)
    return {name: tuple(found) for name, found in result.items()}


def _assigned_in(path: Path) -> Iterator[tuple[str, Assignment]]:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    module = ".".join(parts).removesuffix(".__init__")
    body = ast.parse(path.read_text()).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                text = ""
                if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                    text = str(after.value.value)
                yield name, Assignment(module, ast.unparse(value), text)
            case _:
                pass


def assignment_of(name: PublicName) -> Assignment:
    """Return the assignment that defines *name*, which is neither a class nor a function.

    Raises LookupError if there is none.
    """
    for found in _assignments().get(name.name, ()):
        if getattr(import_module(found.module), name.name, None) is name.value:
            return found
    raise LookupError(f"no module of smtpproto assigns {name.path}")
