"""Ring 0: a value that can be carried, compared and used, but not printed."""

from __future__ import annotations

import hmac
from types import UnionType
from typing import final

from .reply import GrammarError


@final
class Secret:
    """Octets that no repr, log or transcript shows.

    Built from ``bytes`` or ``str`` (as UTF-8; GrammarError if it cannot be; TypeError for anything
    else). :meth:`reveal` is the one way out, so that a search for it finds each place where a
    secret leaves its wrapper.
    """

    __slots__ = ("_octets",)

    def __init__(self, value: bytes | str) -> None:
        # Of a number, bytes() would make so many NULs.
        if not isinstance(value, str | bytes | bytearray | memoryview):
            raise TypeError(f"a secret is bytes or str, not {type(value).__name__}")
        try:
            self._octets = value.encode() if isinstance(value, str) else bytes(value)
        except UnicodeEncodeError:  # whose text would be the secret
            raise GrammarError("a secret that UTF-8 cannot hold") from None

    def reveal(self) -> bytes:
        """The octets themselves."""
        return self._octets

    def __eq__(self, other: object) -> bool:
        """Compare in constant time."""
        return isinstance(other, Secret) and hmac.compare_digest(self._octets, other._octets)

    def __hash__(self) -> int:
        return hash((Secret, self._octets))

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled or copied")


def check_type(name: str, value: object, kind: type | UnionType) -> None:
    """Raise TypeError if *value* is neither None nor a *kind*. The message does not show it: a
    password that was passed in the wrong way must not appear in logs."""
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name} cannot be of the type {type(value).__name__}")
