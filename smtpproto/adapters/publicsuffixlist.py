"""The organizational domain of DMARC by the public suffix list, as in RFC 7489, which RFC 9989 has
replaced by the tree walk.

::

    Inspection(organizational_domain=public_suffixes())

publicsuffixlist is an extra: ``pip install "smtpproto-sansio[psl]"``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

try:
    from publicsuffixlist import PublicSuffixList
except ImportError as _error:
    raise ImportError(
        "smtpproto.adapters.publicsuffixlist needs publicsuffixlist: "
        'pip install "smtpproto-sansio[psl]"'
    ) from _error

__all__ = ["public_suffixes"]


def public_suffixes(path: Path | None = None) -> Callable[[str], str]:
    """Return a function that returns the organizational domain of a domain (RFC 7489 3.2): the name
    one label below its public suffix, or the domain itself if that is a public suffix.

    *path* is a list in the format of https://publicsuffix.org; None: the list that comes with
    publicsuffixlist, which is as old as that package. Raises OSError if it cannot be read, and
    UnicodeDecodeError if it is not UTF-8.
    """
    suffixes = PublicSuffixList(None if path is None else path.read_text(encoding="utf-8"))
    return lambda domain: suffixes.privatesuffix(domain) or domain
