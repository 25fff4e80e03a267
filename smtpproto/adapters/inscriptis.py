"""Plain text for readers who do not see HTML.

inscriptis is an extra: ``pip install "smtpproto-sansio[html]"``.
"""

from __future__ import annotations

import re

from ..errors import GrammarError

try:
    from inscriptis import get_text
    from inscriptis.model.config import ParserConfig
except ImportError as _error:
    raise ImportError(
        "plain text is made of HTML by inscriptis: pass text= as well, or "
        'pip install "smtpproto-sansio[html]"'
    ) from _error

__all__ = ["text_of_html"]

_SAME = re.compile(r"\[([^\[\]\s]+)\]\((?:mailto:)?\1\)")  # a link that shows where it leads
_BLANKS = re.compile(r"[ \t]+$", re.MULTILINE)
_EMPTY_LINES = re.compile(r"\n{3,}")


def text_of_html(html: str) -> str:
    """Return *html* as plain text: ``[text](address)`` for links, and the alternative text of
    pictures in brackets.

    Raises GrammarError if there is no text in it.
    """
    config = ParserConfig(display_links=True, display_images=True, deduplicate_captions=True)
    text: str = get_text(html, config)
    text = _EMPTY_LINES.sub("\n\n", _BLANKS.sub("", _SAME.sub(r"\1", text))).strip("\n")
    if not text.strip():
        raise GrammarError("no plain text could be made of the HTML; pass text= as well")
    return f"{text}\n"
