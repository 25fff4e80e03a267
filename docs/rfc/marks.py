"""Which requirements the tests name: ``@pytest.mark.req``, read from their source.

Nothing is imported or run. A mark counts on a test function (in ``pytest.param`` too), on its class
and in the ``pytestmark`` of its class or module.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path


class Marks:
    """For each id the ``tests`` that name it, as ``file::function``; ``faults`` in the marks."""

    def __init__(self, root: Path) -> None:
        self.tests: dict[str, list[str]] = defaultdict(list)
        self.faults: list[str] = []
        for path in sorted(root.glob("tests/**/test_*.py")):
            source = path.read_bytes()
            if b"mark.req" in source:
                self._read(path.relative_to(root).as_posix(), source)

    def _read(self, file: str, source: bytes) -> None:
        module, seen = ast.parse(source), set[ast.Call]()
        for test, marks in _tests(module.body, [], f"{file}::"):
            seen.update(marks)
            for identifier in dict.fromkeys(i for mark in marks for i in self._ids(file, mark)):
                self.tests[identifier].append(test)
        if len(seen) == source.count(b"mark.req"):
            return  # to search the whole module takes longer than all else
        for mark in sorted(set(_marks(module)) - seen, key=lambda mark: mark.lineno):
            self.faults.append(f"{file}:{mark.lineno}: this mark is on no test")

    def _ids(self, file: str, mark: ast.Call) -> Iterator[str]:
        for argument in mark.args:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value
            else:
                self.faults.append(f"{file}:{mark.lineno}: write ids as plain strings")


def _marks(*nodes: ast.AST) -> Iterator[ast.Call]:
    """All uses of ``pytest.mark.req`` in *nodes*."""
    for node in nodes:
        for inner in ast.walk(node):
            match inner:
                case ast.Call(func=ast.Attribute(ast.Attribute(attr="mark"), "req")):
                    yield inner


def _tests(
    body: list[ast.stmt], around: list[ast.Call], prefix: str
) -> Iterator[tuple[str, list[ast.Call]]]:
    """The tests of a module or class, each with its marks; *around*: the marks that all get."""
    around = [*around, *_marks(*filter(_is_pytestmark, body))]
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("test"):
                yield prefix + node.name, [*around, *_marks(*node.decorator_list)]
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            inner = [*around, *_marks(*node.decorator_list)]
            yield from _tests(node.body, inner, f"{prefix}{node.name}::")


def _is_pytestmark(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
    )
