"""A secret value, for example a password, which is never printed."""

from __future__ import annotations

import hmac
from typing import final

from .reply import GrammarError


@final
class Secret:
    """Octets that no repr, log or transcript shows.

    Built from octets or from ``str``, which is encoded as UTF-8. Raises GrammarError if the text
    cannot be encoded, TypeError for any other type. Only :meth:`reveal` returns the octets, so a
    search for it finds every place where a secret leaves its wrapper.
    """

    __slots__ = ("_octets",)

    def __init__(self, value: bytes | str) -> None:
        # bytes(8) would be eight NULs, so numbers must not get that far.
        if not isinstance(value, str | bytes | bytearray | memoryview):
            raise TypeError(f"a secret must be bytes or str, not {type(value).__name__}")
        try:
            self._octets = value.encode() if isinstance(value, str) else bytes(value)
        except UnicodeEncodeError:  # its text would contain the secret
            raise GrammarError("a secret cannot be encoded as UTF-8") from None

    def reveal(self) -> bytes:
        """Return the octets."""
        return self._octets

    def __eq__(self, other: object) -> bool:
        """Compare in constant time."""
        return isinstance(other, Secret) and hmac.compare_digest(self._octets, other._octets)

    def __hash__(self) -> int:
        return hash((Secret, self._octets))

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> str:
        raise TypeError("a Secret cannot be pickled or copied")
