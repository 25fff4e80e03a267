"""Checks the links of a site that was built: ``python docs/building/site_links.py build/docs``.

Each link to a page leads to a file, and each anchor to an element of it. Addresses elsewhere are
left alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote


class Links(HTMLParser):
    """The links of a page, and the names that links to it may have."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Take what matters of an element."""
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.targets.append(value)
            elif name == "id" and value:
                self.names.add(value)


@cache
def read(page: Path) -> Links:
    """Return what is in *page*."""
    links = Links()
    links.feed(page.read_text())
    return links


def faults(folder: Path) -> Iterator[str]:
    """Yield a line for each link in *folder* that leads nowhere."""
    for page in sorted(folder.rglob("*.html")):
        for target in dict.fromkeys(read(page).targets):
            if target.startswith(("http:", "https:", "data:", "mailto:", "//")):
                continue
            path, _, anchor = unquote(target).partition("#")
            there = page.parent / path.partition("?")[0] if path else page
            if not there.is_file():
                yield f"{page.relative_to(folder)}: {target}: there is no such file"
            elif anchor and there.suffix == ".html" and anchor not in read(there.resolve()).names:
                yield f"{page.relative_to(folder)}: {target}: there is no such anchor"


def main(folder: Path) -> int:
    """Print the faults; return 1 if there is one."""
    found = list(faults(folder))
    sys.stderr.writelines(f"{fault}\n" for fault in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
