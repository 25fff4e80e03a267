"""Mailboxes that other programs deliver to, and the header fields that they add to a message."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from tests.interop.programs import wait_until


@frozen
class Mailboxes:
    """A Maildir for each user."""

    directory: Path

    def next(self, user: str) -> bytes:
        """Wait for a message for *user*, and remove and return it. Line ends are CRLF again."""
        new = self.directory / user / "new"
        file = wait_until(f"mail for {user}", lambda: next(iter(new.glob("*")), None))
        octets = file.read_bytes()
        file.unlink()
        assert b"\r" not in octets
        return octets.replace(b"\n", b"\r\n")

    @property
    def empty(self) -> bool:
        """Whether no user has a message."""
        return not any(self.directory.glob("*/new/*"))

    def clear(self) -> None:
        """Remove the messages that an earlier test left."""
        for file in self.directory.glob("*/new/*"):
            file.unlink()


def fields_above(octets: bytes, content: bytes) -> list[str]:
    """Check that *octets* end with *content*. Return the header fields above it, unfolded."""
    assert octets.endswith(content)
    above = octets.removesuffix(content).decode()
    return above.replace("\r\n\t", " ").replace("\r\n ", " ").splitlines()


def assert_delivered(octets: bytes, content: bytes) -> None:
    """Check that *octets* are header fields that servers added, and then *content*."""
    fields_above(octets, content)


def field_names(fields: list[str]) -> set[str]:
    """Return the names of header fields, in lower case."""
    return {field.partition(":")[0].lower() for field in fields}
