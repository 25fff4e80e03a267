"""Completes the package's metadata: absolute links, made from one repository address.

The README links to files of the repository. Such relative links work in a checkout, but not on
the page of the package index.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_RELATIVE_LINK = re.compile(r"\]\((?![a-z]+:|#)([^)]+)\)")


class Links(MetadataHookInterface):
    """Sets ``readme`` and ``urls``, which pyproject.toml declares as dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        repository = self.config["repository"]
        files = f"{repository}/blob/HEAD"  # HEAD is the default branch
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": _RELATIVE_LINK.sub(rf"]({files}/\1)", text),
        }
        metadata["urls"] = {
            "Repository": repository,
            "Documentation": f"{files}/docs",
            "Changelog": f"{files}/CHANGELOG.md",
            "Issues": f"{repository}/issues",
        }
