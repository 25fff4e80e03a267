"""docs/reference/mta-toml.md has each key that the configuration of ``smtpproto mta`` may have."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import smtpproto

LIBRARY = Path(smtpproto.__file__).parent
PAGE = (LIBRARY.parent / "docs/reference/mta-toml.md").read_text()
READERS = sorted(LIBRARY.glob("cli/mta_*.py"))
TAKES = {
    "need", "take", "take_numbers", "take_path", "take_secret", "take_texts", "table", "tables",
}  # fmt: skip
OF_CLASSES = ["_RETRY", "_LIMITS", "_STORAGE", "_CACHE", "_GREYLIST"]  # tables.md has their keys


def keys(path: Path) -> Iterator[str]:
    """Yield the keys that the module at *path* reads."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(attr=name), args=[ast.Constant(value=str(key)), *_]):
                if name in TAKES:
                    yield key
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict() as value):
                if name.startswith("_") and name not in OF_CLASSES:
                    yield from (str(ast.literal_eval(key)) for key in value.keys if key)
            case ast.AnnAssign(target=ast.Name(id="kinds"), value=ast.Dict() as value):
                yield from (str(ast.literal_eval(key)) for key in value.keys if key)
            case ast.For(iter=ast.Tuple(elts=names)):
                yield from (str(it.value) for it in names if isinstance(it, ast.Constant))
            case _:
                pass


def test_the_page_names_each_key_that_a_configuration_may_have() -> None:
    found = {key for path in READERS for key in keys(path)}
    assert {"hostname", "relay_from", "quota", "hold_at", "hourly", "exempt", "ca"} <= found
    named = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]+)`", PAGE))))
    assert found - named == set()


def test_the_page_names_only_keys_that_are_read() -> None:
    rows = re.findall(r"^\| (`[^|]*`)(?: of `[^`]*`)? \|", PAGE, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    texts = {
        node.value
        for path in READERS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    words = {word for text in texts for word in re.findall(r"[a-z_]+", text)}
    assert named - words == set()
