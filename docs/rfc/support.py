"""The page docs/reference/rfcs.md: which RFC the library supports, and how far."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matrix import Matrix, Row

PAGE = "docs/reference/rfcs.md"
HEAD = """\
# RFCs

Written by `nox -s requirements`; do not edit.

Which RFC the library supports, and how far. The normative sentences of each RFC are rows of a
catalogue, and tests name the rows that they prove. A cell such as *18 of 21* says how many rows
have such tests: the first column counts what clients, servers and parsers must do, the second what
a program that relays mail must do. A title leads to the rows and their tests.
[rfc/README.md](../rfc/README.md) says how far the rows have been compared with the texts.

Rows without a test are mostly permissions and advice; [requirements.md](requirements.md) lists all.

| RFC | what | tested | relaying |
| --- | --- | --- | --- |
"""
LEFT_OUT = """
## What is left out

Rules that the library does not follow, or permissions that it does not use, with the reason.

| RFC | section | why |
| --- | --- | --- |
"""
BESIDE = """
## What has no rows

MIME (RFC 2045 to 2049), most of the message format (RFC 5322, 6532 and 6854), TLS itself (RFC 5246
and 8446), which OpenSSL implements, and the DNS.

BURL (RFC 4468), CHECKPOINT (RFC 1845), ATRN (RFC 2645), CONPERM (RFC 4141), message tracking (RFC
3885) and the SASL mechanisms GSSAPI and DIGEST-MD5 are not supported.
"""


def support_page(matrix: Matrix) -> str:
    """Return the page."""
    return HEAD + "".join(_rows(matrix)) + LEFT_OUT + "".join(_left_out(matrix)) + BESIDE


def _rows(matrix: Matrix) -> Iterator[str]:
    for source, title in matrix.titles.items():
        rows = [row for row in matrix.rows.values() if row.rfc == source]
        counted = _share(matrix, [row for row in rows if row.counted])
        relay = _share(matrix, [row for row in rows if row.layer == "relay"])
        heading = f"{_name(source)}: {title}"
        what = f"[{title}](requirements.md#{_slug(heading)})"
        yield f"| {_link(source)} | {what} | {counted} | {relay} |\n"


def _share(matrix: Matrix, rows: list[Row]) -> str:
    if not rows:
        return ""
    covered = sum(matrix.state(row) == "covered" for row in rows)
    return f"all {len(rows)}" if covered == len(rows) else f"{covered} of {len(rows)}"


def _left_out(matrix: Matrix) -> Iterator[str]:
    sections: dict[tuple[str, str], list[str]] = {}
    for waiver in matrix.waivers:
        source, section = _place(waiver.id)
        sections.setdefault((source, waiver.reason), []).append(section)
    for (source, reason), found in sections.items():
        yield f"| {_name(source)} | {', '.join(dict.fromkeys(found))} | {reason} |\n"


def _place(identifier: str) -> tuple[str, str]:
    """Return the source and the section of a row, or of a pattern of rows."""
    source, section, _ = identifier.split("-")
    return source.removeprefix("RFC"), section


def _name(source: str) -> str:
    return f"RFC {source}" if source.isdigit() else source


def _link(source: str) -> str:
    address = f"https://www.rfc-editor.org/rfc/rfc{source}"
    return f"[{source}]({address})" if source.isdigit() else source


def _slug(heading: str) -> str:
    """Return the anchor that a code forge makes of *heading*."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
