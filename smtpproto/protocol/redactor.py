"""Lines that were refused, as they may be shown."""

from __future__ import annotations

from attrs import define

from ..grammar.printable import printable
from .verbs import Vocabulary


@define
class Redactor:
    """What stands behind AUTH may be a password; and so may a line after an AUTH that was refused,
    from a client that goes on all the same."""

    after_auth: bool = False

    def line(self, line: bytes, vocabulary: Vocabulary) -> str:
        """*line*, escaped, or what stands in its place."""
        verb = line.split(maxsplit=1)[0].upper() if line.strip() else b""
        if verb[:4] == b"AUTH":
            self.after_auth = True
            return "AUTH ***"
        known = verb.decode("latin-1") in vocabulary.commands
        return "***" if self.after_auth and not known else printable(line)
