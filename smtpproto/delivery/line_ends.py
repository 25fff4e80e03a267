"""Line ends of stored messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["unix_lines"]


def unix_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield *pieces* with LF in place of CRLF, as programs on Unix expect it in mailboxes."""
    held = b""
    for piece in pieces:
        text = held + piece
        held = b"\r" if text.endswith(b"\r") else b""  # its LF may be in the next piece
        yield text[: len(text) - len(held)].replace(b"\r\n", b"\n")
    if held:
        yield held
