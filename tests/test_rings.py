"""The rings of the package: what each part may import, and which parts may do I/O."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import smtpproto

ROOT = Path(smtpproto.__file__).parent

# The parts that each part may import besides itself, from the inner rings to the outer ones.
BELOW: dict[str, list[str]] = {
    "option_types": [],
    "late_names": [],
    "limits": ["option_types"],
    "ports": [],
    "dns": [],
    "diagnosis": ["late_names"],
    "grammar": ["diagnosis", "late_names", "limits", "option_types"],
    "dns_cache": ["dns", "option_types", "ports"],
    "outcome": ["option_types", "grammar"],
    "errors": ["grammar", "outcome"],
    "wire": ["errors", "late_names", "limits", "option_types", "ports", "grammar"],
    "tls": ["errors", "late_names", "limits", "option_types", "ports", "grammar", "wire"],
    "sasl": ["errors", "late_names", "limits", "option_types", "ports", "grammar"],
    "mail": ["errors", "late_names", "limits", "option_types", "grammar", "wire"],
    "commands": ["grammar", "late_names"],
    "client_events": ["grammar"],
    "events": ["client_events", "grammar"],
    "replies": ["grammar"],
    "protocol": [
        "errors",
        "late_names",
        "limits",
        "option_types",
        "grammar",
        "wire",
        "events",
        "client_events",
    ],
    "mta": [
        "diagnosis",
        "dns",
        "errors",
        "late_names",
        "limits",
        "option_types",
        "ports",
        "grammar",
        "mail",
    ],
    "policy": ["dns", "errors", "late_names", "limits", "option_types", "ports", "grammar", "mail"],
}
CORE = set(BELOW)
BELOW["client"] = BELOW["server"] = [*BELOW]
BELOW["filters"] = [*sorted(CORE), "server"]
BELOW["delivery"] = ["late_names", "option_types", "grammar", "mta"]
BELOW["transfer"] = BELOW["doctor"] = BELOW["discovery"] = [*BELOW]
BELOW["adapters"] = [*BELOW]
BELOW["testing"] = [*BELOW]
BELOW["cli"] = [*BELOW]
BELOW["__main__"] = ["cli"]
BELOW["__init__"] = [*BELOW]

IO_MODULES = {
    "asyncio", "trio", "anyio", "socket", "socketserver", "select", "selectors", "threading",
    "multiprocessing", "subprocess", "signal", "time", "random", "secrets", "uuid",
    "django", "os", "pathlib", "shutil", "tempfile", "platform", "getpass",
}  # fmt: skip
CLOCK = {"now", "utcnow", "today", "fromtimestamp"}  # these functions of datetime read the clock
OUTER = {"adapters", "cli", "testing"}
# Packages that only the module of an extra may import. Others import that module when needed.
EXTRAS = {
    "tls/openssl.py": {"OpenSSL", "service_identity"},
    "client/proxy_dialling.py": {"python_socks"},
}
MODULES = sorted(ROOT.rglob("*.py"))


def _part(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@cache
def _nodes(path: Path) -> list[ast.AST]:
    kinds = ast.Import | ast.ImportFrom | ast.Attribute
    return [it for it in ast.walk(ast.parse(path.read_text())) if isinstance(it, kinds)]


def _imports(path: Path) -> Iterator[str]:
    """The absolute names that *path* imports, at run time or for annotations only."""
    package = ["smtpproto", *path.relative_to(ROOT).parent.parts]
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _attributes(path: Path) -> set[str]:
    return {node.attr for node in _nodes(path) if isinstance(node, ast.Attribute)}


def _may_import(part: str, target: str) -> bool:
    if target in BELOW:
        return target == part or target in BELOW[part]
    return part in ("cli", "testing")  # a name of the package itself


def test_each_part_imports_only_the_parts_that_it_may() -> None:
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in MODULES
        for name in _imports(path)
        if name.startswith("smtpproto.") and not _may_import(_part(path), name.split(".")[1])
    }
    assert wrong == set()


@pytest.mark.parametrize("part", BELOW)
def test_only_the_outer_rings_import_io_clocks_and_randomness(part: str) -> None:
    for path in (it for it in MODULES if _part(it) == part):
        tops = {name.split(".")[0] for name in _imports(path)}
        if part not in OUTER:
            assert not tops & IO_MODULES, path
            assert "datetime" not in tops or not _attributes(path) & CLOCK, path
            assert "ssl" not in tops or part == "tls", path
        if part in CORE | {"client", "server", "delivery", "filters", "transfer", "doctor"}:
            extras = EXTRAS.get(path.relative_to(ROOT).as_posix(), set())
            library = tops - {"smtpproto", "attrs", "__future__"} - extras
            assert library <= sys.stdlib_module_names, path


def _module(path: Path) -> str:
    return ".".join(["smtpproto", *path.relative_to(ROOT).with_suffix("").parts])


def test_imports_between_modules_have_no_cycles() -> None:
    files = {_module(path): path for path in MODULES}
    arrows = {
        module: {
            target
            for name in _imports(path)
            for target in (name, name.rpartition(".")[0])
            if target in files and target != module
        }
        for module, path in files.items()
    }
    order = TopologicalSorter(arrows)
    order.prepare()  # raises CycleError


def test_only_client_and_server_share_file_names() -> None:
    folders: dict[str, set[str]] = defaultdict(set)
    for path in MODULES:
        folders[path.name].add(path.parent.name)
    del folders["__init__.py"]
    shared = [where for where in folders.values() if len(where) > 1]
    assert all(where == {"client", "server"} for where in shared)


def test_no_file_is_longer_than_450_lines() -> None:
    assert [path for path in MODULES if len(path.read_text().splitlines()) > 450] == []


def test_the_package_can_be_imported_without_its_extras() -> None:
    code = f"""import sys
for name in {set().union(*EXTRAS.values())}:
    sys.modules[name] = None
import smtpproto.adapters.asyncio, smtpproto.adapters.blocking, smtpproto.testing"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_table_of_imports_has_every_part() -> None:
    assert {_part(path) for path in MODULES} == set(BELOW)
