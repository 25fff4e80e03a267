"""Where foreign programs deliver, and what they put above a message."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from tests.interop.programs import until


@frozen
class Mailboxes:
    """Maildirs, one for each user."""

    directory: Path

    def next(self, user: str) -> bytes:
        """The next message for *user*, taken out, with the line ends that it was sent with."""
        new = self.directory / user / "new"
        file = until(f"mail for {user}", lambda: next(iter(new.glob("*")), None))
        octets = file.read_bytes()
        file.unlink()
        assert b"\r" not in octets
        return octets.replace(b"\n", b"\r\n")

    @property
    def empty(self) -> bool:
        return not any(self.directory.glob("*/new/*"))

    def clear(self) -> None:
        """Take out what an earlier test left."""
        for file in self.directory.glob("*/new/*"):
            file.unlink()


def trace_above(octets: bytes, content: bytes) -> list[str]:
    """The header fields, unfolded, that were put above *content*, which is as it was sent."""
    assert octets.endswith(content)
    above = octets.removesuffix(content).decode()
    return above.replace("\r\n\t", " ").replace("\r\n ", " ").splitlines()


def names(fields: list[str]) -> set[str]:
    """The names of header fields, in small letters."""
    return {field.partition(":")[0].lower() for field in fields}
