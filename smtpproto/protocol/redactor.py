"""Command lines for logs and events, with whatever may be a password masked."""

from __future__ import annotations

from attrs import define

from ..grammar.printable import printable
from .verbs import Vocabulary


@define
class Redactor:
    """Hides the argument of AUTH, and lines after a refused AUTH that have no known verb: a client
    that ignores the refusal may send its password there."""

    after_auth: bool = False

    def redact(self, line: bytes, vocabulary: Vocabulary) -> str:
        """Return *line*, escaped, or asterisks in place of what may be secret."""
        verb = line.split(maxsplit=1)[0].upper() if line.strip() else b""
        if verb[:4] == b"AUTH":
            self.after_auth = True
            return "AUTH ***"
        known = verb.decode("latin-1") in vocabulary.commands
        return "***" if self.after_auth and not known else printable(line)
