"""The public modules export their names, and programs need no other modules."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import re
import typing
from collections import defaultdict
from collections.abc import Iterator
from email.message import Message
from functools import cached_property
from pathlib import Path

import attrs
import pytest

import smtpproto
from smtpproto.client.bulk import BulkMessage, JournalPort

ROOT = Path(__file__).parent.parent
PUBLIC = (
    "smtpproto",
    "smtpproto.adapters.asyncio",
    "smtpproto.adapters.blocking",
    "smtpproto.adapters.cryptography_certificates",
    "smtpproto.adapters.cryptography_keys",
    "smtpproto.adapters.django",
    "smtpproto.adapters.dnspython",
    "smtpproto.adapters.https",
    "smtpproto.adapters.maildir",
    "smtpproto.adapters.mbox",
    "smtpproto.adapters.pipe",
    "smtpproto.adapters.postgres_queue",
    "smtpproto.adapters.postgres_states",
    "smtpproto.adapters.prometheus_client",
    "smtpproto.adapters.publicsuffixlist",
    "smtpproto.adapters.sqlite_policies",
    "smtpproto.adapters.sqlite_queue",
    "smtpproto.adapters.sqlite_states",
    "smtpproto.adapters.status_page",
    "smtpproto.adapters.trio",
    "smtpproto.client",
    "smtpproto.commands",
    "smtpproto.delivery",
    "smtpproto.diagnosis",
    "smtpproto.discovery",
    "smtpproto.dns",
    "smtpproto.dns_cache",
    "smtpproto.doctor",
    "smtpproto.errors",
    "smtpproto.events",
    "smtpproto.filters",
    "smtpproto.limits",
    "smtpproto.mail",
    "smtpproto.mta",
    "smtpproto.policy",
    "smtpproto.ports",
    "smtpproto.protocol",
    "smtpproto.replies",
    "smtpproto.sasl",
    "smtpproto.server",
    "smtpproto.testing",
    "smtpproto.testing.abnf",
    "smtpproto.testing.internet",
    "smtpproto.testing.handler_machine",
    "smtpproto.testing.laws",
    "smtpproto.testing.smtpd_fixture",
    "smtpproto.testing.strategies",
    "smtpproto.testing.transcript",
    "smtpproto.transfer",
)
PROGRAMS = sorted(
    [*ROOT.glob("examples/*.py"), *ROOT.glob("tests/adapters/*.py"), ROOT / "docs/tables.py"]
)
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
ALIASES = {
    "Credential",
    "HelloHost",
    "Host",
    "Source",
    "Trace",
    "Verdict",
    "Verdicts",
}  # unions, not classes
# Classes that public annotations name but no module exports: protocols for arguments that programs
# take from other libraries (pathlib, pyOpenSSL), or that a Session, an MTA or a DANEJudge is.
NOT_EXPORTED = {
    "smtpproto.adapters.mta_base.MTABase",
    "smtpproto.mta.trace.Client",
    "smtpproto.tls.context.OpenSSLContext",
    "smtpproto.tls.verify.ChainJudge",
    "smtpproto.tls.verify.Path",
}


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
    named = set(re.findall(r"``(smtpproto[.a-z_]+|\.[a-z]+)``", smtpproto.__doc__ or ""))
    whole = {"smtpproto.adapters" + name if name.startswith(".") else name for name in named}
    parts = {name for name in PUBLIC if name.startswith("smtpproto.testing.")}
    assert whole == set(PUBLIC) - {"smtpproto"} - parts


def test_exported_names_are_classes_and_functions_of_this_package() -> None:
    for name in set(smtpproto.__all__) - ALIASES - {"__version__"}:
        assert getattr(smtpproto, name).__module__.startswith("smtpproto.")


def public_classes() -> list[type]:
    """Return each class of this package that a public module exports, once."""
    modules = map(importlib.import_module, PUBLIC)
    values = [getattr(module, name) for module in modules for name in module.__all__]
    classes = [value for value in values if isinstance(value, type)]
    return list(dict.fromkeys(cls for cls in classes if cls.__module__.startswith("smtpproto.")))


def function_of(member: object) -> object:
    """Return the function of a method, a property or a decorator."""
    if isinstance(member, property):
        return member.fget
    if isinstance(member, cached_property):
        return member.func
    function = getattr(member, "__func__", member)
    return inspect.unwrap(function) if callable(function) else None


def members(cls: type) -> Iterator[tuple[str, object]]:
    """Yield *cls* and its public methods and properties, with their names.

    An ``__init__`` that attrs wrote is left out: the class has the same annotations.
    """
    yield cls.__name__, cls
    for name, member in inspect.getmembers_static(cls):
        public = not name.startswith("_") or (name == "__init__" and not attrs.has(cls))
        if public and inspect.isfunction(function := function_of(member)):
            yield f"{cls.__name__}.{name}", function


def annotations_of(member: object) -> dict[str, object]:
    if isinstance(member, type):  # Hypothesis imports a name for annotations only
        return typing.get_type_hints(member, localns={"defaultdict": defaultdict})
    # A module may import names for annotations only; the root package has them.
    late = {"Message": Message, "BulkMessage": BulkMessage, "JournalPort": JournalPort}
    names = vars(smtpproto) | late | getattr(member, "__globals__", {})
    return typing.get_type_hints(member, names)


def classes_in(annotation: object) -> Iterator[type]:
    """Yield the classes that *annotation* consists of."""
    arguments = annotation if isinstance(annotation, list) else typing.get_args(annotation)
    origin = typing.get_origin(annotation) or annotation
    if isinstance(origin, type):
        yield origin
    for argument in arguments:
        yield from classes_in(argument)


def test_classes_in_the_annotations_of_public_classes_are_exported() -> None:
    public = set(public_classes())
    for where, member in itertools.chain.from_iterable(map(members, public)):
        for name, annotation in annotations_of(member).items():
            for found in classes_in(annotation):
                whole = f"{found.__module__}.{found.__qualname__}"
                private = name.startswith("_") or found.__name__.startswith("_")
                if whole.startswith("smtpproto.") and not private and whole not in NOT_EXPORTED:
                    assert found in public, f"{where}: {name} is a {whole}, which is not exported"
