"""Ring 0: checks of option types, whose errors say what to pass instead.

The errors do not show the value: it may be a password passed as the wrong argument.
"""

from __future__ import annotations

from collections.abc import Callable
from types import UnionType
from typing import Any


def check_type(name: str, value: object, kind: type | UnionType, instead: str) -> None:
    """Raise TypeError unless *value* is None or a *kind*. *instead* shows what to pass."""
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name} cannot be of the type {type(value).__name__}; pass {instead}")


def require_type(name: str, value: object, kind: type | UnionType, instead: str) -> None:
    """Raise TypeError unless *value* is a *kind*; as :func:`check_type`, but None is refused."""
    check_type(name, value, kind, instead)
    if value is None:
        raise TypeError(f"{name} cannot be None; pass {instead}")


def must_be(kind: type | UnionType, instead: str) -> Callable[[Any, Any, Any], None]:
    """Return an attrs validator that applies :func:`require_type`."""

    def validate(_: object, attribute: Any, value: object) -> None:
        require_type(attribute.name, value, kind, instead)

    return validate
