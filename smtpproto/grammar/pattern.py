"""Patterns that are compiled at their first use: most programs need few of them."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


def pattern(source: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return what behaves as the compiled pattern of *source*."""
    return cast("re.Pattern[AnyStr]", _Pattern(source, flags))


class _Compiled:
    """Has the methods of a pattern as attributes."""


class _Pattern(_Compiled):
    def __init__(self, source: str | bytes, flags: int) -> None:
        self.pattern = source
        self.flags = flags

    def __getattr__(self, name: str) -> Any:
        compiled = re.compile(self.pattern, self.flags)
        for method in ("fullmatch", "match", "search", "sub", "findall", "finditer", "split"):
            setattr(self, method, getattr(compiled, method))
        self.__class__ = _Compiled  # type: ignore[assignment]  # from now on without this method
        return getattr(compiled, name)
