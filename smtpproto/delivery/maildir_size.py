"""The quota of a Maildir, in its file ``maildirsize``, as Courier, Exim and Dovecot keep it
(https://www.courier-mta.org/imap/README.maildirquota.html)."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import ge, optional

from ..option_types import checked

__all__ = ["MaildirSize"]

LONGEST = 5120  # octets of the file, after which all messages are counted again


@checked
@frozen(kw_only=True)
class MaildirSize:
    """A quota, and how much of it is used: the content of the file ``maildirsize``.

    Its first line is the quota, ``100000000S,1000C``: octets and messages. Each other line adds the
    octets and the number of messages that have come, or gone.
    """

    octets: int | None = field(default=None, validator=optional(ge(1)))
    """The octets that are allowed; None: any number."""
    messages: int | None = field(default=None, validator=optional(ge(1)))
    """The messages that are allowed; None: any number."""
    used: int = 0
    """Octets."""
    count: int = 0
    """Messages."""
    is_fresh: bool = True
    """Whether all messages were just counted: nothing was added to the file since."""

    @classmethod
    def parse(cls, text: str) -> MaildirSize:
        """Read the file. Raises ValueError if it is damaged."""
        quota, *lines = text.split("\n")
        limits: dict[str, int] = {}
        for part in quota.strip().split(","):
            if part[-1:] in ("S", "C"):  # Maildir++ wants all others to be ignored
                limits[part[-1]] = int(part[:-1])
        rows = [[int(number) for number in line.split()] for line in lines if line.strip()]
        if any(len(row) != 2 for row in rows):
            raise ValueError("a line of maildirsize has two numbers")
        return cls(
            octets=limits.get("S") or None,  # Maildir++: 0 is no limit
            messages=limits.get("C") or None,
            used=sum(row[0] for row in rows),
            count=sum(row[1] for row in rows),
            is_fresh=len(rows) <= 1,
        )

    def __str__(self) -> str:
        """Return the whole file, with one line for all that is used."""
        limits = {"S": self.octets, "C": self.messages}
        quota = ",".join(f"{number}{unit}" for unit, number in limits.items() if number is not None)
        return f"{quota}\n{self.used} {self.count}\n"

    def has_room(self, size: int) -> bool:
        """Return whether a message of *size* octets may be added."""
        return (self.octets is None or self.used + size <= self.octets) and (
            self.messages is None or self.count < self.messages
        )
