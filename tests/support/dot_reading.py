"""Reads the content of DATA in pieces."""

from __future__ import annotations

from attrs import frozen

from smtpproto.wire.buffer import Buffer
from smtpproto.wire.dots import DotReader


@frozen
class ReadContent:
    """What a reader of dots has found."""

    content: bytes
    done: bool
    """Whether the end was read."""
    bare: bool
    """Whether the content had a bare CR or LF."""
    refused: bool
    """Whether the content must be refused though its line ends are normalized."""
    rest: bytes
    """What is left in the buffer."""


def read_dots(parts: list[bytes], *, normalize: bool = False) -> ReadContent:
    """Return the content up to the end of data, and what else the reader has found."""
    buffer = Buffer()
    reader = DotReader(buffer, normalize=normalize)
    content = b""
    for part in parts:
        buffer.feed(part)
        while piece := reader.read():
            content += piece
        assert reader.done or not buffer, "unread content is left in the buffer"
    rest = buffer.take(len(buffer))
    return ReadContent(content, reader.done, reader.bare, reader.refused, rest)
