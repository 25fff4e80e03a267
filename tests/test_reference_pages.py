"""The pages of the public modules, from which the reference is made, and the check of links."""

from __future__ import annotations

import importlib
import re
import sys
import typing
from collections import Counter
from pathlib import Path

import pytest

from .test_public_face import PUBLIC

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))
names = importlib.import_module("building.names")
reference = importlib.import_module("building.reference")
site_links = importlib.import_module("building.site_links")

ENTRY = re.compile(r"^\.\. (?:autoclass|autofunction|py:data|py:class):: ([\w.]+)$", re.MULTILINE)


def test_each_public_name_has_one_entry_in_the_reference() -> None:
    found: Counter[str] = Counter()
    for module in PUBLIC:
        for entry in ENTRY.findall(reference.page(module)):
            found[entry if entry.startswith(f"{module}.") else f"{module}.{entry}"] += 1
    assert found == Counter(name.path for name in names.public_names())


@pytest.mark.parametrize("module", PUBLIC)
def test_the_page_of_a_module_lists_each_of_its_names(module: str) -> None:
    page = reference.page(module)
    assert [it.path for it in names.names_of(module) if it.path not in page] == []


def test_each_public_name_has_a_text() -> None:
    assert [it.path for it in names.public_names() if not reference.summary(it)] == []


def test_each_option_has_a_text() -> None:
    rows = {
        (name.name, key): text
        for name in names.public_names()
        if typing.is_typeddict(name.value)
        for key, text in reference.texts_of_options(name).items()
    }
    assert [key for key, text in rows.items() if not text] == []


def test_links_of_a_site_that_lead_nowhere_are_reported(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<p id="here"><a href="b.html#there">b</a> <a href="#here">')
    (tmp_path / "b.html").write_text('<a href="gone.html">x</a> <a href="https://a.test/">y</a>')
    assert [*site_links.faults(tmp_path)] == [
        "a.html: b.html#there: there is no such anchor",
        "b.html: gone.html: there is no such file",
    ]
