"""A likely cause of a failure: who must act, and what to try."""

from __future__ import annotations

import enum

from attrs import frozen

__all__ = ["Cause", "Who"]


class Who(enum.Enum):
    """Who must act."""

    YOU = "you"
    """The program that sends, its configuration, or the records of its domain."""
    PROVIDER = "your provider or network"
    """Whoever runs the server that you log in to, or the network that you connect from."""
    OTHER_SIDE = "the other side"
    """Whoever runs the server that answered, or the recipient."""


@frozen
class Cause:
    """A likely cause of a failure."""

    what: str
    """What is wrong, as a sentence."""
    who: Who
    """Who must act."""
    mend: str
    """What to try, as sentences."""
    source: str = ""
    """The address of a page that says more, or ""."""

    def as_dict(self) -> dict[str, str]:
        """Return it for JSON; what is empty is left out."""
        values = {
            "what": self.what,
            "who": self.who.value,
            "mend": self.mend,
            "source": self.source,
        }
        return {name: value for name, value in values.items() if value}
