"""architecture.md and CONTRIBUTING.md: the files and names that they point to exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import smtpproto

from .test_rings import BELOW

LIBRARY = Path(smtpproto.__file__).parent
PAGE = (LIBRARY.parent / "docs" / "explanation" / "architecture.md").read_text()
INDEX = re.findall(r"`([\w/]+\.py): ([\w.]+)`", PAGE)
TABLE = PAGE.partition("| ring |")[2].partition("\n\n")[0]
RECIPES = (LIBRARY.parent / "CONTRIBUTING.md").read_text()
BUILT = {"dist/", "build/docs"}  # made by commands, so not in a clone
PATH = re.compile(r"`([\w.-]*/[\w./-]*|[\w-]+\.(?:py|md|toml))`")
RECIPE_PATHS = sorted(set(PATH.findall(RECIPES)) - BUILT)
FILES = sorted(set(re.findall(r"`((?:[a-z_]+/)?[a-z_]+\.py)`", PAGE)))


def defined(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """Each name that *body* defines or assigns, with its statement."""
    names: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names[node.name] = node
        elif isinstance(node, ast.AnnAssign):
            names[ast.unparse(node.target)] = node
        elif isinstance(node, ast.Assign):
            names |= {ast.unparse(target): node for target in node.targets}
    return names


def test_the_index_of_rules_points_to_names_that_exist() -> None:
    for file, name in INDEX:
        body = ast.parse((LIBRARY / file).read_text()).body
        for part in name.split("."):
            names = defined(body)
            assert part in names, f"{file} does not define {name}"
            node = names[part]
            body = node.body if isinstance(node, ast.ClassDef) else []


def test_the_index_has_one_place_for_each_rule() -> None:
    rules = re.findall(r"^\| (.*) \| (.*\.py: .*) \|$", PAGE, re.MULTILINE)
    assert len(dict(rules)) == len(rules) >= 100
    for rule, place in rules:
        assert re.fullmatch(r"`[\w/]+\.py: [\w.]+`", place), rule


def test_files_that_the_pages_name_exist() -> None:
    roots = LIBRARY, LIBRARY.parent
    gone = [it for it in (*FILES, *RECIPE_PATHS) if not any((at / it).exists() for at in roots)]
    assert gone == []


def parts_in(cell: str) -> set[str]:
    return set(re.findall(r"`(\w+)/?`", cell))


def test_the_table_says_exactly_what_each_part_may_import() -> None:
    rows = [line.strip("| ").split(" | ") for line in TABLE.splitlines()[2:]]
    rings = {part: int(row[0]) for row in rows for part in parts_in(row[1])}
    allowed = {}
    for row in rows:
        highest = re.search(r"rings 0 to (\d)", row[3])
        below = {part for part, ring in rings.items() if highest and ring <= int(highest[1])}
        for part in parts_in(row[1]):
            allowed[part] = parts_in(row[3]) | below
    assert allowed == {part: set(BELOW[part]) for part in BELOW if part != "__init__"}


def test_the_tree_lists_exactly_the_modules_that_exist() -> None:
    tree = re.findall(r"^(?:[├└]── )?(\w+)/ +([\w, ]+)$", PAGE, re.MULTILINE)
    drawn = [(folder, module) for folder, modules in tree for module in modules.split(", ")]
    files = [path for path in LIBRARY.rglob("*.py") if path.name != "__init__.py"]
    assert sorted(drawn) == sorted((path.parent.name, path.stem) for path in files)
