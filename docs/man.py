"""Writes the manual pages of the commands: ``python docs/man.py FOLDER`` fills FOLDER/man1."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from building.man_pages import pages


def main(arguments: Sequence[str]) -> int:
    """Write the pages below the folder that is named."""
    [folder] = arguments
    section = Path(folder) / "man1"
    section.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (section / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
