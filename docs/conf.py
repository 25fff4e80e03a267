"""How Sphinx builds the documentation: ``nox -s docs``."""

from __future__ import annotations

import sys
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

from building import cross_references, llms, reference  # noqa: E402

import smtpproto  # noqa: E402

project = "smtpproto"
author = "The smtpproto authors"
copyright = author  # noqa: A001
version = release = smtpproto.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["building", "rfc/mutants"]
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
copybutton_prompt_text = "$ "
copybutton_exclude = ".linenos, .gp"

add_module_names = False
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_display_short_literal_types = True
maximum_signature_line_length = 72
highlight_language = "text"  # of blocks that name none; those of docstrings may be Python

html_theme = "furo"
html_title = f"smtpproto {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
html_theme_options = {
    "source_repository": "https://github.com/smtpproto/smtpproto/",
    "source_branch": "HEAD",
    "source_directory": "docs/",
}


def setup(app: Sphinx) -> None:
    """Add what Sphinx does not know of this library."""
    app.add_lexer("dovecot", TextLexer)
    reference.write_pages(DOCS)
    app.connect("autodoc-process-signature", reference.show_defaults)
    app.connect("build-finished", llms.write)
    cross_references.setup(app)
