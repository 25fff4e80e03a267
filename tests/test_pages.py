"""The pages of the documentation: each is in a table of contents, and links lead somewhere.

The build of the site checks its links, too; this is how a code forge shows the same pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [*PAGES, *ROOT.glob("*.md"), *(ROOT / "changes").glob("*.md")]
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"^( *)(```|~~~).*?^\1\2|`[^`\n]+`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^()\s]+)\)")


def listed() -> Iterator[Path]:
    """Yield the pages that the tables of contents list."""
    for page in PAGES:
        for tree in TOCTREE.findall(page.read_text()):
            for line in filter(None, map(str.strip, tree.splitlines())):
                if not line.startswith(":"):
                    pattern = re.sub(r".*<(.*)>", r"\1", line)
                    folder = page.parent
                    while pattern.startswith("../"):
                        folder, pattern = folder.parent, pattern.removeprefix("../")
                    yield from folder.glob(f"{pattern}.md")


def test_each_page_is_in_a_table_of_contents() -> None:
    missing = set(PAGES) - set(listed()) - {DOCS / "index.md"}
    assert missing == set(), "list each page in the toctree of the index.md of its folder"


def links(text: str) -> list[str]:
    """Return the targets of the relative links in *text*."""
    targets = LINK.findall(CODE.sub("", text))
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


@cache
def anchors(page: Path) -> set[str]:
    """Return the names that GitHub gives to the headings of *page*."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    names: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        numbered = (f"{name}-{number}" for number in range(1, 1000))
        names.add(name if name not in names else next(it for it in numbered if it not in names))
    return names


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    # The notes of changes become parts of CHANGELOG.md.
    folder = ROOT if page.parent.name == "changes" and page.name != "README.md" else page.parent
    for target in links(page.read_text()):
        path, _, anchor = target.partition("#")
        there = (folder / path).resolve() if path else page
        assert there.exists(), f"{target}: there is no such file"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{target}: there is no such heading"
