"""Writes what programs read instead of the site: ``llms.txt``, an index (https://llmstxt.org), and
``llms-full.txt``, all pages as one text.

Pages that people wrote are there as they wrote them, in Markdown; the reference from docstrings is
there as the builder ``text`` writes it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

HEAD = """# smtpproto

> SMTP for Python, as client and as server: one core without I/O, with adapters for asyncio, trio
> and blocking sockets, a mail agent, policies (DKIM, SPF, DMARC), test tools and a command line.

Install it with `pip install smtpproto-sansio`; the module is `smtpproto`. All pages in one file are
in [llms-full.txt](llms-full.txt).
"""
SECTIONS = {
    "tutorials": "Tutorials",
    "howto": "How-tos",
    "coming-from": "Coming from other libraries",
    "explanation": "Explanation",
    "reference": "Reference",
}
# Long lists that few readers need; the index names them last, and the whole text leaves them out.
OPTIONAL = ("reference/requirements", "reference/performance-figures", "rfc/README")


def write(app: Sphinx, error: Exception | None) -> None:
    """Write both files beside the pages that the builder ``text`` has made."""
    if error is not None or app.builder.name != "text":
        return
    pages = list(dict.fromkeys(in_order(app.env, app.config.root_doc)))
    folder = Path(app.outdir)
    for page in pages:
        if (source := Path(app.env.doc2path(page))).suffix == ".md":
            shutil.copyfile(source, folder / f"{page}.md")
    (folder / "llms.txt").write_text(index(app.env, pages))
    (folder / "llms-full.txt").write_text(whole(folder, pages))


def in_order(env: BuildEnvironment, page: str) -> Iterator[str]:
    """Yield *page* and those that its tables of contents list, in their order."""
    yield page
    for child in env.toctree_includes.get(page, ()):
        yield from in_order(env, child)


def index(env: BuildEnvironment, pages: list[str]) -> str:
    """Return the index: a line for each page."""
    lines = [HEAD.rstrip("\n")]
    for folder, title in SECTIONS.items():
        its = [page for page in pages if page.startswith(f"{folder}/") and page not in OPTIONAL]
        lines += ["", f"## {title}", "", *(entry(env, page) for page in its)]
    lines += ["", "## Optional", "", *(entry(env, page) for page in OPTIONAL)]
    return "\n".join(lines) + "\n"


def entry(env: BuildEnvironment, page: str) -> str:
    title = env.titles[page].astext()
    about = first_sentence(env.get_doctree(page))
    kind = Path(env.doc2path(page)).suffix.replace(".rst", ".txt")
    return f"- [{title}]({page}{kind})" + (f": {about}" if about else "")


def first_sentence(page: nodes.document) -> str:
    """Return the first sentence of a page that is not about how the page is made."""
    for paragraph in page.findall(nodes.paragraph):
        text = without_ring(" ".join(paragraph.astext().split()))
        is_prose = isinstance(paragraph.parent, nodes.section) and len(text.split()) > 3
        if is_prose and "do not edit" not in text and not [*paragraph.findall(nodes.image)]:
            return text.partition(". ")[0].rstrip(".:") + "."
    return ""


def without_ring(text: str) -> str:
    """Return *text* without the number of the ring, with which docstrings of modules begin."""
    ring = re.match(r"Ring \d: (.)", text)
    return ring[1].upper() + text[ring.end() :] if ring else text


def whole(folder: Path, pages: list[str]) -> str:
    """Return the texts of all pages, each after a line with its name."""
    parts = []
    for page in pages:
        if page not in OPTIONAL:
            source = folder / f"{page}.md"
            text = (
                source if source.exists() else source.with_name(f"{source.stem}.txt")
            ).read_text()
            parts.append(f"<!-- {page} -->\n\n{text}")
    return "\n\n".join(parts)
