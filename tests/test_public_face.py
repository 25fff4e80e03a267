"""The public modules export their names, and programs need no other modules."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import smtpproto

ROOT = Path(__file__).parent.parent
PUBLIC = (
    "smtpproto",
    "smtpproto.adapters.asyncio",
    "smtpproto.adapters.blocking",
    "smtpproto.adapters.trio",
    "smtpproto.client",
    "smtpproto.commands",
    "smtpproto.errors",
    "smtpproto.events",
    "smtpproto.limits",
    "smtpproto.mail",
    "smtpproto.ports",
    "smtpproto.protocol",
    "smtpproto.replies",
    "smtpproto.sasl",
    "smtpproto.server",
    "smtpproto.testing",
    "smtpproto.testing.strategies",
)
PROGRAMS = sorted(
    [*ROOT.glob("examples/*.py"), *ROOT.glob("tests/adapters/*.py"), ROOT / "docs/tables.py"]
)
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
ALIASES = {"Credential", "Host", "Source", "Trace", "Verdict", "Verdicts"}  # unions, not classes


def imports(source: str) -> Iterator[tuple[str, str]]:
    """Yield each module of smtpproto that *source* imports, and the name that it imports from it
    ("" for the module itself)."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((one.name, "") for one in node.names if one.name.startswith("smtpproto"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("smtpproto"):
            yield from ((node.module or "", one.name) for one in node.names)


def check_imports(source: str) -> None:
    """Check that *source* imports only public names."""
    for module, name in imports(source):
        if f"{module}.{name}" in PUBLIC:
            continue
        assert module in PUBLIC, f"{module} is not public"
        assert not name or name in importlib.import_module(module).__all__, f"{module}.{name}"


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_programs_import_public_names_only(path: Path) -> None:
    check_imports(path.read_text())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_snippets_in_documents_import_public_names_only(path: Path) -> None:
    for snippet in re.findall(r"^```python\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE):
        check_imports(snippet)


@pytest.mark.parametrize("module", PUBLIC)
def test_each_public_module_has_the_names_that_it_lists(module: str) -> None:
    public = importlib.import_module(module)
    assert public.__doc__
    assert len(public.__all__) == len(set(public.__all__))
    assert all(hasattr(public, name) for name in public.__all__)


def test_the_docstring_of_the_package_lists_all_public_modules() -> None:
    named = set(re.findall(r"``(smtpproto[.a-z]+|\.[a-z]+)``", smtpproto.__doc__ or ""))
    whole = {"smtpproto.adapters" + name if name.startswith(".") else name for name in named}
    assert whole == set(PUBLIC) - {"smtpproto", "smtpproto.testing.strategies"}


def test_exported_names_are_classes_and_functions_of_this_package() -> None:
    for name in set(smtpproto.__all__) - ALIASES - {"__version__"}:
        assert getattr(smtpproto, name).__module__.startswith("smtpproto.")
